/* iobuf_replay_trace: replays a trace through this library for one size of bufs or many, or through malloc, and prints JSON.
 * Exit status: 0 fine; 2 wrong usage; 3 could not run, the trace being wrong, say.
 *
 *   iobuf_replay_trace --sizes 4096,16384 FILE
 *   LD_PRELOAD=libjemalloc.so.2 iobuf_replay_trace --malloc jemalloc FILE
 */
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "peers/malloc_account.h"
#include "peers/peer.h"
#include "trace/run.h"
#include "workload/plan.h"

namespace bench
{

void die(const char *what)
{
    std::fprintf(stderr, "iobuf_replay_trace: %s\n", what);
    std::_Exit(3);
}

namespace
{

constexpr std::size_t kLargestBuf = std::size_t{1} << 30;
constexpr std::size_t kMostThreads = 64;

constexpr const char *kHelp =
    "iobuf_replay_trace [OPTION...] FILE\n"
    "  --sizes A,B,...      bytes of a buf, each from 64 to 2^30; default 4096\n"
    "  --malloc NAME        through malloc instead: glibc, jemalloc, mimalloc or tcmalloc, which must be the one that serves it\n"
    "  --reserve N          spare bytes in front of each slice, instead of those in the trace\n"
    "  --cache N            bytes of free bufs that the pool keeps; default 64 MiB, as the library's\n"
    "  --threads N          so many threads, up to 64, play copies of the trace at once, on one pool, and release what another\n"
    "                       allocated where the trace has that; default 1\n"
    "  --measure WHAT       memory, time, latency or several, with commas; default all of them\n"
    "  --rounds N           of time, all sizes in each, in an order of its own; default 1\n"
    "  --seed N             of that order; default 1\n"
    "  --scale HOW          same, half or double: traffic thinned or laid over itself\n"
    "  --partial            takes what can be read of a trace that is cut off\n"
    "  --pinned-below P     a buf is pinned if its slices fill less than P percent of it; default 25\n"
    "Times are ns for one event, after one replay that is not timed: of the processor; with several threads, of the clock, over\n"
    "the events of all. What holds memory is told of one thread alone.\n";

struct Arguments {
    std::vector<std::size_t> sizes = {4096};
    std::string malloc;
    std::string path;
    std::size_t reserve = SIZE_MAX;
    std::size_t cache = std::size_t{64} << 20;
    std::size_t threads = 1;
    bool memory = true, time = true, latency = true;
    std::size_t rounds = 1;
    std::uint64_t seed = 1;
    Scale scale = Scale::kSame;
    unsigned pinned_below = 25;
    bool partial = false;
    int saved = -1;
};

[[noreturn]] void usage(const std::string &problem)
{
    std::fprintf(stderr, "iobuf_replay_trace: %s; see --help\n", problem.c_str());
    std::_Exit(2);
}

std::size_t number(const std::string &option, const std::string &text, std::size_t least, std::size_t most)
{
    char *end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least || value > most)
        usage(option + " needs a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + text + "'");
    return value;
}

std::vector<std::string> split(const std::string &text)
{
    std::vector<std::string> parts(1);
    for (const char c : text) {
        if (c == ',')
            parts.emplace_back();
        else
            parts.back() += c;
    }
    return parts;
}

void take_value(const std::string &option, const std::string &value, Arguments *arguments)
{
    if (option == "--sizes") {
        arguments->sizes.clear();
        for (const std::string &part : split(value))
            arguments->sizes.push_back(number(option, part, 64, kLargestBuf));
    } else if (option == "--malloc") {
        if (value != "glibc" && value != "jemalloc" && value != "mimalloc" && value != "tcmalloc")
            usage("--malloc knows glibc, jemalloc, mimalloc and tcmalloc, not '" + value + "'");
        arguments->malloc = value;
    } else if (option == "--reserve") {
        arguments->reserve = number(option, value, 0, 65536);
    } else if (option == "--cache") {
        arguments->cache = std::max<std::size_t>(1, number(option, value, 0, SIZE_MAX / 2)); /* 0 would be the default */
    } else if (option == "--threads") {
        arguments->threads = number(option, value, 1, kMostThreads);
    } else if (option == "--measure") {
        arguments->memory = arguments->time = arguments->latency = false;
        for (const std::string &part : split(value)) {
            if (part != "memory" && part != "time" && part != "latency")
                usage("--measure knows memory, time and latency, not '" + part + "'");
            (part == "memory" ? arguments->memory : part == "time" ? arguments->time : arguments->latency) = true;
        }
    } else if (option == "--rounds") {
        arguments->rounds = number(option, value, 1, 1000);
    } else if (option == "--seed") {
        arguments->seed = number(option, value, 0, SIZE_MAX / 2);
    } else if (option == "--scale") {
        if (value != "same" && value != "half" && value != "double")
            usage("--scale knows same, half and double, not '" + value + "'");
        arguments->scale = value == "same" ? Scale::kSame : value == "half" ? Scale::kHalf : Scale::kDouble;
    } else if (option == "--pinned-below") {
        arguments->pinned_below = static_cast<unsigned>(number(option, value, 1, 100));
    } else if (option == "--saved") {
        arguments->saved = static_cast<int>(number(option, value, 0, 1 << 20)); /* of this program to itself: see begin_anew() */
    } else {
        usage("there is no option " + option);
    }
}

Arguments take_arguments(int argc, char **argv)
{
    Arguments arguments;
    for (int at = 1; at < argc; at++) {
        const std::string argument = argv[at];
        if (argument == "--help") {
            std::fputs(kHelp, stdout);
            std::exit(0);
        }
        if (argument == "--partial") {
            arguments.partial = true;
            continue;
        }
        const std::size_t equals = argument.find('=');
        if (argument.rfind("--", 0) != 0) {
            if (!arguments.path.empty())
                usage("one trace at a time");
            arguments.path = argument;
        } else if (equals != std::string::npos) {
            take_value(argument.substr(0, equals), argument.substr(equals + 1), &arguments);
        } else {
            if (++at == argc)
                usage(argument + " needs a value");
            take_value(argument, argv[at], &arguments);
        }
    }
    if (arguments.path.empty())
        usage("which trace?");
    return arguments;
}

/* ------ JSON, of numbers and a few names */

std::string quoted(const std::string &text)
{
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += '\\';
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            out += escaped;
        }
    }
    return out + "\"";
}

