/* DPDK's packet buffers: a pool of mbufs of one size, all made beforehand, with a cache in front of it for each thread that DPDK
 * knows. It runs without huge pages, devices and privileges. One pool per size class is kept for the life of the process, since
 * making one takes milliseconds; which class a case gets is by its largest buffer, as a program would choose.
 *
 * held_bytes is what is out of the pool's common ring: mbufs in use and in the threads' caches, with headroom and descriptor. That
 * is the smallest pool that this work could do with; a real one is as large as somebody guessed beforehand.
 *
 * DPDK starts a thread of its own. From then on glibc's malloc takes its locks, which makes it slower in the rest of the process:
 * compare with malloc from a run without this peer.
 */
#ifndef BENCH_PEERS_DPDK_PEER_H
#define BENCH_PEERS_DPDK_PEER_H

#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "peers/peer.h"

namespace bench
{

struct DpdkPeer : PeerDefaults {
    static constexpr bool kHasBufs = false;
    /* The data room, of which the headroom is part, is a 16-bit number. */
    static constexpr std::size_t kLargest = UINT16_MAX - RTE_PKTMBUF_HEADROOM;
    static const char *name()
    {
        return "dpdk";
    }

    using Buffer = rte_mbuf *;

    /* Starts DPDK, unless it runs. Of the calling thread it makes its first; leaves that on the processors it may run on. */
    static void start();

    class Thread
    {
      public:
        Thread()
        {
            if (rte_thread_register() != 0)
                die("dpdk: rte_thread_register failed");
        }
        ~Thread()
        {
            rte_thread_unregister();
        }
        Thread(const Thread &) = delete;
        Thread &operator=(const Thread &) = delete;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &options) : pool(pool_for(options.largest))
        {
        }
        std::size_t held_bytes() const
        {
            const std::size_t out = pool->size - rte_mempool_ops_get_count(pool);
            return out * (pool->header_size + pool->elt_size + pool->trailer_size);
        }

        rte_mempool *const pool;
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        *buffer = rte_pktmbuf_alloc(source.pool);
        if (*buffer == nullptr || rte_pktmbuf_append(*buffer, static_cast<std::uint16_t>(size)) == nullptr)
            die("dpdk: no mbuf of that size");
    }
    static void release(Buffer *buffer)
    {
        rte_pktmbuf_free(*buffer);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return rte_pktmbuf_mtod(buffer, std::uint8_t *);
    }
    static std::size_t size(const Buffer &buffer)
    {
        return rte_pktmbuf_data_len(buffer);
    }

    /* The header goes into the headroom that each mbuf has. */
    static std::size_t frame(Source &source, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        alloc(source, payload.size, buffer);
        std::memcpy(data(*buffer), payload.bytes, payload.size);
        char *const header = rte_pktmbuf_prepend(*buffer, kHeaderBytes);
        if (header == nullptr)
            die("dpdk: rte_pktmbuf_prepend failed");
        write_header(reinterpret_cast<std::uint8_t *>(header), payload.size);
        iov[0].iov_base = header;
        iov[0].iov_len = size(*buffer);
        return 1;
    }

  private:
    static rte_mempool *pool_for(std::size_t largest);
};

} // namespace bench

#endif
