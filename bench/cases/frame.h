/* frame: a message on its way out. The payload is copied into a new buffer, an 8-byte header put in front, the whole described
 * for writev, then released. Payloads of one size, and the messages of recorded streams (frame_http, frame_resp).
 */
#ifndef BENCH_CASES_FRAME_H
#define BENCH_CASES_FRAME_H

#include "cases/cases.h"

namespace bench
{

namespace frame_case
{

inline SourceOptions frame_options(const Stream &stream)
{
    SourceOptions options;
    options.largest = largest_of(stream);
    options.reserve = kHeaderBytes;
    return options;
}

inline std::uint64_t expected(const std::vector<Message> &messages)
{
    std::uint64_t sum = kChecksumSeed;
    for (const Message &message : messages) {
        std::uint8_t header[kHeaderBytes];
        write_header(header, message.size);
        sum = checksum(sum, header, sizeof header);
        sum = checksum(sum, message.bytes, message.size);
    }
    return sum;
}

template <class Peer> std::uint64_t delivered(typename Peer::Source &source, const std::vector<Message> &messages)
{
    std::uint64_t sum = kChecksumSeed;
    for (const Message &message : messages) {
        struct iovec iov[kMaxFrameParts];
        typename Peer::Buffer buffer;
        const std::size_t parts = Peer::frame(source, message, iov, &buffer);
        for (std::size_t i = 0; i < parts; i++)
            sum = checksum(sum, iov[i].iov_base, iov[i].iov_len);
        Peer::release(&buffer);
    }
    return sum;
}

template <class Peer> void frame(benchmark::State &state, const Stream &stream)
{
    const SourceOptions options = frame_options(stream);
    const std::vector<Message> messages = messages_of(stream);
    typename Peer::Source source(options);
    if (delivered<Peer>(source, messages) != expected(messages))
        return fail(state, "the frames are not header and payload");
    std::uint64_t bytes = 0;
    std::size_t next = 0;
    for (auto _ : state) {
        const Message message = {messages[next].bytes, opaque(messages[next].size)};
        next = next + 1 == messages.size() ? 0 : next + 1;
        struct iovec iov[kMaxFrameParts];
        typename Peer::Buffer buffer;
        Peer::frame(source, message, iov, &buffer);
        escape(iov);
        Peer::release(&buffer);
        bytes += message.size;
    }
    report<Peer>(state, bytes, options);
}

/* Payloads stay in the first-level cache, so that the buffer's side is what is measured. */
constexpr std::size_t kPayloads = 16 * 1024;

} // namespace frame_case

template <class Peer> void register_frame(const Traces &traces)
{
    for (const std::size_t size : {64u, 1024u, 4096u})
        add_case<Peer>("frame", std::to_string(size), [size](benchmark::State &state) {
            frame_case::frame<Peer>(state, fixed_stream(size, frame_case::kPayloads));
        });
    if (largest_of(traces.http) <= Peer::kLargest)
        add_case<Peer>("frame_http", "mixed", [&traces](benchmark::State &state) { frame_case::frame<Peer>(state, traces.http); });
    if (largest_of(traces.resp) <= Peer::kLargest)
        add_case<Peer>("frame_resp", "mixed", [&traces](benchmark::State &state) { frame_case::frame<Peer>(state, traces.resp); });
}

} // namespace bench

#endif
