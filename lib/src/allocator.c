/* The allocator: cuts slices off its current buf, one behind the other.
 *
 * Invariant: buf_ is NULL, and then bound_ is 0; or it is held, and next_ less the reserve is the first byte that was not cut yet,
 * which may be the buf's end. bound_ is the buf's end plus 1, so that one comparison tells "no buf" and "no room" from room for a
 * slice of size 0; or less, where refill has more to do on the way there (prefetch), and then most_ is 0. next_ may be beyond the
 * end, by at most the reserve; where that sum could wrap, bound_ is 0 and every slice is cut out of line. pool_ is NULL once
 * released. */
#include "internal.h"

#include <string.h>

/* Slices of size 0, and those that are shrunk to it, use nothing up: on 32-bit platforms they alone could make a buf's counts wrap.
 * There, at this many, the buf is left. */
#define TAKEN_MOST ((size_t)PTRDIFF_MAX / 4)

#define WRITTEN_BEHIND "bytes that no slice has were written to, behind a slice's end"

int iobuf_allocator_init(iobuf_allocator *a, iobuf_pool *pool, size_t reserve)
{
    if (a == NULL || pool == NULL)
        return IOBUF_EINVAL;
    *a = (iobuf_allocator){.reserve_ = reserve, .pool_ = pool};
    pool_ref(pool);
    return IOBUF_OK;
}

/* The first byte that was not cut yet. */
static uint8_t *uncut(const iobuf_allocator *a)
{
    return (uint8_t *)(a->next_ - a->reserve_);
}

/* Every slice that fits is cut inline, but where next_ could wrap. */
static void set_bound(iobuf_allocator *a, const struct buf *b)
{
    uintptr_t end = (uintptr_t)b->head.start_ + b->size;
    a->bound_ = a->most_ = 0;
    if (a->reserve_ < UINTPTR_MAX - end) {
        a->bound_ = end + 1;
        a->most_ = b->size - a->reserve_ + 1;
    }
}

/* The current buf becomes `b`, from its start. */
static void begin(iobuf_allocator *a, struct buf *b)
{
    uintptr_t start = (uintptr_t)b->head.start_;
    a->buf_ = &b->head;
    a->next_ = start + a->reserve_;
    a->first_ = a->next_;
    a->shared_ = atomic_get(&b->shared, RELAXED); /* without slices, nobody else can change it */
    set_bound(a, b);
}

/* Where the inline test cannot tell: whether `need` bytes fit the rest of the current buf. */
static bool fits_exactly(const iobuf_allocator *a, const struct buf *b, size_t need)
{
    return need <= (size_t)(b->head.start_ + b->size - uncut(a)) && b->head.taken_ < TAKEN_MOST;
}

/* Slices of at least so many bytes are far enough apart for the processor not to fetch by itself what is written next. */
#define PREFETCH_LEAST ((size_t)256)
#define PREFETCH_SLICES 16

/* For a buf that comes from another thread, whose cache has its lines: begins to fetch those that the next slices begin with, from
 * the `first` of them, if all are of `need` bytes, so that the writer need not wait for one after the other. It is called again
 * half way, since bound_ lies short of the buf's end until that is near: as a Java allocation prefetches ahead of its pointer. */
static void prefetch(iobuf_allocator *a, const struct buf *b, size_t need, size_t first)
{
    const uint8_t *at = uncut(a);
    size_t left = (size_t)(b->head.start_ + b->size - at) / need;
    size_t end = left < 2 * PREFETCH_SLICES ? left : 2 * PREFETCH_SLICES;
    for (size_t i = first; i < end; i++)
        __builtin_prefetch(at + i * need, 1);
    set_bound(a, b);
    if (left > PREFETCH_SLICES && a->bound_ != 0) {
        a->bound_ = (uintptr_t)at + PREFETCH_SLICES * need + 1;
        a->most_ = 0; /* so that refill comes here */
    }
}

