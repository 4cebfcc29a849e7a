/* Parsing behind options.h: an option's value is the next argument or what follows its `=`. */
#include "options.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace bench
{

namespace
{

Options taken;

constexpr const char *kHelp =
    "iobuf_bench [--traces DIR] [--iterations N] [--malloc NAME] [--list-peers] [--benchmark_...]\n"
    "  --traces DIR      where the recorded streams are (http-nginx.bin, resp-redis.bin)\n"
    "  --iterations N    every case runs N times, rounded up to its batch, after a warm-up that does not depend on N; memory is\n"
    "                    not counted. Under callgrind, two runs with different N differ by the instructions of so many buffers\n"
    "  --malloc NAME     glibc, jemalloc, mimalloc or tcmalloc: makes sure that it serves this process (LD_PRELOAD is up to the\n"
    "                    caller) and names the malloc peer's cases for it\n"
    "  --list-peers      prints the peers that are compiled in, with their versions\n";

std::uint64_t parse_count(const std::string &text)
{
    char *end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
    /* A limit far above any use, so that rounding up to a batch cannot wrap. */
    if (text.empty() || text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 || value > 1000000000000u)
        usage("--iterations needs a number from 1 to 10^12, not '" + text + "'");
    return value;
}

/* True, and *value is set, if argv[*at] is the option `name`. */
bool take_value(const std::string &name, int argc, char **argv, int *at, std::string *value)
{
    const std::string argument = argv[*at];
    if (argument.rfind(name + "=", 0) == 0) {
        *value = argument.substr(name.size() + 1);
        return true;
    }
    if (argument != name)
        return false;
    if (++*at == argc)
        usage(name + " needs a value");
    *value = argv[*at];
    return true;
}

} // namespace

void usage(const std::string &problem)
{
    std::fprintf(stderr, "iobuf_bench: %s; usage: iobuf_bench [OPTION...], see --help\n", problem.c_str());
    std::_Exit(2);
}

void take_options(int *argc, char **argv)
{
    taken.traces = IOBUF_BENCH_TRACES;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        std::string value;
        if (take_value("--traces", *argc, argv, &i, &taken.traces) || take_value("--malloc", *argc, argv, &i, &taken.malloc))
            continue;
        if (take_value("--iterations", *argc, argv, &i, &value)) {
            taken.iterations = parse_count(value);
            continue;
        }
        if (std::string(argv[i]) == "--list-peers") {
            taken.list_peers = true;
            continue;
        }
        if (std::string(argv[i]) == "--help")
            std::puts(kHelp);
        argv[kept++] = argv[i];
    }
    const std::string &name = taken.malloc;
    if (!name.empty() && name != "glibc" && name != "jemalloc" && name != "mimalloc" && name != "tcmalloc")
        usage("--malloc knows glibc, jemalloc, mimalloc and tcmalloc, not '" + name + "'");
    *argc = kept;
    argv[kept] = nullptr;
}

const Options &options()
{
    return taken;
}

} // namespace bench
