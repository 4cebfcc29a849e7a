/* The mutators for AFL++: AFL_CUSTOM_MUTATOR_LIBRARY names the shared object that this becomes, one for each target. AFL++ gives
 * them a stage of their own for each input of its queue and goes on with its havoc, unless AFL_CUSTOM_MUTATOR_ONLY is set. The
 * interface is that of AFL++ 4, whose headers no package has. */
#include "mutate.h"

#include <stdlib.h>

#ifndef MUTATE_TARGET
#error "MUTATE_TARGET is the name of the target whose programs are mutated"
#endif

typedef struct mutator {
    const program_target *target;
    random_numbers random;
    uint8_t out[PROGRAM_MAX_BYTES];
} mutator;

void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t size, uint8_t **out, uint8_t *other, size_t other_size, size_t max_size);
void afl_custom_deinit(void *data);

void *afl_custom_init(void *afl, unsigned seed)
{
    (void)afl;
    mutator *m = malloc(sizeof *m);
    if (!m)
        return NULL; /* AFL++ ends with a message */
    m->target = program_target_find(MUTATE_TARGET);
    m->random.state = seed;
    return m;
}

/* `other`: some other input of the queue, or NULL. */
size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t size, uint8_t **out, uint8_t *other, size_t other_size, size_t max_size)
{
    mutator *m = data;
    size_t room = max_size < sizeof m->out ? max_size : sizeof m->out;
    uint64_t seed = (uint64_t)random_next(&m->random) << 32 | random_next(&m->random);
    *out = m->out;
    return mutate_bytes(m->target, bytes, size, other, other_size, m->out, room, seed);
}

void afl_custom_deinit(void *data)
{
    free(data);
}
