/* What the case files share. Each file has one work, a template over the peer, and registers it as `work/peer/size`; a size that
 * is not one number is called `mixed`. Every time is per buffer (per message, per neighbour), so that works compare.
 */
#ifndef BENCH_CASES_CASES_H
#define BENCH_CASES_CASES_H

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>

#include "held.h"
#include "options.h"
#include "peers/peer.h"
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

/* Ends a case whose result is wrong. The program's exit status is 1 then, whatever else ran. */
void fail(benchmark::State &state, const char *why);
bool any_failed();

/* Registers `run(state)` as work/peer/size. With --iterations N it runs N of them, rounded up to whole batches. */
template <class Run>
benchmark::internal::Benchmark *add_case(const char *work, const char *peer, const std::string &size, Run run,
                                         std::size_t batch = 1)
{
    const std::string name = std::string(work) + "/" + peer + "/" + size;
    benchmark::internal::Benchmark *const added = benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kNanosecond);
    if (options().iterations != 0)
        added->Iterations(static_cast<benchmark::IterationCount>((options().iterations + batch - 1) / batch * batch));
    return added;
}

template <class Peer, class Run>
benchmark::internal::Benchmark *add_case(const char *work, const std::string &size, Run run, std::size_t batch = 1)
{
    return add_case(work, Peer::name(), size, run, batch);
}

/* Bytes of payload per second, and, where the peer has them, the size of its bufs. */
template <class Peer> void report(benchmark::State &state, std::uint64_t bytes, const SourceOptions &options)
{
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
    if (Peer::kHasBufs)
        state.counters["buf_bytes"] = static_cast<double>(options.buf_bytes);
}

/* Bytes held per byte live. Not with --iterations: who counts instructions wants no others. */
template <class Peer> void report_held(benchmark::State &state, HeldWork work, std::size_t argument)
{
    if (options().iterations != 0)
        return;
    const Held held = held_ask(work, argument);
    if (held.live <= 0)
        return fail(state, "memory could not be counted");
    if (held.held >= held.live)
        state.counters["held_per_live"] = held.held / held.live;
    else if (Peer::kCountsEach)
        fail(state, "less memory is held than lives");
}

} // namespace bench

#endif