std::string number_of(double value)
{
    char text[40];
    std::snprintf(text, sizeof text, "%.10g", value);
    return text;
}

template <class Bytes> std::string parts_of(const Bytes &bytes)
{
    std::string out = "{";
    for (std::size_t part = 0; part < kParts; part++)
        out += (part == 0 ? "" : ", ") + quoted(kPartNames[part]) + ": " + number_of(static_cast<double>(bytes[part]));
    return out + "}";
}

std::string field(const char *name, std::uint64_t value)
{
    return quoted(name) + ": " + std::to_string(value) + ", ";
}

std::string series_of(const std::vector<Moment> &series)
{
    std::string out = "[";
    for (const Moment &moment : series) {
        if (moment.parts.held() == 0)
            continue; /* nothing happened in that stretch */
        out += out.size() == 1 ? "" : ", ";
        out += "[" + std::to_string(moment.time) + ", " + std::to_string(moment.parts.held()) + ", " +
               std::to_string(moment.parts.bytes[kLive]) + ", " + std::to_string(moment.parts.bytes[kPinned]) + "]";
    }
    return out + "]";
}

std::string pinners_of(const Trace &trace, const MemoryResult &result)
{
    constexpr std::size_t kNamed = 8;
    std::string out = "[";
    for (std::size_t at = 0; at < result.pinners.size() && at < kNamed; at++) {
        const Pinner &pinner = result.pinners[at];
        const auto name = trace.sites.find(pinner.site);
        out += std::string(at == 0 ? "" : ", ") + "{" + field("site", pinner.site) +
               "\"name\": " + quoted(name == trace.sites.end() ? "" : name->second) + ", " + field("bytes", pinner.bytes) +
               field("bufs", pinner.bufs) + field("median_age_ns", pinner.median_age) + quoted("oldest_age_ns") + ": " +
               std::to_string(pinner.oldest_age) + "}";
    }
    return out + "]";
}

