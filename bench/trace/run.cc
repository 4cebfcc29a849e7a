/* The loop over a trace's events is one template; what it runs through (this library, malloc) and who watches (nobody, a clock,
 * the account) are its parameters, so that a timed replay does nothing but the calls. One OS thread replays all threads of the
 * trace in the order of time, each with its own allocators: the layout of the bufs is that of the program, the cost of
 * releases across threads is not part of the time.
 */
#include "trace/run.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>

#include "peers/malloc_account.h"
#include "peers/peer.h"
#include "trace/clock.h"
#include "workload/opaque.h"

namespace bench
{

namespace
{

class IobufSide
{
  public:
    using Slice = iobuf_slice;

    IobufSide(const Trace &trace, const PoolChoice &choice, const iobuf_backing &backing) : allocators_(trace.sources.size())
    {
        iobuf_pool_options options = {};
        options.min_size = choice.buf_bytes;
        options.max_cached_bytes = choice.cache_limit;
        options.backing = backing;
        if (iobuf_pool_create(&options, &pool_) != IOBUF_OK)
            die("no memory for the pool");
        for (std::size_t at = 0; at < allocators_.size(); at++)
            if (iobuf_allocator_init(&allocators_[at], pool_, trace.sources[at].reserve) != IOBUF_OK)
                die("no memory for an allocator");
    }
    ~IobufSide()
    {
        for (iobuf_allocator &allocator : allocators_)
            iobuf_allocator_release(&allocator);
        iobuf_pool_close(pool_);
    }
    IobufSide(const IobufSide &) = delete;
    IobufSide &operator=(const IobufSide &) = delete;

    void alloc(std::uint32_t source, std::size_t size, Slice *out)
    {
        const int status = iobuf_alloc(&allocators_[source], size, out);
        if (__builtin_expect(status != IOBUF_OK, 0))
            die(iobuf_strerror(status));
        if (size != 0)
            touch(iobuf_slice_data(out));
    }
    static void release(Slice *slice)
    {
        iobuf_slice_release(slice);
    }
    static void truncate_front(Slice *slice, std::size_t bytes)
    {
        iobuf_slice_truncate_front(slice, bytes);
    }
    static void truncate_back(Slice *slice, std::size_t bytes)
    {
        iobuf_slice_truncate_back(slice, bytes);
    }
    static bool expand(Slice *slice, std::size_t bytes)
    {
        if (!iobuf_slice_expand_front(slice, bytes))
            return false;
        if (bytes != 0)
            touch(iobuf_slice_data(slice)); /* a header is written there */
        return true;
    }
    static std::size_t coalesce(Slice *slices, std::size_t count)
    {
        return iobuf_coalesce(slices, count, SIZE_MAX);
    }
    static std::size_t size(const Slice &slice)
    {
        return iobuf_slice_size(&slice);
    }
    const iobuf_pool *pool() const
    {
        return pool_;
    }

  private:
    iobuf_pool *pool_ = nullptr;
    std::vector<iobuf_allocator> allocators_;
};

/* As a program without this library does it: a block of its own for each buffer with the room in front, and joining copies. */
class MallocSide
{
  public:
    struct Slice {
        std::uint8_t *block;
        std::size_t headroom, size;
    };

    MallocSide(const Trace &trace, const PoolChoice &, const iobuf_backing &) : sources_(trace.sources)
    {
    }
    void alloc(std::uint32_t source, std::size_t size, Slice *out)
    {
        *out = take(sources_[source].reserve, size);
        if (size != 0)
            touch(out->block + out->headroom);
    }
    static void release(Slice *slice)
    {
        std::free(slice->block);
        slice->block = nullptr;
    }
    static void truncate_front(Slice *slice, std::size_t bytes)
    {
        bytes = std::min(bytes, slice->size);
        slice->headroom += bytes;
        slice->size -= bytes;
    }
    static void truncate_back(Slice *slice, std::size_t bytes)
    {
        slice->size -= std::min(bytes, slice->size);
    }
    static bool expand(Slice *slice, std::size_t bytes)
    {
        if (bytes > slice->headroom)
            return false;
        slice->headroom -= bytes;
        slice->size += bytes;
        if (bytes != 0)
            touch(slice->block + slice->headroom);
        return true;
    }
    static std::size_t coalesce(Slice *slices, std::size_t count)
    {
        std::size_t total = 0;
        for (std::size_t at = 0; at < count; at++)
            total += slices[at].size;
        Slice joined = take(slices[0].headroom, total);
        std::uint8_t *into = joined.block + joined.headroom;
        for (std::size_t at = 0; at < count; at++) {
            if (slices[at].size != 0)
                std::memcpy(into, slices[at].block + slices[at].headroom, slices[at].size);
            into += slices[at].size;
            release(&slices[at]);
            slices[at] = Slice{};
        }
        slices[0] = joined;
        return 1;
    }
    static std::size_t size(const Slice &slice)
    {
        return slice.size;
    }

