/* trace.h knows both forms of a file; here the threads' events are put into one order and every claim of the trace is checked. */
#include "trace/load.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

namespace bench
{

namespace
{

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kMostSources = 65536;

struct Life {
    std::uint64_t together = 0; /* the least id that it is, through others perhaps, coalesced with */
    std::uint32_t slot = kNone;
    std::uint32_t group = kNone;
    bool allocated = false; /* anywhere in the trace */
    bool released = false;
};

/* What the slice has that lives there now. */
struct Slot {
    std::uint64_t size = 0;
    std::uint32_t thread = 0; /* that allocated it */
    bool away = false;        /* another one did something to it */
};

/* Slices that were coalesced while the trace was recorded go together, with the last release of any of them: whether the
 * recorder kept the first id alone or all, and whatever coalesces when they are replayed. */
struct Group {
    std::vector<std::uint32_t> slots;
    std::size_t releases = 0;
    std::uint32_t merged = kNone; /* the group that this one is part of */
};

std::string slice(std::uint64_t id)
{
    return "slice " + std::to_string(id);
}

class Loader
{
  public:
    Loader(Scale scale, std::size_t reserve, Trace *trace) : scale_(scale), reserve_(reserve), trace_(*trace)
    {
    }

    /* Empty, or what is wrong. */
    std::string load(std::vector<struct trace_event> *events)
    {
        std::string wrong = survey(*events);
        if (!wrong.empty())
            return wrong;
        if (scale_ == Scale::kHalf)
            thin(events);
        if (scale_ == Scale::kDouble)
            overlay(events);
        std::stable_sort(events->begin(), events->end(),
                         [](const struct trace_event &one, const struct trace_event &other) { return one.time < other.time; });
        const std::uint64_t start = events->empty() ? 0 : events->front().time;
        trace_.duration = events->empty() ? 0 : events->back().time - start;
        for (struct trace_event &event : *events) {
            event.time -= start;
            wrong = take(event);
            if (!wrong.empty())
                return wrong;
        }
        trace_.events.shrink_to_fit();
        if (trace_.allocs == 0)
            return "it allocates nothing: there is nothing to choose a size for";
        return "";
    }

  private:
    /* Which ids there are, and which belong together; what is wrong whatever the order of the threads. */
    std::string survey(const std::vector<struct trace_event> &events)
    {
        std::unordered_set<std::uint32_t> threads;
        lives_.reserve(events.size());
        for (const struct trace_event &event : events) {
            threads.insert(event.thread);
            if (event.kind == TRACE_ALLOC) {
                Life &life = lives_[event.id];
                if (life.allocated)
                    return slice(event.id) + " is allocated twice";
                if (event.bytes > TRACE_LARGEST || event.reserve > TRACE_LARGEST)
                    return slice(event.id) + " has " + std::to_string(std::max(event.bytes, event.reserve)) +
                           " bytes, above the limit of " + std::to_string(TRACE_LARGEST);
                life.allocated = true;
                life.together = event.id;
            }
            largest_id_ = std::max(largest_id_, event.id);
        }
        trace_.threads = threads.size();
        for (const struct trace_event &event : events) {
            const std::uint64_t count = event.kind == TRACE_COALESCE ? event.bytes : 1;
            if (count == 0 || count > lives_.size())
                return "it coalesces " + std::to_string(count) + " slices from " + slice(event.id) + " on, and has " +
                       std::to_string(lives_.size());
            const auto first = lives_.find(event.id);
            for (std::uint64_t id = event.id; id - event.id < count; id++) {
                const auto found = lives_.find(id);
                if (found == lives_.end())
                    return name(event.kind) + " of " + slice(id) + ", which was never allocated";
                if (event.kind == TRACE_COALESCE)
                    found->second.together = std::min(found->second.together, first->second.together);
                if (event.kind == TRACE_RELEASE && found->second.released)
                    return slice(id) + " is released twice";
                if (event.kind == TRACE_RELEASE)
                    found->second.released = true;
            }
        }
        return "";
    }

