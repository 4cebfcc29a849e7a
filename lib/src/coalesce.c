/* Coalescing: neighbours in one buf become one slice, nothing is copied. The references of a run of them are
 * dropped at once, and none of them is the last, since the joined slice keeps one. */
#include "internal.h"

/* The front of slice `a` once it has swallowed `b`, where either shares bytes. Sizes are as before. */
static void join_fronts(iobuf_slice *a, const iobuf_slice *b)
{
    struct front f = slice_front(a), g = slice_front(b);
    if (slice_owns_all(a, f))
        f.exclusive = a->size_ + (slice_owns_all(b, g) ? b->size_ : g.exclusive);
    f.sharing = true;
    slice_set_front(a, f);
}

/* Joins to *first the slices behind it that are its neighbours, as long as together they are at most `max_size` bytes, and empties
 * them. Returns how many; their references are still to be dropped. */
static size_t join(iobuf_slice *first, const iobuf_slice *last, size_t max_size)
{
    /* As integers: the bytes may be NULL, of a wrapped slice of size 0. */
    const uintptr_t start = (uintptr_t)first->data_;
    uintptr_t limit, at = start + first->size_;
    size_t flags = first->headroom_;
    if (__builtin_add_overflow(start, max_size, &limit))
        limit = UINTPTR_MAX;
    const iobuf_slice begin = *first; /* so that what is stored below need not be read again */
    iobuf_slice *s = first + 1;
    for (; s < last; s++) {
        if (!check_same_buf(&begin, s) || (uintptr_t)s->data_ != at || s->size_ + at > limit) /* within the buf: no sum wraps */
            break;
        check_handle(s, "iobuf_coalesce");
        check_handle_gone(s);
        flags |= s->headroom_;
        if (iobuf_unlikely_((flags & IOBUF_SHARING_) != 0)) {
            first->size_ = at - start;
            join_fronts(first, s);
        }
        at += s->size_;
        *s = IOBUF_EMPTY_;
    }
    first->size_ = at - start;
    return (size_t)(s - first) - 1;
}

size_t iobuf_coalesce(iobuf_slice *slices, size_t count, size_t max_size)
{
    if (count == 0)
        return 0; /* slices may be NULL */
    iobuf_slice *kept = slices, *next = slices, *last = slices + count;
    while (next < last) {
        iobuf_slice *first = next++;
        struct buf *b = check_handle(first, "iobuf_coalesce");
        if (b != NULL && first->size_ <= max_size) {
            size_t joined = join(first, last, max_size);
            buf_put_some(b, joined);
            next += joined;
        }
        if (kept != first) {
            *kept = *first;
            *first = IOBUF_EMPTY_;
        }
        kept++;
    }
    return (size_t)(kept - slices);
}
