/* The pool: takes memory from its backing, keeps free bufs, counts, and limits both.
 *
 * Everything below is under the pool's lock, but for the backing's functions, which are never called with it held. A pool's
 * memory goes when it has neither users (the caller's handle until it is closed, each allocator and reader, and each call that
 * still gives memory back) nor bufs in use. What is in use is all that there is less what is cached. */
#include "freelist.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define BUF_ALIGNMENT CACHE_LINE
#define DEFAULT_MIN_SIZE 4096
#define DEFAULT_MAX_CACHED ((size_t)64 << 20)
#define SLAB_BUFS 32
#define SETTLE_AT_GROWTH 8 /* so that a pool that grows never walks a long list, and yet comes round */
#define SETTLE_AT_READING 64
#define NO_ADOPTION 256

/* Descriptors are taken 32 at a time and given back with the pool. */
struct slab {
    struct slab *next;
    _Alignas(CACHE_LINE) struct buf bufs[SLAB_BUFS];
};

/* What taking and returning a buf of one unit touches is on the first two lines, since they go back and forth between the threads
 * that do so. */
struct iobuf_pool {
    biased_lock lock;
    size_t bufs_cached, bytes_cached;
    size_t min_size, max_cached_bytes;
    bool biased;
    bool closed;          /* atomic; written under the lock */
    bool roams;           /* the last buf to become free did so on another thread than it was taken on: others will as well */
    uint16_t no_adoption; /* for so many bufs to come, since an owner by adoption was revoked: several threads release */
    struct freelist free; /* begins with what is of one unit */
    size_t bufs, bytes;   /* in use and cached */
    size_t max_bytes;
    size_t users;
    size_t bytes_asked; /* of bufs that the backing is being asked for: within the limit, but not counted in `bytes` yet */
    size_t bufs_allocated, bytes_peak;
    iobuf_backing backing;
    struct buf *spare; /* descriptors without memory */
    struct slab *slabs;
    struct buf *listed; /* revoked bufs: a ring */
    size_t listed_count;
    _Alignas(CACHE_LINE) struct buf *inbox; /* atomic: revoked bufs that are not in `listed` yet; pushed without the lock */
};

static void *default_allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    void *memory;
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void default_deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

/* `size` rounded up to a multiple of min_size, at least one; false if no object can be that large. */
static bool round_up(size_t size, size_t min_size, size_t *rounded)
{
    size_t units = size == 0 ? 1 : (size - 1) / min_size + 1;
    return !__builtin_mul_overflow(units, min_size, rounded) && *rounded < SIZE_TOO_LARGE;
}

int iobuf_pool_create(const iobuf_pool_options *options, iobuf_pool **out)
{
    static const iobuf_pool_options defaults;
    if (options == NULL)
        options = &defaults;
    if (out == NULL || (options->backing.allocate == NULL) != (options->backing.deallocate == NULL))
        return IOBUF_EINVAL;
    if (options->min_size >= SIZE_TOO_LARGE)
        return IOBUF_EOVERFLOW;
    iobuf_backing backing = options->backing;
    if (backing.allocate == NULL)
        backing = (iobuf_backing){default_allocate, default_deallocate, NULL};
    iobuf_pool *pool = backing.allocate(backing.context, sizeof *pool, BUF_ALIGNMENT);
    if (pool == NULL)
        return IOBUF_ENOMEM;
    memset(pool, 0, sizeof *pool);
    pool->biased = fence_heavy_available();
    biased_init(&pool->lock, pool->biased);
    pool->min_size = options->min_size == 0 ? DEFAULT_MIN_SIZE : options->min_size;
    pool->max_bytes = options->max_bytes == 0 ? SIZE_MAX : options->max_bytes;
    pool->max_cached_bytes = options->max_cached_bytes == 0 ? DEFAULT_MAX_CACHED : options->max_cached_bytes;
    pool->backing = backing;
    pool->users = 1;
    *out = pool;
    return IOBUF_OK;
}

static void destroy(iobuf_pool *pool)
{
    iobuf_backing backing = pool->backing;
    for (struct slab *slab = pool->slabs; slab != NULL;) {
        struct slab *next = slab->next;
        for (size_t i = 0; i < SLAB_BUFS; i++)
            check_forget_buf(&slab->bufs[i]);
        backing.deallocate(backing.context, slab, sizeof *slab);
        slab = next;
    }
    lock_destroy(&pool->lock.lock);
    backing.deallocate(backing.context, pool, sizeof *pool);
}

