/* Which peers are compiled in: see peers.h. */
#include "peers/peers.h"

namespace bench
{

extern const PeerEntry kIobufPeer;
extern const PeerEntry kMallocPeer;

const std::vector<const PeerEntry *> &all_peers()
{
    static const std::vector<const PeerEntry *> peers = {
        &kIobufPeer,
        &kMallocPeer,
    };
    return peers;
}

} // namespace bench
