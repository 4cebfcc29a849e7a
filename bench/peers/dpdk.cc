/* Starts DPDK for dpdk_peer.h, makes its pools, and registers the works. Compiled with the flags that DPDK's headers need. */
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/cross_thread.h"
#include "cases/frame.h"
#include "cases/window.h"
#include "peers/dpdk_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

/* For window's 4096 live and what the caches keep; the large ones are for one buffer at a time. Powers of two less one suit the
 * pool's ring best. */
constexpr unsigned kMbufs = 8191;
constexpr unsigned kLargeMbufs = 1023;
constexpr unsigned kCache = 256;

/* False, and rte_errno says why, if it cannot. */
bool start_dpdk()
{
    static char program[] = "iobuf_bench";
    static char no_huge[] = "--no-huge";
    static char no_pci[] = "--no-pci";
    static char no_shared[] = "--no-shconf";
    static char no_telemetry[] = "--no-telemetry";
    static char quiet[] = "--log-level=1";
    static char memory[] = "-m256"; /* MB, for all pools; taken from the kernel page by page */
    static char cpu[32];
    std::snprintf(cpu, sizeof cpu, "-l%d", sched_getcpu());
    char *arguments[] = {program, no_huge, no_pci, no_shared, no_telemetry, quiet, memory, cpu, nullptr};
    cpu_set_t allowed;
    const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    const bool started = rte_eal_init(8, arguments) >= 0;
    /* It ties the thread to one processor, and every thread that this one starts later. */
    if (known)
        sched_setaffinity(0, sizeof allowed, &allowed);
    return started;
}

rte_mempool *new_pool(std::size_t largest)
{
    const std::string name = "bench_" + std::to_string(largest);
    const std::size_t room = largest + RTE_PKTMBUF_HEADROOM;
    rte_mempool *const pool = rte_pktmbuf_pool_create(name.c_str(), largest <= 4096 ? kMbufs : kLargeMbufs, kCache, 0,
                                                      static_cast<std::uint16_t>(room), SOCKET_ID_ANY);
    if (pool == nullptr)
        die("dpdk: no pool");
    return pool;
}

/* Tries it in a child, so that a process which measures other peers alone does not have DPDK's thread. */
std::string problem()
{
    const pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == nullptr || freopen("/dev/null", "w", stderr) == nullptr)
            _exit(1);
        _exit(start_dpdk() ? 0 : 1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        return "rte_eal_init fails here";
    return "";
}

std::string version()
{
    return rte_version();
}

void register_cases(const Traces &traces)
{
    register_alloc_release<DpdkPeer>();
    register_batch<DpdkPeer>();
    register_window<DpdkPeer>();
    register_cross_thread<DpdkPeer>();
    register_frame<DpdkPeer>(traces);
}

} // namespace

void DpdkPeer::start()
{
    static const bool started = start_dpdk();
    if (!started)
        die("dpdk: rte_eal_init failed");
}

rte_mempool *DpdkPeer::pool_for(std::size_t largest)
{
    static std::map<std::size_t, rte_mempool *> pools;
    start();
    for (const std::size_t room : {std::size_t{2048}, std::size_t{4096}, std::size_t{16384}, kLargest}) {
        if (largest > room)
            continue;
        rte_mempool *&pool = pools[room];
        if (pool == nullptr)
            pool = new_pool(room);
        return pool;
    }
    die("dpdk: no mbuf is that large");
}

extern const PeerEntry kDpdkPeer;
const PeerEntry kDpdkPeer = {DpdkPeer::name, version, problem, register_cases};

} // namespace bench
