/* The works that iobuf takes part in. */
#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/coalesce.h"
#include "cases/cross_thread.h"
#include "cases/frame.h"
#include "cases/live.h"
#include "cases/pool_size.h"
#include "cases/pool_take.h"
#include "cases/reader.h"
#include "cases/threads.h"
#include "cases/window.h"
#include "peers/iobuf_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

std::string version()
{
    return std::to_string(IOBUF_VERSION_MAJOR) + "." + std::to_string(IOBUF_VERSION_MINOR) + "." +
           std::to_string(IOBUF_VERSION_PATCH);
}

void register_cases(const Traces &traces)
{
    register_alloc_release<IobufPeer>();
    register_batch<IobufPeer>();
    register_window<IobufPeer>();
    register_cross_thread<IobufPeer>();
    register_frame<IobufPeer>(traces);
    register_coalesce<IobufPeer>();
    register_reader<IobufPeer>(traces);
    register_pool_size<IobufPeer>();
    register_window_bufs<IobufPeer>();
    register_cross_thread_bufs<IobufPeer>();
    register_pool_take();
    register_live<IobufPeer>();
    register_threads<IobufPeer>();
}

} // namespace

extern const PeerEntry kIobufPeer;
const PeerEntry kIobufPeer = {IobufPeer::name, version, no_problem, register_cases};

} // namespace bench