/* The buf that is full gives way to one that fits `need` bytes. */
static int take(iobuf_allocator *a, size_t need)
{
    struct buf *b, *old = buf_from(a->buf_);
    int status = pool_take(a->pool_, need, &b);
    if (iobuf_unlikely_(status != IOBUF_OK))
        return status;
    begin(a, b);
    if (b->give_up && need >= PREFETCH_LEAST)
        prefetch(a, b, need, 0);
    if (old != NULL)
        buf_release_hold(old);
    return IOBUF_OK;
}

static __attribute__((noinline)) int refill_slow(iobuf_allocator *a, size_t size)
{
    if (a->pool_ == NULL)
        return IOBUF_ECLOSED;
    if (size >= SIZE_TOO_LARGE || a->reserve_ >= SIZE_TOO_LARGE - size)
        return IOBUF_EOVERFLOW;
    size_t need = a->reserve_ + size;
    struct buf *b = buf_from(a->buf_);
    if (b != NULL) {
        if (fits_exactly(a, b, need)) {
            if (b->give_up && need >= PREFETCH_LEAST)
                prefetch(a, b, need, PREFETCH_SLICES);
            else
                set_bound(a, b);
            return IOBUF_OK;
        }
        if (need <= b->size && buf_restart_if_idle(b)) {
            check_poison(b->head.start_, b->size);
            begin(a, b);
            return IOBUF_OK;
        }
    }
    return take(a, need);
}

/* Makes room for a slice of `size` bytes that did not fit. First what is frequent, as long as only the owner has released: either
 * all slices of the current buf are gone, and it starts again, or some are left, and another takes its place. */
static int refill(iobuf_allocator *a, size_t size)
{
#if !IOBUF_CHECKED
    if (iobuf_likely_(size < a->most_)) {
        struct buf *b = buf_from(a->buf_);
        size_t live = buf_live_here(b);
        if (iobuf_likely_(sizeof(size_t) > 4 &&
                          atomic_get(&b->shared, RELAXED) == a->shared_)) { /* relaxed: behind the acquire load in buf_live_here */
            if (live != 0)
                return take(a, a->reserve_ + size);
            a->next_ = a->first_;
            return IOBUF_OK;
        }
    }
#endif
    return refill_slow(a, size);
}

#if !IOBUF_CHECKED
static __attribute__((noinline)) int alloc_slow(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    int status = refill(a, size);
    if (status == IOBUF_OK)
        iobuf_cut_(a, size, a->next_ + size, out);
    return status;
}
#endif

#if IOBUF_CHECKED
/* Before the current buf is let go, with what was not cut. */
static void check_uncut(const iobuf_allocator *a)
{
    const struct buf *b = buf_from(a->buf_);
    if (b != NULL)
        check_intact(uncut(a), (size_t)(b->head.start_ + b->size - uncut(a)), WRITTEN_BEHIND);
}

int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    check_enter(&a->busy_, "iobuf_alloc");
    uintptr_t end;
    bool fits = iobuf_fits_(a, size, &end);
    if (!fits)
        check_uncut(a);
    int status = fits ? IOBUF_OK : refill(a, size);
    if (status == IOBUF_OK) {
        check_intact(uncut(a), a->reserve_ + size, WRITTEN_BEHIND);
        iobuf_cut_(a, size, a->next_ + size, out);
        check_handle_new(out);
        check_unpoison_new(out);
    }
    check_leave(&a->busy_);
    return status;
}
#else
#define check_uncut(a) ((void)0)

int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    uintptr_t end;
    if (iobuf_unlikely_(!iobuf_fits_(a, size, &end)))
        return alloc_slow(a, size, out);
    iobuf_cut_(a, size, end, out);
    return IOBUF_OK;
}

int iobuf_refill_(iobuf_allocator *a, size_t size)
{
    return refill(a, size);
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
    check_uncut(a);
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
    if (b == NULL || b != buf_from(a->buf_) || last->data_ + last->size_ != uncut(a) || size > last->size_ ||
        slice_front(last).sharing)
        return IOBUF_EINVAL;
    a->next_ -= last->size_ - size;
    if (sizeof(size_t) == 4 && b->head.taken_ >= TAKEN_MOST)
        a->bound_ = 0; /* the next slice is cut out of line, where they are counted */
    check_poison(uncut(a), last->size_ - size);
    last->size_ = size;
    return IOBUF_OK;
}
