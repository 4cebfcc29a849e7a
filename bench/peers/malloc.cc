/* The works that malloc takes part in. */
#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/coalesce.h"
#include "cases/cross_thread.h"
#include "cases/frame.h"
#include "cases/live.h"
#include "cases/pool_size.h"
#include "cases/reader.h"
#include "cases/threads.h"
#include "cases/window.h"
#include "peers/malloc_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

std::string version()
{
    return malloc_version();
}

void register_cases(const Traces &traces)
{
    register_alloc_release<MallocPeer>();
    register_batch<MallocPeer>();
    register_window<MallocPeer>();
    register_cross_thread<MallocPeer>();
    register_frame<MallocPeer>(traces);
    register_coalesce<MallocPeer>();
    register_reader<MallocPeer>(traces);
    register_pool_size<MallocPeer>();
    register_live<MallocPeer>();
    register_threads<MallocPeer>();
}

} // namespace

extern const PeerEntry kMallocPeer;
const PeerEntry kMallocPeer = {MallocPeer::name, version, no_problem, register_cases};

} // namespace bench
