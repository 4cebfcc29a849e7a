/* Slices: a range of a buf and the free prefix in front of it.
 *
 * Invariant: the free prefix [data - headroom, data) lies in the buf, and no byte of it belongs to another slice, unless the caller
 * vouched wrongly in iobuf_slice_free_entire_prefix. Once a slice shares bytes, it keeps count of how many bytes from its front
 * on are certainly its own ("exclusive"): only they may join its free prefix. Both numbers are then packed into headroom_,
 * 32 and 31 bits; a larger value is cut down, which only makes the prefix shorter than it could be. */
#include "internal.h"

#include <string.h>

#if SIZE_MAX > UINT32_MAX
#define HEADROOM_MAX ((size_t)UINT32_MAX)
#define EXCLUSIVE_MAX ((size_t)INT32_MAX)
#define EXCLUSIVE_SHIFT 32
#endif

/* Places are compared and subtracted as integers: of wrapped memory of size 0 they may be NULL. */
static uintptr_t end_of(const iobuf_slice *s)
{
    return (uintptr_t)s->data_ + s->size_;
}

/* Bytes in front of the slice in its buf. */
static size_t offset_in(const struct buf *b, const iobuf_slice *s)
{
    return (size_t)((uintptr_t)s->data_ - (uintptr_t)b->head.start_);
}

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

struct front slice_front(const iobuf_slice *s)
{
    struct front f = {s->headroom_, 0, false};
    if ((s->headroom_ & IOBUF_SHARING_) == 0)
        return f;
    f.sharing = true;
#if SIZE_MAX > UINT32_MAX
    f.headroom = s->headroom_ & HEADROOM_MAX;
    f.exclusive = s->headroom_ >> EXCLUSIVE_SHIFT & EXCLUSIVE_MAX;
#else
    f.headroom = s->headroom_ & ~IOBUF_SHARING_;
    f.exclusive = s->exclusive_;
#endif
    return f;
}

void slice_set_front(iobuf_slice *s, struct front f)
{
    if (!f.sharing) {
        s->headroom_ = f.headroom;
        return;
    }
#if SIZE_MAX > UINT32_MAX
    s->headroom_ = IOBUF_SHARING_ | at_most(f.exclusive, EXCLUSIVE_MAX) << EXCLUSIVE_SHIFT | at_most(f.headroom, HEADROOM_MAX);
#else
    s->headroom_ = IOBUF_SHARING_ | f.headroom;
    s->exclusive_ = f.exclusive;
#endif
}

/* True if no byte of the slice is shared. */
bool slice_owns_all(const iobuf_slice *s, struct front f)
{
    return !f.sharing || f.exclusive >= s->size_;
}

/* A new handle, without a free prefix, for a reference that the caller has counted. */
void slice_init(iobuf_slice *s, struct buf *b, uint8_t *data, size_t size)
{
    *s = iobuf_slice_borrow(data, size);
    s->buf_ = b == NULL ? NULL : &b->head;
    check_handle_new(s);
}

size_t iobuf_slice_headroom(const iobuf_slice *s)
{
    check_handle(s, "iobuf_slice_headroom");
    return slice_front(s).headroom;
}

size_t iobuf_slice_buf_size(const iobuf_slice *s)
{
    struct buf *b = check_handle(s, "iobuf_slice_buf_size");
    return b == NULL ? 0 : b->size;
}

int iobuf_slice_wrap(void *bytes, size_t size, iobuf_free_fn release, void *context, iobuf_slice *out)
{
    if (release == NULL || out == NULL || (bytes == NULL && size != 0))
        return IOBUF_EINVAL;
    if (size >= SIZE_TOO_LARGE)
        return IOBUF_EOVERFLOW;
    struct buf *b = buf_new_foreign(bytes, size, release, context);
    if (b == NULL)
        return IOBUF_ENOMEM;
    slice_init(out, b, bytes, size);
    return IOBUF_OK;
}

/* How many bytes from the front on certainly are nobody else's. */
static size_t own_bytes(const iobuf_slice *s, struct front f)
{
    return f.sharing ? at_most(f.exclusive, s->size_) : s->size_;
}

#if IOBUF_CHECKED
static void drop(iobuf_slice *s, struct buf *b)
{
    check_handle_gone(s);
    *s = IOBUF_EMPTY_;
    if (b != NULL)
        buf_put(b);
}

void iobuf_slice_release(iobuf_slice *s)
{
    struct buf *b = check_handle(s, "iobuf_slice_release");
    check_lose_slice(s, 0, own_bytes(s, slice_front(s)));
    drop(s, b);
}
#else
static void drop(iobuf_slice *s, struct buf *b)
{
    (void)b;
    iobuf_release_(s);
}

void iobuf_slice_release(iobuf_slice *s)
{
    iobuf_release_(s);
}
#endif

