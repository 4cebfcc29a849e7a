/* One replay of a trace: through this library with bufs of a given size, or through the malloc of the process; by one thread, or by
 * several at once (run.cc, team.cc). */
#ifndef BENCH_TRACE_RUN_H
#define BENCH_TRACE_RUN_H

#include <array>

#include "trace/account.h"
#include "trace/load.h"

namespace bench
{

struct PoolChoice {
    std::size_t buf_bytes = 0; /* 0: malloc */
    std::size_t cache_limit = 0;
    std::size_t threads = 1; /* that play at once, on one pool */
};

/* What was held at one moment, and what of it lived. */
struct Moment {
    std::uint64_t time = 0;
    std::size_t event = 0;
    Parts parts;
};

/* Bytes that the slices of one call site pin, with the age of each slice that has pinned its buf for longest. */
struct Pinner {
    std::uint32_t site = 0;
    std::size_t bytes = 0;
    std::size_t bufs = 0;
    std::uint64_t median_age = 0; /* ns */
    std::uint64_t oldest_age = 0;
};

struct MemoryResult {
    Moment peak;                          /* the first at which most was held */
    Moment most_pinned;                   /* the first at which most was pinned */
    std::array<double, kParts> mean = {}; /* over the trace's time; over its events where that is none */
    std::vector<Moment> series;           /* of each stretch of the trace the moment at which most was held */
    std::vector<Pinner> pinners;          /* at most_pinned, most bytes first */
    std::size_t pool_peak = 0;            /* the pool's own figure, which sees within an event as well */
    std::size_t bufs_allocated = 0, taken = 0, restarted = 0;
    std::size_t backing_gave = 0, backing_got = 0;
    std::size_t coalesced_from = 0, coalesced_to = 0;
    std::size_t expands_refused = 0;
};

struct Latency {
    std::uint64_t count = 0;
    double p50 = 0, p99 = 0, p999 = 0, largest = 0; /* ns, the clock's cost taken off */
};

struct LatencyResult {
    Latency alloc, release;
    double clock_cost = 0; /* ns */
};

/* The same for the same trace and choice, on every run. `pinned_below` is in percent. */
MemoryResult replay_memory(const Trace &trace, const PoolChoice &choice, unsigned pinned_below);

/* ns of the processor for one event, after one replay that is not timed, so that the pool has its bufs: the fastest of at least
 * two. */
double replay_time(const Trace &trace, const PoolChoice &choice);

/* Each alloc and release on its own; also after one that is not timed. */
LatencyResult replay_latency(const Trace &trace, const PoolChoice &choice);

/* What malloc holds: only sampled, since its own account is slow. */
struct MallocMemory {
    std::size_t peak_held = 0, held_at_end = 0;
    std::size_t samples = 0;
    long minor_faults = 0; /* pages that the kernel gave during the replay */
};
MallocMemory replay_malloc_memory(const Trace &trace);

/* ------ the same by `choice.threads` threads, two or more, each with a copy of the trace. These differ from run to run. */

/* The pool's own figures and what its backing counts: who holds what is known of one thread alone. */
struct TeamMemory {
    std::size_t peak_held = 0; /* with the pool's bookkeeping */
    std::size_t pool_peak = 0; /* without */
    std::size_t bufs_allocated = 0;
    std::size_t backing_gave = 0, backing_got = 0; /* calls, until the pool is gone */
    std::size_t handed_over = 0;                   /* slices that another thread released */
    std::size_t released_at_home = 0;              /* that should have been, but the way there was full */
};
TeamMemory team_memory(const Trace &trace, const PoolChoice &choice);

/* ns of the clock for one event, those of all threads counted: the fastest of several stretches. */
double team_time(const Trace &trace, const PoolChoice &choice);

LatencyResult team_latency(const Trace &trace, const PoolChoice &choice);
MallocMemory team_malloc_memory(const Trace &trace, std::size_t threads);

} // namespace bench

#endif
