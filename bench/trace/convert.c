/* iobuf_trace: looks at traces, turns one form into the other, cuts a piece out. A file that is written is complete or is not
 * there. Exit status: 0 fine, 1 the trace is damaged or contradicts itself, 2 wrong usage, 3 could not run.
 */
#include "trace/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FINE, FOUND, USAGE, COULD_NOT };

static const char help[] =
    "iobuf_trace info [--json] FILE            what is in a trace, and whether it is whole\n"
    "iobuf_trace text FILE                     as text, to standard output\n"
    "iobuf_trace binary FILE OUT               as binary\n"
    "iobuf_trace cut FILE OUT --events N [--from K]\n"
    "                                          N events from the K-th on (from 0), as binary; what lives when they\n"
    "                                          begin is allocated in front of them\n";

static int fail(int status, const char *path, const char *wrong)
{
    (void)fprintf(stderr, "iobuf_trace: %s: %s\n", path, wrong);
    return status;
}

static int usage(const char *wrong)
{
    (void)fprintf(stderr, "iobuf_trace: %s (see iobuf_trace --help)\n", wrong);
    return USAGE;
}

/* What could be read, and a line about what could not. */
static int load(const char *path, struct trace *trace)
{
    char wrong[300];
    if (!trace_load(path, trace, wrong, sizeof wrong))
        return fail(COULD_NOT, path, wrong);
    if (trace->lost[0] == '\0')
        return FINE;
    (void)fprintf(stderr, "iobuf_trace: %s: %s; %zu events were read, %" PRIu64 " left out, %" PRIu64 " bytes lost\n", path,
                  trace->lost, trace->count, trace->lost_events, trace->lost_bytes);
    return trace->lost_bytes == 0 ? FINE : FOUND;
}

static int check(const char *path, const struct trace *trace)
{
    char wrong[300];
    return trace_check(trace, wrong, sizeof wrong) ? FINE : fail(FOUND, path, wrong);
}

static int save(const char *path, const struct trace *trace)
{
    const size_t room = strlen(path) + 8;
    char *const beside = malloc(room);
    if (beside == NULL)
        return fail(COULD_NOT, path, "there is too little memory");
    (void)snprintf(beside, room, "%s.XXXXXX", path);
    const int handle = mkstemp(beside);
    FILE *const file = handle < 0 ? NULL : fdopen(handle, "wb");
    bool fine = file != NULL && fchmod(handle, 0644) == 0 && trace_save_binary(file, trace);
    fine = file != NULL && fclose(file) == 0 && fine && rename(beside, path) == 0;
    const int error = errno;
    if (!fine && handle >= 0)
        (void)unlink(beside);
    free(beside);
    return fine ? FINE : fail(COULD_NOT, path, strerror(error));
}

/* The state of each buffer: events are replayed in order. Open addressing, never more than half full. */

struct life {
    uint64_t id;
    uint64_t bytes, reserve;
    uint64_t order;         /* index of its alloc */
    uint32_t maker, thread; /* that allocated it, that has it */
    uint32_t site;
    enum { UNUSED, LIVE, GONE } state;
};

struct lives {
    struct life *slots;
    size_t mask;
    uint64_t count, bytes; /* that live */
    uint64_t peak_count, peak_bytes, foreign;
};

static bool lives_make(struct lives *lives, size_t count)
{
    size_t room = 64;
    while (room / 2 < count)
        room *= 2;
    *lives = (struct lives){.slots = calloc(room, sizeof(struct life)), .mask = room - 1};
    return lives->slots != NULL;
}

static struct life *lives_find(const struct lives *lives, uint64_t id)
{
    size_t at = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & lives->mask;
    while (lives->slots[at].state != UNUSED && lives->slots[at].id != id)
        at = (at + 1) & lives->mask;
    return &lives->slots[at];
}

static void resize(struct lives *lives, struct life *life, uint64_t bytes)
{
    lives->bytes = lives->bytes - life->bytes + bytes;
    life->bytes = bytes;
}

/* The trace was checked: each event fits the state that its buffer has. */
static void lives_take(struct lives *lives, const struct trace_event *event, size_t order)
{
    struct life *const life = lives_find(lives, event->id);
    switch (event->kind) {
    case TRACE_ALLOC:
        *life = (struct life){event->id, event->bytes, event->reserve, order, event->thread, event->thread, event->site, LIVE};
        lives->bytes += event->bytes;
        lives->count++;
        break;
    case TRACE_RELEASE:
        lives->foreign += life->maker != event->thread;
        lives->bytes -= life->bytes;
        lives->count--;
        life->state = GONE;
        break;
    case TRACE_TRUNCATE_FRONT:
    case TRACE_TRUNCATE_BACK:
        resize(lives, life, event->bytes < life->bytes ? life->bytes - event->bytes : 0);
        break;
    case TRACE_EXPAND:
        resize(lives, life, life->bytes + event->bytes);
        break;
    case TRACE_HANDOVER:
        life->thread = (uint32_t)event->bytes;
        break;
    case TRACE_COALESCE:
        break;
    }
    if (lives->bytes > lives->peak_bytes)
        lives->peak_bytes = lives->bytes;
    if (lives->count > lives->peak_count)
        lives->peak_count = lives->count;
}

