/* What the two recorders share, of malloc (record.c) and of this library's calls (traced.c): threads and their chunks, call sites,
 * the file, fork, the end, what is said when something goes wrong. The settings are in the environment:
 *
 *   IOBUF_TRACE=FILE        where it goes; a process that was forked, or finds FILE there, writes FILE.PID
 *   IOBUF_TRACE_MIN=...     the least size to record
 *   IOBUF_TRACE_MAX=...     the largest, at most 1 GiB
 *   IOBUF_TRACE_LIMIT=...   after so many events the recorder stops
 *   IOBUF_TRACE_SITES=0     call sites are left out
 */
#ifndef BENCH_TRACE_RECORDER_H
#define BENCH_TRACE_RECORDER_H

#include "trace/trace.h"

#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#pragma GCC visibility push(hidden)

struct recorder;

extern atomic_bool recorder_recording; /* relaxed: a stale value records an event more or less */
extern __thread bool recorder_busy;    /* what this thread does is the recorder's own, or within a recorded call */
extern size_t recorder_least, recorder_most;

/* From a constructor: reads the environment and begins, if a trace is asked for. `least` is the default; `forget` is called in the
 * child of a fork, whose trace begins empty: its one thread holds no lock. */
void recorder_begin(size_t least, void (*forget)(void));

/* Says so, and ends the trace; the program goes on. */
void recorder_give_up(const char *what, const char *why);

static inline bool recorder_wants(void)
{
    return atomic_load_explicit(&recorder_recording, memory_order_relaxed) && !recorder_busy;
}

static inline bool recorder_wants_size(size_t size)
{
    return size >= recorder_least && size <= recorder_most && recorder_wants();
}

/* The calling thread's, which is busy until recorder_leave; NULL, and busy as well, if memory is short. */
struct recorder *recorder_enter(void);
void recorder_leave(void);

uint32_t recorder_thread(const struct recorder *recorder);
/* A number that no buffer had; they are consecutive in a thread as long as the block lasts. */
uint64_t recorder_id(struct recorder *recorder);
/* The first of so many that no buffer had. */
uint64_t recorder_ids(uint64_t count);

/* `caller` is a return address, or NULL; the event's time, thread and site are set here. */
void recorder_put(struct recorder *recorder, struct trace_event *event, const void *caller);

/* Spin locks: held for some instructions, except while a chunk is written. */
void recorder_lock(atomic_flag *flag);
void recorder_unlock(atomic_flag *flag);

/* Zeroed memory that does not come from malloc; NULL: none. */
void *recorder_map(size_t size);

#pragma GCC visibility pop

#endif
