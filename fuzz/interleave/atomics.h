/* The library's atomics and locks with a point in front of each, at which the scheduler may switch threads. Included before
 * everything else where lib/src is compiled for this: see the CMakeLists.txt. lib/src itself is as shipped. */
#ifndef IOBUF_INTERLEAVE_ATOMICS_H
#define IOBUF_INTERLEAVE_ATOMICS_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* as in atomic.h: before any header */
#endif

#include "scheduler.h"

#include <pthread.h>
#include <sched.h>

/* What iobuf.h takes from here. */
#define IOBUF_ATOMICS_ 1
/* Plain accesses: threads take turns on one processor, and a 32-bit one would want 8 bytes aligned to be atomic. */
#define PLACE(p, found) (*(volatile __typeof__(*(p)) *)(found))
#define iobuf_load_(p, order) PLACE(p, scheduler_load((p), __ATOMIC_##order, #p, __func__))
#define iobuf_store_(p, value, order) /* the value first: it may be loaded, at a point of its own */                               \
    __extension__({                                                                                                                \
        __typeof__(*(p)) value_ = (value);                                                                                         \
        PLACE(p, scheduler_store((p), sizeof *(p), __ATOMIC_##order, #p, __func__)) = value_;                                      \
    })
#define iobuf_equals_(p, value) (iobuf_load_(p, RELAXED) == (value))
#define iobuf_count_(p) iobuf_store_(p, iobuf_load_(p, RELAXED) + 1, RELAXED)
#define iobuf_mark_(p, found) iobuf_store_(p, (found) + 1, RELAXED)
#define iobuf_fence_light_() scheduler_fence_light()
#define __atomic_thread_fence(order) scheduler_fence((order), __func__)
#define iobuf_likely_(condition) (condition)
#define iobuf_unlikely_(condition) (condition)

static inline uintptr_t iobuf_self_(void)
{
    return scheduler_self();
}

/* What atomic.h and atomic.c take from the system. */
#define pthread_mutex_init(l, attributes) ((void)(attributes), scheduler_lock_init(l))
#define pthread_mutex_destroy(l) scheduler_lock_destroy(l)
#define pthread_mutex_lock(l) scheduler_lock((l), __func__)
#define pthread_mutex_unlock(l) scheduler_unlock((l), __func__)
#define sched_yield() scheduler_yield(__func__)

#include "src/atomic.h"

#undef atomic_add
#undef atomic_swap
#undef atomic_cas
#define CHANGE(p, next, order) /* `next` may say old_ */                                                                           \
    __extension__({                                                                                                                \
        volatile __typeof__(*(p)) *at_ = scheduler_change((p), sizeof *(p), __ATOMIC_##order, #p, __func__);                       \
        __typeof__(*(p)) old_ = *at_;                                                                                              \
        *at_ = (next);                                                                                                             \
        old_;                                                                                                                      \
    })
#define atomic_add(p, value, order) CHANGE(p, old_ + (value), order)
#define atomic_swap(p, value, order) CHANGE(p, value, order)
#define atomic_cas(p, expected, value, order)                                                                                      \
    __extension__({                                                                                                                \
        volatile __typeof__(*(p)) *at_ = scheduler_compare((p), sizeof *(p), (expected), __ATOMIC_##order, #p, __func__);          \
        bool same_ = *at_ == *(expected);                                                                                          \
        if (same_)                                                                                                                 \
            *at_ = (value);                                                                                                        \
        else                                                                                                                       \
            *(expected) = *at_;                                                                                                    \
        scheduler_compared((p), __ATOMIC_##order, same_);                                                                          \
    })

/* What is under the lock is no atomic, so that a second thread within would go unseen: the scheduler keeps count of who is, and may
 * switch there. `last` is written under the lock alone, and stands for all that is. */
#define biased_acquire(l) (biased_acquire(l), scheduler_enter(&(l)->last, __func__))
#define biased_release(l) (scheduler_leave(&(l)->last), biased_release(l), scheduler_left(&(l)->last, __func__))

#endif
