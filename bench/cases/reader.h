/* reader: messages of known length cut from a byte stream, each looked at and released. From memory: messages of one size, and
 * recorded streams (reader_http, reader_resp). From a socket pair (reader_socket): the clock stands still while the kernel is
 * given the next bytes, so that only the reading side counts.
 */
#ifndef BENCH_CASES_READER_H
#define BENCH_CASES_READER_H

#include <sys/socket.h>
#include <unistd.h>

#include "cases/cases.h"

namespace bench
{

namespace reader_case
{

/* Of a synthetic stream: fits the second-level cache. */
constexpr std::size_t kStreamBytes = 256 * 1024;
/* Given to the kernel at once; far below what a socket holds by default, even with the kernel's own overhead. */
constexpr std::size_t kFillBytes = 64 * 1024;

/* Whether the whole stream, once, comes out of the reader as it went in. */
template <class Peer, class Reader> bool reads_right(Reader &reader, const Stream &stream)
{
    std::uint64_t sum = kChecksumSeed;
    for (const std::uint32_t size : stream.sizes) {
        typename Peer::Buffer buffer;
        reader.read(size, &buffer);
        if (Peer::size(buffer) == size)
            sum = checksum(sum, Peer::data(buffer), size);
        Peer::release(&buffer);
    }
    return sum == checksum(kChecksumSeed, stream.bytes.data(), stream.bytes.size());
}

template <class Peer, class Reader> void read_one(Reader &reader, std::size_t size)
{
    typename Peer::Buffer buffer;
    reader.read(opaque(size), &buffer);
    look(Peer::data(buffer));
    Peer::release(&buffer);
}

template <class Peer> void from_memory(benchmark::State &state, const Stream &stream)
{
    SourceOptions options;
    options.largest = largest_of(stream);
    typename Peer::Source source(options);
    MemoryInput input(stream);
    typename Peer::template Reader<MemoryInput> reader(source, &input);
    if (!reads_right<Peer>(reader, stream))
        return fail(state, "the messages are not the stream's bytes");
    std::uint64_t bytes = 0;
    std::size_t next = 0;
    for (auto _ : state) {
        const std::size_t size = stream.sizes[next];
        next = next + 1 == stream.sizes.size() ? 0 : next + 1;
        read_one<Peer>(reader, size);
        bytes += size;
    }
    report<Peer>(state, bytes, options);
}

/* Both ends, closed at the end of the case. */
struct SocketPair {
    int ends[2];
    SocketPair()
    {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            die("no socket pair");
    }
    ~SocketPair()
    {
        close(ends[0]);
        close(ends[1]);
    }
    SocketPair(const SocketPair &) = delete;
    SocketPair &operator=(const SocketPair &) = delete;

    /* False if the kernel did not take all of it at once. */
    bool fill(const Stream &stream) const
    {
        const ssize_t count = send(ends[1], stream.bytes.data(), stream.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        return count == static_cast<ssize_t>(stream.bytes.size());
    }
};

template <class Peer> void from_socket(benchmark::State &state, std::size_t size)
{
    const SourceOptions options;
    const Stream stream = fixed_stream(size, kFillBytes);
    typename Peer::Source source(options);
    const SocketPair pair;
    FdInput input(pair.ends[0]);
    typename Peer::template Reader<FdInput> reader(source, &input);
    if (!pair.fill(stream) || !reads_right<Peer>(reader, stream))
        return fail(state, "the messages are not the stream's bytes");
    const std::size_t count = stream.sizes.size();
    while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(count))) {
        state.PauseTiming();
        if (!pair.fill(stream))
            return fail(state, "the socket did not take the stream");
        state.ResumeTiming();
        for (std::size_t i = 0; i < count; i++)
            read_one<Peer>(reader, size);
    }
    report<Peer>(state, static_cast<std::uint64_t>(state.iterations()) * size, options);
}

} // namespace reader_case

template <class Peer> void register_reader_from_memory(const Traces &traces)
{
    for (const std::size_t size : {100u, 1024u})
        add_case<Peer>("reader", std::to_string(size), [size](benchmark::State &state) {
            reader_case::from_memory<Peer>(state, fixed_stream(size, reader_case::kStreamBytes));
        });
    add_case<Peer>("reader_http", "mixed",
                   [&traces](benchmark::State &state) { reader_case::from_memory<Peer>(state, traces.http); });
    add_case<Peer>("reader_resp", "mixed",
                   [&traces](benchmark::State &state) { reader_case::from_memory<Peer>(state, traces.resp); });
}

template <class Peer> void register_reader(const Traces &traces)
{
    register_reader_from_memory<Peer>(traces);
    for (const std::size_t size : {100u, 1024u})
        add_case<Peer>(
            "reader_socket", std::to_string(size), [size](benchmark::State &state) { reader_case::from_socket<Peer>(state, size); },
            in_batches(reader_case::kFillBytes / size));
}

} // namespace bench

#endif
