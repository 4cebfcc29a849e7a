/* The events of a trace's file as they stand there. */
#ifndef BENCH_TRACE_READ_H
#define BENCH_TRACE_READ_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trace/load.h"

namespace bench
{

/* One event as it stands in the file. */
struct Raw {
    std::uint64_t time;
    std::uint64_t id;
    std::uint64_t bytes; /* of a coalesce the number of slices, whose ids follow each other */
    std::uint64_t reserve;
    std::uint32_t thread;
    std::uint32_t site;
    Kind kind;
};

/* False, and *wrong says what and where, without the file's name. Of a file that has no end, or of which a part is lost, what there
 * is is taken only with `partial`. */
bool read_trace(const std::string &path, bool partial, std::vector<Raw> *events, std::map<std::uint32_t, std::string> *sites,
                std::string *wrong);

} // namespace bench

#endif
