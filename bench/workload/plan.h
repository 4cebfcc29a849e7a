/* Size and lifetime distributions. Everything random is drawn here before the clock starts, from fixed seeds and with
 * arithmetic of our own, so that every peer, machine and standard library sees the same sequence. A timed loop only reads the
 * plan, front to back, and starts again at its end.
 */
#ifndef BENCH_WORKLOAD_PLAN_H
#define BENCH_WORKLOAD_PLAN_H

#include <cstdint>
#include <vector>

namespace bench
{

/* One buffer's life: it replaces what lives in `slot`, or (slot == Step::kNow) is released at once. */
struct Step {
    static constexpr std::uint16_t kNow = 0xffff;
    std::uint16_t slot;
    std::uint16_t size;
};

/* splitmix64: small, and good enough for sizes. */
class Random
{
  public:
    explicit Random(std::uint64_t seed) : state_(seed)
    {
    }
    std::uint64_t next();
    /* Uniform in [low, high]. */
    std::uint32_t between(std::uint32_t low, std::uint32_t high);
    /* Each octave of [low, high] as likely as the other: most buffers small, most bytes in the large ones. */
    std::uint32_t log_between(std::uint32_t low, std::uint32_t high);

  private:
    std::uint64_t state_;
};

/* `count` sizes, uniform in [low, high]. */
std::vector<std::uint32_t> uniform_sizes(std::size_t count, std::uint32_t low, std::uint32_t high);

/* `count` steps; each replaces a random one of `slots`. Sizes uniform in [low, high]. */
std::vector<Step> window_steps(std::size_t count, std::uint32_t slots, std::uint32_t low, std::uint32_t high);

/* What a server does: sizes log-uniform in [low, high]; `percent_now` of the buffers are released at once, the others live in a
 * random one of `slots` until the next comes. */
std::vector<Step> mixed_steps(std::size_t count, std::uint32_t slots, std::uint32_t low, std::uint32_t high, unsigned percent_now);

} // namespace bench

#endif
