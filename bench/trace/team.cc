/* Several threads play the trace at once, on one pool. Each has a copy of it, with allocators and slices of its own, begins at a
 * place of its own and goes round, so that they do not all ask for the same at the same moment. A slice in which another thread
 * of the trace had a part goes to the next thread, over a ring, and is released there. Nobody waits for room in a ring: who
 * finds it full releases what is in its own, lets others run, and then releases the slice itself.
 */
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "trace/player.h"
#include "workload/ring.h"

namespace bench
{

namespace
{

constexpr std::size_t kRing = 128;
constexpr std::size_t kServed = 16; /* after so many events a thread shows what it handed over, and releases what it was handed */

/* What the threads of a replay share. */
template <class Side> class Team
{
  public:
    using Handed = Ring<typename Side::Slice, kRing>;

    Team(const Trace &of, std::size_t count, const typename Side::Pool &shared)
        : trace(of), threads(count), pool(shared), rings(count)
    {
        if (pthread_barrier_init(&barrier_, nullptr, static_cast<unsigned>(count)) != 0)
            die("no memory for a barrier");
    }
    ~Team()
    {
        pthread_barrier_destroy(&barrier_);
    }
    Team(const Team &) = delete;
    Team &operator=(const Team &) = delete;

    /* Runs `work` on all threads, which is told the number of each. */
    template <class Work> void run(const Work &work)
    {
        std::vector<std::thread> running;
        try {
            for (std::size_t number = 0; number < threads; number++)
                running.emplace_back([&work, number] { work(number); });
        } catch (const std::system_error &) {
            die("a thread cannot be started: use fewer --threads");
        }
        for (std::thread &thread : running)
            thread.join();
    }

    void meet()
    {
        pthread_barrier_wait(&barrier_);
    }
    /* And the first decides before any goes on. */
    template <class Decide> void meet(std::size_t number, const Decide &decide)
    {
        meet();
        if (number == 0)
            decide();
        meet();
    }

    const Trace &trace;
    const std::size_t threads;
    const typename Side::Pool &pool;
    std::vector<Handed> rings;               /* of each thread what it is to release */
    std::atomic<std::size_t> finished{0};    /* one more each time that a thread has played all it was to */
    std::atomic<std::size_t> handed_over{0}; /* counts: read when the threads are gone */
    std::atomic<std::size_t> released_at_home{0};

  private:
    pthread_barrier_t barrier_;
};

/* Watches as `Base` does, and hands over. */
template <class Side, class Base> class Handing : public Base
{
  public:
    using Slice = typename Side::Slice;

    template <class... Arguments>
    Handing(Team<Side> *team, std::size_t number, const Arguments &...arguments)
        : Base(arguments...), team_(*team), in_(team->rings[number]), out_(team->rings[(number + 1) % team->threads])
    {
    }

    bool takes_over(const Event &event, Slice *slice)
    {
        if (event.source == 0)
            return false;
        if (!pass(*slice)) {
            serve();
            sched_yield(); /* the next thread may need this very processor to empty the ring */
            if (!pass(*slice)) {
                at_home_++;
                return false;
            }
        }
        *slice = Slice{};
        handed_++;
        return true;
    }
    void ends(const Event &event)
    {
        Base::ends(event);
        if (++events_ % kServed != 0)
            return;
        show();
        serve();
    }

    /* Comes back when all threads have come here and all that was handed over is released. Meanwhile it releases. */
    void finish()
    {
        show();
        team_.handed_over.fetch_add(handed_, std::memory_order_relaxed);
        team_.released_at_home.fetch_add(at_home_, std::memory_order_relaxed);
        handed_ = at_home_ = 0;
        /* Release: pairs with the acquire below, so that all that was handed over is shown. */
        const std::size_t before = team_.finished.fetch_add(1, std::memory_order_release);
        const std::size_t all = (before / team_.threads + 1) * team_.threads;
        for (Backoff backoff; team_.finished.load(std::memory_order_acquire) < all; backoff.wait())
            serve();
        serve();
    }

  private:
    /* False: the ring is full. */
    bool pass(const Slice &slice)
    {
        Slice *places = nullptr;
        if (out_.room(&places) == hidden_) {
            show();
            if (out_.room(&places) == 0)
                return false;
        }
        places[hidden_++] = slice;
        return true;
    }
    void show()
    {
        if (hidden_ != 0)
            out_.show(hidden_);
        hidden_ = 0;
    }
    void serve()
    {
        const Slice *first = nullptr;
        while (const std::size_t filled = in_.filled(&first)) {
            for (std::size_t i = 0; i < filled; i++) {
                Slice slice = first[i];
                const std::uint64_t start = Base::before();
                Side::release(&slice);
                Base::released(0, start);
            }
            in_.done(filled);
        }
    }

    Team<Side> &team_;
    typename Team<Side>::Handed &in_, &out_;
    std::size_t events_ = 0;
    std::size_t handed_ = 0, at_home_ = 0;
    std::size_t hidden_ = 0; /* passed on, and not shown yet */
};

/* One thread's copy of the trace. */
template <class Side> class Copy
{
  public:
    Copy(const Team<Side> &team, std::size_t number)
        : player_(team.trace, team.pool), begin_(team.trace.events.size() * number / team.threads), end_(team.trace.events.size())
    {
    }
    /* Up to where its rounds begin, so that what lives there does live; all are there when it comes back. */
    template <class Hands> void begin(Hands &hands)
    {
        player_.play(hands, 0, begin_);
        hands.finish();
    }
    /* The whole trace once; what it never releases goes at its end. */
    template <class Watcher> void round(Watcher &watcher)
    {
        player_.play(watcher, begin_, end_);
        player_.release_all();
        player_.play(watcher, 0, begin_);
    }

  private:
    Player<Side> player_;
    const std::size_t begin_, end_;
};

/* Of a round, with the releases at its end of what the trace does not release. */
double events_of_round(const Trace &trace)
{
    const auto released =
        std::count_if(trace.events.begin(), trace.events.end(), [](const Event &event) { return event.kind == TRACE_RELEASE; });
    return static_cast<double>(trace.events.size() + trace.allocs - static_cast<std::size_t>(released));
}

/* How long it takes until all threads have played some rounds. The first stretch is not counted: the pool gets its bufs. A stretch
 * is long against what it takes to begin, and, where threads share processors, against the few ms for which one runs. */
class Stretches
{
  public:
    explicit Stretches(std::size_t threads)
        : began(threads), ended(threads), least_(threads > std::thread::hardware_concurrency() ? 40e6 : 10e6)
    {
    }
    void judge()
    {
        const std::uint64_t last = *std::max_element(ended.begin(), ended.end());
        const auto took = static_cast<double>(last - *std::min_element(began.begin(), began.end()));
        if (!warm_ || took < least_ / 2) {
            warm_ = true;
            rounds *= 1 + static_cast<std::size_t>(least_ / (took + 1));
            return;
        }
        const double of_round = took / static_cast<double>(rounds);
        fastest = counted_ == 0 ? of_round : std::min(fastest, of_round);
        over = ++counted_ == kStretches;
    }