void pool_ref(iobuf_pool *pool)
{
    biased_acquire(&pool->lock);
    pool->users++;
    biased_release(&pool->lock);
}

void pool_unref(iobuf_pool *pool)
{
    biased_acquire(&pool->lock);
    bool last = --pool->users == 0 && pool->bufs == 0; /* a pool without users is closed, so nothing is cached */
    biased_release(&pool->lock);
    if (last)
        destroy(pool);
}

bool pool_biased(const iobuf_pool *pool)
{
    return pool->biased;
}

/* Notes a buf whose bias was revoked, for settle. True if the pool is closed: the caller has to make sure himself that the
 * owner's count is exact. Without the lock, and pushed at most once in a life, so that a list without pops of one does. */
bool pool_list_revoked(iobuf_pool *pool, struct buf *b)
{
    b->is_listed = true;
    struct buf *head = atomic_get(&pool->inbox, RELAXED); /* relaxed: validated by the compare-and-swap */
    do {
        b->listed.inbox = head;
        /* Sequentially consistent, as are the store of `closed` and the swap in drain: either close sees this buf, or we
         * see that it is closed. */
    } while (!atomic_cas(&pool->inbox, &head, b, SEQ_CST));
    return atomic_get(&pool->closed, SEQ_CST); /* pairs with the store in iobuf_pool_close */
}

/* Takes over what pool_list_revoked has pushed: pairs with its compare-and-swap and load. */
static void drain(iobuf_pool *pool)
{
    if (atomic_get(&pool->inbox, SEQ_CST) == NULL)
        return;
    struct buf *next, *b = atomic_swap(&pool->inbox, NULL, SEQ_CST);
    for (; b != NULL; b = next) {
        next = b->listed.inbox;
        if (pool->listed == NULL)
            pool->listed = b->listed.next = b->listed.prev = b;
        b->listed.next = pool->listed;
        b->listed.prev = pool->listed->listed.prev;
        b->listed.prev->listed.next = b;
        b->listed.next->listed.prev = b;
        pool->listed_count++;
    }
}

static void unlist(iobuf_pool *pool, struct buf *b)
{
    drain(pool);
    b->listed.prev->listed.next = b->listed.next;
    b->listed.next->listed.prev = b->listed.prev;
    if (pool->listed == b)
        pool->listed = b->listed.next == b ? NULL : b->listed.next;
    pool->listed_count--;
    b->is_listed = false;
}

/* A buf in use has become free: cached, or added to *garbage. */
static inline void account_return(iobuf_pool *pool, struct buf *b, struct buf **garbage)
{
    if (iobuf_unlikely_(b->is_listed)) {
        unlist(pool, b);
        pool->no_adoption = b->adoptable ? NO_ADOPTION : pool->no_adoption;
    }
    pool->roams = b->taker != iobuf_self_();
    if (iobuf_likely_(!pool->closed && b->size <= pool->max_cached_bytes &&
                      pool->bytes_cached <= pool->max_cached_bytes - b->size)) {
        pool->bufs_cached++;
        pool->bytes_cached += b->size;
        if (iobuf_likely_(b->units == 1))
            freelist_put_unit(&pool->free, b);
        else
            freelist_put(&pool->free, b);
    } else {
        pool->bufs--;
        pool->bytes -= b->size;
        b->idle.next = *garbage;
        *garbage = b;
    }
}

/* Looks for listed bufs whose last reference went unnoticed, among at most `most`; each call goes on where the last one ended.
 * `exact`: finds each of them, by the heavy fence. Returns how many. The caller is a user of the pool. */
static size_t settle(iobuf_pool *pool, size_t most, bool exact, struct buf **garbage)
{
    size_t found = 0;
    drain(pool);
    if (pool->listed == NULL)
        return 0;
    if (exact)
        fence_heavy();
    for (size_t left = most < pool->listed_count ? most : pool->listed_count; left > 0; left--) {
        struct buf *b = pool->listed;
        pool->listed = b->listed.next;
        if (exact)
            buf_wait_exact(b);
        if (buf_claim_if_unused(b)) {
            account_return(pool, b, garbage);
            found++;
        }
    }
    return found;
}

/* What the limit leaves for bufs that are not in use; the cache counts towards it. */
static size_t bytes_left(const iobuf_pool *pool)
{
    size_t used = pool->bytes - pool->bytes_cached + pool->bytes_asked;
    return used < pool->max_bytes ? pool->max_bytes - used : 0;
}

