/* The loop over a trace's events is one template; what it runs through (this library, malloc) and who watches (nobody, a clock,
 * the account) are its parameters, so that a timed replay does nothing but the calls. One player replays all threads of the
 * trace in the order of time, each with its own allocators: the layout of the bufs is that of the program.
 */
#ifndef BENCH_TRACE_PLAYER_H
#define BENCH_TRACE_PLAYER_H

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>

#include "peers/malloc_account.h"
#include "peers/peer.h"
#include "trace/clock.h"
#include "trace/run.h"
#include "workload/opaque.h"

namespace bench
{

class IobufSide
{
  public:
    using Slice = iobuf_slice;

    /* Of all that play at once. When it goes, everything must have come back. */
    class Pool
    {
      public:
        explicit Pool(const PoolChoice &choice, const iobuf_backing &backing = {})
        {
            iobuf_pool_options options = {};
            options.min_size = choice.buf_bytes;
            options.max_cached_bytes = choice.cache_limit;
            options.backing = backing;
            if (iobuf_pool_create(&options, &pool_) != IOBUF_OK)
                die("no memory for the pool");
        }
        ~Pool()
        {
            /* Where two threads drop a buf's last two references at once, it counts as in use until the pool looks for such bufs: a
             * reading looks at some, trim at all. */
            iobuf_pool_trim(pool_, SIZE_MAX);
            const iobuf_pool_stats left = stats();
            if (left.bufs_in_use != 0 || left.bytes_in_use != 0)
                die("not every buf came back to the pool");
            iobuf_pool_close(pool_);
        }
        Pool(const Pool &) = delete;
        Pool &operator=(const Pool &) = delete;
        iobuf_pool_stats stats() const
        {
            iobuf_pool_stats found;
            iobuf_pool_stats_get(pool_, &found);
            return found;
        }
        iobuf_pool *get() const
        {
            return pool_;
        }

      private:
        iobuf_pool *pool_ = nullptr;
    };

    IobufSide(const Trace &trace, const Pool &pool) : allocators_(trace.sources.size())
    {
        for (std::size_t at = 0; at < allocators_.size(); at++)
            if (iobuf_allocator_init(&allocators_[at], pool.get(), trace.sources[at].reserve) != IOBUF_OK)
                die("no memory for an allocator");
    }
    ~IobufSide()
    {
        for (iobuf_allocator &allocator : allocators_)
            iobuf_allocator_release(&allocator);
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

  private:
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

    struct Pool {
        explicit Pool(const PoolChoice &)
        {
        }
    };

    MallocSide(const Trace &trace, const Pool &) : sources_(trace.sources)
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
    /* True: another thread releases the slice, which is empty now. */
    template <class Slice> bool takes_over(const Event &, Slice *)
    {
        return false;
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
    LatencyResult result(const Ticks &ticks) const
    {
        return LatencyResult{in_nanoseconds(allocs, ticks), in_nanoseconds(releases, ticks), ticks.cost * ticks.length};
    }
    Histogram allocs, releases;

  private:
    static Latency in_nanoseconds(const Histogram &found, const Ticks &ticks)
    {
        const auto convert = [&](std::uint64_t value) {
            return std::max(0.0, (static_cast<double>(value) - ticks.cost) * ticks.length);
        };
        return Latency{found.count(), convert(found.quantile(0.5)), convert(found.quantile(0.99)), convert(found.quantile(0.999)),
                       convert(found.largest())};
    }
};

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

inline long minor_faults()
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt : 0;
}

/* The slots' handles live as long as the replays of one run: at the end of each, what the trace never released is. */
template <class Side> class Player
{
  public:
    Player(const Trace &trace, const typename Side::Pool &pool) : trace_(trace), side_(trace, pool), slices_(trace.slots)
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
        play(watcher, 0, trace_.events.size());
    }
    template <class Watcher> void play(Watcher &watcher, std::size_t from, std::size_t to)
    {
        const Event *const end = trace_.events.data() + to; /* else it is loaded for each event: 0.4 ns */
        for (const Event *event = trace_.events.data() + from; event != end; event++)
            step(*event, watcher);
    }
    void release_all()
    {
        for (typename Side::Slice &slice : slices_)
            Side::release(&slice);
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
            if (watcher.takes_over(event, slice))
                break;
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

} // namespace bench

#endif
