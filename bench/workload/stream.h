/* Byte streams with known message boundaries: synthetic ones of one size, and recorded ones (corpus/traces), whose boundaries a
 * small splitter finds once, before any clock starts. Also where a reader gets its bytes from: memory or a descriptor.
 */
#ifndef BENCH_WORKLOAD_STREAM_H
#define BENCH_WORKLOAD_STREAM_H

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bench
{

/* The messages fill the stream exactly, one behind the other. */
struct Stream {
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint32_t> sizes;
};

struct Message {
    const std::uint8_t *bytes;
    std::size_t size;
};

/* Messages of one size, as many as fit `total` bytes; contents pseudo-random. */
Stream fixed_stream(std::size_t message_size, std::size_t total);

/* HTTP/1.1 responses: each message is one head with its body. False, and `error` says why, if the file cannot be read or
 * is not that to its last byte. */
bool load_http(const std::string &path, Stream *stream, std::string *error);

/* RESP2 replies: each message is one complete reply. As above. */
bool load_resp(const std::string &path, Stream *stream, std::string *error);

/* Bytes of the stream's largest message. */
std::size_t largest_of(const Stream &stream);

std::vector<Message> messages_of(const Stream &stream);

/* FNV-1a, to compare what the peers delivered. Start with kChecksumSeed. */
constexpr std::uint64_t kChecksumSeed = 0xcbf29ce484222325u;
std::uint64_t checksum(std::uint64_t seed, const void *bytes, std::size_t size);

/* The stream over and over, as if it came from a kernel that always has all of it. */
class MemoryInput
{
  public:
    explicit MemoryInput(const Stream &stream) : bytes_(stream.bytes.data()), size_(stream.bytes.size())
    {
    }

    ssize_t read(void *into, std::size_t room)
    {
        if (position_ == size_)
            position_ = 0;
        const std::size_t left = size_ - position_;
        const std::size_t count = room < left ? room : left;
        std::memcpy(into, bytes_ + position_, count);
        position_ += count;
        return static_cast<ssize_t>(count);
    }

  private:
    const std::uint8_t *bytes_;
    std::size_t size_;
    std::size_t position_ = 0;
};

/* A descriptor, which stays its owner's. */
class FdInput
{
  public:
    explicit FdInput(int fd) : fd_(fd)
    {
    }
    int fd() const
    {
        return fd_;
    }
    ssize_t read(void *into, std::size_t room);

  private:
    int fd_;
};

} // namespace bench

#endif
