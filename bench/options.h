/* The options that iobuf_bench has beside google-benchmark's. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <cstdint>
#include <string>

namespace bench
{

struct Options {
    std::string traces;           /* directory of the recorded streams */
    std::uint64_t iterations = 0; /* of every case; 0: as many as google-benchmark finds it needs */
    std::string malloc;           /* who must serve malloc, and what the malloc peer is called; empty: glibc, `malloc` */
    bool list_peers = false;
};

/* Takes this program's own options out of the arguments; the rest is google-benchmark's. Ends the program, status 2, if they are
 * wrong. */
void take_options(int *argc, char **argv);

/* As taken. Constant from then on. */
const Options &options();

/* Says what is wrong and ends the program, status 2. */
[[noreturn]] void usage(const std::string &problem);

} // namespace bench

#endif
