/* Threads that take turns: 2 to 4 of them as fibers on one thread of the system, which switch at points alone, where a chooser
 * decides who goes on. So a run is decided by its program and by the list of those decisions, and can be had again.
 *
 * A point is in front of an operation; what the thread that was chosen does then, up to its next point, nobody interrupts. A thread
 * whose operation would wait (a lock that is taken, thread_yield in a loop, an object that another thread is to hand over) is not
 * to be chosen until it would not. If there is nobody to choose, that is a deadlock, or a wake-up that was lost.
 *
 * Beside that the scheduler keeps, for each place in memory that points name:
 *
 *   what a run has done, as a hash of who did what to which place after what: two prefixes of runs with equal hashes differ only in
 * the order of operations that do not concern each other, and so have led to the same state; who has seen what, as vector clocks
 * made from the memory orders alone: an access to plain memory that no chain of release and acquire has put behind an earlier one
 * by another thread is a failure, though here it came later.
 *
 * What a thread loads is the latest value, unless the run allows stale ones: then history.h says which others C11 permits, and the
 * chooser which of them it is. */
#ifndef IOBUF_INTERLEAVE_SCHEDULER_H
#define IOBUF_INTERLEAVE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MOST 4
#define MAIN_THREAD THREADS_MOST /* what is before and behind the threads */
#define CLOCKS (THREADS_MOST + 1)
#define STEPS_MOST 20000 /* of one run: more is taken for a loop without end */

typedef enum point_kind {
    POINT_START,
    POINT_LOAD,
    POINT_STORE,
    POINT_CHANGE, /* a read-modify-write */
    POINT_CAS,
    POINT_LOCK,
    POINT_UNLOCK,
    POINT_WITHIN, /* has just got a lock */
    POINT_LEFT,   /* has just let go of one */
    POINT_YIELD,
    POINT_AWAIT,  /* until another thread has done with an object */
    POINT_PASS,   /* has done with an object */
    POINT_MEMORY, /* takes memory from the backing, or gives it back */
    POINT_FENCE
} point_kind;

/* ---- for whoever runs programs ---- */

typedef struct decision {
    unsigned enabled; /* a bit for each thread that may go on */
    int current;      /* who did the last step, if he is among them; else -1 */
    bool shared;      /* what `current` is about to do may concern another thread */
    uint64_t state;   /* equal: the same has happened */
    unsigned values;  /* not 0: not who goes on is asked, but which value `current` gets: 0 is the latest, values - 1 the oldest */
    unsigned stale_left;
} decision;

#define CHOICE_STOP (-1)
/* Returns one of d->enabled, or of the values; or CHOICE_STOP, which ends the run. */
typedef int chooser(void *context, const decision *d);

typedef enum outcome { RAN, STOPPED, FAILED } outcome;

/* A thread's steps in a row, and where it was stopped. */
typedef struct turn {
    unsigned thread, steps;
    point_kind before;        /* what it was about to do then */
    const char *what, *where; /* NULL: it had ended */
    unsigned op;
    unsigned stale; /* not 0: the last step got an older value than the latest, or stored behind it, so far back; and what it was */
    point_kind stale_kind;
    const char *stale_what, *stale_where;
} turn;

/* Calls `all`, and returns how that ended. At most `stale` times a thread gets a value that is not the latest; 0: what has been
 * done is seen at once, by all. From there alone may be called: */
outcome scheduler_run(void (*all)(void *), void *context, unsigned stale);
void scheduler_as(unsigned thread); /* who the main thread is to the library, from now on */
void scheduler_threads(unsigned count, void (*body)(unsigned thread), chooser *choose, void *context);
_Noreturn void scheduler_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Behind a run. */
const char *scheduler_failure(void);
const turn *scheduler_turns(unsigned *count);
unsigned scheduler_steps(void);
const char *scheduler_kind_name(point_kind kind);

/* Which places concern more than one thread is learned as runs go by, and kept until this. True: something was learned since it was
 * last asked. */
void scheduler_forget(void);
bool scheduler_learned(void);

/* ---- for what runs in the threads ---- */

unsigned scheduler_thread(void); /* MAIN_THREAD, or who has the turn */
void scheduler_note_op(unsigned op);
/* Until *count is at least `least`; and after it was counted on. What was done before the one is seen behind the other. */
void scheduler_await(const unsigned *count, unsigned least, const char *what);
void scheduler_pass(unsigned *count, const char *what);
void scheduler_memory(const void *source, const char *what);
/* For memory.c: the clock of who has the turn. */
const uint32_t *scheduler_clock(void);
/* Fails if an access to an atomic, or a lock, in these bytes may yet be in progress. */
void scheduler_check_settled(const void *bytes, size_t size);
bool scheduler_holds_lock(void);

/* ---- for atomics.h ---- */

uintptr_t scheduler_self(void);
/* These say where the value is that the operation gets, or takes the place of. */
const void *scheduler_load(const void *at, int order, const char *what, const char *where);
void *scheduler_store(void *at, size_t size, int order, const char *what, const char *where);
void *scheduler_change(void *at, size_t size, int order, const char *what, const char *where);
void *scheduler_compare(void *at, size_t size, void *expected, int order, const char *what, const char *where);
bool scheduler_compared(const void *at, int order, bool equal); /* behind that; returns `equal` */
void scheduler_fence(int order, const char *where);
void scheduler_fence_light(void);
void scheduler_fence_heavy(const char *where); /* each thread executes one, somewhere within the call */
void scheduler_lock_init(const void *at);
void scheduler_lock_destroy(const void *at);
void scheduler_lock(const void *at, const char *where);
void scheduler_unlock(const void *at, const char *where);
void scheduler_enter(const void *at, const char *where);
void scheduler_leave(const void *at);
void scheduler_left(const void *at, const char *where);
void scheduler_yield(const char *where);

#endif
