/* All schedules of a program with at most so many preemptions, switches away from a thread that could have gone on, and with at
 * most as many stale values as the program allows. */
#ifndef IOBUF_INTERLEAVE_EXPLORE_H
#define IOBUF_INTERLEAVE_EXPLORE_H

#include "program.h"

typedef struct explored {
    uint64_t runs;      /* to their end, in all passes */
    uint64_t cut_short; /* where they met a state that another had left behind */
    uint64_t states;    /* of the last pass */
    unsigned passes;
    bool failed;  /* the scheduler has the run */
    bool gave_up; /* more than runs_most */
} explored;

/* Runs the same under another chooser, as world_run does. */
typedef outcome runner(const void *what, chooser *choose, void *context);
explored explore_runs(runner *run, const void *what, unsigned stale, unsigned preemptions, uint64_t runs_most);

explored explore(const program *p, unsigned preemptions, uint64_t runs_most);

#endif
