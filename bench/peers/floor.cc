/* The works that have a floor. That of coalesce is a loop over the same structs, filled by the same calls, that adds their sizes.
 */
#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/coalesce.h"
#include "cases/cross_thread.h"
#include "cases/frame.h"
#include "cases/live.h"
#include "cases/reader.h"
#include "cases/window.h"
#include "peers/floor_peer.h"
#include "peers/iobuf_peer.h"
#include "peers/peers.h"

namespace bench
{

namespace
{

std::string version()
{
    return "bump pointer, plain count, memcpy";
}

std::size_t add_sizes(const iobuf_slice *slices, std::size_t count)
{
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; i++)
        sum += iobuf_slice_size(&slices[i]);
    return sum;
}

void coalesce_floor(benchmark::State &state, std::size_t size)
{
    using namespace coalesce_case;
    const SourceOptions options = coalesce_options();
    const auto sets = std::make_unique<Sets<IobufPeer>>();
    IobufPeer::Source source(options);
    sets->build(source, size);
    while (state.KeepRunningBatch(kSets * kNeighbours)) {
        std::size_t sum = 0;
        for (const auto &set : sets->buffers)
            sum += add_sizes(set, opaque(kNeighbours));
        if (sum != kSets * kNeighbours * size)
            return fail(state, "the sizes do not add up");
        /* The pause, and what it does to the caches, are those of coalesce. */
        state.PauseTiming();
        sets->release();
        sets->build(source, size);
        state.ResumeTiming();
    }
    sets->release();
    report<IobufPeer>(state, static_cast<std::uint64_t>(state.iterations()) * size, options);
}

void register_cases(const Traces &traces)
{
    register_alloc_release<FloorPeer>();
    register_batch<FloorPeer>();
    register_window<FloorPeer>();
    register_live<FloorPeer>();
    register_cross_thread<FloorTwoPeer>();
    register_frame<FloorCopyPeer>(traces);
    register_reader_from_memory<FloorCopyPeer>(traces);
    for (const std::size_t size : {64u, 1024u})
        add_case<FloorPeer>(
            "coalesce", std::to_string(size), [size](benchmark::State &state) { coalesce_floor(state, size); },
            in_batches(coalesce_case::kSets * coalesce_case::kNeighbours));
}

} // namespace

extern const PeerEntry kFloorPeer;
const PeerEntry kFloorPeer = {FloorPeer::name, version, no_problem, register_cases};

} // namespace bench
