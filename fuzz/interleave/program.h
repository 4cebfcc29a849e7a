/* What the threads of a run do: a pool, some ops before the threads start, and a column of ops for each.
 *
 *     iobuf-interleave 1
 *     pool 64 0 0
 *     before 0 init a0 0
 *     before 0 alloc a0 s0 16
 *     release s0  | stats
 *     free a0     | trim
 *     stale 1
 *     schedule 0*12 1*5~1 0*3
 *
 * An allocator or slice is used by one thread at a time: each op waits until those above it, and those to its left, have done with
 * what it uses. So every program is one that the library must serve, and none waits for ever. `stale` is how often
 * in a run a thread may get a value that is not the latest, where C11 permits it. The schedule, if there is one, tells who does how
 * many steps; and, behind a ~, how many stores before the latest is the value that the last of them gets, or stores behind. */
#ifndef IOBUF_INTERLEAVE_PROGRAM_H
#define IOBUF_INTERLEAVE_PROGRAM_H

#include "scheduler.h"

#define ALLOCATORS 4
#define SLICES 16
#define POOL (ALLOCATORS + SLICES) /* registers: allocators, slices, the pool */
#define REGISTERS (POOL + 1)
#define ROWS_MOST 12
#define BEFORE_MOST 32
#define SIZE_MOST 256
#define MIN_SIZE_MOST 512
#define BUF_MOST 1024 /* what a slice can grow to */
#define STALE_MOST 100
#define OP_TEXT 40

typedef enum op_kind {
    OP_NONE,
    OP_INIT,
    OP_ALLOC,
    OP_FREE,
    OP_RELEASE,
    OP_SHARE,
    OP_SPLIT,
    OP_CLAIM,
    OP_JOIN,
    OP_COMPACT,
    OP_STATS,
    OP_TRIM,
    OP_CLOSE,
    OP_KINDS
} op_kind;

typedef struct op {
    op_kind kind;
    unsigned thread;
    unsigned registers[2];
    unsigned size;
    /* Filled in by program_link, for each of the registers, and for the pool behind them: how often that must have been handed over
     * before, 0: no matter; and whether the op hands it over. */
    unsigned waits[3];
    bool passes[3];
} op;

typedef struct program {
    unsigned min_size, max_bytes, max_cached;
    unsigned threads, rows;
    unsigned stale;
    unsigned before_count;
    op before[BEFORE_MOST];
    op ops[ROWS_MOST][THREADS_MOST];
    uint32_t live; /* registers, behind the last op: a bit each */
} program;

/* ---- program.c ---- */

typedef struct op_form {
    const char *name;
    const char *operands; /* 'a' an allocator, 's' a slice, 'n' a new slice, '#' a size */
} op_form;

extern const op_form op_forms[OP_KINDS];

/* Ops are added from above to below, in a row from left to right; `row` BEFORE: before the threads. False, and nothing changed, if
 * the op makes no sense behind those that are there: *why. */
#define BEFORE ROWS_MOST
bool program_add(program *p, unsigned row, op o, const char **why);
/* Who waits for whom. Behind the last op. */
void program_link(program *p);

/* ---- text.c ---- */

const char *op_print(const op *o, char text[OP_TEXT]); /* returns text */

/* Returns an error and *line, or NULL. A schedule goes to `turns`, as far as there is room. */
const char *program_parse(const char *text, program *p, turn *turns, unsigned *turns_count, unsigned *line);
void program_print(const program *p);
void program_print_schedule(const turn *turns, unsigned count);
/* One line per turn: in the thread's column what it was stopped in front of. */
void program_print_run(const program *p, const turn *turns, unsigned count);

#endif
