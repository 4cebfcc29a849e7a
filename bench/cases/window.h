/* window: 4096 buffers of 16 to 2048 bytes live; each step a random one is released and replaced. Lifetimes are as mixed as they
 * get, which is the worst for whoever cuts many slices off one buf: see held_per_live beside the time.
 */
#ifndef BENCH_CASES_WINDOW_H
#define BENCH_CASES_WINDOW_H

#include "cases/cases.h"

namespace bench
{

namespace window_case
{

constexpr std::uint32_t kLive = 4096;
constexpr std::size_t kPlan = 32 * 1024;
/* Steps before the clock starts, until no peer needs new memory: the kernel's first touch of a page costs more than all else. */
constexpr std::size_t kWarmUp = 2 * kPlan;

template <class Peer> class Window
{
  public:
    explicit Window(const SourceOptions &options) : source_(options)
    {
        for (std::size_t i = 0; i < kLive; i++) {
            Peer::alloc(source_, steps_[i].size, &buffers_[i]);
            touch(Peer::data(buffers_[i]));
        }
    }
    ~Window()
    {
        for (typename Peer::Buffer &buffer : buffers_)
            Peer::release(&buffer);
    }
    Window(const Window &) = delete;
    Window &operator=(const Window &) = delete;

    /* Returns the bytes of the new buffer. */
    std::size_t step(std::size_t turn)
    {
        const Step step = steps_[turn % kPlan];
        typename Peer::Buffer &buffer = buffers_[step.slot];
        Peer::release(&buffer);
        const std::size_t size = opaque(step.size);
        Peer::alloc(source_, size, &buffer);
        touch(Peer::data(buffer));
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
    const std::vector<Step> steps_ = window_steps(kPlan, kLive, 16, 2048);
    std::vector<typename Peer::Buffer> buffers_ = std::vector<typename Peer::Buffer>(kLive);
    typename Peer::Source source_; /* last, since it counts what is allocated after it */
};

template <class Peer> Held window_held(std::size_t)
{
    Window<Peer> window{SourceOptions()};
    for (std::size_t turn = 0; turn < 500000; turn++)
        window.step(turn);
    return window.held();
}

template <class Peer> void window(benchmark::State &state)
{
    const SourceOptions options;
    Window<Peer> window(options);
    std::uint64_t bytes = 0;
    std::size_t turn = 0;
    while (turn < kWarmUp)
        window.step(turn++);
    for (auto _ : state)
        bytes += window.step(turn++);
    report<Peer>(state, bytes, options);
    report_held<Peer>(state, window_held<Peer>, 0);
}

} // namespace window_case

template <class Peer> void register_window()
{
    add_case<Peer>("window", "mixed", window_case::window<Peer>);
}

} // namespace bench

#endif
