/* The pool: takes memory from its backing, keeps free bufs, counts, and limits both.
 *
 * Everything below is under the pool's lock, but for the backing's functions, which are never called with it held. A pool's
 * memory goes when `refs` is zero: one for the caller's handle until it is closed, one for each allocator, reader and buf in use.
 */
#include "freelist.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define BUF_ALIGNMENT 64
#define DEFAULT_MIN_SIZE 4096
#define DEFAULT_MAX_CACHED ((size_t)64 << 20)
#define SLAB_BUFS 32
#define SETTLE_AT_GROWTH 8 /* so that a pool that grows never walks a long list, and yet comes round */

/* Descriptors are taken 32 at a time and given back with the pool. */
struct slab {
    struct slab *next;
    struct buf bufs[SLAB_BUFS];
};

struct iobuf_pool {
    lock lock;
    size_t min_size, max_bytes, max_cached_bytes;
    iobuf_backing backing;
    size_t refs;
    iobuf_pool_stats stats;
    size_t bytes_asked; /* of bufs that the backing is being asked for: within the limit, but not in the stats yet */
    struct freelist free;
    struct buf *spare; /* descriptors without memory */
    struct slab *slabs;
    struct buf *listed; /* revoked bufs: a ring */
    size_t listed_count;
    bool biased;
    bool closed;       /* atomic; written under the lock */
    struct buf *inbox; /* atomic: revoked bufs that are not in `listed` yet */
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
    lock_init(&pool->lock);
    pool->min_size = options->min_size == 0 ? DEFAULT_MIN_SIZE : options->min_size;
    pool->max_bytes = options->max_bytes == 0 ? SIZE_MAX : options->max_bytes;
    pool->max_cached_bytes = options->max_cached_bytes == 0 ? DEFAULT_MAX_CACHED : options->max_cached_bytes;
    pool->backing = backing;
    pool->refs = 1;
    pool->biased = fence_heavy_available();
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
    lock_destroy(&pool->lock);
    backing.deallocate(backing.context, pool, sizeof *pool);
}

void pool_ref(iobuf_pool *pool)
{
    lock_acquire(&pool->lock);
    pool->refs++;
    lock_release(&pool->lock);
}

void pool_unref(iobuf_pool *pool)
{
    lock_acquire(&pool->lock);
    bool last = --pool->refs == 0;
    lock_release(&pool->lock);
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
    struct buf *head = atomic_get(&pool->inbox, RELAXED);
    do {
        b->listed.inbox = head;
        /* Sequentially consistent, as are the store of `closed` and the swap in drain: either close sees this buf, or we
         * see that it is closed. */
    } while (!atomic_cas(&pool->inbox, &head, b, SEQ_CST));
    return atomic_get(&pool->closed, SEQ_CST);
}

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

/* A buf in use has become free: cached, or added to *garbage. Its pool reference is the caller's to drop. */
static void account_return(iobuf_pool *pool, struct buf *b, struct buf **garbage)
{
    if (b->is_listed)
        unlist(pool, b);
    pool->stats.bufs_in_use--;
    pool->stats.bytes_in_use -= b->size;
    if (!pool->closed && b->size <= pool->max_cached_bytes && pool->stats.bytes_cached <= pool->max_cached_bytes - b->size) {
        pool->stats.bufs_cached++;
        pool->stats.bytes_cached += b->size;
        freelist_put(&pool->free, b);
    } else {
        b->idle.next = *garbage;
        *garbage = b;
    }
}

/* Looks for listed bufs whose last reference went unnoticed, among at most `most`; each call goes on where the last one ended.
 * `exact`: finds each of them, by the heavy fence. Returns how many. */
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
    pool->refs -= found; /* the caller has a further one */
    return found;
}

/* What the limit leaves for bufs that are not in use; the cache counts towards it. */
static size_t bytes_left(const iobuf_pool *pool)
{
    size_t used = pool->stats.bytes_in_use + pool->bytes_asked;
    return used < pool->max_bytes ? pool->max_bytes - used : 0;
}

/* Takes the largest cached buf out of the cache, to be given back. */
static void evict(iobuf_pool *pool, struct buf **garbage)
{
    struct buf *b = freelist_take_largest(&pool->free);
    pool->stats.bufs_cached--;
    pool->stats.bytes_cached -= b->size;
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
    lock_acquire(&pool->lock);
    last->idle.next = pool->spare;
    pool->spare = garbage;
    lock_release(&pool->lock);
}

void pool_return(struct buf *b)
{
    iobuf_pool *pool = b->pool;
    struct buf *garbage = NULL;
    check_poison(b->head.start_, b->size);
    lock_acquire(&pool->lock);
    account_return(pool, b, &garbage);
    if (garbage == NULL)
        pool->refs--; /* cached, so the caller's handle is open and has a reference */
    lock_release(&pool->lock);
    if (garbage != NULL) {
        give_back(pool, garbage);
        pool_unref(pool);
    }
}

