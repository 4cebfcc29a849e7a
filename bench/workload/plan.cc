/* The draws behind plan.h. Seeds are constants of this file: changing one makes results before and after incomparable. */
#include "workload/plan.h"

#include <cmath>

namespace bench
{

namespace
{
constexpr std::uint64_t kSizesSeed = 0x10b0f001;
constexpr std::uint64_t kWindowSeed = 0x10b0f002;
constexpr std::uint64_t kMixedSeed = 0x10b0f003;
} // namespace

std::uint64_t Random::next()
{
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::uint32_t Random::between(std::uint32_t low, std::uint32_t high)
{
    const std::uint64_t range = std::uint64_t{high} - low + 1;
    return low + static_cast<std::uint32_t>(((next() >> 32) * range) >> 32);
}

std::uint32_t Random::log_between(std::uint32_t low, std::uint32_t high)
{
    const double share = static_cast<double>(next() >> 11) / 9007199254740992.0; /* 2^53 */
    return static_cast<std::uint32_t>(low * std::pow(static_cast<double>(high) / low, share));
}

std::vector<std::uint32_t> uniform_sizes(std::size_t count, std::uint32_t low, std::uint32_t high)
{
    Random random(kSizesSeed);
    std::vector<std::uint32_t> sizes(count);
    for (std::uint32_t &size : sizes)
        size = random.between(low, high);
    return sizes;
}

std::vector<Step> window_steps(std::size_t count, std::uint32_t slots, std::uint32_t low, std::uint32_t high)
{
    Random random(kWindowSeed);
    std::vector<Step> steps(count);
    for (Step &step : steps) {
        step.slot = static_cast<std::uint16_t>(random.between(0, slots - 1));
        step.size = static_cast<std::uint16_t>(random.between(low, high));
    }
    return steps;
}

std::vector<Step> mixed_steps(std::size_t count, std::uint32_t slots, std::uint32_t low, std::uint32_t high, unsigned percent_now)
{
    Random random(kMixedSeed);
    std::vector<Step> steps(count);
    for (Step &step : steps) {
        const bool now = random.between(1, 100) <= percent_now;
        step.slot = now ? Step::kNow : static_cast<std::uint16_t>(random.between(0, slots - 1));
        step.size = static_cast<std::uint16_t>(random.log_between(low, high));
    }
    return steps;
}

} // namespace bench
