/* The works that the port of the Go package takes part in. */
#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/cross_thread.h"
#include "cases/window.h"
#include "peers/go_port_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

std::string version()
{
    return "after the description of v0.1.20";
}

void register_cases(const Traces &)
{
    register_alloc_release<GoPortPeer>();
    register_batch<GoPortPeer>();
    register_window<GoPortPeer>();
    register_window_bufs<GoPortPeer>();
    register_cross_thread<GoPortPeer>();
    register_cross_thread_bufs<GoPortPeer>();
}

} // namespace

extern const PeerEntry kGoPortPeer;
const PeerEntry kGoPortPeer = {GoPortPeer::name, version, no_problem, register_cases};

} // namespace bench
