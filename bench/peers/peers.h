/* The list of peers. A new competitor is one adapter file beside this one, a source file that registers the works it takes part
 * in, a line in peers.cc, and, if it is not always installed, a condition that bench/CMakeLists.txt defines when it is.
 *
 * Each peer is compiled on its own, since some need compiler flags that no other must get.
 */
#ifndef BENCH_PEERS_PEERS_H
#define BENCH_PEERS_PEERS_H

#include <string>
#include <vector>

namespace bench
{

struct Traces;

struct PeerEntry {
    const char *(*name)();
    std::string (*version)();
    /* Why the peer cannot run here, or "". Leaves nothing behind that other peers would notice. */
    std::string (*problem)();
    void (*register_cases)(const Traces &);
};

/* All that are compiled in, whether they can run or not. */
const std::vector<const PeerEntry *> &all_peers();

/* For a peer that can run anywhere. */
inline std::string no_problem()
{
    return "";
}

} // namespace bench

#endif
