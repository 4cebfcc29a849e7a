/* Which peers are compiled in: see peers.h. */
#include "peers/peers.h"

namespace bench
{

#if IOBUF_BENCH_DPDK
extern const PeerEntry kDpdkPeer;
#endif
extern const PeerEntry kFloorPeer;
extern const PeerEntry kGoPortPeer;
extern const PeerEntry kIobufPeer;
extern const PeerEntry kIobufSoPeer;
#if IOBUF_BENCH_LIBEVENT
extern const PeerEntry kLibeventPeer;
#endif
extern const PeerEntry kMallocPeer;

const std::vector<const PeerEntry *> &all_peers()
{
    static const std::vector<const PeerEntry *> peers = {
        &kIobufPeer,
        &kIobufSoPeer,
        &kMallocPeer,
        &kFloorPeer,
        &kGoPortPeer,
#if IOBUF_BENCH_LIBEVENT
        &kLibeventPeer,
#endif
#if IOBUF_BENCH_DPDK
        &kDpdkPeer,
#endif
    };
    return peers;
}

} // namespace bench
