/* Reference counts of a buf. The number of live slices is always
 *
 *     taken_ + local_ / 2 + count(shared)
 *
 *   taken_   slices that the holding allocator or reader cut; written by the holder's thread alone.
 *   local_   minus twice the releases by the owner thread (which, once the holder has let go, has taken_ merged in); written by
 *            the owner alone, so a release there is a plain load and store. Odd: the owner is in the middle of a release.
 *   shared   atomic. count: references added (share, split) less releases by other threads. HOLD: an allocator or reader still
 *            cuts from the buf. CLAIMED: somebody has found the last reference gone, and he alone gives the buf back. MERGED:
 *            there is no other count any more, taken_ and local_ mean nothing. The rest is a stamp that every change moves on, so
 *            that "shared is as it was" means that nothing happened.
 *   owner_   the thread that may count in local_, or none. If there is an owner but no holder, then local_ >= 2 and count >= 0, so
 *            that the owner's release can be the last only where local_ is 2; that one is decided through shared.
 *
 * This is biased reference counting (Choi, Shull, Torrellas: "Biased Reference Counting", PACT 2018) with another way to close the
 * owner's count. There, the owner merges its count at its next visit; here the first foreign release of a buf that has no holder
 * any more sets owner_ to none ("revokes"), and from then on every release goes through shared. So a buf gets back to its pool
 * though its owner never does anything again, or has ended.
 *
 * Where the pool has seen that bufs become free on other threads, the owner gives up the bias himself as he lets go, and merges the
 * counts into shared: no revocation, and one atomic operation for each release. And where one other thread releases them all, as
 * between a producer and a consumer, the first release there adopts the buf, once in a life: the count moves from shared to local_,
 * and that thread is the owner from then on, as if it had cut the slices.
 *
 * The owner's release in progress while owner_ is revoked is the one thing that the revoker cannot see at once. The owner
 * marks local_ odd, *then* looks at owner_ again, and only then counts; between mark and look it has the light half of an
 * asymmetric fence. Whoever has executed the heavy half after the revocation, and waited until local_ is even, knows that
 * local_ will not change any more (buf_wait_exact). Without it a release can at worst overlook that it was the last: never
 * the opposite, since local_ / 2 read late is too high, not too low. Revoked bufs are therefore listed in their pool, which looks
 * at them again whenever it runs out of free bufs, at every reading of its counters, and, with the fence, in trim, at its limit and
 * at close; behind close every revocation is exact at once. No reference is touched after it was dropped: what decides
 * whether it was the last is read before, and validated by the compare-and-swap that drops it.
 *
 * Cache lines, of the three of a descriptor:
 *
 *   alloc                       writes the allocator, and the second line (taken_)
 *   release, by the owner       reads and writes the first (owner_, local_)
 *   release, by another thread  reads the first (owner_), writes the third (shared)
 *
 * So one thread that only cuts and another that only releases write nothing that the other reads, and threads with bufs of their
 * own share no line at all. Nothing of the pool is touched before the buf is full or free; then its lock, whose line only the
 * threads that change bufs touch, and which a single such thread takes without an atomic operation (biased_lock). */
#include "internal.h"

#include <stdlib.h>

#define ADOPT_LEAST 4 /* references that make it worth two compare-and-swaps */

/* The live slices, given `shared`, which must have been loaded with acquire before. Right if `shared` is still the same when
 * the result is used, and the caller either is the owner or can live with a result that is too high. */
static int64_t live_slices(struct buf *b, uint64_t shared)
{
    int64_t count = (int64_t)(shared & COUNT_MASK) - (int64_t)COUNT_ZERO;
    if ((shared & MERGED) != 0)
        return count;
    /* Acquire: pairs with the owner's release stores of local_, so that its use of the bytes comes before theirs who reuse them. */
    intptr_t local = atomic_get(&b->head.local_, ACQUIRE);
    size_t taken = atomic_get(&b->head.taken_, ACQUIRE); /* pairs with merge_taken: see buf_has_one_slice */
    return (int64_t)taken + (local >> 1) + count;
}