/* Makes sure of a spare descriptor. Called, and returns, with the lock held, but may drop it in between: *dropped. */
static bool ensure_spare(iobuf_pool *pool, bool *dropped)
{
    *dropped = false;
    if (pool->spare != NULL)
        return true;
    lock_release(&pool->lock);
    struct slab *slab = pool->backing.allocate(pool->backing.context, sizeof *slab, BUF_ALIGNMENT);
    lock_acquire(&pool->lock);
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

static void account_take(iobuf_pool *pool, struct buf *b)
{
    pool->stats.bufs_in_use++;
    pool->stats.bytes_in_use += b->size;
    pool->refs++;
    check_adopt_buf(b);
    buf_attach(b, pool->biased);
}

/* A new buf of `size` bytes, which the limit allows. Called with the lock, returns without it. */
static struct buf *take_new(iobuf_pool *pool, size_t size, struct buf *garbage)
{
    struct buf *b = pool->spare;
    pool->spare = b->idle.next;
    pool->bytes_asked += size; /* before the lock is dropped, so that the limit holds */
    while (pool->stats.bytes_cached > bytes_left(pool))
        evict(pool, &garbage);
    lock_release(&pool->lock);
    give_back(pool, garbage);
    b->head.start_ = pool->backing.allocate(pool->backing.context, size, BUF_ALIGNMENT);
    b->size = size;
    b->units = size / pool->min_size;
    lock_acquire(&pool->lock);
    pool->bytes_asked -= size;
    if (b->head.start_ == NULL) {
        b->idle.next = pool->spare;
        pool->spare = b;
        b = NULL;
    } else {
        account_take(pool, b);
        pool->stats.bufs_allocated++;
        size_t bytes = pool->stats.bytes_in_use + pool->stats.bytes_cached;
        if (bytes > pool->stats.bytes_peak)
            pool->stats.bytes_peak = bytes;
    }
    lock_release(&pool->lock);
    return b;
}

/* A cached buf that fits, or NULL. */
static struct buf *take_cached(iobuf_pool *pool, size_t units)
{
    struct buf *b = freelist_take(&pool->free, units);
    if (b == NULL)
        return NULL;
    check_intact(b->head.start_, b->size, "a free buf was written to: a slice was used after its release");
    pool->stats.bufs_cached--;
    pool->stats.bytes_cached -= b->size;
    account_take(pool, b);
    return b;
}

/* With the lock held: a cached buf to *out, or what stands against a new one, or IOBUF_OK and *out NULL: take a new one. */
static int try_take(iobuf_pool *pool, size_t rounded, struct buf **out, struct buf **garbage)
{
    size_t units = rounded / pool->min_size;
    *out = NULL;
    if (pool->closed)
        return IOBUF_ECLOSED;
    *out = take_cached(pool, units);
    if (*out != NULL)
        return IOBUF_OK;
    bool limited = rounded > bytes_left(pool);
    if (settle(pool, limited ? SIZE_MAX : SETTLE_AT_GROWTH, limited, garbage) != 0) {
        *out = take_cached(pool, units);
        limited = *out == NULL && rounded > bytes_left(pool);
    }
    return limited ? IOBUF_ELIMIT : IOBUF_OK;
}

/* A buf of at least `size` bytes, held by the caller and owned by its thread, without a slice. */
int pool_take(iobuf_pool *pool, size_t size, struct buf **out)
{
    struct buf *b, *garbage = NULL;
    size_t rounded = 0;
    bool fits = round_up(size, pool->min_size, &rounded), again;
    int status;
    lock_acquire(&pool->lock);
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
        lock_release(&pool->lock);
        give_back(pool, garbage);
    }
    if (status == IOBUF_OK) {
        check_poison(b->head.start_, b->size); /* a new one; a cached one is */
        *out = b;
    }
    return status;
}

void iobuf_pool_close(iobuf_pool *pool)
{
    if (pool == NULL)
        return;
    struct buf *garbage = NULL;
    lock_acquire(&pool->lock);
    atomic_set(&pool->closed, true, SEQ_CST); /* pairs with the load in pool_list_revoked */
    settle(pool, SIZE_MAX, true, &garbage);
    while (pool->stats.bufs_cached != 0)
        evict(pool, &garbage);
    lock_release(&pool->lock);
    give_back(pool, garbage);
    pool_unref(pool);
}

size_t iobuf_pool_trim(iobuf_pool *pool, size_t keep_bytes)
{
    struct buf *garbage = NULL;
    lock_acquire(&pool->lock);
    settle(pool, SIZE_MAX, true, &garbage);
    size_t before = pool->stats.bytes_cached;
    while (pool->stats.bytes_cached > keep_bytes)
        evict(pool, &garbage);
    size_t freed = before - pool->stats.bytes_cached;
    lock_release(&pool->lock);
    give_back(pool, garbage);
    return freed;
}

void iobuf_pool_stats_get(const iobuf_pool *pool_, iobuf_pool_stats *stats)
{
    /* Only the counters are const to the caller: bufs whose end went unnoticed are found here. */
    iobuf_pool *pool = (iobuf_pool *)(uintptr_t)pool_;
    struct buf *garbage = NULL;
    lock_acquire(&pool->lock);
    settle(pool, SIZE_MAX, false, &garbage);
    *stats = pool->stats;
    lock_release(&pool->lock);
    give_back(pool, garbage);
}
