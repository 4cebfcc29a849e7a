/* The reference: what the public header promises, done the obvious way, with indices for pointers. Of each byte it knows where
 * its value came from, or that none is promised. Single-threaded; never looks at the library.
 *
 * What no reference can know comes from an oracle: whether the backing refused memory during the call, and what the source of a
 * reader did. Everything else is predicted, and a call returns exactly what the library must return.
 */
#ifndef IOBUF_FUZZ_MODEL_H
#define IOBUF_FUZZ_MODEL_H

#include "../program/program.h"

#include <iobuf/iobuf.h>

enum {
    MODEL_NONE = -1,
    MODEL_MAX_POOLS = 128,
    MODEL_MAX_BUFS = 2 * PROGRAM_MAX_OPS,
    MODEL_MAX_CALLS = 64,
    MODEL_BYTES = 12 << 20, /* the harness keeps the sum of bufs well below it */
    MODEL_MAX_RUNS = 256 * PROGRAM_MAX_OPS
};

typedef enum model_kind {
    MODEL_POOLED,
    MODEL_WRAPPED,
    MODEL_LENT /* the caller's bytes behind iobuf_slice_borrow: never counted, never freed */
} model_kind;

typedef struct model_buf {
    model_kind kind;
    int pool;
    size_t size;
    uint32_t runs;     /* what it holds: the first */
    size_t slices;     /* live ones that refer to it */
    bool held;         /* by an allocator or a reader */
    const size_t *cut; /* of one that is held: how much of it was handed out */
    bool gone;         /* given back to the backing, or to the free callback */
    void *base;        /* for the harness: where the library's bytes are; NULL: not seen yet */
    uint32_t live;     /* for the harness: the registers of slices in it, a bit for each */
} model_buf;

/* So many bytes of a buf whose values stand at `from`. */
typedef struct model_run {
    size_t start, size;
    const uint8_t *from;
    uint32_t next; /* 0: none */
} model_run;

typedef struct model_pool {
    bool closed;
    bool is_default; /* for the harness: memory of the C library */
    size_t min_size, max_bytes, max_cached;
    iobuf_pool_stats stats;
    size_t users; /* open allocators and readers */
    int cached[PROGRAM_MAX_OPS];
    size_t cached_count; /* in the order of their last release */
} model_pool;

typedef struct model_slice {
    int buf; /* MODEL_NONE: an empty handle */
    size_t start, size, headroom;
    size_t exclusive; /* of a sharing slice: bytes from the front that are certainly its own */
    bool sharing;
} model_slice;

typedef struct model_allocator {
    bool ready; /* ever initialised */
    bool released;
    int pool, buf;
    size_t reserve, cursor;
} model_allocator;

typedef struct model_reader {
    bool ready, closed;
    int pool, buf;
    size_t base, bound; /* the buffered bytes, in buf */
    int pending, last_errno;
} model_reader;

/* One call of a reader's source: what it was offered, and what it did. */
typedef struct model_call {
    size_t room;
    ssize_t result;
    int error;
    const uint8_t *bytes; /* those it wrote */
    uint8_t *into;
} model_call;

typedef struct model_oracle {
    bool refused; /* the backing, or malloc, refused memory */
    bool evicted; /* ... after bufs were given back */
    size_t calls, next;
    model_call call[MODEL_MAX_CALLS];
} model_oracle;

typedef struct model {
    model_oracle oracle; /* of the call that is being predicted */
    const char *broken;  /* the library cannot have done what the oracle says; why */
    int pools;           /* pools made so far; registers are the harness's business */
    model_pool pool[MODEL_MAX_POOLS];
    size_t wraps_gone; /* wrapped bufs that were freed */
    int bufs;
    model_buf buf[MODEL_MAX_BUFS];
    model_allocator allocator[PROGRAM_ALLOCATORS];
    model_reader reader[PROGRAM_READERS];
    model_slice slice[PROGRAM_SLICES];
    size_t bytes;            /* the sum of the bufs */
    uint32_t runs, run_free; /* taken so far; of those, what is free again */
    model_run run[MODEL_MAX_RUNS];
} model;

void model_reset(model *m);
bool model_refused(model *m); /* true once if memory was refused where the library may have asked for it */

/* buf.c: pools and bufs */
int model_pool_create(model *m, const iobuf_pool_options *options, int *pool);
void model_pool_close(model *m, int pool);
size_t model_pool_trim(model *m, int pool, size_t keep);
bool model_pool_ended(const model *m, int pool); /* closed, and nobody left who keeps its memory */
int model_take(model *m, int pool, size_t size, int *buf);
int model_new_buf(model *m, model_kind kind, int pool, size_t size);
void model_unhold(model *m, int *buf);
void model_get(model *m, int buf);
void model_put(model *m, int buf);

/* bytes.c: what bufs hold */
void model_set(model *m, int buf, size_t at, const uint8_t *from, size_t size); /* `from` must not change within the program */
void model_copy(model *m, int to, size_t at, int from, size_t start, size_t size);
void model_forget(model *m, int buf, size_t from, size_t to); /* those bytes' values are no longer promised */
/* The first bytes between `from` and `to` whose values are not promised; false if all are. */
bool model_gap(const model *m, int buf, size_t from, size_t to, size_t *start, size_t *end);
bool model_holds(const model *m, int buf, size_t at, const uint8_t *bytes, size_t size); /* exactly these, all promised */
int model_byte(const model *m, int buf, size_t at);                                      /* -1: not promised */

/* allocator.c */
int model_allocator_init(model *m, model_allocator *a, int pool, size_t reserve);
void model_allocator_release(model *m, model_allocator *a);
int model_alloc(model *m, model_allocator *a, size_t size, model_slice *out);
int model_shrink(model *m, model_allocator *a, model_slice *last, size_t size);
int model_compact(model *m, model_slice *s, model_allocator *a);

/* slice.c */
int model_wrap(model *m, size_t size, model_slice *out);
void model_borrow(model *m, size_t size, model_slice *out);
void model_release(model *m, model_slice *s);
void model_release_previous(model *m, model_slice *s, model_slice *previous);
void model_truncate_front(model *m, model_slice *s, size_t bytes);
void model_truncate_back(model_slice *s, size_t bytes);
bool model_expand_front(model_slice *s, size_t bytes);
bool model_prefix_is_free(const model *m, const model_slice *s);
void model_free_entire_prefix(model *m, model_slice *s);
bool model_claim_prefix(model *m, model_slice *s);
int model_share(model *m, model_slice *s, size_t offset, size_t size, model_slice *out);
int model_split(model *m, model_slice *s, size_t at, model_slice *tail);
size_t model_coalesce(model *m, model_slice *slices, size_t count, size_t max_size);
size_t model_written(model *m, model_slice *slices, size_t count, size_t bytes); /* after writev wrote `bytes`: the new count */

/* reader.c */
int model_reader_init(model *m, model_reader *r, int pool);
void model_reader_close(model *m, model_reader *r);
int model_read(model *m, model_reader *r, size_t size, model_slice *out);
int model_read_some(model *m, model_reader *r, size_t max, model_slice *out);
int model_peek(model *m, model_reader *r, size_t want);
size_t model_buffered(const model_reader *r);

#endif
