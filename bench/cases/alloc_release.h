/* alloc_release: take a buffer, write its first byte, release it. The fast path and nothing else. One pool of 16 KiB bufs serves
 * all sizes, so that 64 KiB is a buf of its own, larger than the pool's unit, as it would be in a server.
 */
#ifndef BENCH_CASES_ALLOC_RELEASE_H
#define BENCH_CASES_ALLOC_RELEASE_H

#include "cases/cases.h"

namespace bench
{

namespace alloc_release_case
{

template <class Peer> void alloc_release(benchmark::State &state, std::size_t size)
{
    SourceOptions options;
    options.largest = size;
    typename Peer::Source source(options);
    for (auto _ : state) {
        typename Peer::Buffer buffer;
        Peer::alloc(source, opaque(size), &buffer);
        touch(Peer::data(buffer));
        Peer::release(&buffer);
    }
    report<Peer>(state, static_cast<std::uint64_t>(state.iterations()) * size, options);
}

} // namespace alloc_release_case

template <class Peer> void register_alloc_release()
{
    for (const std::size_t size : {64u, 256u, 1024u, 4096u, 16384u, 65536u})
        if (size <= Peer::kLargest)
            add_case<Peer>("alloc_release", std::to_string(size),
                           [size](benchmark::State &state) { alloc_release_case::alloc_release<Peer>(state, size); });
}

} // namespace bench

#endif
