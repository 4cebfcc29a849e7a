/* A trace in memory, ready to be replayed: events of all threads in one order, ids replaced by slots that are used again once
 * they are free. Whatever is wrong with a trace is found here, before anything is measured, and ends in one line.
 */
#ifndef BENCH_TRACE_LOAD_H
#define BENCH_TRACE_LOAD_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trace/trace.h"

namespace bench
{

struct Event {
    std::uint64_t time;   /* ns since the trace's start */
    std::uint64_t bytes;  /* of an alloc, truncate, expand */
    std::uint32_t slot;   /* the slice; of a coalesce where its slots begin in Trace::groups */
    std::uint32_t source; /* of an alloc: index in Trace::sources; of a coalesce the number of slots; of a release whether
                           * another thread than the one that allocated had a part in the slice */
    std::uint32_t site;   /* of an alloc: number of the call site, 0 if it was not recorded */
    enum trace_kind kind; /* no handover: the release names its thread */
};

/* What one allocator serves: the slices of one thread that have the same reserve. */
struct Source {
    std::uint32_t thread;
    std::size_t reserve;
};

struct Trace {
    std::vector<Event> events;
    std::vector<std::uint32_t> groups;
    std::vector<Source> sources;
    std::map<std::uint32_t, std::string> sites;
    std::vector<std::uint64_t> octaves; /* how many slices have 2^k to 2^(k+1) - 1 bytes; size 0 counts with 1 */
    std::size_t slots = 0;
    std::size_t threads = 0;
    std::size_t largest = 0; /* bytes of the largest slice with its reserve */
    std::size_t allocs = 0;
    std::size_t peak_live = 0;
    std::uint64_t duration = 0; /* ns */
};

/* Half of the traffic: of each two lives (slices that are coalesced with each other are one) one is left out, by a hash of its
 * number. Double: the trace and a copy of it that begins 1/64 of its duration later, on the same threads. */
enum class Scale { kSame, kHalf, kDouble };

/* More may not live at once: no pool is tuned for that, and a figure out of a broken file must not eat the machine. */
constexpr std::uint64_t kMostLive = std::uint64_t{1} << 32;

/* False, and *error is one line that names the file and the place. `partial` takes what can be read of it. `reserve` replaces
 * every slice's own, unless it is SIZE_MAX. */
bool load_trace(const std::string &path, bool partial, Scale scale, std::size_t reserve, Trace *trace, std::string *error);

/* What a replay needs of it, to and from a file descriptor, so that a process can begin with a trace and nothing else in its heap:
 * what a malloc holds is judged by how it grows, and what loading left free would be used up first. False: errno says why. */
bool save_trace(int fd, const Trace &trace);
bool load_saved(int fd, Trace *trace);

} // namespace bench

#endif