void iobuf_slice_release_previous(iobuf_slice *s, iobuf_slice *previous)
{
    struct buf *b = check_handle(s, "iobuf_slice_release_previous");
    struct buf *previous_b = check_handle(previous, "iobuf_slice_release_previous");
    struct front f = slice_front(s), g = slice_front(previous);
    if (b != NULL && b == previous_b && end_of(previous) == (uintptr_t)s->data_ - f.headroom && slice_owns_all(previous, g)) {
        f.headroom += previous->size_ + g.headroom; /* within the buf, so it cannot wrap */
        slice_set_front(s, f);
        check_poison_slice(previous, 0, previous->size_); /* a free prefix keeps its contents */
        drop(previous, previous_b);
    } else {
        iobuf_slice_release(previous);
    }
}

void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes)
{
    struct buf *b = check_handle(s, "iobuf_slice_truncate_front");
    struct front f = slice_front(s);
    bytes = at_most(bytes, s->size_);
    if (b != NULL && (!f.sharing || bytes <= f.exclusive)) {
        check_poison_slice(s, 0, bytes);
        f.headroom += bytes;
        f.exclusive -= f.sharing ? bytes : 0;
    } else {
        f.headroom = f.exclusive = 0;
    }
    if (bytes != 0)
        s->data_ += bytes;
    s->size_ -= bytes;
    slice_set_front(s, f);
}

bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes)
{
    check_handle(s, "iobuf_slice_expand_front");
    struct front f = slice_front(s);
    if (bytes > f.headroom)
        return false;
    if (bytes != 0)
        s->data_ -= bytes;
    s->size_ += bytes;
    f.headroom -= bytes;
    f.exclusive += bytes; /* both within the buf, so it cannot wrap */
    slice_set_front(s, f);
    check_unpoison_slice(s, bytes);
    return true;
}

void iobuf_slice_truncate_back(iobuf_slice *s, size_t bytes)
{
    check_handle(s, "iobuf_slice_truncate_back");
    size_t kept = s->size_ - at_most(bytes, s->size_);
    check_lose_slice(s, kept, own_bytes(s, slice_front(s)));
    s->size_ = kept;
}

void iobuf_slice_free_entire_prefix(iobuf_slice *s)
{
    struct buf *b = check_handle(s, "iobuf_slice_free_entire_prefix");
    if (b == NULL)
        return;
    struct front f = slice_front(s);
    f.headroom = offset_in(b, s);
    slice_set_front(s, f);
}

/* Every byte of a slice, and so every byte in front of it, was cut off before: but a slice of size 0 may be left behind the place
 * to which iobuf_allocator_shrink moved the allocator back, and what is between will be cut again. */
bool iobuf_slice_claim_prefix(iobuf_slice *s)
{
    struct buf *b = check_handle(s, "iobuf_slice_claim_prefix");
    if (b == NULL || (s->size_ == 0 && buf_is_held(b)) || !buf_has_one_slice(b))
        return false;
    struct front f = {offset_in(b, s), 0, false};
    slice_set_front(s, f);
    return true;
}

int iobuf_slice_share(iobuf_slice *s, size_t offset, size_t size, iobuf_slice *out)
{
    struct buf *b = check_handle(s, "iobuf_slice_share");
    if (offset > s->size_ || size > s->size_ - offset)
        return IOBUF_EINVAL;
    uint8_t *data = s->data_ == NULL ? NULL : s->data_ + offset;
    if (b != NULL) {
        struct front f = slice_front(s);
        f.exclusive = f.sharing ? at_most(f.exclusive, offset) : offset;
        f.sharing = true;
        slice_set_front(s, f);
        buf_get(b);
    }
    slice_init(out, b, data, size);
    if (b != NULL)
        slice_set_front(out, (struct front){0, 0, true});
    return IOBUF_OK;
}

int iobuf_slice_split(iobuf_slice *s, size_t at, iobuf_slice *tail)
{
    struct buf *b = check_handle(s, "iobuf_slice_split");
    if (at > s->size_)
        return IOBUF_EINVAL;
    struct front f = slice_front(s), g = {0, 0, f.sharing};
    if (b != NULL)
        buf_get(b);
    slice_init(tail, b, s->data_ == NULL ? NULL : s->data_ + at, s->size_ - at);
    s->size_ = at;
    if (f.sharing) {
        g.exclusive = f.exclusive > at ? f.exclusive - at : 0;
        f.exclusive = at_most(f.exclusive, at);
        slice_set_front(s, f);
        slice_set_front(tail, g);
    }
    return IOBUF_OK;
}

int iobuf_slice_compact(iobuf_slice *s, iobuf_allocator *a)
{
    struct buf *b = check_handle(s, "iobuf_slice_compact");
    if (b == NULL || buf_is_held(b) || s->size_ > b->size / 2 || a->reserve_ > b->size / 2 - s->size_ || !buf_has_one_slice(b))
        return IOBUF_OK;
    iobuf_slice moved;
    int status = iobuf_copy(a, s->data_, s->size_, &moved);
    if (status == IOBUF_OK) {
        iobuf_slice_release(s);
        *s = moved;
    }
    return status;
}

#if !IOBUF_CHECKED
void iobuf_truncate_front_slow_(iobuf_slice *s, size_t bytes)
{
    iobuf_slice_truncate_front(s, bytes);
}

bool iobuf_expand_front_slow_(iobuf_slice *s, size_t bytes)
{
    return iobuf_slice_expand_front(s, bytes);
}
#endif
