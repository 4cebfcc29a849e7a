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

/* What the machine's own primitives cost: cases/constant.cc. */
void register_constants();

/* Ends a case whose result is wrong. The program's exit status is 1 then, whatever else ran. */
void fail(benchmark::State &state, const char *why);
bool any_failed();

/* Whether a case may be registered; `name` is as google-benchmark will print it. Not if it is selected and its peer cannot run
 * here: that is said once, on stderr. A peer is asked only if it is selected, since to find out it may have to start. */
bool may_run(const std::string &name);

struct HowToRun {
    std::size_t batch = 1;                                 /* iterations that belong together */
    bool real_time = false;                                /* the wall clock instead of one thread's processor time */
    int threads = 0;                                       /* that run it at once; 0: one, and the name does not say so */
    void (*set_up)(const benchmark::State &) = nullptr;    /* once, before the threads */
    void (*tear_down)(const benchmark::State &) = nullptr; /* once, after them */
};

/* Registers `run(state)` as work/peer/size. With --iterations N it runs N of them, rounded up to whole batches. */
template <class Run>
void add_case(const char *work, const char *peer, const std::string &size, Run run, const HowToRun &how = HowToRun())
{
    const std::string name = std::string(work) + "/" + peer + "/" + size;
    const std::uint64_t iterations = (options().iterations + how.batch - 1) / how.batch * how.batch;
    std::string printed = name;
    if (iterations != 0)
        printed += "/iterations:" + std::to_string(iterations);
    if (how.real_time)
        printed += "/real_time";
    if (how.threads != 0)
        printed += "/threads:" + std::to_string(how.threads);
    if (!may_run(printed))
        return;
    benchmark::internal::Benchmark *const added = benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kNanosecond);
    if (iterations != 0)
        added->Iterations(static_cast<benchmark::IterationCount>(iterations));
    if (how.real_time)
        added->UseRealTime();
    if (how.threads != 0)
        added->Threads(how.threads);
    if (how.set_up != nullptr)
        added->Setup(how.set_up)->Teardown(how.tear_down);
}

template <class Peer, class Run> void add_case(const char *work, const std::string &size, Run run, const HowToRun &how = HowToRun())
{
    add_case(work, Peer::name(), size, run, how);
}

inline HowToRun in_batches(std::size_t batch)
{
    HowToRun how;
    how.batch = batch;
    return how;
}

inline HowToRun on_the_clock(std::size_t batch, int threads = 0)
{
    HowToRun how;
    how.batch = batch;
    how.real_time = true;
    how.threads = threads;
    return how;
}

/* Bytes of payload per second, and, where the peer has them, the size of its bufs. */
template <class Peer> void report(benchmark::State &state, std::uint64_t bytes, const SourceOptions &options)
{
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
    if (Peer::kHasBufs)
        state.counters["buf_bytes"] = benchmark::Counter(static_cast<double>(options.buf_bytes), benchmark::Counter::kAvgThreads);
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