/* For the holder: if no slice is left, begins the buf anew in its own thread. */
bool buf_restart_if_idle(struct buf *b)
{
    uint64_t shared = atomic_get(&b->shared, ACQUIRE);                            /* pairs with the releases in put_shared */
    if (live_slices(b, shared) != 0 || atomic_get(&b->shared, RELAXED) != shared) /* relaxed: behind the acquire loads there */
        return false;
    /* Nobody but the holder can reach the buf now; relaxed, as in buf_attach. */
    if ((shared & COUNT_MASK) == COUNT_ZERO && atomic_get(&b->head.owner_, RELAXED) == iobuf_self_()) {
        atomic_set(&b->head.local_, (intptr_t)0, RELAXED);
        atomic_set(&b->head.taken_, (size_t)0, RELAXED);
    } else {
        buf_attach(b, pool_biased(b->pool));
    }
    return true;
}

/* True while an allocator or reader holds the buf. */
bool buf_is_held(struct buf *b)
{
    return (atomic_get(&b->shared, ACQUIRE) & HOLD) != 0; /* pairs with the release in buf_release_hold */
}

/* True only if exactly one slice refers to the buf. Both loads of local_ alike mean that it did not change between them, since
 * it only falls, except where the holder merges taken_ into it, and that is seen too (buf_release_hold stores it first). */
bool buf_has_one_slice(struct buf *b)
{
    /* Acquire, all four: pairs with the releases in put_shared, merge_taken and iobuf_put_local_, and keeps them in order. */
    uint64_t shared = atomic_get(&b->shared, ACQUIRE);
    intptr_t local = atomic_get(&b->head.local_, ACQUIRE);
    return live_slices(b, shared) == 1 && atomic_get(&b->head.local_, ACQUIRE) == local &&
           atomic_get(&b->shared, ACQUIRE) == shared;
}

/* A further reference; the caller has one. Relaxed: as in any reference count, what the new one may do is ordered by how it
 * is handed over. */
void buf_get(struct buf *b)
{
    atomic_add(&b->shared, STAMP + 1, RELAXED);
}

static void buf_free(struct buf *b)
{
    if (b->pool != NULL) {
        pool_return(b);
        return;
    }
    void *bytes = b->head.start_;
    size_t size = b->size;
    iobuf_free_fn release = b->foreign.free;
    void *context = b->foreign.context;
    check_forget_buf(b);
    free(b);
    release(bytes, size, context);
}

/* Waits until the owner is not in the middle of a release. The caller has revoked the bias and executed fence_heavy. */
void buf_wait_exact(struct buf *b)
{
    while ((atomic_get(&b->head.local_, ACQUIRE) & 1) != 0) /* pairs with the release stores in iobuf_put_local_ */
        thread_yield();
}

/* Ends the owner's right to count in local_. The caller has a reference, or holds the buf. */
static void revoke(struct buf *b)
{
    uintptr_t owner = atomic_get(&b->head.owner_, RELAXED); /* relaxed: validated by the compare-and-swap */
    /* Sequentially consistent: before the heavy fence below, and before the push that makes the pool's fence see it. As a
     * release it publishes local_, if the owner does this itself: pairs with the load of owner_ in put_shared. */
    if (owner == OWNER_NONE || !atomic_cas(&b->head.owner_, &owner, OWNER_NONE, SEQ_CST))
        return;
    if (owner != iobuf_self_() && pool_list_revoked(b->pool, b)) {
        fence_heavy();
        buf_wait_exact(b);
    }
}

/* Drops `references` through shared; the last one gives the buf back. */
static void put_shared(struct buf *b, uint64_t references)
{
    uint64_t next, shared = atomic_get(&b->shared, ACQUIRE); /* pairs with the releases below and in buf_release_hold */
    do {
        /* Acquire: pairs with the release stores of OWNER_NONE, behind which local_ is the owner's last word. */
        if ((shared & (HOLD | MERGED)) == 0 && atomic_get(&b->head.owner_, ACQUIRE) != OWNER_NONE) {
            revoke(b);
            shared = atomic_get(&b->shared, ACQUIRE); /* as above */
        }
        next = shared - references + STAMP;
        if ((shared & HOLD) == 0 && live_slices(b, shared) == (int64_t)references)
            next |= CLAIMED;
        /* Release: our use of the bytes ends here. Acquire: the last one sees everybody's end; pairs with this same operation. */
    } while (!atomic_cas(&b->shared, &shared, next, ACQ_REL));
    if ((next & CLAIMED) != 0)
        buf_free(b);
}

