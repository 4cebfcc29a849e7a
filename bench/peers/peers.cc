/* Which peers are compiled in: see peers.h. */
#include "peers/peers.h"

namespace bench
{

extern const PeerEntry kFloorPeer;
extern const PeerEntry kGoPortPeer;
extern const PeerEntry kIobufPeer;
extern const PeerEntry kIobufSoPeer;
extern const PeerEntry kMallocPeer;

const std::vector<const PeerEntry *> &all_peers()
{
    static const std::vector<const PeerEntry *> peers = {
        &kIobufPeer, &kIobufSoPeer, &kMallocPeer, &kFloorPeer, &kGoPortPeer,
    };
    return peers;
}

} // namespace bench