    static std::string name(enum trace_kind kind)
    {
        static const char *const names[] = {"alloc", "release", "truncate", "truncate", "expand", "coalesce"};
        return names[kind];
    }

    void thin(std::vector<struct trace_event> *events)
    {
        const auto left_out = [this](const struct trace_event &event) {
            std::uint64_t z = (lives_[event.id].together + 1) * 0x9e3779b97f4a7c15u; /* splitmix64 */
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
            return ((z ^ (z >> 31)) & 1) != 0;
        };
        events->erase(std::remove_if(events->begin(), events->end(), left_out), events->end());
    }

    void overlay(std::vector<struct trace_event> *events)
    {
        const std::size_t count = events->size();
        std::uint64_t end = 0;
        for (const struct trace_event &event : *events)
            end = std::max(end, event.time);
        events->reserve(2 * count);
        for (std::size_t at = 0; at < count; at++) {
            struct trace_event copy = (*events)[at];
            copy.id += largest_id_ + 1;
            copy.time += end / 64;
            events->push_back(copy);
        }
        for (std::size_t at = 0; at < count; at++) {
            const struct trace_event &event = (*events)[at];
            if (event.kind == TRACE_ALLOC)
                lives_[event.id + largest_id_ + 1] = lives_[event.id];
        }
    }

    /* In the order of time. What another thread did to a slice at the very moment it came may stand in front of that: it waits. */
    std::string take(const struct trace_event &event)
    {
        Life &life = lives_[event.id];
        if (event.kind != TRACE_ALLOC && life.slot == kNone) {
            if (!life.allocated)
                return name(event.kind) + " of " + slice(event.id) + ", which is no longer allocated";
            early_[event.id].push_back(event);
            return "";
        }
        std::string wrong;
        switch (event.kind) {
        case TRACE_ALLOC:
            wrong = alloc(event, &life);
            break;
        case TRACE_RELEASE:
            release(event, &life);
            break;
        case TRACE_COALESCE:
            wrong = coalesce(event);
            break;
        case TRACE_TRUNCATE_FRONT:
        case TRACE_TRUNCATE_BACK:
        case TRACE_EXPAND:
            wrong = change(event, life);
            break;
        case TRACE_HANDOVER: /* none was read */
            break;
        }
        if (event.kind != TRACE_ALLOC || !wrong.empty() || early_.empty())
            return wrong;
        const auto waiting = early_.find(event.id);
        if (waiting == early_.end())
            return "";
        const std::vector<struct trace_event> found = std::move(waiting->second);
        early_.erase(waiting);
        for (struct trace_event late : found) {
            late.time = event.time;
            wrong = take(late);
            if (!wrong.empty())
                return wrong;
        }
        return "";
    }

    std::string alloc(const struct trace_event &event, Life *life)
    {
        const std::size_t reserve = reserve_ != SIZE_MAX ? reserve_ : event.reserve;
        const std::uint64_t key = (std::uint64_t{event.thread} << 32) | reserve;
        const auto [source, is_new] = sources_.try_emplace(key, static_cast<std::uint32_t>(trace_.sources.size()));
        if (is_new)
            trace_.sources.push_back(Source{event.thread, reserve});
        if (trace_.sources.size() > kMostSources)
            return "it has more than " + std::to_string(kMostSources) + " threads times reserves";
        life->slot = new_slot();
        live(event.bytes);
        if (live_ > kMostLive)
            return "more than " + std::to_string(kMostLive) + " bytes live at once";
        slots_[life->slot] = Slot{event.bytes, event.thread, false};
        trace_.allocs++;
        trace_.largest = std::max<std::size_t>(trace_.largest, event.bytes + reserve);
        const unsigned octave = event.bytes == 0 ? 0 : 63 - static_cast<unsigned>(__builtin_clzll(event.bytes));
        if (trace_.octaves.size() <= octave)
            trace_.octaves.resize(octave + 1);
        trace_.octaves[octave]++;
        trace_.events.push_back(Event{event.time, event.bytes, life->slot, source->second, event.site, TRACE_ALLOC});
        return "";
    }