/* Takes the largest cached buf out of the cache, to be given back. */
static void evict(iobuf_pool *pool, struct buf **garbage)
{
    struct buf *b = freelist_take_largest(&pool->free);
    pool->bufs--;
    pool->bytes -= b->size;
    pool->bufs_cached--;
    pool->bytes_cached -= b->size;
    b->idle.next = *garbage;
    *garbage = b;
}

/* Without the lock: gives the memory of `garbage` back, and keeps the descriptors. The caller has a reference to the pool. */
static void give_back(iobuf_pool *pool, struct buf *garbage)
{
    struct buf *last = NULL;
    for (struct buf *b = garbage; b != NULL; b = b->idle.next) {
        check_unpoison(b->head.start_, b->size);
        pool->backing.deallocate(pool->backing.context, b->head.start_, b->size);
        last = b;
    }
    if (last == NULL)
        return;
    biased_acquire(&pool->lock);
    last->idle.next = pool->spare;
    pool->spare = garbage;
    biased_release(&pool->lock);
}

void pool_return(struct buf *b)
{
    iobuf_pool *pool = b->pool;
    struct buf *garbage = NULL;
    check_poison(b->head.start_, b->size);
    biased_acquire(&pool->lock);
    account_return(pool, b, &garbage);
    if (iobuf_likely_(garbage == NULL)) { /* cached, so the pool is open and stays */
        biased_release(&pool->lock);
        return;
    }
    pool->users++;
    biased_release(&pool->lock);
    give_back(pool, garbage);
    pool_unref(pool);
}

/* Makes sure of a spare descriptor. Called, and returns, with the lock held, but may drop it in between: *dropped. */
static bool ensure_spare(iobuf_pool *pool, bool *dropped)
{
    *dropped = false;
    if (pool->spare != NULL)
        return true;
    biased_release(&pool->lock);
    struct slab *slab = pool->backing.allocate(pool->backing.context, sizeof *slab, BUF_ALIGNMENT);
    biased_acquire(&pool->lock);
    *dropped = true;
    if (slab == NULL)
        return false;
    memset(slab, 0, sizeof *slab);
    slab->next = pool->slabs;
    pool->slabs = slab;
    for (size_t i = SLAB_BUFS; i-- > 0;) {
        slab->bufs[i].pool = pool;
        slab->bufs[i].idle.next = pool->spare;
        pool->spare = &slab->bufs[i];
    }
    return true;
}

/* A buf is taken: who is going to release what is cut from it? */
static inline void expect_roaming(iobuf_pool *pool, struct buf *b)
{
    b->give_up = pool->roams;
    b->adoptable = pool->roams && pool->no_adoption == 0;
    if (iobuf_unlikely_(pool->no_adoption != 0))
        pool->no_adoption--;
}

/* A new buf of `size` bytes, which the limit allows. Called with the lock, returns without it. */
static struct buf *take_new(iobuf_pool *pool, size_t size, struct buf *garbage)
{
    struct buf *b = pool->spare;
    pool->spare = b->idle.next;
    pool->bytes_asked += size; /* before the lock is dropped, so that the limit holds */
    while (pool->bytes_cached > bytes_left(pool))
        evict(pool, &garbage);
    biased_release(&pool->lock);
    give_back(pool, garbage);
    b->head.start_ = pool->backing.allocate(pool->backing.context, size, BUF_ALIGNMENT);
    b->size = size;
    b->units = size / pool->min_size;
    biased_acquire(&pool->lock);
    pool->bytes_asked -= size;
    if (b->head.start_ == NULL) {
        b->idle.next = pool->spare;
        pool->spare = b;
        b = NULL;
    } else {
        check_adopt_buf(b);
        expect_roaming(pool, b);
        pool->bufs_allocated++;
        pool->bufs++;
        pool->bytes += size;
        if (pool->bytes > pool->bytes_peak)
            pool->bytes_peak = pool->bytes;
    }
    biased_release(&pool->lock);
    return b;
}

/* `b` has come off the free list, or is NULL. */
static inline struct buf *uncache(iobuf_pool *pool, struct buf *b)
{
    if (iobuf_unlikely_(b == NULL))
        return NULL;
    check_intact(b->head.start_, b->size, "a free buf was written to: a slice was used after its release");
    pool->bufs_cached--;
    pool->bytes_cached -= b->size;
    expect_roaming(pool, b);
    return b;
}

