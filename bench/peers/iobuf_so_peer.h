/* This library as a program sees it that was not compiled with the inline fast path: every call goes into the shared library.
 * That is loaded at run time, next to the static one that the iobuf peer has, and called through a table of addresses, which
 * costs what a call through the linker's own table does.
 */
#ifndef BENCH_PEERS_IOBUF_SO_PEER_H
#define BENCH_PEERS_IOBUF_SO_PEER_H

#if !defined(IOBUF_NO_INLINE)
#error "compile with IOBUF_NO_INLINE: no fast path of the header may be used here"
#endif
#include <iobuf/iobuf.h>

#include "peers/peer.h"

namespace bench
{

struct IobufSoPeer : PeerDefaults {
    static constexpr bool kHasBufs = true;
    static const char *name()
    {
        return "iobuf_so";
    }

    /* What is used of the shared library. */
    struct Table {
        decltype(&iobuf_pool_create) pool_create;
        decltype(&iobuf_pool_close) pool_close;
        decltype(&iobuf_pool_stats_get) pool_stats_get;
        decltype(&iobuf_allocator_init) allocator_init;
        decltype(&iobuf_allocator_release) allocator_release;
        decltype(&iobuf_alloc) alloc;
        decltype(&iobuf_slice_release) slice_release;
        decltype(&iobuf_slice_expand_front) slice_expand_front;
        decltype(&iobuf_slices_to_iovec) slices_to_iovec;
    };
    static Table so;

    /* Fills the table, unless it is. Returns why it cannot, or "". */
    static std::string load();

    using Buffer = iobuf_slice;

    class Source
    {
      public:
        explicit Source(const SourceOptions &options)
        {
            iobuf_pool_options pool_options = {};
            pool_options.min_size = options.buf_bytes;
            if (!load().empty() || so.pool_create(&pool_options, &pool_) != IOBUF_OK ||
                so.allocator_init(&allocator, pool_, options.reserve) != IOBUF_OK)
                die("iobuf_so: no pool");
        }
        ~Source()
        {
            so.allocator_release(&allocator);
            so.pool_close(pool_);
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::size_t held_bytes() const
        {
            iobuf_pool_stats stats;
            so.pool_stats_get(pool_, &stats);
            return stats.bytes_in_use + stats.bytes_cached;
        }

        iobuf_allocator allocator;

      private:
        iobuf_pool *pool_ = nullptr;
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        if (so.alloc(&source.allocator, size, buffer) != IOBUF_OK)
            die("iobuf_alloc failed");
    }
    static void release(Buffer *buffer)
    {
        so.slice_release(buffer);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return iobuf_slice_data(&buffer);
    }
    static std::size_t size(const Buffer &buffer)
    {
        return iobuf_slice_size(&buffer);
    }

    static std::size_t frame(Source &source, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        alloc(source, payload.size, buffer);
        std::memcpy(iobuf_slice_data(buffer), payload.bytes, payload.size);
        if (!so.slice_expand_front(buffer, kHeaderBytes))
            die("iobuf_slice_expand_front failed");
        write_header(iobuf_slice_data(buffer), payload.size);
        return so.slices_to_iovec(buffer, 1, iov, kMaxFrameParts);
    }
};

} // namespace bench

#endif