    std::uint32_t find(std::uint32_t group) const
    {
        while (groups_[group].merged != kNone)
            group = groups_[group].merged;
        return group;
    }

    std::string change(const struct trace_event &event, const Life &life)
    {
        const Group *const group = life.group == kNone ? nullptr : &groups_[find(life.group)];
        if (group != nullptr && group->slots.empty())
            return name(event.kind) + " of " + slice(event.id) + ", which is no longer allocated";
        const std::uint32_t slot = group == nullptr ? life.slot : group->slots.front(); /* the first stands for all */
        std::uint64_t *const size = &slots_[slot].size;
        used(event, slot);
        if (event.kind == TRACE_EXPAND) {
            *size += event.bytes;
            live(event.bytes);
        } else {
            const std::uint64_t less = std::min(*size, event.bytes);
            *size -= less;
            live_ -= less;
        }
        trace_.events.push_back(Event{event.time, event.bytes, slot, 0, 0, event.kind});
        return "";
    }

    void release(const struct trace_event &event, Life *life)
    {
        life->allocated = false;
        if (life->group == kNone) {
            end(event, life->slot);
            life->slot = kNone;
            return;
        }
        Group *const group = &groups_[find(life->group)];
        if (--group->releases > 0)
            return;
        for (const std::uint32_t slot : group->slots)
            end(event, slot);
        group->slots = {};
        life->slot = kNone;
    }

    void end(const struct trace_event &event, std::uint32_t slot)
    {
        used(event, slot);
        trace_.events.push_back(Event{event.time, 0, slot, slots_[slot].away, 0, TRACE_RELEASE});
        live_ -= slots_[slot].size;
        free_.push_back(slot);
    }

    void used(const struct trace_event &event, std::uint32_t slot)
    {
        slots_[slot].away |= event.thread != slots_[slot].thread;
    }

    std::string coalesce(const struct trace_event &event)
    {
        Group whole;
        const auto into = static_cast<std::uint32_t>(groups_.size());
        groups_.emplace_back();
        for (std::uint64_t id = event.id; id - event.id < event.bytes; id++) {
            Life &life = lives_[id];
            if (life.slot == kNone)
                return "coalesce of " + slice(id) + ", which is not allocated then";
            if (life.group == kNone) {
                whole.slots.push_back(life.slot);
                whole.releases += life.released ? 1 : 0;
            } else if (find(life.group) != into) {
                Group *const old = &groups_[find(life.group)];
                if (old->slots.empty())
                    return "coalesce of " + slice(id) + ", which is not allocated then";
                whole.slots.insert(whole.slots.end(), old->slots.begin(), old->slots.end());
                whole.releases += old->releases;
                *old = Group{{}, 0, into};
            }
            life.group = into;
        }
        for (const std::uint32_t slot : whole.slots)
            used(event, slot);
        groups_[into] = std::move(whole);
        trace_.events.push_back(Event{event.time, 0, static_cast<std::uint32_t>(trace_.groups.size()),
                                      static_cast<std::uint32_t>(groups_[into].slots.size()), 0, TRACE_COALESCE});
        trace_.groups.insert(trace_.groups.end(), groups_[into].slots.begin(), groups_[into].slots.end());
        return "";
    }

    std::uint32_t new_slot()
    {
        if (free_.empty()) {
            slots_.emplace_back();
            return static_cast<std::uint32_t>(trace_.slots++);
        }
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        return slot;
    }

    void live(std::uint64_t more)
    {
        live_ += more;
        trace_.peak_live = std::max<std::size_t>(trace_.peak_live, live_);
    }