static int by_size(const void *left, const void *right)
{
    const uint64_t one = *(const uint64_t *)left;
    const uint64_t other = *(const uint64_t *)right;
    return (one > other) - (one < other);
}

static int by_order(const void *left, const void *right)
{
    const uint64_t one = ((const struct life *)left)->order;
    const uint64_t other = ((const struct life *)right)->order;
    return (one > other) - (one < other);
}

/* info */

struct summary {
    uint64_t kinds[TRACE_HANDOVER + 1];
    uint64_t *sizes;
    uint64_t total;
    size_t allocs, threads;
};

static size_t count_threads(const struct trace *trace, uint64_t *room)
{
    size_t threads = 0;
    for (size_t at = 0; at < trace->count; at++)
        room[at] = trace->events[at].thread;
    qsort(room, trace->count, sizeof *room, by_size);
    for (size_t at = 0; at < trace->count; at++)
        threads += at == 0 || room[at - 1] != room[at];
    return threads;
}

static void print_info(const struct trace *trace, const struct summary *sum, const struct lives *lives, bool json)
{
    static const char *const kinds[] = {"alloc", "release", "truncate_front", "truncate_back", "expand", "coalesce", "handover"};
    static const struct {
        const char *name;
        unsigned percent;
    } quantiles[] = {{"size_p50", 50}, {"size_p90", 90}, {"size_p99", 99}};
    const char *const format = json ? ",\n \"%s\": %" PRIu64 : "%-20s %" PRIu64 "\n";
#define FIGURE(name, value) (void)printf(format, name, (uint64_t)(value))
    if (json)
        (void)printf("{\"kind\": \"trace\", \"version\": %u, \"ended\": %s", TRACE_VERSION, trace->ended ? "true" : "false");
    FIGURE("events", trace->count);
    for (unsigned kind = 0; kind <= TRACE_HANDOVER; kind++) {
        if (sum->kinds[kind] != 0 || kind <= TRACE_RELEASE)
            FIGURE(kinds[kind], sum->kinds[kind]);
    }
    FIGURE("threads", sum->threads);
    FIGURE("duration_ns", trace->events[trace->count - 1].time);
    FIGURE("size_min", sum->allocs == 0 ? 0 : sum->sizes[0]);
    for (size_t at = 0; at < sizeof quantiles / sizeof *quantiles; at++)
        FIGURE(quantiles[at].name, sum->allocs == 0 ? 0 : sum->sizes[(sum->allocs - 1) * quantiles[at].percent / 100]);
    FIGURE("size_max", sum->allocs == 0 ? 0 : sum->sizes[sum->allocs - 1]);
    FIGURE("bytes_allocated", sum->total);
    FIGURE("live_peak", lives->peak_count);
    FIGURE("live_bytes_peak", lives->peak_bytes);
    FIGURE("live_at_end", lives->count);
    FIGURE("foreign_releases", lives->foreign);
    FIGURE("sites", trace->site_count);
    FIGURE("lost_events", trace->lost_events);
    FIGURE("lost_bytes", trace->lost_bytes);
#undef FIGURE
    if (json)
        (void)printf("}\n");
}

static int info(const char *path, bool json)
{
    struct trace trace;
    struct summary sum = {0};
    struct lives lives = {0};
    int status = load(path, &trace);
    if (status == FINE || status == FOUND) {
        const int wrong = check(path, &trace);
        if (wrong == FINE) {
            sum.sizes = malloc(trace.count * sizeof *sum.sizes);
            if (sum.sizes != NULL && lives_make(&lives, trace.count)) {
                sum.threads = count_threads(&trace, sum.sizes);
                for (size_t at = 0; at < trace.count; at++) {
                    const struct trace_event *const event = &trace.events[at];
                    sum.kinds[event->kind]++;
                    if (event->kind == TRACE_ALLOC) {
                        sum.sizes[sum.allocs++] = event->bytes;
                        sum.total += event->bytes;
                    }
                    lives_take(&lives, event, at);
                }
                qsort(sum.sizes, sum.allocs, sizeof *sum.sizes, by_size);
                print_info(&trace, &sum, &lives, json);
            } else {
                status = fail(COULD_NOT, path, "there is too little memory");
            }
        } else {
            status = wrong;
        }
    }
    free(sum.sizes);
    free(lives.slots);
    trace_free(&trace);
    return status;
}

