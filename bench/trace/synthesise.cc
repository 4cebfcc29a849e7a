/* iobuf_synthesise_trace: a trace of traffic that is made up: sizes and lifetimes drawn from distributions, over some threads. The
 * same options give the same trace. Exit status: 0 fine; 2 wrong usage; 3 could not write.
 *
 *   iobuf_synthesise_trace --sizes log:64:16384 --lifetimes log:1:4096 --allocs 100000 FILE
 */
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <vector>

#include "trace/trace.h"
#include "workload/plan.h"

namespace bench
{

namespace
{

constexpr const char *kHelp =
    "iobuf_synthesise_trace [OPTION...] FILE\n"
    "  --allocs N          buffers in all; default 100000\n"
    "  --sizes DIST        bytes of a buffer; default log:64:16384\n"
    "  --lifetimes DIST    how many further buffers come before one is released; default log:1:1000\n"
    "  --forever PERCENT   of the buffers live to the end, whatever --lifetimes says; default 0\n"
    "  --forever-sizes DIST   bytes of these; default as --sizes\n"
    "  --threads N         each buffer is one's, drawn at random; default 1\n"
    "  --handover PERCENT  of the buffers are released by the next thread; default 0\n"
    "  --reserve N         spare bytes in front of each buffer; default 0\n"
    "  --coalesce N        each N buffers that a thread allocates one after the other are coalesced; default 0: none are\n"
    "  --seed N            default 1\n"
    "  --text              the text form, not the binary one\n"
    "DIST: constant:N, uniform:LOW:HIGH, log:LOW:HIGH (each octave as likely as the other), or\n"
    "  two:LOW:HIGH:PERCENT (LOW for so many, HIGH for the others). One buffer is allocated each microsecond.\n";

[[noreturn]] void usage(const std::string &problem)
{
    std::fprintf(stderr, "iobuf_synthesise_trace: %s; see --help\n", problem.c_str());
    std::_Exit(2);
}

std::uint32_t number(const std::string &option, const std::string &text, std::uint64_t most = UINT32_MAX)
{
    char *end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > most)
        usage(option + " needs a number up to " + std::to_string(most) + ", not '" + text + "'");
    return static_cast<std::uint32_t>(value);
}

class Distribution
{
  public:
    Distribution(const std::string &option, const std::string &text)
    {
        std::vector<std::string> parts(1);
        for (const char c : text) {
            if (c == ':')
                parts.emplace_back();
            else
                parts.back() += c;
        }
        kind_ = parts[0];
        const std::size_t wanted = kind_ == "constant" ? 2 : kind_ == "uniform" || kind_ == "log" ? 3 : kind_ == "two" ? 4 : 0;
        if (parts.size() != wanted)
            usage(option + ": '" + text + "' is no distribution");
        low_ = high_ = number(option, parts[1]);
        if (wanted > 2)
            high_ = number(option, parts[2]);
        if (wanted > 3)
            percent_ = number(option, parts[3], 100);
        if (high_ < low_ || (kind_ == "log" && low_ == 0))
            usage(option + ": '" + text + "' is no distribution");
    }
    std::uint32_t draw(Random *random) const
    {
        if (kind_ == "two")
            return random->between(1, 100) <= percent_ ? low_ : high_;
        return kind_ == "log" ? random->log_between(low_, high_) : random->between(low_, high_);
    }

