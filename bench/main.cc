/* iobuf_bench: the same work for iobuf and its competitors, under google-benchmark, whose options all apply. Its own
 * options are in options.h. Exit status: 0 fine; 1 a case's result was wrong; 2 wrong usage; 3 could not run.
 *
 *   iobuf_bench --benchmark_filter=window
 *   iobuf_bench --benchmark_min_time=0.05 --benchmark_repetitions=7 --benchmark_enable_random_interleaving=true \
 *               --benchmark_out=FILE --benchmark_out_format=json
 */
#include <regex.h>
#include <sys/utsname.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include <iobuf/iobuf.h>

#include "cases/cases.h"
#include "peers/malloc_account.h"
#include "peers/peers.h"
#include "workload/ring.h"

namespace bench
{

namespace
{
std::atomic<bool> failed{false};
}

void die(const char *what)
{
    std::fprintf(stderr, "iobuf_bench: %s\n", what);
    held_stop();
    std::_Exit(3); /* other threads may still run: nothing of theirs may be destroyed */
}

void fail(benchmark::State &state, const char *why)
{
    failed.store(true, std::memory_order_relaxed); /* read after all threads have ended */
    state.SkipWithError(why);
}

namespace
{

const PeerEntry *registering = nullptr;

/* Whether --benchmark_filter can mean this case. */
bool selected(const std::string &name)
{
    const std::string filter = benchmark::GetBenchmarkFilter();
    regex_t regex;
    if (filter.empty() || filter == "all" || filter[0] == '-' || regcomp(&regex, filter.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
        return true; /* of a filter that is wrong google-benchmark will say so */
    const bool found = regexec(&regex, name.c_str(), 0, nullptr, 0) == 0;
    regfree(&regex);
    return found;
}

} // namespace

bool may_run(const std::string &name)
{
    static std::map<const PeerEntry *, std::string> problems;
    if (registering == nullptr || registering->problem == no_problem || !selected(name))
        return true;
    const auto [problem, asked] = problems.try_emplace(registering);
    if (asked) {
        problem->second = registering->problem();
        if (!problem->second.empty())
            std::fprintf(stderr, "iobuf_bench: without %s: %s\n", registering->name(), problem->second.c_str());
    }
    return problem->second.empty();
}

bool any_failed()
{
    return failed.load(std::memory_order_relaxed);
}

namespace
{

Traces load_traces(const std::string &directory)
{
    Traces traces;
    std::string error;
    if (!load_http(directory + "/http-nginx.bin", &traces.http, &error) ||
        !load_resp(directory + "/resp-redis.bin", &traces.resp, &error))
        die(error.c_str());
    return traces;
}

std::string cpu_model()
{
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);)
        if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
            return line.substr(line.find(": ") + 2);
    return "unknown";
}

std::string system_name()
{
    struct utsname name;
    return uname(&name) == 0 ? std::string(name.sysname) + " " + name.release + " " + name.machine : "unknown";
}

/* What a reader of the JSON needs to judge a figure. google-benchmark adds date, clock, caches and load. */
void add_context()
{
    const char *commit = std::getenv("IOBUF_COMMIT"); /* of who built it; the build's own value else */
    benchmark::AddCustomContext("iobuf_version", std::to_string(IOBUF_VERSION_MAJOR) + "." + std::to_string(IOBUF_VERSION_MINOR) +
                                                     "." + std::to_string(IOBUF_VERSION_PATCH));
    benchmark::AddCustomContext("iobuf_commit", commit != nullptr ? commit : IOBUF_BENCH_COMMIT);
#if defined(__clang__)
    benchmark::AddCustomContext("compiler", "clang " __clang_version__);
#else
    benchmark::AddCustomContext("compiler", "gcc " __VERSION__);
#endif
    benchmark::AddCustomContext("malloc", malloc_version());
    benchmark::AddCustomContext("flags", IOBUF_BENCH_FLAGS);
    benchmark::AddCustomContext("cpu", cpu_model());
    benchmark::AddCustomContext("system", system_name());
}

void list_peers()
{
    for (const PeerEntry *peer : all_peers())
        std::printf("%-12s %s\n", peer->name(), peer->version().c_str());
}

void register_peers(const Traces &traces)
{
    for (const PeerEntry *peer : all_peers()) {
        registering = peer;
        peer->register_cases(traces);
    }
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
    bench::take_options(&argc, argv);
    benchmark::Initialize(&argc, argv);
    if (argc > 1)
        bench::usage(std::string("unknown argument ") + argv[1]);
    bench::malloc_prove(bench::options().malloc);
    if (bench::options().list_peers) {
        bench::list_peers();
        return 0;
    }
    if (bench::options().iterations == 0)
        bench::held_start();
    else
        bench::Backoff::patience = 0;
    const bench::Traces traces = bench::load_traces(bench::options().traces);
    bench::register_peers(traces);
    bench::register_constants();
    bench::add_context();
    if (benchmark::RunSpecifiedBenchmarks() == 0)
        return 2; /* the filter matches nothing, which google-benchmark has said */
    benchmark::Shutdown();
    return bench::any_failed() ? 1 : 0;
}