std::string peak_of(std::size_t held, std::size_t live)
{
    return "{" + field("peak_held", held) + field("peak_live", live) + quoted("held_per_live") + ": " +
           number_of(live == 0 ? 0 : static_cast<double>(held) / static_cast<double>(live)) + ", ";
}

std::string memory_of(const Trace &trace, const MemoryResult &result)
{
    double mean_held = 0;
    for (const double part : result.mean)
        mean_held += part;
    return peak_of(result.peak.parts.held(), trace.peak_live) + quoted("mean_held") + ": " + number_of(mean_held) + ", " +
           field("peak_at_ns", result.peak.time) + quoted("at_peak") + ": " + parts_of(result.peak.parts.bytes) + ", " +
           quoted("mean") + ": " + parts_of(result.mean) + ", " + field("most_pinned", result.most_pinned.parts.bytes[kPinned]) +
           field("most_pinned_at_ns", result.most_pinned.time) + quoted("pinners") + ": " + pinners_of(trace, result) + ", " +
           field("pool_peak", result.pool_peak) + field("bufs_taken", result.taken) +
           field("bufs_allocated", result.bufs_allocated) +
           field("bufs_reused", result.taken - result.bufs_allocated + result.restarted) +
           field("restarted_in_place", result.restarted) + field("cache_misses", result.bufs_allocated) +
           field("backing_allocations", result.backing_gave) + field("backing_deallocations", result.backing_got) +
           field("coalesced_from", result.coalesced_from) + field("coalesced_to", result.coalesced_to) +
           field("expands_refused", result.expands_refused) + quoted("series") + ": " + series_of(result.series) + "}";
}

std::string memory_of(const Trace &trace, std::size_t threads, const TeamMemory &result)
{
    return peak_of(result.peak_held, threads * trace.peak_live) + field("pool_peak", result.pool_peak) +
           field("bufs_allocated", result.bufs_allocated) + field("cache_misses", result.bufs_allocated) +
           field("backing_allocations", result.backing_gave) + field("backing_deallocations", result.backing_got) +
           field("handed_over", result.handed_over) + quoted("released_at_home") + ": " + std::to_string(result.released_at_home) +
           "}";
}

std::string latency_of(const Latency &latency)
{
    return "{" + field("count", latency.count) + "\"p50\": " + number_of(latency.p50) + ", \"p99\": " + number_of(latency.p99) +
           ", \"p99.9\": " + number_of(latency.p999) + ", \"max\": " + number_of(latency.largest) + "}";
}

std::string trace_of(const Trace &trace)
{
    std::string octaves = "[";
    for (std::size_t at = 0; at < trace.octaves.size(); at++)
        octaves += (at == 0 ? "" : ", ") + std::to_string(trace.octaves[at]);
    const auto elsewhere = std::count_if(trace.events.begin(), trace.events.end(),
                                         [](const Event &event) { return event.kind == TRACE_RELEASE && event.source != 0; });
    return "{" + field("events", trace.events.size()) + field("allocs", trace.allocs) + field("threads", trace.threads) +
           field("handed_over", static_cast<std::uint64_t>(elsewhere)) + field("largest", trace.largest) +
           field("peak_live", trace.peak_live) + field("duration_ns", trace.duration) + "\"octaves\": " + octaves + "]}";
}

struct Run {
    std::size_t size = 0;
    std::string memory, latency;
    std::vector<double> rounds; /* ns for one event */
};

std::string run_of(const Run &run)
{
    std::string out = "{\"buf_bytes\": " + std::to_string(run.size);
    if (!run.memory.empty())
        out += ", \"memory\": " + run.memory;
    if (!run.latency.empty())
        out += ", \"latency\": " + run.latency;
    out += ", \"rounds_ns\": [";
    for (std::size_t at = 0; at < run.rounds.size(); at++)
        out += (at == 0 ? "" : ", ") + number_of(run.rounds[at]);
    return out + "]}";
}

