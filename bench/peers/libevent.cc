/* The works that libevent takes part in. */
#include <event2/event.h>

#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/coalesce.h"
#include "cases/cross_thread.h"
#include "cases/frame.h"
#include "cases/reader.h"
#include "cases/window.h"
#include "peers/libevent_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

std::string version()
{
    return event_get_version();
}

void register_cases(const Traces &traces)
{
    register_alloc_release<LibeventPeer>();
    register_batch<LibeventPeer>();
    register_window<LibeventPeer>();
    register_cross_thread<LibeventPeer>();
    register_frame<LibeventPeer>(traces);
    register_coalesce<LibeventPeer>();
    register_reader<LibeventPeer>(traces);
}

} // namespace

extern const PeerEntry kLibeventPeer;
const PeerEntry kLibeventPeer = {LibeventPeer::name, version, no_problem, register_cases};

} // namespace bench
