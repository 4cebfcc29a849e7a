/* Who goes on at each point: by a list of turns, by bytes, at random, or by priorities. Each is decided by what it is given alone.
 */
#ifndef IOBUF_INTERLEAVE_CHOOSE_H
#define IOBUF_INTERLEAVE_CHOOSE_H

#include "../mutate/random.h"
#include "scheduler.h"

#define DEPTH_MOST 16

/* Turns that were recorded, or written by hand: when the list has ended, or the thread cannot go on, whoever comes first does. */
typedef struct turns_choice {
    const turn *turns;
    unsigned count, at, done;
} turns_choice; /* with how stale each turn's last value was */

chooser choose_by_turns;

/* Pairs of bytes: how many steps until the next switch, and to whom. When they have ended, nobody is interrupted any more. A byte
 * where a value may be a stale one: mostly it is not. */
typedef struct bytes_choice {
    const uint8_t *bytes;
    size_t size, at;
    unsigned left;
} bytes_choice;

chooser choose_by_bytes;

/* A value that is not the latest one, with some likelihood, which is the same for the whole run. */
typedef struct stale_choice {
    random_numbers numbers;
    uint32_t one_in;
} stale_choice;

/* At each point a switch with some likelihood, which is the same for the whole run: short and long turns are as likely. */
typedef struct random_choice {
    random_numbers numbers;
    uint32_t one_in;
    stale_choice stale;
} random_choice;

void random_begin(random_choice *c, uint64_t seed);
chooser choose_at_random;

/* PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS
 * 2010): the thread of the highest priority runs; at depth - 1 places, drawn from all steps, who runs gets the lowest. A bug that
 * takes that many ordered steps to happen is met with a probability of at least 1 / (threads * steps^(depth - 1)). Stale values are
 * drawn as at random. */
typedef struct pct_choice {
    unsigned depth, step, changes[DEPTH_MOST];
    int priorities[THREADS_MOST];
    int lowest;
    stale_choice stale;
} pct_choice;

void pct_begin(pct_choice *c, uint64_t seed, unsigned depth, unsigned steps);
chooser choose_by_priority;

#endif
