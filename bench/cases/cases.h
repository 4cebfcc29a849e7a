/* What the case files share. Each file registers one work for every peer, as `work/peer/size`; a size that is not one number is
 * called `mixed`. Every time is per buffer (per message, per neighbour), so that works compare.
 */
#ifndef BENCH_CASES_CASES_H
#define BENCH_CASES_CASES_H

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>

#include "held.h"
#include "peers/peers.h"
#include "workload/opaque.h"
#include "workload/plan.h"
#include "workload/stream.h"

namespace bench
{

/* Recorded streams, loaded before anything is registered; they outlive the run. */
struct Traces {
    Stream http;
    Stream resp;
};

void register_alloc_release();
void register_batch();
void register_window();
void register_cross_thread();
void register_frame(const Traces &traces);
void register_coalesce();
void register_reader(const Traces &traces);
void register_pool_size();

/* Ends a case whose result is wrong. The program's exit status is 1 then, whatever else ran. */
void fail(benchmark::State &state, const char *why);
bool any_failed();

template <class Peer> std::string case_name(const char *work, const std::string &size)
{
    return std::string(work) + "/" + Peer::kName + "/" + size;
}

/* Registers `run(state, peer)`; the peer's type says which. */
template <class Run> benchmark::internal::Benchmark *add_case(const std::string &name, Run run)
{
    return benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kNanosecond);
}

/* Bytes of payload per second, and, where the peer has them, the size of its bufs. */
template <class Peer> void report(benchmark::State &state, std::uint64_t bytes, const SourceOptions &options)
{
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
    if (Peer::kHasBufs)
        state.counters["buf_bytes"] = static_cast<double>(options.buf_bytes);
}

inline void report_held(benchmark::State &state, HeldWork work, std::size_t argument)
{
    const Held held = held_ask(work, argument);
    if (held.live <= 0)
        return fail(state, "memory could not be counted");
    state.counters["held_per_live"] = held.held / held.live;
}

} // namespace bench

#endif
