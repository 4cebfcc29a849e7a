/* What a competitor must offer: the contract of the adapters in this folder, one file each. Cases are templates over a peer, so
 * that each peer's own calls are inlined into the loop that is timed; nothing here is virtual.
 *
 *   struct SomePeer : PeerDefaults {
 *       static const char *name();                  // the middle part of `work/peer/size`
 *       static constexpr bool kHasBufs;             // whether SourceOptions::buf_bytes means anything to it
 *       using Buffer;                               // a value that one release ends; assigning it moves it
 *       class Source;                               // Source(const SourceOptions &): what one thread allocates from
 *           // Source(const SourceOptions &, Source &first): a further thread's, on the same pool; for threads alone
 *           std::size_t held_bytes() const;         // all that the allocator holds now, used and free
 *       static void alloc(Source &, std::size_t size, Buffer *);
 *       static void release(Buffer *);              // any thread
 *       static std::uint8_t *data(const Buffer &);
 *       static std::size_t size(const Buffer &);
 *       // The payload copied in, kHeaderBytes of header in front, described for writev. Returns the entries filled.
 *       static std::size_t frame(Source &, const Message &payload, struct iovec *iov, Buffer *);
 *       // Neighbours become one as long as that is at most max_size bytes; in order; returns how many are left.
 *       static std::size_t join(Source &, Buffer *buffers, std::size_t count, std::size_t max_size);
 *       template <class Input> class Reader;        // Reader(Source &, Input *)
 *           void read(std::size_t size, Buffer *);  // exactly the next size bytes of the input
 *   };
 *
 * A peer checks its results as a careful program would; what a benchmark cannot survive ends in die().
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "workload/stream.h"

namespace bench
{

struct SourceOptions {
    std::size_t buf_bytes = 16 * 1024; /* one pool for all cases unless a case says why not */
    std::size_t reserve = 0;           /* spare bytes in front of each buffer */
    std::size_t largest = 4096;        /* bytes of the largest buffer that will be asked for */
};

/* What most peers say to the questions that few answer otherwise. */
struct PeerDefaults {
    static constexpr std::size_t kLargest = SIZE_MAX; /* bytes of one buffer; cases with larger ones are left out */
    /* Whether held_bytes() counts every buffer. Otherwise it moves by pages or more, or finds room in what was held before, and
     * is not reported where it misses some that live. */
    static constexpr bool kCountsEach = true;
    /* Once per process or more often, on its first thread, before any Source or Thread. */
    static void start()
    {
    }
    /* Lives on each further thread for as long as that uses the peer. */
    struct Thread {
    };
};

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kMaxFrameParts = 2;

/* The header that `frame` puts in front: the payload's length and a constant type, as many protocols have it. */
inline void write_header(std::uint8_t *into, std::size_t payload_size)
{
    const std::uint64_t header = (std::uint64_t{payload_size} << 16) | 0x0107u;
    std::memcpy(into, &header, sizeof header);
}

/* One line on stderr, then exit 3: the benchmark could not run. */
[[noreturn]] void die(const char *what) __attribute__((cold));

} // namespace bench

#endif
