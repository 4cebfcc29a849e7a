/* The heavy fence: membarrier(2) on Linux (PRIVATE_EXPEDITED, since 4.14), registered once per process; and the lock over it. */
#include "atomic.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static bool available;

static void probe(void)
{
    available = membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) == 0 && membarrier(MEMBARRIER_PRIVATE_EXPEDITED) == 0;
}

bool fence_heavy_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe);
    return available;
}

/* Both pair with each iobuf_fence_light_: the fence is this thread's part, and membarrier makes the others execute theirs. */
void fence_heavy(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (membarrier(MEMBARRIER_PRIVATE_EXPEDITED) != 0) {
        /* A child of fork(2) may have to register again. */
        membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED);
        membarrier(MEMBARRIER_PRIVATE_EXPEDITED);
    }
}
#else
bool fence_heavy_available(void)
{
    return false;
}

void fence_heavy(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

#define STREAK_FIRST 64
#define STREAK_NEVER UINT32_MAX

void biased_init(biased_lock *l, bool may_bias)
{
    *l = (biased_lock){.wanted = may_bias ? STREAK_FIRST : STREAK_NEVER};
    lock_init(&l->lock);
}

void biased_acquire_slow(biased_lock *l)
{
    uintptr_t self = iobuf_self_();
    lock_acquire(&l->lock);
    uintptr_t owner = atomic_get(&l->owner, RELAXED); /* relaxed: written under the lock */
    if (owner != 0 && (owner & 1) == 0) {
        owner |= 1;
        atomic_set(&l->owner, owner, SEQ_CST); /* before the fence; pairs with the second look in biased_acquire */
        fence_heavy();
        while (atomic_get(&l->busy, ACQUIRE) != 0) /* pairs with the release stores of the owner */
            thread_yield();
        l->wanted = l->wanted > STREAK_NEVER / 2 ? STREAK_NEVER : 2 * l->wanted;
        l->streak = 0;
    }
    if (owner == (self | 1))
        atomic_set(&l->owner, (uintptr_t)0, RELAXED); /* relaxed: not within, and so about to write nothing */
    l->by_owner = false;
    l->streak = l->last == self ? l->streak + 1 : 0;
    l->last = self;
}

void biased_release_slow(biased_lock *l)
{
    if (l->streak >= l->wanted) {
        l->streak = 0;
        if (l->wanted != STREAK_NEVER && atomic_get(&l->owner, RELAXED) == 0) /* relaxed: written under the lock */
            atomic_set(&l->owner, l->last, RELAXED); /* relaxed: for this thread, and for those that have the lock after it */
    }
    lock_release(&l->lock);
}
