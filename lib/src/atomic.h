/* The one place through which the library reaches atomics, locks, fences and the identity of a thread.
 *
 * A build that explores interleavings provides its own version of everything here (and of the four macros at the end of
 * iobuf.h) and defines IOBUF_ATOMICS_; nothing else in lib/src names a primitive of the machine or of pthreads. */
#ifndef IOBUF_SRC_ATOMIC_H
#define IOBUF_SRC_ATOMIC_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* PTHREAD_MUTEX_ADAPTIVE_NP */
#endif

#if !defined(IOBUF_NO_INLINE)
#define IOBUF_NO_INLINE 1 /* the library defines what the header would inline */
#endif
#include "iobuf/iobuf.h"

#include <pthread.h>
#include <sched.h>

#define atomic_get(p, order) iobuf_load_(p, order)
#define atomic_set(p, value, order) iobuf_store_(p, value, order)
#define atomic_add(p, value, order) __atomic_fetch_add((p), (value), __ATOMIC_##order)
#define atomic_swap(p, value, order) __atomic_exchange_n((p), (value), __ATOMIC_##order)
/* On failure *expected is what was found, loaded with acquire. */
#define atomic_cas(p, expected, value, order)                                                                                      \
    __atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_##order, __ATOMIC_ACQUIRE)

typedef pthread_mutex_t lock;

/* Spins for a while before it sleeps, where the C library can: locks are held for some ten ns, a sleep costs a thousand. */
static inline void lock_init(lock *l)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
#if defined(__GLIBC__)
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(l, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static inline void lock_destroy(lock *l)
{
    pthread_mutex_destroy(l);
}

static inline void lock_acquire(lock *l)
{
    pthread_mutex_lock(l);
}

static inline void lock_release(lock *l)
{
    pthread_mutex_unlock(l);
}

/* A lock that the thread which takes it again and again takes without an atomic read-modify-write: it is then `owner`, and says so
 * with plain stores to `busy`. Whoever else wants the lock ends that with the heavy fence, once; each time it takes twice as long
 * until a thread becomes owner again. As in biased locking (Dice, Moir, Scherer: "Quickly Reacquirable Locks", 2003).
 *
 * An owner that was put out may have seen before that it is the owner, and will then write `busy`, any time later. So there is no
 * next owner until it has come for the lock again: else it would undo what the next one says there. */
typedef struct biased_lock {
    uintptr_t owner; /* atomic; 0: nobody. A thread's identity, which is even; plus 1: put out, and may yet write `busy`. Written
                        under `lock` */
    uint32_t busy;   /* atomic; the owner is within */
    bool by_owner;   /* who is within came as the owner */
    lock lock;
    uintptr_t last;          /* who took it last, not as the owner */
    uint32_t streak, wanted; /* how many times in a row, and how many make an owner */
} biased_lock;

void biased_init(biased_lock *l, bool may_bias); /* it may where fence_heavy_available() */
void biased_acquire_slow(biased_lock *l);
void biased_release_slow(biased_lock *l);

/* The looks at `owner` are relaxed: a thread's identity is stored there by itself alone, and one that is not ours says nothing. */
static inline void biased_acquire(biased_lock *l)
{
    uintptr_t self = iobuf_self_();
    if (iobuf_likely_(iobuf_equals_(&l->owner, self))) {
        atomic_set(&l->busy, 1, RELAXED); /* relaxed: the fence is what orders it */
        iobuf_fence_light_(); /* pairs with the heavy one in biased_acquire_slow: it sees `busy`, or we that we are not the owner */
        if (iobuf_likely_(iobuf_equals_(&l->owner, self))) {
            l->by_owner = true;
            return;
        }
        atomic_set(&l->busy, 0, RELEASE); /* pairs as in biased_release */
    }
    biased_acquire_slow(l);
}

static inline void biased_release(biased_lock *l)
{
    if (iobuf_likely_(l->by_owner))
        atomic_set(&l->busy, 0, RELEASE); /* pairs with the acquire load in biased_acquire_slow */
    else
        biased_release_slow(l);
}

/* Lets another thread run while this one waits for a few instructions of it. */
static inline void thread_yield(void)
{
    sched_yield();
}

/* The expensive half of an asymmetric fence: after it, every thread of the process sees what this one wrote before it, and
 * this one sees what they wrote before their last iobuf_fence_light_. False from fence_heavy_available: the system has none. */
bool fence_heavy_available(void);
void fence_heavy(void);

#endif
