/* A round of the stress: one pool, and threads that do to it, each in an order that its seed gives, whatever the public header
 * allows.
 *
 * What the threads share of the harness is made so that it orders as little as may be: a lock, or one counter for all, would put in
 * order what the library has to, and so hide its races from ThreadSanitizer. Slices go from thread to thread by an atomic exchange
 * of pointers, counts are each thread's own, and who finds a lock taken does something else.
 *
 * Contents tell whose bytes they are: each slice is written with a pattern of its own as long as nobody shares it, and compared
 * before it is released, joined, or changed in another way. */
#ifndef IOBUF_STRESS_STRESS_H
#define IOBUF_STRESS_STRESS_H

#include "calls.h"

#include <iobuf/iobuf.h>

#include <pthread.h>
#include <stdatomic.h>

enum {
    THREADS_MOST = 64,
    HELD = 24,
    BUNDLE = 8,
    SLOTS = 16,
    ALLOCATORS = 2,
    STREAMS = 2,
    PENDING = 8,
    WRAPS = 32,
    KINDS_MOST = 40
};

/* A slice in some thread's hands. Its bytes are pattern(tag, at); of tag 0 nothing is known. `own`: no other slice has its bytes.
 */
typedef struct held {
    iobuf_slice s;
    uint64_t tag;
    size_t at;
    bool own;
} held;

/* What is handed over at once. */
typedef struct bundle {
    size_t count;
    held held[BUNDLE];
} bundle;

/* Memory given to iobuf_slice_wrap. `freed` is no atomic: who frees is behind everybody else. */
typedef struct wrapped {
    uint8_t *bytes;
    size_t size;
    unsigned freed;
} wrapped;

typedef struct shared_allocator {
    pthread_mutex_t lock;
    iobuf_allocator a;
} shared_allocator;

/* Bytes over a socketpair; one thread at a time writes, one reads. */
typedef struct stream {
    int ends[2]; /* read, write */
    uint64_t tag;
    pthread_mutex_t writes, reads;
    iobuf_slice pending[PENDING];
    size_t pending_count, written; /* `written`: bytes that have been put into slices */
    iobuf_reader r;
    size_t read;
} stream;

typedef struct world {
    unsigned threads, ops;
    unsigned weights[KINDS_MOST], weight;
    iobuf_pool *pool;
    _Atomic uint32_t guests; /* who is in a call that needs the pool's handle; and CLOSING */
    size_t min_size, max_bytes, small, reserve;
    unsigned slots_used, refuse_one_in; /* allocations of the backing; 0: none */
    unsigned closer, closes_at;         /* thread and op; no such thread: the pool stays open until the end */
    _Atomic(bundle *) slots[SLOTS];
    _Atomic size_t live, live_bytes, asked; /* of the backing */
    shared_allocator shared[ALLOCATORS];
    stream streams[STREAMS];
    pthread_barrier_t together;
} world;

typedef struct worker {
    world *w;
    unsigned number;
    uint64_t random, tags; /* what is done; what is written */
    unsigned op;
    const char *doing;
    _Atomic size_t done; /* ops, of all rounds: for the watch */
    held held[HELD];
    iobuf_allocator a;
    iobuf_reader r;
    uint64_t read_tag, source_random; /* of the reader's source */
    size_t read_at, source_at;
    int source_error;
    wrapped wraps[WRAPS];
    size_t wraps_count;
    uint64_t calls[CALL_COUNT];
} worker;

/* ---- main.c ---- */

/* Says where it is in the run and what is wrong, and ends it with status 1. */
_Noreturn void wrong(const worker *me, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void cannot(const char *what); /* status 3 */

/* ---- world.c ---- */

uint64_t next_random(uint64_t *state);
/* Writes what belongs at `at` and behind it, in a sequence that `tag` names. */
void pattern(uint64_t tag, size_t at, uint8_t *bytes, size_t count);

/* `main_thread` counts the calls and is named in a failure. */
void world_open(world *w, worker *main_thread, uint64_t seed);
/* Everything is released, and the backing has everything back. The threads are joined. */
void world_close(world *w, worker *main_thread, worker *workers);
iobuf_backing world_backing(world *w);

/* A call that needs the pool's handle, which close ends: false if it is, or is about to be, closed. */
bool world_enter(world *w);
void world_leave(world *w);
bool world_is_closing(world *w);
void world_give_up_pool(world *w, worker *me);

/* ---- held.c ---- */

void held_fill(worker *me, held *h, iobuf_slice s); /* a slice that nobody shares */
void held_write(worker *me, held *h);
void held_check(worker *me, const held *h);
/* Compares bytes that are nobody's to write. */
void bytes_check(const worker *me, const uint8_t *bytes, size_t size, uint64_t tag, size_t at, const char *what);
void held_drop(worker *me, held *h);

/* ---- ops.c ---- */

void worker_begin(worker *me);
void worker_run(worker *me);
void worker_end(worker *me);
extern const unsigned kinds_count;
unsigned kind_weight(unsigned kind);

#endif
