/* What the library takes from the machine, the compiler and the system, as the prover takes it: in place of lib/src/atomic.h. One
 * thread at a time, so an atomic is a variable; locks do nothing. Included before everything else. */
#ifndef IOBUF_PROOF_PRIMITIVES_H
#define IOBUF_PROOF_PRIMITIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What Frama-C does not parse. Asm that is left is iobuf_keep_, of no instruction. */
#define _Alignas(n)
#define _Static_assert(condition, text) struct proof_nothing
#define __asm__(...)

/* Compilers' own functions: contracts.h says what each does. Of arguments that are discarded the prover would see nothing. */
#define __builtin_add_overflow(a, b, sum) proof_add_overflow((a), (b), (sum))
#define __builtin_mul_overflow(a, b, product) proof_mul_overflow((a), (b), (product))
#define __builtin_prefetch(place, write) proof_prefetch(place)
#define __builtin_unreachable() proof_unreachable()
bool proof_add_overflow(size_t a, size_t b, size_t *sum);
bool proof_mul_overflow(size_t a, size_t b, size_t *product);
void proof_prefetch(const void *place);
void proof_unreachable(void);
void proof_count(size_t *count);

/* What iobuf.h takes from here. */
#define IOBUF_ATOMICS_ 1
#define iobuf_load_(p, order) (*(p))
#define iobuf_store_(p, value, order) ((void)(*(p) = (value)))
#define iobuf_equals_(p, value) (*(p) == (value))
#define iobuf_count_(p) proof_count(p)
#define iobuf_mark_(p, found) ((void)(*(p) = (found) + 1))
#define iobuf_fence_light_() ((void)0)
#define iobuf_likely_(condition) (condition)
#define iobuf_unlikely_(condition) (condition)
uintptr_t iobuf_self_(void);

/* What lib/src takes from atomic.h. */
#define IOBUF_SRC_ATOMIC_H
#include "iobuf/iobuf.h"

#define atomic_get(p, order) iobuf_load_(p, order)
#define atomic_set(p, value, order) iobuf_store_(p, value, order)
#define atomic_swap(p, value, order) ((void)(value), *(p))
#define atomic_cas(p, expected, value, order) ((void)(expected), (void)(value), *(p) != 0)
typedef struct {
    int lock;
} biased_lock;
void lock_destroy(int *l);
void biased_init(biased_lock *l, bool may_bias);
void biased_acquire(biased_lock *l);
void biased_release(biased_lock *l);
bool fence_heavy_available(void);
void fence_heavy(void);

#endif
