/* pool_size: one mixed work over bufs of 1 KiB to 1 MiB, to see what the size of the bufs does to time and memory. Buffers are 64
 * bytes to 16 KiB, small ones likelier; two thirds are released at once, the others live in one of 512 slots until a random later
 * one takes their place. malloc has no bufs: its one case, size 0, is the line to compare with.
 */
#ifndef BENCH_CASES_POOL_SIZE_H
#define BENCH_CASES_POOL_SIZE_H

#include "cases/cases.h"

namespace bench
{

namespace pool_size_case
{

constexpr std::uint32_t kSlots = 512;
constexpr std::size_t kPlan = 16 * 1024;
/* Steps before the clock starts, until no peer needs new memory. */
constexpr std::size_t kWarmUp = 4 * kPlan;
constexpr std::size_t kSmallestBuf = 1024;
constexpr std::size_t kLargestBuf = 1024 * 1024;

template <class Peer> class Mix
{
  public:
    explicit Mix(const SourceOptions &options) : source_(options)
    {
        for (typename Peer::Buffer &buffer : buffers_)
            Peer::alloc(source_, 64, &buffer);
    }
    ~Mix()
    {
        for (typename Peer::Buffer &buffer : buffers_)
            Peer::release(&buffer);
    }
    Mix(const Mix &) = delete;
    Mix &operator=(const Mix &) = delete;

    /* Returns the bytes of the new buffer. */
    std::size_t step(std::size_t turn)
    {
        const Step step = steps_[turn % kPlan];
        const std::size_t size = opaque(step.size);
        typename Peer::Buffer buffer;
        Peer::alloc(source_, size, &buffer);
        touch(Peer::data(buffer));
        if (step.slot != Step::kNow)
            std::swap(buffer, buffers_[step.slot]);
        Peer::release(&buffer);
        return size;
    }

    Held held() const
    {
        Held held = {static_cast<double>(source_.held_bytes()), 0};
        for (const typename Peer::Buffer &buffer : buffers_)
            held.live += static_cast<double>(Peer::size(buffer));
        return held;
    }

  private:
    const std::vector<Step> steps_ = mixed_steps(kPlan, kSlots, 64, 16 * 1024, 67);
    std::vector<typename Peer::Buffer> buffers_ = std::vector<typename Peer::Buffer>(kSlots);
    typename Peer::Source source_; /* last, since it counts what is allocated after it */
};

inline SourceOptions pool_options(std::size_t buf_bytes)
{
    SourceOptions options;
    options.buf_bytes = buf_bytes;
    return options;
}

template <class Peer> Held pool_size_held(std::size_t buf_bytes)
{
    Mix<Peer> mix(pool_options(buf_bytes));
    for (std::size_t turn = 0; turn < 200000; turn++)
        mix.step(turn);
    return mix.held();
}

template <class Peer> void pool_size(benchmark::State &state, std::size_t buf_bytes)
{
    const SourceOptions options = pool_options(buf_bytes);
    Mix<Peer> mix(options);
    std::uint64_t bytes = 0;
    std::size_t turn = 0;
    while (turn < kWarmUp)
        mix.step(turn++);
    for (auto _ : state)
        bytes += mix.step(turn++);
    report<Peer>(state, bytes, options);
    report_held<Peer>(state, pool_size_held<Peer>, buf_bytes);
}

} // namespace pool_size_case

template <class Peer> void register_pool_size()
{
    const std::size_t first = Peer::kHasBufs ? pool_size_case::kSmallestBuf : 0;
    const std::size_t last = Peer::kHasBufs ? pool_size_case::kLargestBuf : 0;
    for (std::size_t size = first; size <= last; size = size == 0 ? 1 : size * 2)
        add_case<Peer>("pool_size", std::to_string(size),
                       [size](benchmark::State &state) { pool_size_case::pool_size<Peer>(state, size); });
}

} // namespace bench

#endif
