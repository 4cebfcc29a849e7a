/* Over trace.h, which knows both forms. */
#include "trace/read.h"

#include "trace/trace.h"

namespace bench
{

namespace
{

/* A handover says nothing that a replay needs: the release names its thread. */
bool raw_of(const struct trace_event &event, Raw *raw)
{
    switch (event.kind) {
    case TRACE_ALLOC:
        raw->kind = Kind::kAlloc;
        break;
    case TRACE_RELEASE:
        raw->kind = Kind::kRelease;
        break;
    case TRACE_TRUNCATE_FRONT:
        raw->kind = Kind::kTruncateFront;
        break;
    case TRACE_TRUNCATE_BACK:
        raw->kind = Kind::kTruncateBack;
        break;
    case TRACE_EXPAND:
        raw->kind = Kind::kExpand;
        break;
    case TRACE_COALESCE:
        raw->kind = Kind::kCoalesce;
        break;
    case TRACE_HANDOVER:
        return false;
    }
    raw->time = event.time;
    raw->id = event.id;
    raw->bytes = event.bytes;
    raw->reserve = event.reserve;
    raw->thread = event.thread;
    raw->site = event.site;
    return true;
}

bool take(const struct trace &trace, bool partial, std::vector<Raw> *events, std::map<std::uint32_t, std::string> *sites,
          std::string *wrong)
{
    if (!trace.ended && !partial) {
        *wrong = std::string(trace.lost) + " (" + std::to_string(trace.count) + " events can be read, " +
                 std::to_string(trace.lost_bytes) + " bytes cannot): record it again, or pass --partial to take what there is";
        return false;
    }
    if (trace.count == 0) {
        *wrong = "it has no events: there is nothing to choose a size for";
        return false;
    }
    events->reserve(trace.count);
    for (std::size_t at = 0; at < trace.count; at++) {
        Raw raw = {};
        if (raw_of(trace.events[at], &raw))
            events->push_back(raw);
    }
    for (std::size_t at = 0; at < trace.site_count; at++)
        (*sites)[trace.sites[at].number] = trace.sites[at].name;
    return true;
}

} // namespace

bool read_trace(const std::string &path, bool partial, std::vector<Raw> *events, std::map<std::uint32_t, std::string> *sites,
                std::string *wrong)
{
    struct trace trace;
    char line[512] = "";
    bool fine = trace_load(path.c_str(), &trace, line, sizeof line);
    if (fine)
        fine = take(trace, partial, events, sites, wrong);
    else
        *wrong = line;
    trace_free(&trace);
    return fine;
}

} // namespace bench
