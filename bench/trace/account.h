/* Where every byte that a pool holds is, after every event. The pool's backing tells of each buf that comes and goes; the replay
 * tells of each slice. The parts always sum up to what the backing gave, and check() compares them with the pool's own figures.
 */
#ifndef BENCH_TRACE_ACCOUNT_H
#define BENCH_TRACE_ACCOUNT_H

#include <iobuf/iobuf.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace bench
{

/* Bytes held, by what they are. The order is that of kPartNames. */
enum Part : std::size_t {
    kLive,        /* the slices' own bytes */
    kReserve,     /* spare bytes in front of them, and what was cut off there */
    kCutOff,      /* cut off behind: out of reach until the buf is used again */
    kOpen,        /* in the buf that an allocator cuts from: not cut yet, or to be had again */
    kTail,        /* left over at the end of a buf, since the next slice did not fit */
    kRounding,    /* the same in a buf larger than the pool's size: a request was rounded up */
    kFreed,       /* released slices in a buf that others keep alive, and fill well */
    kPinned,      /* the same where those that keep it alive fill less than the given share of it */
    kCached,      /* free bufs */
    kBookkeeping, /* the pool's own */
    kParts
};
constexpr const char *kPartNames[kParts] = {"live",     "reserve", "cut_off", "open",   "tail",
                                            "rounding", "freed",   "pinned",  "cached", "bookkeeping"};

struct Parts {
    std::size_t bytes[kParts] = {};
    std::size_t held() const;
};

class Account
{
  public:
    /* One buf, or something of the pool's own for as long as no slice was seen in it. */
    struct Buf {
        std::uintptr_t base;
        std::size_t size;
        std::size_t cut = 0;     /* bytes from the start on that were cut since it was last used from there */
        std::size_t live = 0;    /* of its slices: own bytes, */
        std::size_t reserve = 0; /* free bytes in front, */
        std::size_t extent = 0;  /* and all that was cut for them */
        std::uint32_t slices = 0;
        bool is_buf = false;
        bool open = false; /* an allocator cuts from it */
        bool idle = false; /* in the pool's cache */
        bool gone = false;
        std::size_t in[kParts] = {}; /* what of it stands in the sums */
    };
    /* One live slice. */
    struct Slice {
        Buf *buf = nullptr;
        std::size_t size = 0;
        std::size_t headroom = 0;
        std::size_t extent = 0;
    };

    Account(std::size_t min_size, unsigned pinned_below, std::size_t sources);
    iobuf_backing backing();

    void allocated(std::uint32_t source, const iobuf_slice &slice, std::size_t reserve, Slice *out);
    void released(Slice *slice);
    void resized(Slice *slice, const iobuf_slice &now); /* truncated or expanded */
    void joined(Slice *into, Slice *from);              /* `from` is part of `into` now */
    void event_ends();                                  /* bufs that went with it are forgotten */

    /* Ends the program if the pool says otherwise. */
    void check(const iobuf_pool *pool) const;

    const Parts &parts() const
    {
        return parts_;
    }
    std::size_t held() const
    {
        return held_;
    }
    bool pins(const Buf &buf) const;

    std::size_t taken = 0;        /* bufs that an allocator took from the pool */
    std::size_t restarted = 0;    /* times that one was used again from its start without going back */
    std::size_t backing_gave = 0; /* calls of the backing */
    std::size_t backing_got = 0;

  private:
    static void *allocate(void *context, std::size_t size, std::size_t alignment);
    static void deallocate(void *context, void *memory, std::size_t size);
    Buf *find(std::uintptr_t start, std::size_t bytes);
    void place(Buf *buf);
    void take_out(Buf *buf);
    void let_go(Buf *buf);

    const std::size_t min_size_;
    const unsigned pinned_below_;
    std::vector<Buf *> current_; /* of each source */
    std::map<std::uintptr_t, std::unique_ptr<Buf>> bufs_;
    std::vector<std::unique_ptr<Buf>> gone_;
    Parts parts_;
    std::size_t held_ = 0;
};

} // namespace bench

#endif
