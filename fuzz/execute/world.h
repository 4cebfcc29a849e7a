/* One run: the library's objects beside the reference's, register by register. Only execute/ includes this. */
#ifndef IOBUF_FUZZ_WORLD_H
#define IOBUF_FUZZ_WORLD_H

#include "execute.h"
#include "memory.h"

#include <string.h>

enum {
    EVENTS = 16,
    FILLS = 256,
    PATTERN_BYTES = 2 * MEMORY_MOST, /* any MEMORY_MOST bytes from an offset below MEMORY_MOST on */
    FD_READER = 0x7fff0000,          /* descriptors that the scripted read(2) and writev(2) know */
    FD_SINK = 0x7fff1000
};

typedef enum event_kind { GIVE, FAIL, END, GIVE_FAIL, OVER, ZERO_FAIL } event_kind;

typedef struct event {
    event_kind kind;
    size_t size;
    int error;
} event;

typedef struct script {
    size_t first, count;
    event event[EVENTS]; /* last: what is not counted need not be cleared */
} script;

typedef struct source {
    bool is_fd;
    size_t position;
    script script;
} source;

typedef struct sink {
    const model_slice *slices; /* what the running writev must pass on */
    size_t slice_count;
    size_t calls;
    ssize_t result; /* of the last call */
    int error;
    const char *wrong;
    script script; /* last, as its events */
} sink;

typedef struct wrapped {
    uint8_t *bytes;
    size_t size;
    int freed;
} wrapped;

typedef struct emit_range {
    unsigned reg;
    size_t from, size;
} emit_range;

typedef enum result_kind { RESULT_NONE, RESULT_SKIPPED, RESULT_STATUS, RESULT_BOOL, RESULT_COUNT } result_kind;

typedef struct world {
    const program *program;
    const execute_options *options;
    size_t at;      /* the op that runs; program->count: the end */
    size_t size[3]; /* its sizes, looked up */
    result_kind result_kind;
    uint64_t result, want, hash;
    bool called;                 /* the library, since check_pools */
    bool want_known;             /* the reference has predicted the result, `want` */
    uint32_t live;               /* slice registers that hold bytes of a buf that is counted: a bit for each */
    int live_in[PROGRAM_SLICES]; /* of those: which buf */
    size_t frees;                /* calls of the free callback */
    int pool_id[PROGRAM_POOLS];  /* MODEL_NONE: no open pool */
    iobuf_pool *pool[PROGRAM_POOLS];
    iobuf_allocator allocator[PROGRAM_ALLOCATORS];
    iobuf_reader reader[PROGRAM_READERS];
    iobuf_slice slice[PROGRAM_SLICES];
    source source[PROGRAM_READERS];
    sink sink;
    wrapped wrapped[MODEL_MAX_BUFS];
    /* For emit.c: what it has printed, and what the harness itself did in the op that runs. */
    size_t emitted_ops, emitted_frees, fill_count;
    emit_range fill[FILLS];
    size_t turn_end[PROGRAM_MAX_OPS]; /* of a `thread` that was a turn: the op behind it */
    int emitted_id[PROGRAM_POOLS];
    iobuf_pool_stats emitted[PROGRAM_POOLS];
    model model;
} world;

extern world the_world;
extern uint8_t the_pattern[PATTERN_BYTES];

/* ops.c */
typedef void (*op_function)(world *w, const program_op *op);
extern const op_function op_functions[OP_KINDS];
void release_held(world *w, unsigned reg);
void close_pool(world *w, unsigned reg);
void release_allocator(world *w, unsigned reg);
void close_reader(world *w, unsigned reg);

static inline void release_register(world *w, unsigned reg)
{
    if (w->model.slice[reg].buf != MODEL_NONE)
        release_held(w, reg);
}

/* resolve.c */
void resolve_bases(world *w, const program_op *op);

static inline void resolve_sizes(world *w, const program_op *op)
{
    if (op->size[0].base | op->size[1].base | op->size[2].base)
        resolve_bases(w, op);
    else
        for (unsigned i = 0; i < 3; i++) /* mostly */
            w->size[i] = (size_t)op->size[i].value;
}

/* emit.c */
void emit_begin(world *w);
void emit_fill(world *w, unsigned reg, size_t from, size_t size);
void emit_op(world *w, bool returned);
void emit_end(world *w);

/* source.c */
ssize_t source_read(void *context, void *into, size_t room, int *error);
void script_add(script *s, event e);

/* check.c */
_Noreturn __attribute__((cold, format(printf, 3, 4))) void fail(world *w, const char *check, const char *format, ...);
_Noreturn __attribute__((cold)) void fail_memory(world *w);
_Noreturn __attribute__((cold)) void fail_oracle(world *w);
void check_named_slice(world *w, unsigned reg);
void check_slices(world *w, unsigned first, unsigned count);
void check_reader(world *w, unsigned reg);
void check_pools(world *w);
void check_touched(world *w, const program_op *op);
void check_all(world *w);
void check_nothing_left(world *w);

/* After any call of the library. */
static inline void check_memory(world *w)
{
    if (the_memory.misuse || the_memory.locks)
        fail_memory(w);
}

_Static_assert(sizeof(iobuf_slice) % sizeof(uintptr_t) == 0, "is_zero looks at all of it");

/* What any handle is to begin with: of one that was emptied into that, nothing else needs to be asked. */
static inline bool is_zero(const iobuf_slice *s)
{
    uintptr_t word[sizeof *s / sizeof(uintptr_t)], any = 0; /* not memcmp, which sanitizers intercept */
    memcpy(word, s, sizeof word);
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++)
        any |= word[i];
    return any == 0;
}

static inline void check_slice(world *w, unsigned reg)
{
    if (w->model.slice[reg].buf != MODEL_NONE || !is_zero(&w->slice[reg]))
        check_named_slice(w, reg);
}

static inline void library_begin(world *w)
{
    w->model.oracle.calls = w->model.oracle.next = 0;
    w->called = true;
    memory_watch();
    the_memory.inside = true;
}

static inline void library_end(world *w)
{
    the_memory.inside = false;
    w->model.oracle.refused = the_memory.refused;
    w->model.oracle.evicted = the_memory.dropped;
    check_memory(w);
}

/* After the reference has predicted a call. */
static inline void check_oracle_used_up(world *w)
{
    const model *m = &w->model;
    if (m->broken || m->oracle.next != m->oracle.calls || m->oracle.refused)
        fail_oracle(w);
}

/* Runs a call of the library so that what its memory and its sources did is known to the reference afterwards. */
#define LIBRARY(w, call)                                                                                                           \
    do {                                                                                                                           \
        library_begin(w);                                                                                                          \
        call;                                                                                                                      \
        library_end(w);                                                                                                            \
    } while (0)

#endif
