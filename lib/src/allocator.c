/* The allocator: cuts slices off its current buf, one behind the other.
 *
 * Invariant: buf_ is NULL, and then bound_ is 0; or it is held, and next_ is the first byte that was not cut yet, which may be the
 * buf's end. bound_ is the end less the reserve, plus 1, so that one comparison tells "no buf" and "no room" from room for a slice
 * of size 0. pool_ is NULL once released. */
#include "internal.h"

#include <string.h>

/* Slices of size 0 use nothing up: on 32-bit platforms they alone could make a buf's counts wrap. */
#define TAKEN_MOST ((size_t)PTRDIFF_MAX / 4)

int iobuf_allocator_init(iobuf_allocator *a, iobuf_pool *pool, size_t reserve)
{
    if (a == NULL || pool == NULL)
        return IOBUF_EINVAL;
    *a = (iobuf_allocator){.reserve_ = reserve, .pool_ = pool};
    pool_ref(pool);
    return IOBUF_OK;
}

static void cut(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    check_intact(a->next_, a->reserve_ + size, "bytes that no slice has were written to, behind a slice's end");
    iobuf_cut_(a, size, out);
    check_handle_new(out);
    check_unpoison_new(out);
}

/* The current buf becomes `b`, from its start. */
static void begin(iobuf_allocator *a, struct buf *b)
{
    a->buf_ = &b->head;
    a->next_ = b->head.start_;
    a->bound_ = (uintptr_t)b->head.start_ + (b->size - a->reserve_) + 1;
}

static int alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    if (a->pool_ == NULL)
        return IOBUF_ECLOSED;
    if (size >= SIZE_TOO_LARGE || a->reserve_ >= SIZE_TOO_LARGE - size)
        return IOBUF_EOVERFLOW;
    size_t need = a->reserve_ + size;
    struct buf *b, *old = buf_from(a->buf_);
    if (old != NULL) {
        if (iobuf_fits_(a, size) && old->head.taken_ < TAKEN_MOST) {
            cut(a, size, out);
            return IOBUF_OK;
        }
        if (need <= old->size && buf_restart_if_idle(old)) {
            check_poison(old->head.start_, old->size);
            begin(a, old);
            cut(a, size, out);
            return IOBUF_OK;
        }
    }
    int status = pool_take(a->pool_, need, &b);
    if (status != IOBUF_OK)
        return status;
    begin(a, b);
    cut(a, size, out);
    if (old != NULL)
        buf_release_hold(old);
    return IOBUF_OK;
}

int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
#if IOBUF_CHECKED
    check_enter(&a->busy_, "iobuf_alloc");
    int status = alloc(a, size, out);
    check_leave(&a->busy_);
    return status;
#else
    if (iobuf_unlikely_(!iobuf_fits_fast_(a, size)))
        return alloc(a, size, out);
    iobuf_cut_(a, size, out);
    return IOBUF_OK;
#endif
}

#if !IOBUF_CHECKED
int iobuf_alloc_slow_(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    return alloc(a, size, out);
}
#endif

int iobuf_copy(iobuf_allocator *a, const void *bytes, size_t size, iobuf_slice *out)
{
    if (bytes == NULL && size != 0)
        return IOBUF_EINVAL;
    int status = iobuf_alloc(a, size, out);
    if (status == IOBUF_OK && size != 0)
        memcpy(out->data_, bytes, size);
    return status;
}

void iobuf_allocator_release(iobuf_allocator *a)
{
    if (a->pool_ == NULL)
        return;
    check_enter(&a->busy_, "iobuf_allocator_release");
    struct buf *b = buf_from(a->buf_);
    iobuf_pool *pool = a->pool_;
    *a = (iobuf_allocator){.reserve_ = a->reserve_};
    if (b != NULL)
        buf_release_hold(b);
    pool_unref(pool);
}

int iobuf_allocator_shrink(iobuf_allocator *a, iobuf_slice *last, size_t size)
{
    struct buf *b = check_handle(last, "iobuf_allocator_shrink");
    if (b == NULL || b != buf_from(a->buf_) || last->data_ + last->size_ != a->next_ || size > last->size_ ||
        slice_front(last).sharing)
        return IOBUF_EINVAL;
    a->next_ = last->data_ + size;
    check_poison(a->next_, last->size_ - size);
    last->size_ = size;
    return IOBUF_OK;
}