  private:
    static Slice take(std::size_t reserve, std::size_t size)
    {
        Slice slice = {static_cast<std::uint8_t *>(std::malloc(reserve + size)), reserve, size};
        if (slice.block == nullptr && reserve + size != 0)
            die("malloc failed");
        escape(slice.block);
        return slice;
    }
    const std::vector<Source> &sources_;
};

/* ------ who watches */

struct Nobody {
    std::uint64_t before()
    {
        return 0;
    }
    template <class Slice> void allocated(const Event &, std::uint64_t, const Slice &)
    {
    }
    void released(std::uint32_t, std::uint64_t)
    {
    }
    template <class Slice> void resized(std::uint32_t, const Slice &)
    {
    }
    void joined(std::uint32_t, std::uint32_t)
    {
    }
    void coalesced(std::size_t, std::size_t)
    {
    }
    void refused()
    {
    }
    void ends(const Event &)
    {
    }
};

struct Clock : Nobody {
    std::uint64_t before()
    {
        return ticks_now();
    }
    template <class Slice> void allocated(const Event &, std::uint64_t start, const Slice &)
    {
        allocs.add(ticks_now() - start);
    }
    void released(std::uint32_t, std::uint64_t start)
    {
        releases.add(ticks_now() - start);
    }
    Histogram allocs, releases;
};

/* The slots' handles live as long as the replays of one run: at the end of each, what the trace never released is. */
template <class Side> class Player
{
  public:
    Player(const Trace &trace, const PoolChoice &choice, const iobuf_backing &backing = {})
        : trace_(trace), side_(trace, choice, backing), slices_(trace.slots)
    {
    }
    ~Player()
    {
        release_all();
    }
    Player(const Player &) = delete;
    Player &operator=(const Player &) = delete;

    template <class Watcher> void play(Watcher &watcher)
    {
        for (const Event &event : trace_.events)
            step(event, watcher);
    }
    void release_all()
    {
        for (typename Side::Slice &slice : slices_)
            Side::release(&slice);
    }
    const Side &side() const
    {
        return side_;
    }

  private:
    template <class Watcher> void step(const Event &event, Watcher &watcher)
    {
        typename Side::Slice *const slice = &slices_[event.kind == TRACE_COALESCE ? 0 : event.slot];
        switch (event.kind) {
        case TRACE_ALLOC: {
            const std::uint64_t start = watcher.before();
            side_.alloc(event.source, event.bytes, slice);
            watcher.allocated(event, start, *slice);
            break;
        }
        case TRACE_RELEASE: {
            const std::uint64_t start = watcher.before();
            Side::release(slice);
            watcher.released(event.slot, start);
            break;
        }
        case TRACE_TRUNCATE_FRONT:
            Side::truncate_front(slice, event.bytes);
            watcher.resized(event.slot, *slice);
            break;
        case TRACE_TRUNCATE_BACK:
            Side::truncate_back(slice, event.bytes);
            watcher.resized(event.slot, *slice);
            break;
        case TRACE_EXPAND:
            if (Side::expand(slice, event.bytes))
                watcher.resized(event.slot, *slice);
            else
                watcher.refused();
            break;
        case TRACE_COALESCE:
            coalesce(event, watcher);
            break;
        case TRACE_HANDOVER: /* none was loaded */
            break;
        }
        watcher.ends(event);
    }

    /* Each slice that comes out goes to the slot of the first that went into it; the other slots are empty from then on. */
    template <class Watcher> void coalesce(const Event &event, Watcher &watcher)
    {
        const std::uint32_t *const slots = &trace_.groups[event.slot];
        const std::size_t count = event.source;
        gathered_.resize(count);
        sizes_.resize(count);
        for (std::size_t at = 0; at < count; at++) {
            gathered_[at] = slices_[slots[at]];
            sizes_[at] = Side::size(gathered_[at]);
            slices_[slots[at]] = typename Side::Slice{};
        }
        const std::size_t left = Side::coalesce(gathered_.data(), count);
        std::size_t at = 0;
        for (std::size_t out = 0; out < left; out++) {
            /* As many may still come as are left, so that of empty slices none is taken twice. */
            const std::size_t into = at++;
            std::size_t bytes = sizes_[into];
            for (; at < count - (left - out - 1) && bytes + sizes_[at] <= Side::size(gathered_[out]) &&
                   bytes != Side::size(gathered_[out]);
                 at++) {
                bytes += sizes_[at];
                watcher.joined(slots[into], slots[at]);
            }
            slices_[slots[into]] = gathered_[out];
        }
        watcher.coalesced(count, left);
    }

    const Trace &trace_;
    Side side_;
    std::vector<typename Side::Slice> slices_;
    std::vector<typename Side::Slice> gathered_;
    std::vector<std::size_t> sizes_;
};

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
    Player<IobufSide> player(trace, choice, account.backing());
    Bookkeeper books(trace, &account);
    books.pool = player.side().pool();
    books.stop_at = stop_at;
    player.play(books);
    account.check(books.pool);
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(books.pool, &stats);
    MemoryResult result = std::move(books.result);
    result.pool_peak = stats.bytes_peak;
    result.bufs_allocated = stats.bufs_allocated;
    result.taken = account.taken;
    result.restarted = account.restarted;
    result.backing_gave = account.backing_gave;
    result.backing_got = account.backing_got;
    return result;
}

/* Of one round; the fastest play counts, so that an interruption does not. */
constexpr unsigned kPlays = 2;
constexpr double kTimed = 20e6; /* ns */

template <class Side> double time_of(const Trace &trace, const PoolChoice &choice)
{
    Player<Side> player(trace, choice);
    Nobody nobody;
    player.play(nobody);
    player.release_all();
    double spent = 0;
    double fastest = 0;
    for (unsigned plays = 0; plays < kPlays || spent < kTimed; plays++) {
        const std::uint64_t start = processor_time();
        player.play(nobody);
        const auto took = static_cast<double>(processor_time() - start);
        fastest = plays == 0 ? took : std::min(fastest, took);
        spent += took;
        player.release_all();
    }
    return fastest;
}

double ticks_for_nothing()
{
    Histogram nothing;
    for (int i = 0; i < 20000; i++) {
        const std::uint64_t start = ticks_now();
        nothing.add(ticks_now() - start);
    }
    return static_cast<double>(nothing.quantile(0.5));
}

Latency in_nanoseconds(const Histogram &ticks, double cost, double per_tick)
{
    const auto convert = [&](std::uint64_t value) { return std::max(0.0, (static_cast<double>(value) - cost) * per_tick); };
    return Latency{ticks.count(), convert(ticks.quantile(0.5)), convert(ticks.quantile(0.99)), convert(ticks.quantile(0.999)),
                   convert(ticks.largest())};
}

template <class Side> LatencyResult latency_of(const Trace &trace, const PoolChoice &choice)
{
    Player<Side> player(trace, choice);
    Nobody nobody;
    player.play(nobody);
    player.release_all();
    Clock clock;
    const double cost = ticks_for_nothing();
    const std::uint64_t start = nanoseconds_now();
    const std::uint64_t start_ticks = ticks_now();
    player.play(clock);
    while (nanoseconds_now() - start < 2000000) {
    } /* long enough to tell how long a tick is */
    const double per_tick = static_cast<double>(nanoseconds_now() - start) / static_cast<double>(ticks_now() - start_ticks);
    return LatencyResult{in_nanoseconds(clock.allocs, cost, per_tick), in_nanoseconds(clock.releases, cost, per_tick),
                         cost * per_tick};
}

struct MallocWatcher : Nobody {
    explicit MallocWatcher(std::size_t events) : every(std::max<std::size_t>(1, events / 1000)), base(malloc_held())
    {
    }
    void ends(const Event &)
    {
        if (seen++ % every != 0)
            return;
        const std::size_t now = malloc_held();
        memory.held_at_end = now > base ? now - base : 0;
        memory.peak_held = std::max(memory.peak_held, memory.held_at_end);
        memory.samples++;
    }
    const std::size_t every;
    const std::size_t base;
    std::size_t seen = 0;
    MallocMemory memory;
};

long minor_faults()
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt : 0;
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
    Player<MallocSide> player(trace, PoolChoice{});
    MallocWatcher watcher(trace.events.size());
    const long faults = minor_faults();
    player.play(watcher);
    watcher.memory.minor_faults = minor_faults() - faults;
    return watcher.memory;
}

} // namespace bench