/* Makes the calling thread the owner of a merged buf; the caller has a reference. False: another thread adopts it, or has. */
static bool adopt(struct buf *b, uint64_t shared)
{
    do {
        if ((shared & (MERGED | ADOPTED)) != MERGED)
            return false;
    } while (!atomic_cas(&b->shared, &shared, (shared + STAMP) | ADOPTED, ACQUIRE)); /* only tells who adopts */
    /* Relaxed: as long as MERGED is set, all this means nothing to others. */
    atomic_set(&b->head.owner_, iobuf_self_(), RELAXED);
    shared = atomic_get(&b->shared, ACQUIRE); /* pairs with the releases in put_shared and iobuf_put_slow_ */
    uint64_t next;
    do {
        int64_t live = (int64_t)(shared & COUNT_MASK) - (int64_t)COUNT_ZERO; /* at least ours */
        atomic_set(&b->head.local_, (intptr_t)(2 * live), RELAXED);
        next = (shared & ~(COUNT_MASK | MERGED)) + STAMP + COUNT_ZERO;
        /* Release: publishes owner_ and local_ to whoever finds MERGED gone. Acquire: as in put_shared, for the last release. */
    } while (!atomic_cas(&b->shared, &shared, next, ACQ_REL));
    return true;
}

/* Drops a reference that iobuf_put_local_ did not: by another thread, or the last one that the owner counts. The look at owner_ is
 * relaxed, as all are that ask whether it is this thread: its identity is stored there by itself alone. */
void iobuf_put_slow_(struct iobuf_buf *head)
{
    struct buf *b = buf_from(head);
    uint64_t shared = atomic_get(&b->shared, ACQUIRE); /* pairs with the releases in put_shared */
    while ((shared & MERGED) != 0) {
        if (b->adoptable && (shared & ADOPTED) == 0 && (shared & COUNT_MASK) - COUNT_ZERO >= ADOPT_LEAST && adopt(b, shared)) {
            buf_put(b);
            return;
        }
        /* A plain count of references, of which we have one. Orders: as in put_shared. Where another thread may adopt it meanwhile,
         * only if it has not: it would count our reference as its own. */
        const uint64_t found = shared;
        if (!b->adoptable)
            shared = atomic_add(&b->shared, STAMP - 1, ACQ_REL);
        else if (!atomic_cas(&b->shared, &shared, found + STAMP - 1, ACQ_REL))
            continue;
        if ((shared & COUNT_MASK) == COUNT_ZERO + 1)
            buf_free(b);
        return;
    }
    if (iobuf_equals_(&b->head.owner_, iobuf_self_())) {
        /* Relaxed: without HOLD, nobody writes taken_. */
        if ((shared & (COUNT_MASK | HOLD)) == COUNT_ZERO && atomic_get(&b->head.taken_, RELAXED) == 0) {
            buf_free(b); /* ours is the only reference: nobody else can reach the buf */
            return;
        }
    }
    put_shared(b, 1);
}

void buf_put(struct buf *b)
{
    if (!iobuf_put_local_(&b->head, 1))
        iobuf_put_slow_(&b->head);
}

/* Drops some references of which none is the last: the caller keeps another one. */
void buf_put_some(struct buf *b, size_t references)
{
    if (references != 0 && !iobuf_put_local_(&b->head, references))
        put_shared(b, references);
}

/* The owner is the holder and about to let go: slices it cut become references that it counts. As long as HOLD is set nobody
 * revokes, so local_ is ours. In this order, for buf_has_one_slice. Returns local_. */
