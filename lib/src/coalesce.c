/* Coalescing: neighbours in one buf become one slice, nothing is copied. The references of a run are dropped at once; none of
 * them is the last, since the joined slice keeps one. */
#include "internal.h"

/* True if `b` may join `a`: it begins where `a` ends, in the same buf, and together they are within the limit. The places are
 * compared as integers: of wrapped memory of size 0 they may be NULL. */
static bool joins(const iobuf_slice *a, const iobuf_slice *b, size_t max_size)
{
    return check_same_buf(a, b) && (uintptr_t)a->data_ + a->size_ == (uintptr_t)b->data_ && a->size_ <= max_size &&
           b->size_ <= max_size - a->size_;
}

static void join(iobuf_slice *a, iobuf_slice *b)
{
    if (((a->headroom_ | b->headroom_) & IOBUF_SHARING_) != 0) {
        struct front f = slice_front(a), g = slice_front(b);
        if (slice_owns_all(a, f))
            f.exclusive = a->size_ + (slice_owns_all(b, g) ? b->size_ : g.exclusive);
        f.sharing = true;
        slice_set_front(a, f);
    }
    a->size_ += b->size_;
    check_handle_gone(b);
}

size_t iobuf_coalesce(iobuf_slice *slices, size_t count, size_t max_size)
{
    size_t kept = 0, next = 0;
    while (next < count) {
        size_t first = next++;
        iobuf_slice joined = slices[first];
        struct buf *b = check_handle(&joined, "iobuf_coalesce");
        for (; next < count && joins(&joined, &slices[next], max_size); next++) {
            check_handle(&slices[next], "iobuf_coalesce");
            join(&joined, &slices[next]);
        }
        if (next - first > 1)
            buf_put_some(b, next - first - 1);
        slices[kept++] = joined;
    }
    for (size_t i = kept; i < count; i++)
        slices[i] = iobuf_slice_borrow(NULL, 0);
    return kept;
}
