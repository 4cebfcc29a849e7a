/* malloc and free, used as a plain program uses them: a buffer is a pointer and a length, a frame is one block of header and
 * payload, joining copies into a block that is large enough, and a message is read straight into its own block.
 * The same adapter serves any malloc that is preloaded; held_bytes is that allocator's own account.
 */
#ifndef BENCH_PEERS_MALLOC_PEER_H
#define BENCH_PEERS_MALLOC_PEER_H

#include <cstdlib>

#include "peers/malloc_account.h"
#include "peers/peer.h"

namespace bench
{

struct MallocPeer : PeerDefaults {
    static const char *name()
    {
        return malloc_name();
    }
    static constexpr bool kHasBufs = false;
    static constexpr bool kCountsEach = false;
    struct Buffer {
        std::uint8_t *data;
        std::size_t size;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &) : before_(malloc_held())
        {
        }
        Source(const SourceOptions &options, Source &) : Source(options)
        {
        }
        /* What the heap grew by since this source began. Right in a process that did nothing else before. */
        std::size_t held_bytes() const
        {
            return malloc_held() - before_;
        }

      private:
        const std::size_t before_;
    };

    static void alloc(Source &, std::size_t size, Buffer *buffer)
    {
        buffer->data = static_cast<std::uint8_t *>(std::malloc(size));
        if (buffer->data == nullptr)
            die("malloc failed");
        buffer->size = size;
    }
    static void release(Buffer *buffer)
    {
        std::free(buffer->data);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer.data;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer.size;
    }

    /* The header's room is known beforehand and allocated with the payload: the best that malloc allows, one part as well. */
    static std::size_t frame(Source &source, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        alloc(source, kHeaderBytes + payload.size, buffer);
        write_header(buffer->data, payload.size);
        std::memcpy(buffer->data + kHeaderBytes, payload.bytes, payload.size);
        iov[0].iov_base = buffer->data;
        iov[0].iov_len = buffer->size;
        return 1;
    }

    static std::size_t join(Source &source, Buffer *buffers, std::size_t count, std::size_t max_size)
    {
        std::size_t kept = 0;
        for (std::size_t at = 0; at < count;) {
            std::size_t total = buffers[at].size;
            std::size_t end = at + 1;
            while (end < count && buffers[end].size <= max_size - total)
                total += buffers[end++].size;
            Buffer joined;
            alloc(source, total, &joined);
            std::uint8_t *into = joined.data;
            for (; at < end; at++) {
                std::memcpy(into, buffers[at].data, buffers[at].size);
                into += buffers[at].size;
                release(&buffers[at]);
            }
            buffers[kept++] = joined;
        }
        return kept;
    }

    template <class Input> class Reader
    {
      public:
        Reader(Source &source, Input *input) : source_(source), input_(input)
        {
        }

        void read(std::size_t size, Buffer *buffer)
        {
            alloc(source_, size, buffer);
            for (std::size_t have = 0; have < size;) {
                const ssize_t count = input_->read(buffer->data + have, size - have);
                if (count <= 0)
                    die("read failed");
                have += static_cast<std::size_t>(count);
            }
        }

      private:
        Source &source_;
        Input *input_;
    };
};

} // namespace bench

#endif
