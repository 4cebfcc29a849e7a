/* Coalescing: neighbours in one buf become one slice, nothing is copied. A run of them is measured first, in a loop that only
 * reads; its references are dropped at once, and none of them is the last, since the joined slice keeps one. */
#include "internal.h"

#include <string.h>

/* The front of slice `a` once it has swallowed `b`, where either shares bytes. Sizes are as before. */
static void join_fronts(iobuf_slice *a, const iobuf_slice *b)
{
    struct front f = slice_front(a), g = slice_front(b);
    if (slice_owns_all(a, f))
        f.exclusive = a->size_ + (slice_owns_all(b, g) ? b->size_ : g.exclusive);
    f.sharing = true;
    slice_set_front(a, f);
}

/* Joins s[1..n) to s[0], whose size they bring to `size`. */
static void join(iobuf_slice *s, size_t n, size_t size, bool sharing)
{
    for (size_t i = 1; sharing && i < n; i++) {
        join_fronts(s, &s[i]);
        s->size_ += s[i].size_;
    }
    s->size_ = size;
#if IOBUF_CHECKED
    for (size_t i = 1; i < n; i++)
        check_handle_gone(&s[i]);
#endif
}

/* How far the run of neighbours that begins with `first` reaches: to *end, if together they are at most `max_size` bytes. *flags
 * gets their headroom_, or'ed. */
static const iobuf_slice *run_end(const iobuf_slice *first, const iobuf_slice *last, size_t max_size, uintptr_t *end, size_t *flags)
{
    /* As integers: the bytes may be NULL, of a wrapped slice of size 0. */
    uintptr_t limit, at = (uintptr_t)first->data_ + first->size_;
    size_t seen = first->headroom_;
    if (__builtin_add_overflow((uintptr_t)first->data_, max_size, &limit))
        limit = UINTPTR_MAX;
    const iobuf_slice *s = first + 1;
    for (; s < last; s++) {
        if (!check_same_buf(first, s) || (uintptr_t)s->data_ != at || s->size_ + at > limit) /* within the buf: no sum wraps */
            break;
        check_handle(s, "iobuf_coalesce");
        at += s->size_;
        seen |= s->headroom_;
    }
    *end = at;
    *flags = seen;
    return s;
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
            uintptr_t end;
            size_t flags, joined = (size_t)(run_end(first, last, max_size, &end, &flags) - next);
            if (joined != 0) {
                join(first, joined + 1, (size_t)(end - (uintptr_t)first->data_), (flags & IOBUF_SHARING_) != 0);
                buf_put_some(b, joined);
                next += joined;
            }
        }
        *kept++ = *first;
    }
    if (kept < last)
        memset(kept, 0, (size_t)(last - kept) * sizeof *kept); /* empty handles */
    return (size_t)(kept - slices);
}
