/* The floor: the least that any such library has to do, with nothing checked, locked or offered for other uses. Not a competitor,
 * but what competitors are measured against. Three adapters share the name, since the least differs with the work:
 *
 *   FloorPeer        one thread: a bump pointer, and a plain count per area that says when it may be used again
 *   FloorTwoPeer     two threads: each has its own count per area, stored plainly; areas are used again in the order of their age
 *   FloorCopyPeer    copies: a bump pointer that starts again at its area's end, and no count at all, so that what is left is
 *                    memcpy to where a library with that bump pointer would have put the bytes
 *
 * Descriptors of areas lie apart from the data, as in the library: at the start of the areas they would compete for cache sets.
 */
#ifndef BENCH_PEERS_FLOOR_PEER_H
#define BENCH_PEERS_FLOOR_PEER_H

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "peers/peer.h"

namespace bench
{

struct FloorDefaults : PeerDefaults {
    static constexpr bool kHasBufs = true;
    static const char *name()
    {
        return "floor";
    }

    struct Free {
        void operator()(std::uint8_t *bytes) const
        {
            std::free(bytes);
        }
    };
    using Bytes = std::unique_ptr<std::uint8_t[], Free>;

    static std::size_t area_bytes(const SourceOptions &options)
    {
        return (std::max(options.buf_bytes, options.reserve + options.largest) + 63) / 64 * 64;
    }
    static Bytes new_bytes(std::size_t size)
    {
        Bytes bytes(static_cast<std::uint8_t *>(std::aligned_alloc(64, size)));
        if (bytes == nullptr)
            die("floor: no memory");
        return bytes;
    }
};

struct FloorPeer : FloorDefaults {
    class Source;
    struct Area {
        std::size_t count = 0; /* buffers that live, and one while the source cuts from it */
        Bytes bytes;
        Source *home = nullptr;
    };
    struct Buffer {
        std::uint8_t *data;
        std::size_t size;
        Area *area;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &options) : size_(area_bytes(options))
        {
            take();
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::size_t held_bytes() const
        {
            return areas_.size() * size_;
        }
        void alloc(std::size_t size, Buffer *buffer)
        {
            if (__builtin_expect(size > static_cast<std::size_t>(end_ - next_), 0))
                next_area();
            current_->count++;
            *buffer = {next_, size, current_};
            next_ += size;
        }
        void put(Area *area)
        {
            free_.push_back(area);
        }

      private:
        __attribute__((noinline)) void next_area()
        {
            if (current_->count > 1) {
                current_->count--;
                take();
            }
            next_ = current_->bytes.get();
        }
        void take()
        {
            if (free_.empty()) {
                areas_.emplace_back();
                areas_.back().bytes = new_bytes(size_);
                areas_.back().home = this;
                free_.push_back(&areas_.back());
            }
            current_ = free_.back();
            free_.pop_back();
            current_->count = 1;
            next_ = current_->bytes.get();
            end_ = next_ + size_;
        }

        std::uint8_t *next_ = nullptr;
        std::uint8_t *end_ = nullptr;
        Area *current_ = nullptr;
        const std::size_t size_;
        std::deque<Area> areas_; /* which never move */
        std::vector<Area *> free_;
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        source.alloc(size, buffer);
    }
    static void release(Buffer *buffer)
    {
        if (__builtin_expect(--buffer->area->count == 0, 0))
            put(buffer->area);
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer.data;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer.size;
    }

  private:
    __attribute__((noinline)) static void put(Area *area)
    {
        area->home->put(area);
    }
};

struct FloorTwoPeer : FloorDefaults {
    struct Area {
        std::size_t taken = 0; /* the taking thread's */
        Bytes bytes;
        alignas(64) std::atomic<std::size_t> released{0}; /* stored by the releasing thread alone */
    };
    struct Buffer {
        std::uint8_t *data;
        std::size_t size;
        Area *area;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &options) : size_(area_bytes(options))
        {
            next_area();
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::size_t held_bytes() const
        {
            return areas_.size() * size_;
        }
        void alloc(std::size_t size, Buffer *buffer)
        {
            if (__builtin_expect(size > static_cast<std::size_t>(end_ - next_), 0))
                next_area();
            current_->taken++;
            *buffer = {next_, size, current_};
            next_ += size;
        }

      private:
        __attribute__((noinline)) void next_area()
        {
            if (current_ != nullptr)
                used_.push_back(current_);
            /* Acquire: pairs with the release in release(), whose thread has done with the bytes. */
            if (used_.empty() || used_.front()->released.load(std::memory_order_acquire) != used_.front()->taken) {
                areas_.emplace_back();
                areas_.back().bytes = new_bytes(size_);
                current_ = &areas_.back();
            } else {
                current_ = used_.front();
                used_.pop_front();
            }
            next_ = current_->bytes.get();
            end_ = next_ + size_;
        }

        std::uint8_t *next_ = nullptr;
        std::uint8_t *end_ = nullptr;
        Area *current_ = nullptr;
        const std::size_t size_;
        std::deque<Area> areas_;
        std::deque<Area *> used_; /* oldest first */
    };

    static void alloc(Source &source, std::size_t size, Buffer *buffer)
    {
        source.alloc(size, buffer);
    }
    static void release(Buffer *buffer)
    {
        std::atomic<std::size_t> &released = buffer->area->released;
        released.store(released.load(std::memory_order_relaxed) + 1, std::memory_order_release); /* pairs with next_area */
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer.data;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer.size;
    }
};

struct FloorCopyPeer : FloorDefaults {
    struct Buffer {
        std::uint8_t *data;
        std::size_t size;
    };

    class Source
    {
      public:
        explicit Source(const SourceOptions &options)
            : bytes_(new_bytes(area_bytes(options))), next_(bytes_.get()), end_(next_ + area_bytes(options))
        {
        }
        Source(const Source &) = delete;
        Source &operator=(const Source &) = delete;

        std::uint8_t *next(std::size_t size)
        {
            if (__builtin_expect(size > static_cast<std::size_t>(end_ - next_), 0))
                next_ = bytes_.get();
            std::uint8_t *const at = next_;
            next_ += size;
            return at;
        }

      private:
        const Bytes bytes_;
        std::uint8_t *next_;
        std::uint8_t *const end_;
    };

    static void release(Buffer *)
    {
    }
    static std::uint8_t *data(const Buffer &buffer)
    {
        return buffer.data;
    }
    static std::size_t size(const Buffer &buffer)
    {
        return buffer.size;
    }

    static std::size_t frame(Source &source, const Message &payload, struct iovec *iov, Buffer *buffer)
    {
        std::uint8_t *const header = source.next(kHeaderBytes + payload.size);
        write_header(header, payload.size);
        std::memcpy(header + kHeaderBytes, payload.bytes, payload.size);
        *buffer = {header, kHeaderBytes + payload.size};
        iov[0].iov_base = header;
        iov[0].iov_len = buffer->size;
        return 1;
    }

    template <class Input> class Reader
    {
      public:
        Reader(Source &source, Input *input) : source_(source), input_(input)
        {
        }
        void read(std::size_t size, Buffer *buffer)
        {
            *buffer = {source_.next(size), size};
            input_->read(buffer->data, size); /* all of it: no message crosses the end of a stream in memory */
        }

      private:
        Source &source_;
        Input *input_;
    };
};

} // namespace bench

#endif
