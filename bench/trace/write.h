/* Writes a trace, event by event: the text form. */
#ifndef BENCH_TRACE_WRITE_H
#define BENCH_TRACE_WRITE_H

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

namespace bench
{

class TraceWriter
{
  public:
    explicit TraceWriter(const std::string &path) : file_(std::fopen(path.c_str(), "w"))
    {
        if (file_ != nullptr)
            std::fputs("iobuf-trace 1\n", file_);
    }
    ~TraceWriter()
    {
        close();
    }
    TraceWriter(const TraceWriter &) = delete;
    TraceWriter &operator=(const TraceWriter &) = delete;

    void site(std::uint32_t number, const char *name)
    {
        if (file_ != nullptr)
            std::fprintf(file_, "site %" PRIu32 " %s\n", number, name);
    }
    void alloc(std::uint32_t thread, std::uint64_t time, std::uint64_t id, std::uint64_t size, std::uint64_t reserve,
               std::uint32_t site)
    {
        if (file_ != nullptr)
            std::fprintf(file_, "T %" PRIu32 " %" PRIu64 " alloc %" PRIu64 " %" PRIu64 " %" PRIu64 " @%" PRIu32 "\n", thread, time,
                         id, size, reserve, site);
    }
    void release(std::uint32_t thread, std::uint64_t time, std::uint64_t id)
    {
        if (file_ != nullptr)
            std::fprintf(file_, "T %" PRIu32 " %" PRIu64 " release %" PRIu64 "\n", thread, time, id);
    }
    void coalesce(std::uint32_t thread, std::uint64_t time, std::uint64_t first, std::uint64_t count)
    {
        if (file_ != nullptr)
            std::fprintf(file_, "T %" PRIu32 " %" PRIu64 " coalesce %" PRIu64 " %" PRIu64 "\n", thread, time, first, count);
    }
    /* False, with errno, if anything of it could not be written. */
    bool close()
    {
        if (file_ == nullptr)
            return closed_;
        const bool fine = std::ferror(file_) == 0;
        closed_ = std::fclose(file_) == 0 && fine;
        file_ = nullptr;
        return closed_;
    }

  private:
    std::FILE *file_;
    bool closed_ = false;
};

} // namespace bench

#endif
