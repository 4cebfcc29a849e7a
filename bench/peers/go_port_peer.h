/* The algorithm of the Go package that iobuf keeps the behaviour of, written in C++ after its description: a pool whose free bufs
 * are a list under a mutex, searched from its end for one that is large enough; an atomic count of references in each buf; an
 * allocator that lets its buf go and asks the pool when a slice does not fit; and slices that are each allocated on the heap.
 * What it holds is the measure for what iobuf may hold with bufs of the same size. held_bytes counts bufs alone, not slices.
 */
#ifndef BENCH_PEERS_GO_PORT_PEER_H
#define BENCH_PEERS_GO_PORT_PEER_H

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "peers/peer.h"

namespace bench
{

struct GoPortPeer : PeerDefaults {
    static constexpr bool kHasBufs = true;
    static const char *name()
    {
        return "go_port";
    }

    class Pool;
    struct Buf {
        std::uint8_t *contents;
        std::size_t size;
        Pool *pool;
        std::atomic<std::int32_t> references;

        void release()
        {
            /* Release and acquire: who drops the last reference has seen the others' use of the bytes end. */
            if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
                pool->put(this);
        }
    };
    struct Slice {
        std::uint8_t *contents; /* a Go slice of bytes: address, length, capacity */
        std::size_t length;
        std::size_t capacity;
        Buf *buf;
        std::size_t free;
        std::size_t base;
    };
    using Buffer = Slice *;

    class Pool
    {
      public:
        explicit Pool(std::size_t min_size) : min_size_(min_size)
        {
        }
        ~Pool()
        {
            for (Buf *buf : free_) {
                std::free(buf->contents);
                delete buf;
            }
        }
        Pool(const Pool &) = delete;
        Pool &operator=(const Pool &) = delete;

        /* With one reference, the caller's. */
        Buf *take(std::size_t size)
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            for (std::size_t i = free_.size(); i-- > 0;) {
                Buf *const buf = free_[i];
                if (buf->size < size)
                    continue;
                free_[i] = free_.back();
                free_.pop_back();
                buf->references.store(1, std::memory_order_relaxed); /* nobody else knows it: the lock orders it */
                return buf;
            }
            const std::size_t rounded = (size + min_size_ - 1) / min_size_ * min_size_;
            auto *const buf = new Buf{static_cast<std::uint8_t *>(std::malloc(rounded)), rounded, this, {1}};
            if (buf->contents == nullptr)
                die("go_port: no memory");
            held_ += rounded;
            return buf;
        }
        void put(Buf *buf)
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            free_.push_back(buf);
        }
        std::size_t held() const
        {
            return held_;
        }

      private:
        std::mutex mutex_;
        std::vector<Buf *> free_;
        std::size_t held_ = 0; /* read by the thread that takes */
        const std::size_t min_size_;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &options) : pool_(options.buf_bytes), reserve_(options.reserve)
        {
        }
        ~Source()
        {
            if (buf_ != nullptr)
                buf_->release();
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::size_t held_bytes() const
        {
            return pool_.held();
        }
        Slice *alloc(std::size_t size)
        {
            const std::size_t total = reserve_ + size;
            if (buf_ == nullptr || total > buf_->size - index_) {
                if (buf_ != nullptr)
                    buf_->release();
                buf_ = pool_.take(total);
                index_ = 0;
            }
            auto *const slice = static_cast<Slice *>(std::malloc(sizeof(Slice)));
            if (slice == nullptr)
                die("go_port: no memory");
            const std::size_t base = index_ + reserve_;
            *slice = {buf_->contents + base, size, buf_->size - base, buf_, index_, base};
            index_ += total;
            buf_->references.fetch_add(1, std::memory_order_relaxed); /* the allocator's own keeps it alive */
            return slice;
        }

      private:
        Pool pool_;
        Buf *buf_ = nullptr;
        std::size_t index_ = 0;
        const std::size_t reserve_;
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        *buffer = source.alloc(size);
    }
    static void release(Buffer *buffer)
    {
        (*buffer)->buf->release();
        std::free(*buffer);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer->contents;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer->length;
    }
};

} // namespace bench

#endif