static inline intptr_t merge_taken(struct buf *b)
{
    /* Relaxed: both are this thread's own. */
    intptr_t local = atomic_get(&b->head.local_, RELAXED) + 2 * (intptr_t)atomic_get(&b->head.taken_, RELAXED);
    atomic_set(&b->head.local_, local, RELEASE);     /* pairs with the acquire loads in live_slices */
    atomic_set(&b->head.taken_, (size_t)0, RELEASE); /* pairs likewise: who finds 0 finds the merged local_ */
    return local;
}

/* The holder lets go; if no slice is left, the buf goes back. As long as it holds the buf and is the owner, local_ is its own, and
 * the loads are relaxed; each OWNER_NONE is a release as in revoke, and pairs with the load of owner_ in put_shared. */
static __attribute__((noinline)) void release_hold_slow(struct buf *b, bool mine)
{
    if (!mine)
        revoke(b); /* the allocator has moved to this thread since it took the buf */
    bool merge = mine && b->give_up;
    if (merge) /* Release: as in revoke. Our own releases from now on go through shared. */
        atomic_set(&b->head.owner_, OWNER_NONE, RELEASE);
    uint64_t next, shared = atomic_get(&b->shared, ACQUIRE); /* pairs with the releases in put_shared */
    do {
        next = (shared & ~HOLD) + STAMP;
        if (merge)
            next = (next + (uint64_t)(int64_t)(atomic_get(&b->head.local_, RELAXED) / 2)) | MERGED; /* taken_ is 0 by now */
        else if (mine && (atomic_get(&b->head.local_, RELAXED) <= 0 || (shared & COUNT_MASK) < COUNT_ZERO))
            /* The owner tells its last reference by local_ alone, so there must be no other releases to subtract. */
            atomic_set(&b->head.owner_, OWNER_NONE, RELEASE);
        if (live_slices(b, merge ? next : shared) == 0)
            next |= CLAIMED;
        /* Release: publishes local_ and taken_ as merged, to whoever finds HOLD gone. Acquire: as in put_shared. */
    } while (!atomic_cas(&b->shared, &shared, next, ACQ_REL));
    if ((next & CLAIMED) != 0)
        buf_free(b);
}

void buf_release_hold(struct buf *b)
{
    bool mine = iobuf_equals_(&b->head.owner_, iobuf_self_());
    if (iobuf_likely_(mine)) {
        intptr_t local = merge_taken(b);
        uint64_t shared = atomic_get(&b->shared, RELAXED); /* relaxed: validated by the compare-and-swap */
        if (iobuf_likely_(local > 0 && (shared & COUNT_MASK) >= COUNT_ZERO && !b->give_up) &&
            iobuf_likely_(atomic_cas(&b->shared, &shared, (shared & ~HOLD) + STAMP, ACQ_REL))) /* as in release_hold_slow */
            return;
    }
    release_hold_slow(b, mine);
}

/* For the pool, on a listed buf: true if the last reference had gone unnoticed; the buf is then the caller's to give back. Moves
 * the stamp on in any case: whoever is about to drop a reference looks again, and cannot overlook what the caller waited for. */
bool buf_claim_if_unused(struct buf *b)
{
    uint64_t next, shared = atomic_get(&b->shared, ACQUIRE); /* pairs with the releases in put_shared */
    do {
        if ((shared & CLAIMED) != 0)
            return false;
        next = shared + STAMP;
        if ((shared & HOLD) == 0 && live_slices(b, shared) == 0)
            next |= CLAIMED;
    } while (!atomic_cas(&b->shared, &shared, next, ACQ_REL)); /* pairs with itself, as in put_shared */
    return (next & CLAIMED) != 0;
}

/* A descriptor with one reference for memory that is not a pool's. No bias: there is no pool to list it in. */
struct buf *buf_new_foreign(void *bytes, size_t size, iobuf_free_fn release, void *context)
{
    struct buf *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->head.start_ = bytes;
    b->size = size;
    b->foreign.free = release;
    b->foreign.context = context;
    b->shared = (COUNT_ZERO + 1) | MERGED;
    check_adopt_buf(b);
    return b;
}
