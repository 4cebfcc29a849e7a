/* Splitters and sources behind stream.h. The splitters know what corpus/traces holds and refuse anything else: a message that
 * they cannot end exactly is an error, never a guess.
 */
#include "workload/stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>

#include "workload/plan.h"

namespace bench
{

namespace
{

/* Length of the message that `rest` begins with; 0: none, or not all of it. */
using Splitter = std::size_t (*)(std::string_view rest);

constexpr auto npos = std::string_view::npos;

/* A decimal or hexadecimal number that ends at CR or ';'. False if there is none. */
bool parse_number(std::string_view text, int base, std::size_t *value)
{
    const std::string digits(text.substr(0, text.find_first_of(";\r")));
    char *end = nullptr;
    errno = 0;
    const unsigned long long parsed = std::strtoull(digits.c_str(), &end, base);
    if (digits.empty() || digits[0] == '-' || *end != '\0' || errno != 0)
        return false;
    *value = static_cast<std::size_t>(parsed);
    return true;
}

/* Chunks as they stand on the wire, up to and with the empty last one. 0: not complete. */
std::size_t chunked_length(std::string_view body)
{
    std::size_t at = 0;
    for (;;) {
        const std::size_t line = body.find("\r\n", at);
        std::size_t chunk;
        if (line == npos || !parse_number(body.substr(at, line - at), 16, &chunk))
            return 0;
        at = line + 2;
        if (chunk > body.size() - at || body.size() - at - chunk < 2)
            return 0;
        at += chunk + 2;
        if (chunk == 0)
            return at;
    }
}

std::size_t http_length(std::string_view rest)
{
    const std::size_t end = rest.find("\r\n\r\n");
    if (rest.substr(0, 9) != "HTTP/1.1 " || end == npos)
        return 0;
    const std::string_view head = rest.substr(0, end + 4);
    const std::string_view body = rest.substr(head.size());
    if (head.find("\r\nTransfer-Encoding: chunked\r\n") != npos) {
        const std::size_t length = chunked_length(body);
        return length == 0 ? 0 : head.size() + length;
    }
    constexpr std::string_view field = "\r\nContent-Length: ";
    const std::size_t found = head.find(field);
    std::size_t length = 0;
    if (found != npos && !parse_number(head.substr(found + field.size()), 10, &length))
        return 0;
    /* The reply to a HEAD announces a body and has none: the next head follows at once. */
    if (body.substr(0, 9) == "HTTP/1.1 ")
        return head.size();
    return length <= body.size() ? head.size() + length : 0;
}

std::size_t resp_length(std::string_view rest, int depth = 0)
{
    const std::size_t line = rest.find("\r\n");
    if (line == npos || line == 0 || depth > 8)
        return 0;
    const std::size_t at = line + 2;
    const std::string_view text = rest.substr(1, line - 1);
    if (rest[0] == '+' || rest[0] == '-' || rest[0] == ':' || text == "-1")
        return at;
    std::size_t count;
    if ((rest[0] != '$' && rest[0] != '*') || !parse_number(text, 10, &count))
        return 0;
    if (rest[0] == '$')
        return count <= rest.size() - at && rest.size() - at - count >= 2 ? at + count + 2 : 0;
    std::size_t total = at;
    for (std::size_t i = 0; i < count; i++) {
        const std::size_t length = resp_length(rest.substr(total), depth + 1);
        if (length == 0)
            return 0;
        total += length;
    }
    return total;
}

std::size_t resp_reply(std::string_view rest)
{
    return resp_length(rest);
}

bool load(const std::string &path, Splitter splitter, Stream *stream, std::string *error)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        *error = path + ": cannot be read; scripts/record-traces records it, --traces DIR says where it is";
        return false;
    }
    stream->bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    const std::string_view all(reinterpret_cast<const char *>(stream->bytes.data()), stream->bytes.size());
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t length = splitter(all.substr(at));
        if (length == 0) {
            *error = path + ": no complete message at byte " + std::to_string(at);
            return false;
        }
        stream->sizes.push_back(static_cast<std::uint32_t>(length));
        at += length;
    }
    if (stream->sizes.empty())
        *error = path + ": is empty";
    return !stream->sizes.empty();
}

} // namespace

Stream fixed_stream(std::size_t message_size, std::size_t total)
{
    Random random(message_size);
    Stream stream;
    stream.sizes.assign(total / message_size, static_cast<std::uint32_t>(message_size));
    stream.bytes.resize(stream.sizes.size() * message_size);
    for (std::uint8_t &byte : stream.bytes)
        byte = static_cast<std::uint8_t>(random.next());
    return stream;
}

bool load_http(const std::string &path, Stream *stream, std::string *error)
{
    return load(path, http_length, stream, error);
}

bool load_resp(const std::string &path, Stream *stream, std::string *error)
{
    return load(path, resp_reply, stream, error);
}

std::size_t largest_of(const Stream &stream)
{
    return *std::max_element(stream.sizes.begin(), stream.sizes.end());
}

std::vector<Message> messages_of(const Stream &stream)
{
    std::vector<Message> messages;
    messages.reserve(stream.sizes.size());
    const std::uint8_t *at = stream.bytes.data();
    for (const std::uint32_t size : stream.sizes) {
        messages.push_back({at, size});
        at += size;
    }
    return messages;
}

std::uint64_t checksum(std::uint64_t seed, const void *bytes, std::size_t size)
{
    const auto *at = static_cast<const std::uint8_t *>(bytes);
    for (std::size_t i = 0; i < size; i++)
        seed = (seed ^ at[i]) * 0x100000001b3u;
    return seed;
}

ssize_t FdInput::read(void *into, std::size_t room)
{
    ssize_t count;
    do
        count = ::read(fd_, into, room);
    while (count < 0 && errno == EINTR);
    return count;
}

} // namespace bench
