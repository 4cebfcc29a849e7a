/* cross_thread: one thread takes buffers and writes to them, another reads and releases them, over a bounded ring. The second
 * thread runs before the clock starts and ends after it has stopped. The clock stops only when every buffer of a round has been
 * released, so that no work is left uncounted; a round is long against the ring. Time is the wall clock's, as the name's end,
 * /real_time, says: the processor time of one thread says little about two.
 * cross_thread_bufs/peer/size hands over buffers of 1 KiB from bufs of `size` bytes.
 */
#ifndef BENCH_CASES_CROSS_THREAD_H
#define BENCH_CASES_CROSS_THREAD_H

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "cases/cases.h"
#include "workload/ring.h"

namespace bench
{

namespace cross_thread_case
{

constexpr std::size_t kRing = 1024;
constexpr std::size_t kRound = 16 * kRing;
constexpr std::size_t kSizeInBufs = 1024;   /* of the buffers of cross_thread_bufs */
constexpr std::size_t kWarmUp = 2 * kRound; /* both threads are awake, and no peer needs new memory */

/* The thread that releases. Gated, it holds still while `gate` is closed, so that memory can be counted at a full ring. */
template <class Peer, bool kGated> class Consumer
{
  public:
    Consumer()
    {
        while (!ready_.load(std::memory_order_acquire)) /* pairs with the release at the start of run */
            sched_yield();
    }
    ~Consumer()
    {
        stop_.store(true, std::memory_order_release); /* pairs with the acquire in run; the ring was drained */
        thread_.join();
    }
    Consumer(const Consumer &) = delete;
    Consumer &operator=(const Consumer &) = delete;

    std::size_t room(typename Peer::Buffer **first)
    {
        return ring_.room(first);
    }
    void show(std::size_t count)
    {
        ring_.show(count);
    }
    void gate(bool closed)
    {
        gate_.store(closed, std::memory_order_relaxed);
    }
    std::uint64_t released() const
    {
        return released_.load(std::memory_order_acquire);
    }

  private:
    void run()
    {
        typename Peer::Thread thread;
        escape(&thread);
        /* A thread's first call makes it known to malloc, which may give it an arena: part of starting it. */
        void *first = std::malloc(1);
        escape(first);
        std::free(first);
        ready_.store(true, std::memory_order_release);
        std::uint64_t count = 0;
        Backoff backoff;
        for (;;) {
            const typename Peer::Buffer *at = nullptr;
            const std::size_t filled = kGated && gate_.load(std::memory_order_relaxed) ? 0 : ring_.filled(&at);
            if (filled != 0) {
                for (const typename Peer::Buffer *const end = at + filled; at != end; at++) {
                    typename Peer::Buffer buffer = *at;
                    look(Peer::data(buffer));
                    Peer::release(&buffer);
                }
                ring_.done(filled);
                backoff = Backoff();
                count += filled;
                continue;
            }
            released_.store(count, std::memory_order_release); /* pairs with released(): only an idle consumer says so */
            if (stop_.load(std::memory_order_acquire))
                return;
            backoff.wait();
        }
    }

    Ring<typename Peer::Buffer, kRing> ring_;
    alignas(64) std::atomic<std::uint64_t> released_{0};
    alignas(64) std::atomic<bool> ready_{false};
    std::atomic<bool> stop_{false};
    std::atomic<bool> gate_{false};
    std::thread thread_{[this] { run(); }};
};

template <class Peer, bool kGated>
void produce(typename Peer::Source &source, Consumer<Peer, kGated> &consumer, std::size_t count, std::size_t size)
{
    while (count != 0) {
        typename Peer::Buffer *at = nullptr;
        std::size_t room = 0;
        for (Backoff backoff; (room = consumer.room(&at)) == 0;)
            backoff.wait();
        room = std::min(room, count);
        for (typename Peer::Buffer *const end = at + room; at != end; at++) {
            Peer::alloc(source, opaque(size), at);
            touch(Peer::data(*at));
        }
        consumer.show(room);
        count -= room;
    }
}

template <class Peer, bool kGated> void drain(const Consumer<Peer, kGated> &consumer, std::uint64_t pushed)
{
    for (Backoff backoff; consumer.released() != pushed;)
        backoff.wait();
}

/* Large: there are many in the ring at a time, first in, first out, and each buf goes from thread to thread and back. */
constexpr std::size_t buf_bytes_for(std::size_t size)
{
    return std::max<std::size_t>(16 * 1024, 128 * size);
}

inline SourceOptions cross_thread_options(std::size_t size, std::size_t buf_bytes)
{
    SourceOptions options;
    options.buf_bytes = buf_bytes;
    options.largest = size;
    return options;
}

/* At a full ring, after the two threads have run freely for a while. */
template <class Peer> Held held_at_full_ring(std::size_t size, std::size_t buf_bytes)
{
    Peer::start();
    Consumer<Peer, true> consumer;
    typename Peer::Source source(cross_thread_options(size, buf_bytes));
    produce(source, consumer, kWarmUp, size);
    drain(consumer, kWarmUp);
    consumer.gate(true);
    produce(source, consumer, kRing, size);
    const Held held = {static_cast<double>(source.held_bytes()), static_cast<double>(kRing * size)};
    consumer.gate(false);
    drain(consumer, kWarmUp + kRing);
    return held;
}

template <class Peer> Held held_of_size(std::size_t size)
{
    return held_at_full_ring<Peer>(size, buf_bytes_for(size));
}

template <class Peer> Held held_of_bufs(std::size_t buf_bytes)
{
    return held_at_full_ring<Peer>(kSizeInBufs, buf_bytes);
}

template <class Peer> void cross_thread(benchmark::State &state, std::size_t size, const SourceOptions &options)
{
    Peer::start();
    Consumer<Peer, false> consumer;
    typename Peer::Source source(options);
    produce(source, consumer, kWarmUp, size);
    std::uint64_t pushed = kWarmUp;
    drain(consumer, pushed);
    while (state.KeepRunningBatch(kRound)) {
        produce(source, consumer, kRound, size);
        pushed += kRound;
        drain(consumer, pushed);
    }
    report<Peer>(state, (pushed - kWarmUp) * size, options);
}

} // namespace cross_thread_case

template <class Peer> void register_cross_thread()
{
    const HowToRun how = on_the_clock(cross_thread_case::kRound);
    for (const std::size_t size : {64u, 1024u})
        add_case<Peer>(
            "cross_thread", std::to_string(size),
            [size](benchmark::State &state) {
                cross_thread_case::cross_thread<Peer>(
                    state, size, cross_thread_case::cross_thread_options(size, cross_thread_case::buf_bytes_for(size)));
                report_held<Peer>(state, cross_thread_case::held_of_size<Peer>, size);
            },
            how);
}

/* The same over bufs of several sizes, for peers that have them. */
template <class Peer> void register_cross_thread_bufs()
{
    constexpr std::size_t size = cross_thread_case::kSizeInBufs;
    for (const std::size_t buf_bytes : {4096u, 16384u, 65536u, 262144u})
        add_case<Peer>(
            "cross_thread_bufs", std::to_string(buf_bytes),
            [buf_bytes](benchmark::State &state) {
                cross_thread_case::cross_thread<Peer>(state, size, cross_thread_case::cross_thread_options(size, buf_bytes));
                report_held<Peer>(state, cross_thread_case::held_of_bufs<Peer>, buf_bytes);
            },
            on_the_clock(cross_thread_case::kRound));
}

} // namespace bench

#endif
