/* batch: 64 buffers of 64 to 4096 bytes are taken, then released in the order they came: one turn of an event loop. */
#ifndef BENCH_CASES_BATCH_H
#define BENCH_CASES_BATCH_H

#include "cases/cases.h"

namespace bench
{

namespace batch_case
{

constexpr std::size_t kBatch = 64;
constexpr std::size_t kPlan = 64 * kBatch;

template <class Peer> class Batch
{
  public:
    /* The next 64 of the plan; returns their bytes. */
    std::uint64_t take(typename Peer::Source &source)
    {
        std::uint64_t bytes = 0;
        const std::uint32_t *next = &sizes_[at_];
        for (typename Peer::Buffer &buffer : buffers_) {
            const std::size_t size = opaque(*next++);
            Peer::alloc(source, size, &buffer);
            touch(Peer::data(buffer));
            bytes += size;
        }
        at_ = (at_ + kBatch) % kPlan;
        return bytes;
    }

    void release()
    {
        for (typename Peer::Buffer &buffer : buffers_)
            Peer::release(&buffer);
    }

  private:
    std::vector<std::uint32_t> sizes_ = uniform_sizes(kPlan, 64, 4096);
    std::size_t at_ = 0;
    typename Peer::Buffer buffers_[kBatch];
};

template <class Peer> Held batch_held(std::size_t)
{
    auto batch = std::make_unique<Batch<Peer>>();
    typename Peer::Source source{SourceOptions()};
    Held sum = {0, 0};
    for (unsigned turn = 0; turn < 1000; turn++) {
        sum.live += static_cast<double>(batch->take(source));
        sum.held += static_cast<double>(source.held_bytes());
        batch->release();
    }
    return sum;
}

template <class Peer> void batch(benchmark::State &state)
{
    const SourceOptions options;
    Batch<Peer> batch;
    typename Peer::Source source(options);
    std::uint64_t bytes = 0;
    while (state.KeepRunningBatch(kBatch)) {
        bytes += batch.take(source);
        batch.release();
    }
    report<Peer>(state, bytes, options);
    report_held<Peer>(state, batch_held<Peer>, 0);
}

} // namespace batch_case

template <class Peer> void register_batch()
{
    add_case<Peer>("batch", "mixed", batch_case::batch<Peer>, in_batches(batch_case::kBatch));
}

} // namespace bench

#endif
