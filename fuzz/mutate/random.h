/* Random numbers for the mutators: a seed alone decides all that come of it (splitmix64). */
#ifndef IOBUF_FUZZ_RANDOM_H
#define IOBUF_FUZZ_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct random_numbers {
    uint64_t state;
} random_numbers;

static inline uint32_t random_next(random_numbers *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(z >> 32);
}

/* 0 .. n - 1; n is not 0. */
static inline uint32_t random_below(random_numbers *r, size_t n)
{
    return (uint32_t)((uint64_t)random_next(r) * (uint32_t)n >> 32);
}

static inline bool random_one_in(random_numbers *r, uint32_t n)
{
    return random_below(r, n) == 0;
}

/* 1 in half of all cases, 2 in a quarter, ...; at most `most`, which is not 0. */
static inline size_t random_few(random_numbers *r, size_t most)
{
    size_t n = 1 + (size_t)__builtin_ctz(random_next(r) | 1U << 20);
    return n < most ? n : most;
}

#endif
