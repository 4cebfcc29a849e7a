/* What the threads of a run know of each other's operations, and so which values C11 lets them see.
 *
 * Known is kept as a vector clock: up to which step of each thread. There are two of them, `clock` for what happens before (by
 * release and acquire), which is what orders plain accesses, and `view` for what can no longer be unseen: that, and what fences and
 * sequentially consistent stores order besides.
 *
 * The stores to a location are kept in their modification order, the latest in memory and some older ones beside it. A load may
 * return any of which the thread knows no later one, where it knows one that it, or somebody of whose step it knows, has stored or
 * loaded. A store may go in front of later ones under the same condition, but not between a read-modify-write and what that read.
 * This is RC11 (Lahav, Vafeiadis, Kang, Hur, Dreyer: "Repairing Sequential Consistency in C/C++11", PLDI 2017) where a load returns
 * what was stored before, in the order of the run; loads that return a store which some thread has yet to do are left out. */
#ifndef IOBUF_INTERLEAVE_HISTORY_H
#define IOBUF_INTERLEAVE_HISTORY_H

#include "scheduler.h"

#define OLDER_MOST 7       /* values of a location that are kept beside the latest */
#define VIEWS (CLOCKS + 1) /* of threads, and of the sequentially consistent stores, which have a clock of their own */

typedef struct knowledge {
    uint32_t clock[CLOCKS], view[VIEWS];
} knowledge;

typedef struct observer {
    unsigned index;
    knowledge knows;
    knowledge unacquired; /* by relaxed loads: an acquire fence takes it over */
    knowledge fenced;     /* at the last release fence: relaxed stores publish it */
    /* Of the asymmetric fence. A heavy one makes this thread execute a full fence, somewhere between two of its light ones: what
     * was done since the last may as well come behind it, and what is done until the next in front of it. */
    uint32_t settled[VIEWS], coming[VIEWS];
} observer;

typedef struct message {
    _Alignas(8) uint64_t value; /* its bytes; of the latest they are in memory */
    uint64_t written;           /* hash: who stored it, behind what */
    uint32_t version;
    int releaser; /* whose store began the release sequence that `released` is of */
    bool follows; /* nothing can come between it and the one before */
    knowledge released;
    uint32_t seen[VIEWS]; /* since which step of each thread it has; 0: not */
} message;

typedef struct history {
    message now;
    message *older; /* room for OLDER_MOST, the oldest first */
    unsigned older_count;
} history;

/* `weak` false: only the latest is kept, and fences do nothing. */
void history_begin_run(bool weak);

void observer_begin(observer *o, unsigned index, const observer *maker); /* NULL: the first */
void observer_step(observer *o);                                         /* what comes is told from what was */
void observer_join(observer *o, const observer *other);

/* How many values the thread may be shown: history_at 0 (the latest) and on. */
unsigned history_choices(const history *h, const observer *o, int order);
message *history_at(history *h, unsigned back);
/* A place behind history_at(h, back). To be followed by history_stored, or for a read-modify-write history_changed. */
message *history_insert(history *h, unsigned back);

void history_loaded(observer *o, message *m, int order);
void history_stored(observer *o, message *m, int order);
void history_changed(observer *o, message *m, int order);

void observer_fence(observer *o, int order);
void observer_fence_light(observer *o);
void observer_fence_from_without(observer *o); /* the part of another one's heavy fence */

static inline bool order_acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static inline bool order_releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

#endif