/* With the lock held: a cached buf to *out, or what stands against a new one, or IOBUF_OK and *out NULL: take a new one. */
static int try_take(iobuf_pool *pool, size_t rounded, struct buf **out, struct buf **garbage)
{
    size_t units = rounded / pool->min_size;
    *out = NULL;
    if (pool->closed)
        return IOBUF_ECLOSED;
    *out = uncache(pool, freelist_take(&pool->free, units));
    if (*out != NULL)
        return IOBUF_OK;
    bool limited = rounded > bytes_left(pool);
    if (settle(pool, limited ? SIZE_MAX : SETTLE_AT_GROWTH, limited, garbage) != 0) {
        *out = uncache(pool, freelist_take(&pool->free, units));
        limited = *out == NULL && rounded > bytes_left(pool);
    }
    return limited ? IOBUF_ELIMIT : IOBUF_OK;
}

/* With the lock held, returns without it: the whole of pool_take. */
static __attribute__((noinline)) int take_slow(iobuf_pool *pool, size_t size, struct buf **out)
{
    struct buf *b, *garbage = NULL;
    size_t rounded = 0;
    bool fits = round_up(size, pool->min_size, &rounded), again;
    int status;
    do {
        again = false;
        if (!fits)
            status = pool->closed ? IOBUF_ECLOSED : IOBUF_EOVERFLOW;
        else
            status = try_take(pool, rounded, &b, &garbage);
        if (status == IOBUF_OK && b == NULL && !ensure_spare(pool, &again)) {
            status = IOBUF_ENOMEM;
            again = false;
        }
    } while (again);
    if (status == IOBUF_OK && b == NULL) {
        b = take_new(pool, rounded, garbage);
        status = b == NULL ? IOBUF_ENOMEM : IOBUF_OK;
    } else {
        biased_release(&pool->lock);
        give_back(pool, garbage);
    }
    if (status == IOBUF_OK) {
        check_poison(b->head.start_, b->size); /* a new one; a cached one is */
        buf_attach(b, pool->biased);
        *out = b;
    }
    return status;
}

/* A buf of at least `size` bytes, held by the caller and owned by its thread, without a slice. First what is frequent: one unit,
 * and a buf of that size is free. */
int pool_take(iobuf_pool *pool, size_t size, struct buf **out)
{
    biased_acquire(&pool->lock);
    struct buf *b = iobuf_likely_(size <= pool->min_size) ? uncache(pool, freelist_take_unit(&pool->free)) : NULL;
    if (iobuf_unlikely_(b == NULL))
        return take_slow(pool, size, out);
    bool biased = pool->biased;
    biased_release(&pool->lock);
    buf_attach(b, biased);
    *out = b;
    return IOBUF_OK;
}

void iobuf_pool_close(iobuf_pool *pool)
{
    if (pool == NULL)
        return;
    struct buf *garbage = NULL;
    biased_acquire(&pool->lock);
    atomic_set(&pool->closed, true, SEQ_CST); /* pairs with the load in pool_list_revoked */
    settle(pool, SIZE_MAX, true, &garbage);
    while (pool->bufs_cached != 0)
        evict(pool, &garbage);
    biased_release(&pool->lock);
    give_back(pool, garbage);
    pool_unref(pool);
}

size_t iobuf_pool_trim(iobuf_pool *pool, size_t keep_bytes)
{
    struct buf *garbage = NULL;
    biased_acquire(&pool->lock);
    size_t before = pool->bytes;
    settle(pool, SIZE_MAX, true, &garbage);
    while (pool->bytes_cached > keep_bytes)
        evict(pool, &garbage);
    size_t freed = before - pool->bytes;
    biased_release(&pool->lock);
    give_back(pool, garbage);
    return freed;
}

void iobuf_pool_stats_get(const iobuf_pool *pool_, iobuf_pool_stats *stats)
{
    /* Only the counters are const to the caller: bufs whose end went unnoticed are found here. */
    iobuf_pool *pool = (iobuf_pool *)(uintptr_t)pool_;
    struct buf *garbage = NULL;
    biased_acquire(&pool->lock);
    settle(pool, SETTLE_AT_READING, false, &garbage);
    *stats = (iobuf_pool_stats){
        .bufs_allocated = pool->bufs_allocated,
        .bufs_in_use = pool->bufs - pool->bufs_cached,
        .bufs_cached = pool->bufs_cached,
        .bytes_in_use = pool->bytes - pool->bytes_cached,
        .bytes_cached = pool->bytes_cached,
        .bytes_peak = pool->bytes_peak,
    };
    biased_release(&pool->lock);
    give_back(pool, garbage);
}
