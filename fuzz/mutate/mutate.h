/* Mutators on programs: they insert, drop and move whole ops, and change an op's operands with an eye on what the registers hold
 * there, where an engine's own mutators shift and overwrite bytes. An engine needs one call, mutate_bytes:
 * libfuzzer.c and afl.c adapt it.
 *
 * Invariants: any bytes are accepted; what comes out depends on what goes in and the seed alone, is the shortest encoding of a
 * program of the target, and never longer than `room`.
 */
#ifndef IOBUF_FUZZ_MUTATE_H
#define IOBUF_FUZZ_MUTATE_H

#include "../program/program.h"
#include "random.h"

typedef enum mutation {
    MUTATE_INSERT,    /* new ops that use what is there */
    MUTATE_DELETE,    /* a run of ops */
    MUTATE_DUPLICATE, /* a run of ops, behind itself or elsewhere, once or some times */
    MUTATE_SWAP,      /* two runs of ops change places */
    MUTATE_SPLICE,    /* a run of another program's ops is put in, or takes the place of some */
    MUTATE_RETARGET,  /* one register of one op */
    MUTATE_SIZE,      /* one size of one op: to an edge that its op can look up, or a little to the side */
    MUTATE_CHOICE,    /* one errno value, one mode of failure, or the length of one run of registers */
    MUTATE_KIND,      /* an op becomes another kind, and keeps the operands that fit */
    MUTATE_SWARM_OFF, /* some kinds of op go, others grow in their place */
    MUTATE_SWARM_ON,  /* a run of ops of few kinds, among them one that was missing */
    MUTATE_BURST,     /* a long run of new ops */
    MUTATIONS
} mutation;

extern const char *const mutation_names[MUTATIONS];

/* One mutation. `other` is for MUTATE_SPLICE alone, and may be NULL. False: it found nothing to do, and *p is as it was. */
bool mutate_program(program *p, mutation kind, const program *other, random_numbers *r);

/* The first ops of *p, then the last of *other; at least one of each that is not empty. False: neither has an op. */
bool mutate_cross(program *p, const program *other, random_numbers *r);

/* The program that `bytes` are with 1, 2, 4 or 8 mutations. With `other` (or NULL, 0), half of them begin as a cross of both, and
 * MUTATE_SPLICE takes from it. Returns the bytes written to `to`; 0 only where `room` is. Neither may overlap `to`. */
size_t mutate_bytes(const program_target *target, const uint8_t *bytes, size_t size, const uint8_t *other, size_t other_size,
                    uint8_t *to, size_t room, uint64_t seed);

#endif