std::string malloc_memory_of(const Trace &trace, std::size_t threads)
{
    const MallocMemory memory = threads > 1 ? team_malloc_memory(trace, threads) : replay_malloc_memory(trace);
    return "{" + field("peak_held", memory.peak_held) + field("peak_live", threads * trace.peak_live) +
           field("held_at_end", memory.held_at_end) + field("samples", memory.samples) +
           "\"minor_faults\": " + std::to_string(memory.minor_faults) + "}";
}

std::vector<std::size_t> shuffled(std::size_t count, Random *random)
{
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t left = count; left > 1; left--)
        std::swap(order[left - 1], order[random->between(0, static_cast<std::uint32_t>(left - 1))]);
    return order;
}

void measure(const Arguments &arguments, const Trace &trace, std::vector<Run> *runs)
{
    const bool is_malloc = !arguments.malloc.empty();
    const bool is_team = arguments.threads > 1;
    const auto choice = [&](const Run &run) { return PoolChoice{run.size, arguments.cache, arguments.threads}; };
    for (Run &run : *runs) {
        if (!arguments.memory)
            continue;
        if (is_malloc)
            run.memory = malloc_memory_of(trace, arguments.threads);
        else if (is_team)
            run.memory = memory_of(trace, arguments.threads, team_memory(trace, choice(run)));
        else
            run.memory = memory_of(trace, replay_memory(trace, choice(run), arguments.pinned_below));
    }
    Random random(arguments.seed);
    for (std::size_t round = 0; arguments.time && round < arguments.rounds; round++)
        for (const std::size_t at : shuffled(runs->size(), &random)) {
            Run &run = (*runs)[at];
            run.rounds.push_back(is_team ? team_time(trace, choice(run)) : replay_time(trace, choice(run)));
        }
    for (Run &run : *runs)
        if (arguments.latency) {
            const LatencyResult result = is_team ? team_latency(trace, choice(run)) : replay_latency(trace, choice(run));
            run.latency = "{\"alloc\": " + latency_of(result.alloc) + ", \"release\": " + latency_of(result.release) +
                          ", \"clock_ns\": " + number_of(result.clock_cost) + "}";
        }
}

/* This program again, with the trace and nothing that loading it left in the heap. */
[[noreturn]] void begin_anew(const Trace &trace, int argc, char **argv)
{
    const int fd = memfd_create("trace", 0);
    if (fd < 0 || !save_trace(fd, trace))
        die(std::strerror(errno));
    std::string saved = "--saved=" + std::to_string(fd);
    std::vector<char *> arguments(argv, argv + argc);
    arguments.push_back(saved.data());
    arguments.push_back(nullptr);
    execv("/proc/self/exe", arguments.data());
    die(std::strerror(errno));
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
    using namespace bench;
    const Arguments arguments = take_arguments(argc, argv);
    if (!arguments.malloc.empty())
        malloc_prove(arguments.malloc); /* else it is only where the bufs come from */
    Trace trace;
    std::string error;
    if (arguments.saved >= 0) {
        if (!load_saved(arguments.saved, &trace))
            die("what was saved of the trace cannot be read");
    } else if (!load_trace(arguments.path, arguments.partial, arguments.scale, arguments.reserve, &trace, &error)) {
        die(error.c_str());
    } else if (!arguments.malloc.empty()) {
        begin_anew(trace, argc, argv);
    }
    std::vector<Run> runs;
    for (const std::size_t size : arguments.malloc.empty() ? arguments.sizes : std::vector<std::size_t>{0}) {
        runs.emplace_back();
        runs.back().size = size;
    }
    measure(arguments, trace, &runs);
    std::printf("{\"trace\": %s, \"malloc\": %s, \"threads\": %zu, \"processors\": %u, \"pinned_below\": %u, \"cache_limit\": %zu, "
                "\"runs\": [",
                trace_of(trace).c_str(), quoted(malloc_version()).c_str(), arguments.threads, std::thread::hardware_concurrency(),
                arguments.pinned_below, arguments.cache);
    for (std::size_t at = 0; at < runs.size(); at++)
        std::printf("%s%s", at == 0 ? "" : ",\n", run_of(runs[at]).c_str());
    std::printf("]}\n");
    return 0;
}
