/* One thread plays: the cost of releases across threads is not part of the time. */
#include "trace/run.h"

#include <algorithm>

#include "trace/player.h"

namespace bench
{

namespace
{

/* Keeps the account, the peak, the means and the series. */
class Bookkeeper : public Nobody
{
  public:
    Bookkeeper(const Trace &trace, Account *account) : trace_(trace), account_(*account), slices_(trace.slots), born_(trace.slots)
    {
        result.series.resize(std::min(kPoints, trace.events.size()));
    }
    void allocated(const Event &event, std::uint64_t, const iobuf_slice &slice)
    {
        account_.allocated(event.source, slice, trace_.sources[event.source].reserve, &slices_[event.slot]);
        born_[event.slot] = &event;
    }
    void released(std::uint32_t slot, std::uint64_t)
    {
        account_.released(&slices_[slot]);
    }
    void resized(std::uint32_t slot, const iobuf_slice &slice)
    {
        account_.resized(&slices_[slot], slice);
    }
    void joined(std::uint32_t into, std::uint32_t from)
    {
        account_.joined(&slices_[into], &slices_[from]);
    }
    void coalesced(std::size_t from, std::size_t to)
    {
        result.coalesced_from += from;
        result.coalesced_to += to;
    }
    void refused()
    {
        result.expands_refused++;
    }
    void ends(const Event &event)
    {
        account_.event_ends();
        const Parts &parts = account_.parts();
        const std::size_t at = event_++;
        if (parts.bytes[kPinned] > result.most_pinned.parts.bytes[kPinned])
            result.most_pinned = Moment{event.time, at, parts};
        if (account_.held() > peak_held_) {
            peak_held_ = account_.held();
            result.peak = Moment{event.time, at, parts};
        }
        weigh(event, at, parts);
        if (at == stop_at)
            name_pinners(event.time);
        if (at % kChecked == 0)
            account_.check(pool);
    }

    const iobuf_pool *pool = nullptr;
    std::size_t stop_at = SIZE_MAX; /* the event behind which the pinners are named */
    MemoryResult result;

  private:
    static constexpr std::size_t kPoints = 400;
    static constexpr std::size_t kChecked = 1024;

    void weigh(const Event &event, std::size_t at, const Parts &parts)
    {
        const bool timed = trace_.duration > 0;
        const std::uint64_t until = at + 1 < trace_.events.size() ? trace_.events[at + 1].time : event.time;
        const double weight = timed ? static_cast<double>(until - event.time) / static_cast<double>(trace_.duration)
                                    : 1 / static_cast<double>(trace_.events.size());
        if (weight > 0)
            for (std::size_t part = 0; part < kParts; part++)
                result.mean[part] += weight * static_cast<double>(parts.bytes[part]);
        const double place = timed ? static_cast<double>(event.time) / static_cast<double>(trace_.duration)
                                   : static_cast<double>(at) / static_cast<double>(trace_.events.size());
        const std::size_t points = result.series.size();
        Moment *const point = &result.series[std::min(points - 1, static_cast<std::size_t>(place * static_cast<double>(points)))];
        if (account_.held() > point->parts.held())
            *point = Moment{event.time, at, parts};
    }

    /* Every buf that is pinned counts for the slice that has lived in it for longest. */
    void name_pinners(std::uint64_t now)
    {
        std::map<const Account::Buf *, std::uint32_t> oldest;
        for (std::uint32_t slot = 0; slot < slices_.size(); slot++) {
            const Account::Buf *const buf = slices_[slot].buf;
            if (buf == nullptr || !account_.pins(*buf))
                continue;
            const auto [found, is_new] = oldest.try_emplace(buf, slot);
            if (!is_new && born_[slot] < born_[found->second])
                found->second = slot;
        }
        std::map<std::uint32_t, std::pair<Pinner, std::vector<std::uint64_t>>> sites;
        for (const auto &[buf, slot] : oldest) {
            auto &[pinner, ages] = sites[born_[slot]->site];
            pinner.site = born_[slot]->site;
            pinner.bytes += buf->in[kPinned];
            pinner.bufs++;
            ages.push_back(now - born_[slot]->time);
        }
        for (auto &[site, found] : sites) {
            auto &[pinner, ages] = found;
            std::sort(ages.begin(), ages.end());
            pinner.median_age = ages[ages.size() / 2];
            pinner.oldest_age = ages.back();
            result.pinners.push_back(pinner);
        }
        std::stable_sort(result.pinners.begin(), result.pinners.end(),
                         [](const Pinner &one, const Pinner &other) { return one.bytes > other.bytes; });
    }

