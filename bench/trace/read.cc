/* The text form, one event a line; FORMAT.md describes it. */
#include "trace/read.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <unordered_map>

namespace bench
{

namespace
{

class Words
{
  public:
    explicit Words(const std::string &line) : at_(line.c_str())
    {
    }
    std::string word()
    {
        while (*at_ == ' ' || *at_ == '\t')
            at_++;
        const char *const start = at_;
        while (*at_ != '\0' && *at_ != ' ' && *at_ != '\t')
            at_++;
        return std::string(start, at_);
    }
    bool number(std::uint64_t *value)
    {
        return parse(word(), value);
    }
    static bool parse(const std::string &text, std::uint64_t *value)
    {
        char *end = nullptr;
        errno = 0;
        *value = std::strtoull(text.c_str(), &end, 10);
        return !text.empty() && text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    }

  private:
    const char *at_;
};

constexpr int kHandover = -1; /* says nothing that a replay needs: the release names its thread */

bool parse_event(Words *words, Raw *event, int *kind)
{
    std::uint64_t thread = 0;
    if (!words->number(&thread) || thread > UINT32_MAX || !words->number(&event->time))
        return false;
    event->thread = static_cast<std::uint32_t>(thread);
    const std::string what = words->word();
    if (!words->number(&event->id))
        return false;
    static const std::unordered_map<std::string, int> kinds = {{"alloc", static_cast<int>(Kind::kAlloc)},
                                                               {"release", static_cast<int>(Kind::kRelease)},
                                                               {"truncate", static_cast<int>(Kind::kTruncateFront)},
                                                               {"expand", static_cast<int>(Kind::kExpand)},
                                                               {"coalesce", static_cast<int>(Kind::kCoalesce)},
                                                               {"handover", kHandover}};
    const auto found = kinds.find(what);
    if (found == kinds.end())
        return false;
    *kind = found->second;
    if (what != "release" && !words->number(&event->bytes))
        return false;
    std::string rest = words->word();
    if (what == "truncate") {
        if (rest != "front" && rest != "back")
            return false;
        *kind = static_cast<int>(rest == "front" ? Kind::kTruncateFront : Kind::kTruncateBack);
        rest = words->word();
    } else if (what == "alloc" && !rest.empty() && rest[0] != '@') {
        if (!Words::parse(rest, &event->reserve))
            return false;
        rest = words->word();
    }
    std::uint64_t site = 0;
    if (!rest.empty() && (rest[0] != '@' || !Words::parse(rest.substr(1), &site) || site > UINT32_MAX))
        return false;
    event->site = static_cast<std::uint32_t>(site);
    return words->word().empty();
}

} // namespace

bool read_trace(const std::string &path, std::vector<Raw> *events, std::map<std::uint32_t, std::string> *sites, std::string *wrong)
{
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line)) {
        *wrong = !file && errno != 0 ? std::strerror(errno) : "it is empty";
        return false;
    }
    if (line.rfind("iobuf-trace ", 0) != 0) {
        *wrong = "it is no trace: it does not begin with 'iobuf-trace 1'";
        return false;
    }
    if (line != "iobuf-trace 1") {
        *wrong = "it is of version '" + line.substr(12) + "', and this program reads 1: record it again";
        return false;
    }
    for (std::size_t number = 2; std::getline(file, line); number++) {
        const std::string place = "line " + std::to_string(number) + ": ";
        if (file.eof()) {
            *wrong = place + "the trace is cut off here: record it again";
            return false;
        }
        if (line.empty() || line[0] == '#')
            continue;
        Words words(line);
        if (line.rfind("site ", 0) == 0) {
            std::uint64_t site = 0;
            words.word();
            if (!words.number(&site) || site > UINT32_MAX) {
                *wrong = place + "'" + line.substr(0, 60) + "' names no site";
                return false;
            }
            const std::size_t name = line.find(' ', 5);
            (*sites)[static_cast<std::uint32_t>(site)] = name == std::string::npos ? "" : line.substr(name + 1);
            continue;
        }
        Raw event = {};
        int kind = 0;
        if (line[0] == 'T' && words.word() != "T") {
            *wrong = place + "'" + line.substr(0, 60) + "' is no event";
            return false;
        }
        if (!parse_event(&words, &event, &kind)) {
            *wrong = place + "'" + line.substr(0, 60) + "' is no event";
            return false;
        }
        if (kind == kHandover)
            continue;
        event.kind = static_cast<Kind>(kind);
        events->push_back(event);
    }
    if (events->empty()) {
        *wrong = "it has no events: there is nothing to choose a size for";
        return false;
    }
    return true;
}

} // namespace bench
