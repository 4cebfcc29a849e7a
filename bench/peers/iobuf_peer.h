/* This library: one pool, one allocator on it, and slices by value. held_bytes is the pool's own account, which counts whole
 * bufs, free ones too, and the unused tails of those in use.
 */
#ifndef BENCH_PEERS_IOBUF_PEER_H
#define BENCH_PEERS_IOBUF_PEER_H

#include <iobuf/iobuf.h>

#include "peers/peer.h"

namespace bench
{

struct IobufPeer : PeerDefaults {
    static const char *name()
    {
        return "iobuf";
    }
    static constexpr bool kHasBufs = true;
    using Buffer = iobuf_slice;

    class Source
    {
      public:
        explicit Source(const SourceOptions &options)
        {
            iobuf_pool_options pool_options = {};
            pool_options.min_size = options.buf_bytes;
            if (iobuf_pool_create(&pool_options, &pool) != IOBUF_OK ||
                iobuf_allocator_init(&allocator, pool, options.reserve) != IOBUF_OK)
                die("iobuf: no pool");
        }
        /* An allocator on the pool of `first`, which must outlive it. */
        Source(const SourceOptions &options, Source &first)
        {
            if (iobuf_allocator_init(&allocator, first.pool, options.reserve) != IOBUF_OK)
                die("iobuf: no allocator");
        }
        ~Source()
        {
            iobuf_allocator_release(&allocator);
            iobuf_pool_close(pool); /* harmless if there is none */
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::size_t held_bytes() const
        {
            iobuf_pool_stats stats;
            iobuf_pool_stats_get(pool, &stats);
            return stats.bytes_in_use + stats.bytes_cached;
        }

        iobuf_pool *pool = nullptr;
        iobuf_allocator allocator;
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        if (iobuf_alloc(&source.allocator, size, buffer) != IOBUF_OK)
            die("iobuf_alloc failed");
    }
    static void release(Buffer *buffer)
    {
        iobuf_slice_release(buffer);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return iobuf_slice_data(&buffer);
    }
    static std::size_t size(const Buffer &buffer)
    {
        return iobuf_slice_size(&buffer);
    }

    /* The header goes into the reserve in front of the payload: one part, nothing moved. */
    static std::size_t frame(Source &source, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        alloc(source, payload.size, buffer);
        std::memcpy(iobuf_slice_data(buffer), payload.bytes, payload.size);
        if (!iobuf_slice_expand_front(buffer, kHeaderBytes))
            die("iobuf_slice_expand_front failed");
        write_header(iobuf_slice_data(buffer), payload.size);
        return iobuf_slices_to_iovec(buffer, 1, iov, kMaxFrameParts);
    }

    static std::size_t join(Source &, Buffer *buffers, std::size_t count, std::size_t max_size)
    {
        return iobuf_coalesce(buffers, count, max_size);
    }

    template <class Input> class Reader
    {
      public:
        Reader(Source &source, Input *input)
        {
            if (init(source, input) != IOBUF_OK)
                die("iobuf: no reader");
        }
        ~Reader()
        {
            iobuf_reader_close(&reader_);
        }
        Reader(const Reader &) = delete;
        Reader &operator=(const Reader &) = delete;

        void read(std::size_t size, Buffer *buffer)
        {
            const int status = iobuf_reader_read(&reader_, size, buffer);
            if (status != IOBUF_OK)
                die(iobuf_strerror(status));
        }

      private:
        int init(Source &source, FdInput *input)
        {
            return iobuf_reader_init_fd(&reader_, source.pool, input->fd());
        }
        template <class Other> int init(Source &source, Other *input)
        {
            return iobuf_reader_init(&reader_, source.pool, callback<Other>, input);
        }
        template <class Other> static ssize_t callback(void *context, void *into, std::size_t room, int *)
        {
            return static_cast<Other *>(context)->read(into, room);
        }

        iobuf_reader reader_;
    };
};

} // namespace bench

#endif