  private:
    std::string kind_;
    std::uint32_t low_ = 0, high_ = 0, percent_ = 0;
};

struct Traffic {
    std::uint32_t allocs = 100000;
    std::string sizes = "log:64:16384", lifetimes = "log:1:1000", forever_sizes;
    std::uint32_t forever = 0, threads = 1, handover = 0, reserve = 0, coalesce = 0, seed = 1;
    bool text = false;
    std::string path;
};

Traffic take_arguments(int argc, char **argv)
{
    Traffic traffic;
    for (int at = 1; at < argc; at++) {
        const std::string option = argv[at];
        if (option == "--help") {
            std::fputs(kHelp, stdout);
            std::exit(0);
        }
        if (option == "--text") {
            traffic.text = true;
            continue;
        }
        if (option.rfind("--", 0) != 0) {
            if (!traffic.path.empty())
                usage("one file at a time");
            traffic.path = option;
            continue;
        }
        if (++at == argc)
            usage(option + " needs a value");
        const std::string value = argv[at];
        if (option == "--allocs")
            traffic.allocs = number(option, value, 100000000);
        else if (option == "--sizes")
            traffic.sizes = value;
        else if (option == "--lifetimes")
            traffic.lifetimes = value;
        else if (option == "--forever")
            traffic.forever = number(option, value, 100);
        else if (option == "--forever-sizes")
            traffic.forever_sizes = value;
        else if (option == "--threads")
            traffic.threads = number(option, value, 1024);
        else if (option == "--handover")
            traffic.handover = number(option, value, 100);
        else if (option == "--reserve")
            traffic.reserve = number(option, value, 65536);
        else if (option == "--coalesce")
            traffic.coalesce = number(option, value, 1024);
        else if (option == "--seed")
            traffic.seed = number(option, value);
        else
            usage("there is no option " + option);
    }
    if (traffic.path.empty())
        usage("which file?");
    if (traffic.threads == 0)
        usage("--threads needs at least one");
    return traffic;
}

struct Due {
    std::uint64_t at;
    std::uint64_t id;
    std::uint32_t thread;
    bool operator>(const Due &other) const
    {
        return at != other.at ? at > other.at : id > other.id;
    }
};

/* Ids are dealt out in blocks, so that those of a run that is coalesced follow each other. */
class Maker
{
  public:
    Maker(const Traffic &traffic, std::vector<struct trace_event> *out)
        : traffic_(traffic), out_(*out), random_(traffic.seed), sizes_("--sizes", traffic.sizes),
          lifetimes_("--lifetimes", traffic.lifetimes),
          forever_("--forever-sizes", traffic.forever_sizes.empty() ? traffic.sizes : traffic.forever_sizes), runs_(traffic.threads)
    {
    }

    void make()
    {
        for (std::uint64_t turn = 0; turn < traffic_.allocs; turn++) {
            const std::uint64_t now = turn * 1000;
            for (; !due_.empty() && due_.top().at <= turn; due_.pop())
                out_.push_back({now, due_.top().id, 0, 0, due_.top().thread, 0, TRACE_RELEASE});
            const std::uint32_t thread = random_.between(0, traffic_.threads - 1);
            alloc(turn, thread, now);
        }
    }

  private:
    struct Run {
        std::uint64_t next = 0;
        std::uint32_t count = 0;
    };

    void alloc(std::uint64_t turn, std::uint32_t thread, std::uint64_t now)
    {
        Run *const run = &runs_[thread];
        if (run->count == 0) {
            run->next = next_id_;
            next_id_ += traffic_.coalesce > 0 ? traffic_.coalesce : 1;
        }
        const std::uint64_t id = run->next++;
        const bool forever = random_.between(1, 100) <= traffic_.forever;
        const std::uint32_t size = forever ? forever_.draw(&random_) : sizes_.draw(&random_);
        out_.push_back({now, id, size, traffic_.reserve, thread, forever ? 2u : 1u, TRACE_ALLOC});
        const std::uint64_t life = std::uint64_t{1} + lifetimes_.draw(&random_);
        const bool hand = random_.between(1, 100) <= traffic_.handover;
        const Due due = {turn + life, id, hand ? (thread + 1) % traffic_.threads : thread};
        if (traffic_.coalesce == 0) {
            if (!forever)
                due_.push(due);
            return;
        }
        if (++run->count < traffic_.coalesce)
            return;
        run->count = 0;
        out_.push_back({now, id + 1 - traffic_.coalesce, traffic_.coalesce, 0, thread, 0, TRACE_COALESCE});
        for (std::uint64_t of = id + 1 - traffic_.coalesce; !forever && of <= id; of++)
            due_.push(Due{due.at, of, due.thread});
    }

    const Traffic &traffic_;
    std::vector<struct trace_event> &out_;
    Random random_;
    const Distribution sizes_, lifetimes_, forever_;
    std::vector<Run> runs_;
    std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
    std::uint64_t next_id_ = 1;
};

/* False, with errno, if not all could be written. */
bool save(const Traffic &traffic, std::vector<struct trace_event> *events)
{
    static char usual[] = "made up";
    static char stays[] = "made up, lives to the end";
    struct trace_site sites[] = {{1, usual}, {2, stays}};
    struct trace trace = {};
    trace.events = events->data();
    trace.count = events->size();
    trace.sites = sites;
    trace.site_count = 2;
    std::FILE *const file = std::fopen(traffic.path.c_str(), "wb");
    if (file == nullptr)
        return false;
    const bool fine = traffic.text ? trace_save_text(file, &trace) : trace_save_binary(file, &trace);
    return std::fclose(file) == 0 && fine;
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
    using namespace bench;
    const Traffic traffic = take_arguments(argc, argv);
    std::vector<struct trace_event> events;
    Maker(traffic, &events).make();
    if (!save(traffic, &events)) {
        std::fprintf(stderr, "iobuf_synthesise_trace: %s: %s\n", traffic.path.c_str(), std::strerror(errno));
        return 3;
    }
    return 0;
}
