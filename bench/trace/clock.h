/* Durations of single calls: a clock that costs little, and a histogram that is right to 1/32 and costs a few instructions. */
#ifndef BENCH_TRACE_CLOCK_H
#define BENCH_TRACE_CLOCK_H

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench
{

inline std::uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t nanoseconds_now()
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Of this thread alone: what else the machine does takes caches from it, but no time. */
inline std::uint64_t processor_time()
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* The processor's own counter where there is one that programs may read; fenced, so that nothing moves over it. */
inline std::uint64_t ticks_now()
{
#if defined(__x86_64__)
    __asm__ volatile("lfence" : : : "memory");
    const std::uint64_t now = __builtin_ia32_rdtsc();
    __asm__ volatile("lfence" : : : "memory");
    return now;
#else
    return nanoseconds_now();
#endif
}

/* Counts by value: exact below 64, then 32 steps for each power of two, of which a quantile is the middle. */
class Histogram
{
  public:
    void add(std::uint64_t value)
    {
        counts_[index(value)]++;
        count_++;
        if (value > largest_)
            largest_ = value;
    }
    void add(const Histogram &other)
    {
        for (std::size_t at = 0; at < counts_.size(); at++)
            counts_[at] += other.counts_[at];
        count_ += other.count_;
        largest_ = other.largest_ > largest_ ? other.largest_ : largest_;
    }
    std::uint64_t count() const
    {
        return count_;
    }
    std::uint64_t largest() const
    {
        return largest_;
    }
    /* The value that `share` of all do not exceed. */
    std::uint64_t quantile(double share) const
    {
        std::uint64_t left = static_cast<std::uint64_t>(share * static_cast<double>(count_));
        for (std::size_t at = 0; at < counts_.size(); at++) {
            if (counts_[at] > left)
                return value(at);
            left -= counts_[at];
        }
        return largest_;
    }

  private:
    static constexpr unsigned kBits = 5;
    static std::size_t index(std::uint64_t value)
    {
        if (value < (2u << kBits))
            return value;
        const unsigned shift = 63 - static_cast<unsigned>(__builtin_clzll(value)) - kBits;
        return (static_cast<std::size_t>(shift) << kBits) + (value >> shift);
    }
    static std::uint64_t value(std::size_t at)
    {
        if (at < (2u << kBits))
            return at;
        const unsigned shift = static_cast<unsigned>(at >> kBits) - 1;
        return ((((at & ((1u << kBits) - 1)) | (1u << kBits)) << shift) + ((std::uint64_t{1} << shift) >> 1));
    }

    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((64 - kBits + 1) << kBits);
    std::uint64_t count_ = 0;
    std::uint64_t largest_ = 0;
};

struct Ticks {
    double cost;   /* ticks that two readings are apart with nothing between them */
    double length; /* ns of one */
};

inline Ticks measure_ticks()
{
    Histogram nothing;
    for (int i = 0; i < 20000; i++) {
        const std::uint64_t start = ticks_now();
        nothing.add(ticks_now() - start);
    }
    const std::uint64_t start = nanoseconds_now();
    const std::uint64_t start_ticks = ticks_now();
    while (nanoseconds_now() - start < 2000000) {
    } /* long enough to tell how long a tick is */
    return Ticks{static_cast<double>(nothing.quantile(0.5)),
                 static_cast<double>(nanoseconds_now() - start) / static_cast<double>(ticks_now() - start_ticks)};
}

} // namespace bench

#endif