    std::vector<std::uint64_t> began, ended; /* of each thread */
    std::size_t rounds = 1;
    double fastest = 0; /* ns for a round of all threads */
    bool over = false;

  private:
    static constexpr unsigned kStretches = 3;
    const double least_; /* ns */
    unsigned counted_ = 0;
    bool warm_ = false;
};

template <class Side> double time_of(const Trace &trace, const PoolChoice &choice)
{
    const typename Side::Pool pool(choice);
    Team<Side> team(trace, choice.threads, pool);
    Stretches stretches(choice.threads);
    team.run([&](std::size_t number) {
        Copy<Side> copy(team, number);
        Handing<Side, Nobody> hands(&team, number);
        copy.begin(hands);
        while (!stretches.over) {
            stretches.began[number] = nanoseconds_now();
            for (std::size_t round = 0; round < stretches.rounds; round++)
                copy.round(hands);
            hands.finish();
            stretches.ended[number] = nanoseconds_now();
            team.meet(number, [&] { stretches.judge(); });
        }
    });
    return stretches.fastest / (static_cast<double>(choice.threads) * events_of_round(trace));
}

template <class Side> LatencyResult latency_of(const Trace &trace, const PoolChoice &choice)
{
    const typename Side::Pool pool(choice);
    Team<Side> team(trace, choice.threads, pool);
    std::vector<Clock> clocks(choice.threads);
    team.run([&](std::size_t number) {
        Copy<Side> copy(team, number);
        Handing<Side, Nobody> warm(&team, number);
        copy.begin(warm);
        copy.round(warm);
        warm.finish();
        team.meet(); /* nobody releases without a clock what is handed over from now on */
        Handing<Side, Clock> hands(&team, number);
        copy.round(hands);
        hands.finish();
        clocks[number] = static_cast<const Clock &>(hands);
    });
    for (std::size_t number = 1; number < clocks.size(); number++) {
        clocks[0].allocs.add(clocks[number].allocs);
        clocks[0].releases.add(clocks[number].releases);
    }
    return clocks[0].result(measure_ticks());
}

/* The C library's memory, counted. The counts are whole when the threads are gone; nothing else is read by them. */
class Counted
{
  public:
    iobuf_backing backing()
    {
        return iobuf_backing{allocate, deallocate, this};
    }
    std::atomic<std::size_t> held{0}, peak{0}, gave{0}, got{0};

