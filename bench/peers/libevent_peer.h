/* libevent's evbuffer, one per buffer: a chain of blocks that one can add to at both ends, moved between chains without copying
 * where whole blocks move. Locks are off, as they are unless a program asks for them. It allocates with malloc, whose account
 * held_bytes is.
 */
#ifndef BENCH_PEERS_LIBEVENT_PEER_H
#define BENCH_PEERS_LIBEVENT_PEER_H

#include <event2/buffer.h>

#include "peers/malloc_account.h"
#include "peers/peer.h"

namespace bench
{

struct LibeventPeer : PeerDefaults {
    static constexpr bool kHasBufs = false;
    static constexpr bool kCountsEach = false;
    static const char *name()
    {
        return "libevent";
    }

    struct Buffer {
        evbuffer *chain;
        std::uint8_t *data;
        std::size_t size;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &) : before_(malloc_held())
        {
        }
        std::size_t held_bytes() const
        {
            return malloc_held() - before_;
        }

      private:
        const std::size_t before_;
    };

    static void check(bool ok)
    {
        if (!ok)
            die("libevent: evbuffer failed");
    }

    static void alloc(Source &, std::size_t size, Buffer *buffer)
    {
        buffer->chain = evbuffer_new();
        check(buffer->chain != nullptr);
        struct evbuffer_iovec room;
        check(evbuffer_reserve_space(buffer->chain, static_cast<ev_ssize_t>(size), &room, 1) == 1);
        room.iov_len = size; /* it may be more */
        check(evbuffer_commit_space(buffer->chain, &room, 1) == 0);
        buffer->data = static_cast<std::uint8_t *>(room.iov_base);
        buffer->size = size;
    }
    static void release(Buffer *buffer)
    {
        evbuffer_free(buffer->chain);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer.data;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer.size;
    }

    static std::size_t frame(Source &, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        std::uint8_t header[kHeaderBytes];
        write_header(header, payload.size);
        buffer->chain = evbuffer_new();
        check(buffer->chain != nullptr);
        check(evbuffer_add(buffer->chain, payload.bytes, payload.size) == 0);
        check(evbuffer_prepend(buffer->chain, header, sizeof header) == 0);
        const int parts = evbuffer_peek(buffer->chain, -1, nullptr, iov, kMaxFrameParts);
        check(parts > 0 && parts <= static_cast<int>(kMaxFrameParts));
        buffer->data = static_cast<std::uint8_t *>(iov[0].iov_base);
        buffer->size = kHeaderBytes + payload.size;
        return static_cast<std::size_t>(parts);
    }

    /* Chains are linked without copying; that the bytes are in one piece, as with every peer, costs the copy. */
    static std::size_t join(Source &, Buffer *buffers, std::size_t count, std::size_t max_size)
    {
        std::size_t kept = 0;
        for (std::size_t at = 0; at < count;) {
            Buffer joined = buffers[at++];
            while (at < count && buffers[at].size <= max_size - joined.size) {
                check(evbuffer_add_buffer(joined.chain, buffers[at].chain) == 0);
                joined.size += buffers[at].size;
                release(&buffers[at++]);
            }
            pull_up(&joined);
            buffers[kept++] = joined;
        }
        return kept;
    }

    template <class Input> class Reader
    {
      public:
        Reader(Source &, Input *input) : input_(input), arrived_(evbuffer_new())
        {
            check(arrived_ != nullptr);
        }
        ~Reader()
        {
            evbuffer_free(arrived_);
        }
        Reader(const Reader &) = delete;
        Reader &operator=(const Reader &) = delete;

        void read(std::size_t size, Buffer *buffer)
        {
            while (evbuffer_get_length(arrived_) < size)
                fill(input_);
            buffer->chain = evbuffer_new();
            check(buffer->chain != nullptr);
            check(evbuffer_remove_buffer(arrived_, buffer->chain, size) == static_cast<int>(size));
            buffer->size = size;
            pull_up(buffer);
        }

      private:
        /* As much as libevent thinks fit. */
        void fill(FdInput *input)
        {
            check(evbuffer_read(arrived_, input->fd(), -1) > 0);
        }
        template <class Other> void fill(Other *input)
        {
            constexpr ev_ssize_t kRoom = 16 * 1024; /* what the bufs of others have */
            struct evbuffer_iovec room;
            check(evbuffer_reserve_space(arrived_, kRoom, &room, 1) == 1);
            const ssize_t count = input->read(room.iov_base, room.iov_len);
            check(count > 0);
            room.iov_len = static_cast<std::size_t>(count);
            check(evbuffer_commit_space(arrived_, &room, 1) == 0);
        }

        Input *const input_;
        evbuffer *const arrived_;
    };

  private:
    static void pull_up(Buffer *buffer)
    {
        buffer->data = evbuffer_pullup(buffer->chain, -1);
        check(buffer->data != nullptr);
    }
};

} // namespace bench

#endif
