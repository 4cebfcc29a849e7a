/* batch: 64 buffers of 64 to 4096 bytes are taken, then released in the order they came: one turn of an event loop. */
#ifndef BENCH_CASES_BATCH_H
#define BENCH_CASES_BATCH_H

#include "cases/cases.h"

namespace bench
{

namespace batch_case
{

constexpr std::size_t kBatch = 64;
constexpr std::size_t kTurns = 64;
constexpr std::size_t kPlan = kTurns * kBatch;

/* A turn's 133 KB are one of these and the beginning of another. */
inline SourceOptions batch_options()
{
    SourceOptions options;
    options.buf_bytes = 128 * 1024;
    return options;
}

template <class Peer> class Batch
{
  public:
    Batch()
    {
        for (std::size_t i = 0; i < kPlan; i++)
            bytes_[i / kBatch] += sizes_[i];
    }

    /* The next 64 of the plan; returns their bytes. */
    std::uint64_t take(typename Peer::Source &source)
    {
        const std::uint32_t *size = &sizes_[turn_ * kBatch];
        for (typename Peer::Buffer &buffer : buffers_) {
            Peer::alloc(source, opaque(*size++), &buffer);
            touch(Peer::data(buffer));
        }
        const std::uint64_t bytes = bytes_[turn_];
        turn_ = (turn_ + 1) % kTurns;
        return bytes;
    }

    void release()
    {
        for (typename Peer::Buffer &buffer : buffers_) {
            typename Peer::Buffer last = buffer; /* what is left behind need not be emptied, as a pointer is not after free */
            Peer::release(&last);
        }
    }

  private:
    const std::vector<std::uint32_t> sizes_ = uniform_sizes(kPlan, 64, 4096);
    std::uint64_t bytes_[kTurns] = {};
    std::size_t turn_ = 0;
    std::vector<typename Peer::Buffer> buffers_ = std::vector<typename Peer::Buffer>(kBatch);
};

template <class Peer> Held batch_held(std::size_t)
{
    auto batch = std::make_unique<Batch<Peer>>();
    typename Peer::Source source(batch_options());
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
    const SourceOptions options = batch_options();
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