  private:
    static void *allocate(void *context, std::size_t size, std::size_t alignment)
    {
        auto *const self = static_cast<Counted *>(context);
        void *memory = nullptr;
        if (posix_memalign(&memory, std::max(alignment, sizeof(void *)), size) != 0)
            return nullptr;
        const std::size_t now = self->held.fetch_add(size, std::memory_order_relaxed) + size;
        std::size_t most = self->peak.load(std::memory_order_relaxed);
        while (now > most && !self->peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
        }
        self->gave.fetch_add(1, std::memory_order_relaxed);
        return memory;
    }
    static void deallocate(void *context, void *memory, std::size_t size)
    {
        auto *const self = static_cast<Counted *>(context);
        std::free(memory);
        self->held.fetch_sub(size, std::memory_order_relaxed);
        self->got.fetch_add(1, std::memory_order_relaxed);
    }
};

} // namespace

TeamMemory team_memory(const Trace &trace, const PoolChoice &choice)
{
    TeamMemory result;
    Counted counted;
    {
        const IobufSide::Pool pool(choice, counted.backing());
        Team<IobufSide> team(trace, choice.threads, pool);
        team.run([&](std::size_t number) {
            Copy<IobufSide> copy(team, number);
            Handing<IobufSide, Nobody> hands(&team, number);
            copy.begin(hands);
            copy.round(hands);
            hands.finish();
        });
        result.pool_peak = pool.stats().bytes_peak;
        result.bufs_allocated = pool.stats().bufs_allocated;
        result.handed_over = team.handed_over;
        result.released_at_home = team.released_at_home;
    }
    result.peak_held = counted.peak;
    result.backing_gave = counted.gave;
    result.backing_got = counted.got;
    if (counted.held != 0 || result.backing_gave != result.backing_got)
        die("the pool did not give all of its memory back");
    return result;
}

double team_time(const Trace &trace, const PoolChoice &choice)
{
    return choice.buf_bytes == 0 ? time_of<MallocSide>(trace, choice) : time_of<IobufSide>(trace, choice);
}

LatencyResult team_latency(const Trace &trace, const PoolChoice &choice)
{
    return choice.buf_bytes == 0 ? latency_of<MallocSide>(trace, choice) : latency_of<IobufSide>(trace, choice);
}

/* The first thread looks for all. */
MallocMemory team_malloc_memory(const Trace &trace, std::size_t threads)
{
    const MallocSide::Pool pool(PoolChoice{});
    Team<MallocSide> team(trace, threads, pool);
    MallocMemory result;
    team.run([&](std::size_t number) {
        Copy<MallocSide> copy(team, number);
        const auto play = [&](auto *hands) {
            team.meet();
            copy.begin(*hands);
            copy.round(*hands);
            hands->finish();
        };
        team.meet(); /* what the copies themselves took is not counted */
        if (number != 0) {
            Handing<MallocSide, Nobody> hands(&team, number);
            play(&hands);
            return;
        }
        const long faults = minor_faults();
        Handing<MallocSide, MallocWatcher> hands(&team, number, trace.events.size());
        play(&hands);
        result = hands.memory;
        result.minor_faults = minor_faults() - faults;
    });
    return result;
}

} // namespace bench