    const Scale scale_;
    const std::size_t reserve_;
    Trace &trace_;
    std::unordered_map<std::uint64_t, Life> lives_;
    std::unordered_map<std::uint64_t, std::vector<struct trace_event>> early_;
    std::unordered_map<std::uint64_t, std::uint32_t> sources_;
    std::vector<Group> groups_;
    std::vector<std::uint32_t> free_;
    std::vector<Slot> slots_;
    std::uint64_t largest_id_ = 0;
    std::uint64_t live_ = 0;
};

/* What is wrong with the file, or empty and its events as they stand there, but for the handovers. Of a file that has no end, or of
 * which a part is lost, what there is is taken only with `partial`. */
std::string read_file(const std::string &path, bool partial, std::vector<struct trace_event> *events,
                      std::map<std::uint32_t, std::string> *sites)
{
    struct trace file;
    char line[512] = "";
    std::string wrong;
    if (!trace_load(path.c_str(), &file, line, sizeof line))
        wrong = line;
    else if (!file.ended && !partial)
        wrong = std::string(file.lost) + " (" + std::to_string(file.count) + " events can be read, " +
                std::to_string(file.lost_bytes) + " bytes cannot): record it again, or pass --partial to take what there is";
    else if (file.count == 0)
        wrong = "it has no events: there is nothing to choose a size for";
    if (wrong.empty()) {
        events->reserve(file.count);
        std::copy_if(file.events, file.events + file.count, std::back_inserter(*events),
                     [](const struct trace_event &event) { return event.kind != TRACE_HANDOVER; });
        for (std::size_t at = 0; at < file.site_count; at++)
            (*sites)[file.sites[at].number] = file.sites[at].name;
    }
    trace_free(&file);
    return wrong;
}

} // namespace

bool load_trace(const std::string &path, bool partial, Scale scale, std::size_t reserve, Trace *trace, std::string *error)
{
    std::vector<struct trace_event> events;
    std::string wrong = read_file(path, partial, &events, &trace->sites);
    if (wrong.empty())
        wrong = Loader(scale, reserve, trace).load(&events);
    if (!wrong.empty())
        *error = path + ": " + wrong;
    return wrong.empty();
}

namespace
{

bool write_all(int fd, const void *bytes, std::size_t size)
{
    const char *at = static_cast<const char *>(bytes);
    while (size > 0) {
        const ssize_t count = write(fd, at, size);
        if (count <= 0)
            return false;
        at += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

bool read_all(int fd, void *bytes, std::size_t size)
{
    char *at = static_cast<char *>(bytes);
    while (size > 0) {
        const ssize_t count = read(fd, at, size);
        if (count <= 0)
            return false;
        at += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

template <class T> bool save(int fd, const std::vector<T> &values)
{
    const std::size_t count = values.size();
    return write_all(fd, &count, sizeof count) && write_all(fd, values.data(), count * sizeof(T));
}

template <class T> bool restore(int fd, std::vector<T> *values)
{
    std::size_t count = 0;
    if (!read_all(fd, &count, sizeof count))
        return false;
    values->resize(count);
    return read_all(fd, values->data(), count * sizeof(T));
}

} // namespace

bool save_trace(int fd, const Trace &trace)
{
    return save(fd, trace.events) && save(fd, trace.groups) && save(fd, trace.sources) && save(fd, trace.octaves) &&
           save<std::uint64_t>(fd, {trace.slots, trace.threads, trace.largest, trace.allocs, trace.peak_live, trace.duration}) &&
           lseek(fd, 0, SEEK_SET) == 0;
}

bool load_saved(int fd, Trace *trace)
{
    std::vector<std::uint64_t> numbers;
    if (!restore(fd, &trace->events) || !restore(fd, &trace->groups) || !restore(fd, &trace->sources) ||
        !restore(fd, &trace->octaves) || !restore(fd, &numbers) || numbers.size() != 6)
        return false;
    trace->slots = numbers[0];
    trace->threads = numbers[1];
    trace->largest = numbers[2];
    trace->allocs = numbers[3];
    trace->peak_live = numbers[4];
    trace->duration = numbers[5];
    return true;
}

} // namespace bench