    const Trace &trace_;
    Account &account_;
    std::vector<Account::Slice> slices_;
    std::vector<const Event *> born_; /* of each slot the alloc */
    std::size_t event_ = 0;
    std::size_t peak_held_ = 0;
};

MemoryResult keep_books(const Trace &trace, const PoolChoice &choice, unsigned pinned_below, std::size_t stop_at)
{
    Account account(choice.buf_bytes, pinned_below, trace.sources.size());
    const IobufSide::Pool pool(choice, account.backing());
    Player<IobufSide> player(trace, pool);
    Bookkeeper books(trace, &account);
    books.pool = pool.get();
    books.stop_at = stop_at;
    player.play(books);
    account.check(books.pool);
    const iobuf_pool_stats stats = pool.stats();
    MemoryResult result = std::move(books.result);
    result.pool_peak = stats.bytes_peak;
    result.bufs_allocated = stats.bufs_allocated;
    result.taken = account.taken;
    result.restarted = account.restarted;
    result.backing_gave = account.backing_gave;
    result.backing_got = account.backing_got;
    return result;
}

/* Of one round: the fastest stretch of plays counts, so that an interruption does not. A stretch is one play, or so many as take
 * kStretch: the processor's clock stands still now and then, and of thousands of short plays one would take no time at all. */
constexpr unsigned kStretches = 2;
constexpr double kStretch = 5e6; /* ns */
constexpr double kTimed = 20e6;

template <class Side> double time_of(const Trace &trace, const PoolChoice &choice)
{
    const typename Side::Pool pool(choice);
    Player<Side> player(trace, pool);
    Nobody nobody;
    player.play(nobody);
    player.release_all();
    double spent = 0;
    double fastest = 0;
    for (unsigned stretches = 0; stretches < kStretches || spent < kTimed; stretches++) {
        double took = 0;
        unsigned plays = 0;
        for (; took < kStretch; plays++) {
            const std::uint64_t start = processor_time();
            player.play(nobody);
            took += static_cast<double>(processor_time() - start);
            player.release_all();
        }
        fastest = stretches == 0 ? took / plays : std::min(fastest, took / plays);
        spent += took;
    }
    return fastest / static_cast<double>(trace.events.size());
}

template <class Side> LatencyResult latency_of(const Trace &trace, const PoolChoice &choice)
{
    const typename Side::Pool pool(choice);
    Player<Side> player(trace, pool);
    Nobody nobody;
    player.play(nobody);
    player.release_all();
    Clock clock;
    player.play(clock);
    return clock.result(measure_ticks());
}

} // namespace

MemoryResult replay_memory(const Trace &trace, const PoolChoice &choice, unsigned pinned_below)
{
    MemoryResult result = keep_books(trace, choice, pinned_below, SIZE_MAX);
    if (result.most_pinned.parts.bytes[kPinned] > 0)
        result.pinners = keep_books(trace, choice, pinned_below, result.most_pinned.event).pinners;
    return result;
}

double replay_time(const Trace &trace, const PoolChoice &choice)
{
    return choice.buf_bytes == 0 ? time_of<MallocSide>(trace, choice) : time_of<IobufSide>(trace, choice);
}

LatencyResult replay_latency(const Trace &trace, const PoolChoice &choice)
{
    return choice.buf_bytes == 0 ? latency_of<MallocSide>(trace, choice) : latency_of<IobufSide>(trace, choice);
}

MallocMemory replay_malloc_memory(const Trace &trace)
{
    Player<MallocSide> player(trace, MallocSide::Pool(PoolChoice{}));
    MallocWatcher watcher(trace.events.size());
    const long faults = minor_faults();
    player.play(watcher);
    watcher.memory.minor_faults = minor_faults() - faults;
    return watcher.memory;
}

} // namespace bench
