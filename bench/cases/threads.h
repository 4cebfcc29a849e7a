/* threads: `size` threads take and release buffers of 1 KiB at the same time, each from an allocator of its own, all on one pool.
 * Time and items per second are of all together: with two threads half the time is twice the work. google-benchmark starts the
 * clock when all threads have come to the loop.
 */
#ifndef BENCH_CASES_THREADS_H
#define BENCH_CASES_THREADS_H

#include "cases/cases.h"

namespace bench
{

namespace threads_case
{

constexpr std::size_t kBytes = 1024;

/* The pool's first source, which the threads' own sources share; there as long as they run. */
template <class Peer> std::unique_ptr<typename Peer::Source> shared;

template <class Peer> void threads(benchmark::State &state)
{
    const SourceOptions options;
    typename Peer::Source source(options, *shared<Peer>);
    for (auto _ : state) {
        typename Peer::Buffer buffer;
        Peer::alloc(source, opaque(kBytes), &buffer);
        touch(Peer::data(buffer));
        Peer::release(&buffer);
    }
    state.SetItemsProcessed(state.iterations());
    report<Peer>(state, static_cast<std::uint64_t>(state.iterations()) * kBytes, options);
}

template <class Peer> void set_up(const benchmark::State &)
{
    shared<Peer> = std::make_unique<typename Peer::Source>(SourceOptions());
}

template <class Peer> void tear_down(const benchmark::State &)
{
    shared<Peer>.reset();
}

} // namespace threads_case

template <class Peer> void register_threads()
{
    for (const int count : {1, 2}) {
        HowToRun how = on_the_clock(1, count);
        how.set_up = threads_case::set_up<Peer>;
        how.tear_down = threads_case::tear_down<Peer>;
        add_case<Peer>("threads", std::to_string(count), threads_case::threads<Peer>, how);
    }
}

} // namespace bench

#endif
