/* The library's atomics with a hook in front of each load, store and change, so that a test can hold a thread between two of them.
 * Included before everything else: see test/CMakeLists.txt. */
#ifndef IOBUF_TEST_HOOKED_H
#define IOBUF_TEST_HOOKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void hook_load(const void *p);
void hook_store(const void *p);

#define IOBUF_ATOMICS_ 1
#define iobuf_load_(p, order) (hook_load(p), __atomic_load_n((p), __ATOMIC_##order))
#define iobuf_store_(p, value, order) (hook_store(p), __atomic_store_n((p), (value), __ATOMIC_##order))
#define iobuf_equals_(p, value) (iobuf_load_(p, RELAXED) == (value))
#define iobuf_count_(p) iobuf_store_(p, iobuf_load_(p, RELAXED) + 1, RELAXED)
#define iobuf_mark_(p, found) iobuf_store_(p, (found) + 1, RELAXED)
#define iobuf_fence_light_() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define iobuf_likely_(condition) (condition)
#define iobuf_unlikely_(condition) (condition)

static inline uintptr_t iobuf_self_(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

#include "../src/atomic.h"

#undef atomic_add
#undef atomic_cas
#define atomic_add(p, value, order) (hook_store(p), __atomic_fetch_add((p), (value), __ATOMIC_##order))
#define atomic_cas(p, expected, value, order)                                                                                      \
    (hook_store(p), __atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_##order, __ATOMIC_ACQUIRE))

#endif