static int text(const char *path)
{
    struct trace trace;
    int status = load(path, &trace);
    if (status != COULD_NOT && !trace_save_text(stdout, &trace))
        status = fail(COULD_NOT, "standard output", strerror(errno));
    trace_free(&trace);
    return status;
}

static int binary(const char *path, const char *out)
{
    struct trace trace;
    int status = load(path, &trace);
    int wrong = status == COULD_NOT ? FINE : check(path, &trace);
    if (status != COULD_NOT && wrong == FINE)
        wrong = save(out, &trace);
    trace_free(&trace);
    return wrong != FINE ? wrong : status;
}

/* cut */

static bool piece(const struct trace *whole, size_t from, size_t count, struct trace *out)
{
    struct lives lives;
    size_t live = 0;
    if (!lives_make(&lives, whole->count))
        return false;
    for (size_t at = 0; at < from; at++)
        lives_take(&lives, &whole->events[at], at);
    for (size_t at = 0; at <= lives.mask; at++) {
        if (lives.slots[at].state == LIVE)
            lives.slots[live++] = lives.slots[at];
    }
    qsort(lives.slots, live, sizeof *lives.slots, by_order);
    *out = *whole;
    out->events = malloc((live + count) * sizeof *out->events);
    if (out->events != NULL) {
        const uint64_t start = whole->events[from].time;
        for (size_t at = 0; at < live; at++) {
            const struct life *const life = &lives.slots[at];
            out->events[at] = (struct trace_event){0, life->id, life->bytes, life->reserve, life->thread, life->site, TRACE_ALLOC};
        }
        for (size_t at = 0; at < count; at++) {
            out->events[live + at] = whole->events[from + at];
            out->events[live + at].time -= start;
        }
        out->count = live + count;
    }
    free(lives.slots);
    return out->events != NULL;
}

static int cut(const char *path, const char *out, uint64_t from, uint64_t events)
{
    struct trace trace;
    struct trace part;
    int status = load(path, &trace);
    int wrong = status == COULD_NOT ? FINE : check(path, &trace);
    if (status != COULD_NOT && wrong == FINE) {
        if (from >= trace.count) {
            char text[100];
            (void)snprintf(text, sizeof text, "it has %zu events: --from is too large", trace.count);
            wrong = fail(USAGE, path, text);
        } else if (!piece(&trace, (size_t)from, events < trace.count - from ? (size_t)events : trace.count - (size_t)from, &part)) {
            wrong = fail(COULD_NOT, path, "there is too little memory");
        } else {
            wrong = save(out, &part);
            free(part.events);
        }
    }
    trace_free(&trace);
    return wrong != FINE ? wrong : status;
}

static bool number(const char *word, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = word == NULL ? 0 : strtoull(word, &end, 10);
    return word != NULL && *word >= '0' && *word <= '9' && *end == '\0' && errno == 0;
}

static int run_cut(int count, char **words)
{
    const char *paths[2] = {NULL, NULL};
    size_t given = 0;
    uint64_t events = 0;
    uint64_t from = 0;
    for (int at = 0; at < count; at++) {
        const bool is_events = strcmp(words[at], "--events") == 0;
        if (is_events || strcmp(words[at], "--from") == 0) {
            at++;
            if (!number(at < count ? words[at] : NULL, is_events ? &events : &from))
                return usage(is_events ? "--events needs a number" : "--from needs a number");
        } else if (given < 2) {
            paths[given++] = words[at];
        } else {
            return usage("cut needs FILE OUT --events N");
        }
    }
    if (given != 2 || events == 0)
        return usage("cut needs FILE OUT --events N, with N above 0");
    return cut(paths[0], paths[1], from, events);
}

int main(int argc, char **argv)
{
    const char *const verb = argc > 1 ? argv[1] : "";
    const bool json = argc == 4 && strcmp(argv[2], "--json") == 0;
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
        return fputs(help, stdout) < 0 ? COULD_NOT : FINE;
    if (strcmp(verb, "info") == 0 && (argc == 3 || json))
        return info(argv[argc - 1], json);
    if (strcmp(verb, "text") == 0 && argc == 3)
        return text(argv[2]);
    if (strcmp(verb, "binary") == 0 && argc == 4)
        return binary(argv[2], argv[3]);
    if (strcmp(verb, "cut") == 0)
        return run_cut(argc - 2, argv + 2);
    return usage(*verb == '\0' ? "nothing was asked for" : "wrong use");
}
