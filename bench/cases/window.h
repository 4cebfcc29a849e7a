/* window: 4096 buffers of 16 to 2048 bytes live; each step a random one is released and replaced. Lifetimes are as mixed as they
 * get, which is the worst for whoever cuts many slices off one buf: see held_per_live beside the time. window_bufs/peer/size is the
 * same with bufs of `size` bytes.
 */
#ifndef BENCH_CASES_WINDOW_H
#define BENCH_CASES_WINDOW_H

#include "cases/cases.h"

namespace bench
{

namespace window_case
{

constexpr std::uint32_t kLive = 4096;
constexpr std::uint32_t kLargest = 2048;
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

    void step(std::size_t turn)
    {
        const Step &step = steps_[turn % kPlan];
        typename Peer::Buffer &buffer = buffers_[step.slot];
        typename Peer::Buffer last = buffer; /* its place is taken at once, and need not be emptied */
        Peer::release(&last);
        Peer::alloc(source_, opaque(step.size), &buffer);
        touch(Peer::data(buffer));
    }

    /* Of the buffers that so many steps from `first` on take. */
    std::uint64_t bytes(std::size_t first, std::uint64_t count) const
    {
        std::uint64_t of_plan = 0, of_rest = 0;
        for (std::size_t i = 0; i < kPlan; i++) {
            const std::uint64_t size = steps_[(first + i) % kPlan].size;
            of_plan += size;
            of_rest += i < count % kPlan ? size : 0;
        }
        return count / kPlan * of_plan + of_rest;
    }

    Held held() const
    {
        Held held = {static_cast<double>(source_.held_bytes()), 0};
        for (const typename Peer::Buffer &buffer : buffers_)
            held.live += static_cast<double>(Peer::size(buffer));
        return held;
    }

  private:
    const std::vector<Step> steps_ = window_steps(kPlan, kLive, 16, kLargest);
    std::vector<typename Peer::Buffer> buffers_ = std::vector<typename Peer::Buffer>(kLive);
    typename Peer::Source source_; /* last, since it counts what is allocated after it */
};

/* Small: a buf is held by its last slice, and lives here are as mixed as they get. */
constexpr std::size_t kBufBytes = 16 * 1024;

inline SourceOptions window_options(std::size_t buf_bytes)
{
    SourceOptions options;
    options.buf_bytes = buf_bytes;
    options.largest = kLargest;
    return options;
}

template <class Peer> Held window_held(std::size_t buf_bytes)
{
    Window<Peer> window(window_options(buf_bytes));
    for (std::size_t turn = 0; turn < 500000; turn++)
        window.step(turn);
    return window.held();
}

template <class Peer> void window(benchmark::State &state, std::size_t buf_bytes)
{
    const SourceOptions options = window_options(buf_bytes);
    Window<Peer> window(options);
    std::size_t turn = 0;
    while (turn < kWarmUp)
        window.step(turn++);
    for (auto _ : state)
        window.step(turn++);
    report<Peer>(state, window.bytes(kWarmUp, turn - kWarmUp), options);
    report_held<Peer>(state, window_held<Peer>, buf_bytes);
}

} // namespace window_case

template <class Peer> void register_window()
{
    add_case<Peer>("window", "mixed", [](benchmark::State &state) { window_case::window<Peer>(state, window_case::kBufBytes); });
}

/* The same over bufs of several sizes, for peers that have them. */
template <class Peer> void register_window_bufs()
{
    for (const std::size_t buf_bytes : {4096u, 16384u, 65536u, 262144u})
        add_case<Peer>("window_bufs", std::to_string(buf_bytes),
                       [buf_bytes](benchmark::State &state) { window_case::window<Peer>(state, buf_bytes); });
}

} // namespace bench

#endif
