/* The mutators for libFuzzer, linked into each target. With IOBUF_BYTE_MUTATORS set in the environment, libFuzzer's own alone, to
 * compare with. */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

#ifndef MUTATE_TARGET
#error "MUTATE_TARGET is the name of the target whose programs are mutated"
#endif

enum { BYTES_ONE_IN = 4 }; /* inputs left to libFuzzer's own mutators: what the ops cannot say, such as codes that mean the same */

/* Weak: other engines link this file as well, and call nothing in it. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two, size_t two_size, uint8_t *out,
                                 size_t max_size, unsigned seed);

static const program_target *target(void)
{
    static const program_target *found;
    if (!found)
        found = program_target_find(MUTATE_TARGET);
    return found;
}

static bool bytes_alone(void)
{
    static int asked = -1;
    if (asked < 0)
        asked = getenv("IOBUF_BYTE_MUTATORS") != NULL;
    return asked;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t mutated[PROGRAM_MAX_BYTES];
    random_numbers r = {seed};
    uint64_t inner = (uint64_t)random_next(&r) << 32 | random_next(&r);
    if (bytes_alone() || random_one_in(&r, BYTES_ONE_IN))
        return LLVMFuzzerMutate(data, size, max_size);
    size_t room = max_size < sizeof mutated ? max_size : sizeof mutated;
    size_t written = mutate_bytes(target(), data, size, NULL, 0, mutated, room, inner);
    memcpy(data, mutated, written);
    return written;
}

/* libFuzzer offers each second input to the crossover, and to nothing else the other input. 0 makes it choose anew. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two, size_t two_size, uint8_t *out,
                                 size_t max_size, unsigned seed)
{
    if (bytes_alone())
        return 0;
    return mutate_bytes(target(), one, one_size, two, two_size, out, max_size, seed);
}
