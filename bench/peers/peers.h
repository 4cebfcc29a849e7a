/* The list of peers. A new competitor is one adapter file beside this one, a line here, and, if it is not always installed, a
 * condition that bench/CMakeLists.txt defines when it is.
 */
#ifndef BENCH_PEERS_PEERS_H
#define BENCH_PEERS_PEERS_H

#include "peers/iobuf_peer.h"
#include "peers/malloc_peer.h"

namespace bench
{

/* Calls `visit` with one empty value per peer, whose type is the peer. */
template <class Visit> void for_each_peer(Visit visit)
{
    visit(IobufPeer{});
    visit(MallocPeer{});
}

} // namespace bench

#endif
