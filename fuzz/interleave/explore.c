/* Depth first, each run from the start. Two reductions, neither of which changes what a bound on preemptions means:
 *
 * A thread is interrupted only in front of operations on places that another thread uses too, and one of them changes. An
 * interruption elsewhere is as good as one at the next such place. Which these are is learned from the runs; while there is
 * something to learn, all is begun anew.
 *
 * Where a run comes to a state that an earlier one has come to, with the same thread at its turn and as many preemptions and stale
 * values left, it ends: what follows is known. Equal states are those that differ in the order of independent operations alone,
 * told by the scheduler's hash, as in CHESS (Musuvathi, Qadeer: "Partial-order reduction for context-bounded state exploration",
 * 2007). */
#include "explore.h"

#include "world.h"

#include <stdlib.h>

#define FOR_A_VALUE (-2)

typedef struct branch {
    unsigned options, tried; /* threads, or values: a bit each */
    int current, chosen;
    unsigned left; /* preemptions, before the choice */
} branch;

typedef struct state {
    uint64_t key; /* 0: free */
    unsigned left;
} state;

static struct {
    branch branches[2 * STEPS_MOST]; /* each step may be followed by the choice of a value */
    unsigned depth, at;
    unsigned preemptions, stale;
    state *states; /* a hash table */
    size_t capacity, count;
} x;

static void put(uint64_t key, unsigned left);

static void grow(void)
{
    state *old = x.states;
    const size_t old_capacity = x.capacity;
    x.capacity = old_capacity == 0 ? (size_t)1 << 12 : 2 * old_capacity;
    x.states = calloc(x.capacity, sizeof *x.states);
    if (x.states == NULL)
        scheduler_fail("no memory for %zu states", x.capacity);
    x.count = 0;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].key != 0)
            put(old[i].key, old[i].left);
    }
    free(old);
}

/* Where the key is, or could be. */
static state *find(uint64_t key)
{
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15 >> 20) & (x.capacity - 1);
    while (x.states[i].key != 0 && x.states[i].key != key)
        i = (i + 1) & (x.capacity - 1);
    return &x.states[i];
}

static void put(uint64_t key, unsigned left)
{
    state *found = find(key);
    x.count += found->key == 0;
    *found = (state){key, left};
}

static uint64_t key_of(const decision *d, unsigned stale_left)
{
    return ((d->state + stale_left * 0x9e3779b97f4a7c15) ^ (uint64_t)(d->current + 2) << 60) | 1;
}

/* Notes that what follows is going to be explored. False: it is known. */
static bool is_new(const decision *d, unsigned left)
{
    if (2 * x.count >= x.capacity)
        grow();
    for (unsigned stale = d->stale_left; stale <= x.stale; stale++) {
        const state *found = find(key_of(d, stale));
        if (found->key != 0 && found->left >= left)
            return false;
    }
    put(key_of(d, d->stale_left), left);
    return true;
}

static unsigned cost(const branch *b, int chosen)
{
    return b->current >= 0 && chosen != b->current;
}

static unsigned left_now(void)
{
    const branch *last = x.at == 0 ? NULL : &x.branches[x.at - 1];
    return last == NULL ? x.preemptions : last->left - cost(last, last->chosen);
}

/* `first` where nothing was tried yet. */
static int choose_branch(unsigned options, int first, int current, unsigned left)
{
    if (x.at == x.depth)
        x.branches[x.depth++] = (branch){options, 1U << first, current, first, left};
    const branch *b = &x.branches[x.at++];
    if (b->options != options || b->current != current)
        scheduler_fail("the harness is at fault: the same schedule led elsewhere");
    return b->chosen;
}

static int choose_next(void *unused, const decision *d)
{
    (void)unused;
    if (d->values != 0)
        return choose_branch((1U << d->values) - 1, 0, FOR_A_VALUE, left_now());
    const bool alone = (d->enabled & (d->enabled - 1)) == 0;
    if (alone)
        return __builtin_ctz(d->enabled);
    if (d->current >= 0 && !d->shared)
        return d->current;
    const unsigned left = left_now();
    if (x.at == x.depth && !is_new(d, left))
        return CHOICE_STOP;
    if (d->current >= 0 && left == 0)
        return d->current;
    return choose_branch(d->enabled, d->current >= 0 ? d->current : __builtin_ctz(d->enabled), d->current, left);
}

/* The next schedule; false: there is none. */
static bool next_schedule(void)
{
    for (; x.depth > 0; x.depth--) {
        branch *b = &x.branches[x.depth - 1];
        for (int i = 0; i < 32; i++) {
            if ((b->options & ~b->tried & 1U << i) == 0 || cost(b, i) > b->left)
                continue;
            b->tried |= 1U << i;
            b->chosen = i;
            return true;
        }
    }
    return false;
}

static void begin_pass(void)
{
    x.depth = 0;
    free(x.states);
    x.states = NULL;
    x.capacity = x.count = 0;
}

explored explore_runs(runner *run, const void *what, unsigned stale, unsigned preemptions, uint64_t runs_most)
{
    explored e = {.passes = 1};
    x.preemptions = preemptions;
    x.stale = stale;
    scheduler_forget();
    begin_pass();
    for (;;) {
        x.at = 0;
        const outcome ended = run(what, choose_next, NULL);
        e.runs += ended == RAN;
        e.cut_short += ended == STOPPED;
        e.failed = ended == FAILED;
        e.gave_up = e.runs + e.cut_short == runs_most;
        if (e.failed || e.gave_up)
            break;
        if (scheduler_learned()) {
            begin_pass();
            e.passes++;
        } else if (!next_schedule()) {
            break;
        }
    }
    e.states = x.count;
    return e;
}

static outcome run_program(const void *p, chooser *choose, void *context)
{
    return world_run(p, choose, context);
}

explored explore(const program *p, unsigned preemptions, uint64_t runs_most)
{
    return explore_runs(run_program, p, p->stale, preemptions, runs_most);
}
