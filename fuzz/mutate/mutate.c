/* Bytes in, bytes out: decode, mutate, encode. */
#include "mutate.h"

#include <string.h>

/* How often each mutation is tried, of the sum. What makes new ops meet what is there finds most; what only drops or moves ops
 * finds little by itself, and is there so that not all programs grow. */
static const uint8_t weights[MUTATIONS] = {
    [MUTATE_INSERT] = 16, [MUTATE_DELETE] = 4,    [MUTATE_DUPLICATE] = 8, [MUTATE_SWAP] = 3,
    [MUTATE_SPLICE] = 22, [MUTATE_RETARGET] = 6,  [MUTATE_SIZE] = 12,     [MUTATE_CHOICE] = 3,
    [MUTATE_KIND] = 10,   [MUTATE_SWARM_OFF] = 2, [MUTATE_SWARM_ON] = 10, [MUTATE_BURST] = 24,
};
enum { WEIGHT_SUM = 120, STACKS = 4, MOST_PICKED = 32, TRIES = 4 };

static mutation pick(random_numbers *r)
{
    uint32_t dice = random_below(r, WEIGHT_SUM);
    unsigned kind = 0;
    while (kind < MUTATIONS - 1 && dice >= weights[kind])
        dice -= weights[kind++];
    return (mutation)kind;
}

/* What the target makes of an input: bytes, or text, of which only ops that the target issues can be kept. */
static void load(const program_target *target, const uint8_t *bytes, size_t size, program *p)
{
    unsigned line;
    const char *error;
    if (!program_is_text(bytes, size)) {
        program_decode(target, bytes, size, p);
        return;
    }
    size_t count = 0;
    if (program_parse((const char *)bytes, size, p, &line, &error))
        for (size_t i = 0; i < p->count; i++)
            if (target->kinds >> p->ops[i].kind & 1)
                p->ops[count++] = p->ops[i];
    p->target = target;
    p->count = count;
}

/* Ops that do not fit whole are left out. */
static size_t store(program *p, uint8_t *to, size_t room)
{
    static program whole;
    size_t size = program_encode(p, to, room);
    if (size < room)
        return size;
    program_decode(p->target, to, size, &whole);
    p->count = whole.count;
    return program_encode(p, to, room);
}

static bool same(const uint8_t *one, size_t one_size, const uint8_t *two, size_t two_size)
{
    return one_size == two_size && (one_size == 0 || memcmp(one, two, one_size) == 0);
}

size_t mutate_bytes(const program_target *target, const uint8_t *bytes, size_t size, const uint8_t *other, size_t other_size,
                    uint8_t *to, size_t room, uint64_t seed)
{
    static program before, p, second;
    random_numbers r = {seed};
    size_t written = 0;
    load(target, bytes, size, &before);
    if (other)
        load(target, other, other_size, &second);
    for (int tries = 0; tries < TRIES; tries++) {
        p.target = target;
        p.count = before.count;
        memcpy(p.ops, before.ops, before.count * sizeof p.ops[0]);
        if (other && random_one_in(&r, 2))
            mutate_cross(&p, &second, &r);
        size_t wanted = (size_t)1 << random_below(&r, STACKS);
        for (int picked = 0; wanted > 0 && picked < MOST_PICKED; picked++)
            wanted -= mutate_program(&p, pick(&r), other ? &second : NULL, &r);
        written = store(&p, to, room);
        if (!same(to, written, bytes, size)) /* to run it again would tell nothing */
            break;
    }
    return written;
}
