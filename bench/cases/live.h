/* live: `size` buffers of 64 bytes live; each step a random one is released and replaced. The step is that of window, so that
 * what grows with the number is what the number costs: the floor shows how much of it is the program's own array and the cache.
 */
#ifndef BENCH_CASES_LIVE_H
#define BENCH_CASES_LIVE_H

#include "cases/cases.h"

namespace bench
{

namespace live_case
{

constexpr std::size_t kBytes = 64;
constexpr std::size_t kPlan = 1024 * 1024;

/* Twice as many draws would not touch many more of a million; read front to back like every plan. */
inline const std::vector<std::uint32_t> &draws()
{
    static const std::vector<std::uint32_t> drawn = uniform_sizes(kPlan, 0, 0xffffffff);
    return drawn;
}

template <class Peer> class Live
{
  public:
    explicit Live(std::uint32_t count) : buffers_(count), source_(SourceOptions())
    {
        for (typename Peer::Buffer &buffer : buffers_) {
            Peer::alloc(source_, kBytes, &buffer);
            touch(Peer::data(buffer));
        }
    }
    ~Live()
    {
        for (typename Peer::Buffer &buffer : buffers_)
            Peer::release(&buffer);
    }
    Live(const Live &) = delete;
    Live &operator=(const Live &) = delete;

    void step(std::size_t turn)
    {
        /* A draw becomes a slot by multiplication, which costs all counts the same. */
        const std::uint64_t slot = (std::uint64_t{draws_[turn % kPlan]} * buffers_.size()) >> 32;
        typename Peer::Buffer &buffer = buffers_[slot];
        Peer::release(&buffer);
        Peer::alloc(source_, opaque(kBytes), &buffer);
        touch(Peer::data(buffer));
    }

  private:
    const std::uint32_t *const draws_ = draws().data();
    std::vector<typename Peer::Buffer> buffers_;
    typename Peer::Source source_;
};

template <class Peer> void live(benchmark::State &state, std::uint32_t count)
{
    Live<Peer> live(count);
    std::size_t turn = 0;
    while (turn < kPlan / 8 + count)
        live.step(turn++);
    for (auto _ : state)
        live.step(turn++);
    report<Peer>(state, static_cast<std::uint64_t>(state.iterations()) * kBytes, SourceOptions());
}

} // namespace live_case

template <class Peer> void register_live()
{
    for (const std::uint32_t count : {1000u, 4096u, 1000000u})
        add_case<Peer>("live", std::to_string(count), [count](benchmark::State &state) { live_case::live<Peer>(state, count); });
}

} // namespace bench

#endif
