/* All schedules of a program with at most so many preemptions: switches away from a thread that could have gone on. */
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

explored explore(const program *p, unsigned preemptions, uint64_t runs_most);

#endif
