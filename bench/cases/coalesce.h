/* coalesce: 1000 neighbours become as few buffers as 64 KiB each allow. Timed is the joining alone: what it costs to have the
 * bytes in one piece, which for malloc means a new block, the copy, and freeing the pieces. Bufs are 64 KiB here, since slices of
 * different bufs are never neighbours. Several sets are built per pause of the clock, so that the pause itself does not show.
 */
#ifndef BENCH_CASES_COALESCE_H
#define BENCH_CASES_COALESCE_H

#include "cases/cases.h"

namespace bench
{

namespace coalesce_case
{

constexpr std::size_t kNeighbours = 1000;
constexpr std::size_t kSets = 4;
constexpr std::size_t kMaxSize = 64 * 1024;

inline SourceOptions coalesce_options()
{
    SourceOptions options;
    options.buf_bytes = kMaxSize;
    return options;
}

template <class Peer> struct Sets {
    typename Peer::Buffer buffers[kSets][kNeighbours];
    std::size_t counts[kSets];

    /* Filled whole: what is joined is data, not address space. */
    void build(typename Peer::Source &source, std::size_t size)
    {
        for (std::size_t set = 0; set < kSets; set++) {
            for (std::size_t i = 0; i < kNeighbours; i++) {
                Peer::alloc(source, size, &buffers[set][i]);
                std::memset(Peer::data(buffers[set][i]), static_cast<int>(i * 7 + set), size);
            }
            counts[set] = kNeighbours;
        }
    }

    void join(typename Peer::Source &source)
    {
        for (std::size_t set = 0; set < kSets; set++)
            counts[set] = Peer::join(source, buffers[set], kNeighbours, opaque(kMaxSize));
        escape(this);
    }

    void release()
    {
        for (std::size_t set = 0; set < kSets; set++)
            for (std::size_t i = 0; i < counts[set]; i++)
                Peer::release(&buffers[set][i]);
    }
};

/* Whether what comes out is what went in, in order, in pieces within the limit and fewer by far. */
template <class Peer> bool joins_right(typename Peer::Source &source, Sets<Peer> &sets, std::size_t size)
{
    std::uint64_t expected = kChecksumSeed;
    std::uint64_t joined = kChecksumSeed;
    bool fits = true;
    sets.build(source, size);
    for (const auto &set : sets.buffers)
        for (const auto &buffer : set)
            expected = checksum(expected, Peer::data(buffer), Peer::size(buffer));
    sets.join(source);
    for (std::size_t set = 0; set < kSets; set++) {
        fits = fits && sets.counts[set] <= 2 + kNeighbours * size / (kMaxSize - size);
        for (std::size_t i = 0; i < sets.counts[set]; i++) {
            const auto &buffer = sets.buffers[set][i];
            joined = checksum(joined, Peer::data(buffer), Peer::size(buffer));
            fits = fits && Peer::size(buffer) <= kMaxSize;
        }
    }
    sets.release();
    return fits && joined == expected;
}

template <class Peer> void coalesce(benchmark::State &state, std::size_t size)
{
    const SourceOptions options = coalesce_options();
    const auto sets = std::make_unique<Sets<Peer>>();
    typename Peer::Source source(options);
    if (!joins_right<Peer>(source, *sets, size))
        return fail(state, "the joined bytes are not the neighbours' bytes");
    sets->build(source, size);
    while (state.KeepRunningBatch(kSets * kNeighbours)) {
        sets->join(source);
        state.PauseTiming();
        sets->release();
        sets->build(source, size);
        state.ResumeTiming();
    }
    sets->release();
    report<Peer>(state, static_cast<std::uint64_t>(state.iterations()) * size, options);
}

} // namespace coalesce_case

template <class Peer> void register_coalesce()
{
    for (const std::size_t size : {64u, 1024u})
        add_case<Peer>(
            "coalesce", std::to_string(size), [size](benchmark::State &state) { coalesce_case::coalesce<Peer>(state, size); },
            in_batches(coalesce_case::kSets * coalesce_case::kNeighbours));
}

} // namespace bench

#endif
