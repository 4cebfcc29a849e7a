/* The two forms of a trace; FORMAT.md describes them. Whatever is read may be damaged or made up: every length is compared with
 * what is left, and every event of a chunk is believed only when the chunk's CRC fits.
 */
#include "trace/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { KIND = 7, SITE_NAME = 7, HAS_RESERVE = 8, HAS_SITE = 16 }; /* the first byte of an event */

static bool say(char *wrong, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool say(char *wrong, size_t room, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(wrong, room, format, values);
    va_end(values);
    return false;
}

/* Chunks */

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned byte = 0; byte < 4; byte++)
        at[byte] = (uint8_t)(value >> (8 * byte));
}

static uint32_t get32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* CRC-32 as zlib's, four bits at a time. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    for (size_t at = 0; at < size; at++) {
        crc ^= bytes[at];
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

/* The header's first twelve bytes (size, thread, number) and the events; the CRC stands between them. */
static uint32_t chunk_crc(const uint8_t *chunk, size_t size)
{
    return crc32_of(crc32_of(0, chunk, 12), chunk + TRACE_CHUNK_HEADER, size);
}

static uint8_t *put_number(uint8_t *at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}

/* Differences of ids are small and of both signs: 0, -1, 1, -2, ... become 0, 1, 2, 3, ... They wrap, as unsigned numbers do. */
static uint64_t fold(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 != 0 ? UINT64_MAX : 0);
}

static uint64_t unfold(uint64_t folded)
{
    return folded >> 1 ^ ((folded & 1) != 0 ? UINT64_MAX : 0);
}

void trace_chunk_begin(struct trace_chunk *chunk, uint32_t thread)
{
    chunk->time = 0;
    chunk->last_id = 0;
    chunk->size = 0;
    chunk->thread = thread;
}

bool trace_chunk_put(struct trace_chunk *chunk, const struct trace_event *event)
{
    if (TRACE_CHUNK_ROOM - chunk->size < TRACE_EVENT_ROOM)
        return false;
    uint8_t *const start = chunk->bytes + TRACE_CHUNK_HEADER + chunk->size;
    uint8_t *at = start;
    *at++ = (uint8_t)((unsigned)event->kind | (event->reserve != 0 ? HAS_RESERVE : 0u) | (event->site != 0 ? HAS_SITE : 0u));
    at = put_number(at, event->time - chunk->time);
    at = put_number(at, fold(event->id - chunk->last_id));
    if (event->kind != TRACE_RELEASE)
        at = put_number(at, event->bytes);
    if (event->reserve != 0)
        at = put_number(at, event->reserve);
    if (event->site != 0)
        at = put_number(at, event->site);
    chunk->time = event->time;
    if (event->kind == TRACE_ALLOC)
        chunk->last_id = event->id;
    chunk->size += (size_t)(at - start);
    return true;
}

bool trace_chunk_put_site(struct trace_chunk *chunk, uint32_t number, const char *name)
{
    const size_t length = strnlen(name, TRACE_SITE_ROOM);
    if (TRACE_CHUNK_ROOM - chunk->size < TRACE_EVENT_ROOM + length)
        return false;
    uint8_t *const start = chunk->bytes + TRACE_CHUNK_HEADER + chunk->size;
    uint8_t *at = start;
    *at++ = SITE_NAME;
    at = put_number(at, number);
    at = put_number(at, length);
    memcpy(at, name, length);
    chunk->size += (size_t)(at - start) + length;
    return true;
}

size_t trace_chunk_seal(struct trace_chunk *chunk, uint32_t number)
{
    put32(chunk->bytes, (uint32_t)chunk->size);
    put32(chunk->bytes + 4, chunk->thread);
    put32(chunk->bytes + 8, number);
    put32(chunk->bytes + 12, chunk_crc(chunk->bytes, chunk->size));
    return TRACE_CHUNK_HEADER + chunk->size;
}

void trace_file_header(uint8_t header[TRACE_FILE_HEADER])
{
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): eight bytes, no string */
    memcpy(header, TRACE_MAGIC, 8);
    put32(header + 8, TRACE_VERSION);
}

/* A trace in memory, while it is read */

struct loading {
    struct trace *trace;
    size_t room, site_room;
    char *wrong;
    size_t wrong_room;
};

static bool add_event(struct loading *loading, const struct trace_event *event)
{
    struct trace *const trace = loading->trace;
    if (trace->count == loading->room) {
        const size_t room = loading->room == 0 ? 4096 : 2 * loading->room;
        struct trace_event *const grown = realloc(trace->events, room * sizeof *grown);
        if (grown == NULL)
            return say(loading->wrong, loading->wrong_room, "there is too little memory for its events");
        trace->events = grown;
        loading->room = room;
    }
    trace->events[trace->count++] = *event;
    return true;
}

static bool add_site(struct loading *loading, uint32_t number, const char *name, size_t length)
{
    struct trace *const trace = loading->trace;
    if (trace->site_count == loading->site_room) {
        const size_t room = loading->site_room == 0 ? 64 : 2 * loading->site_room;
        struct trace_site *const grown = realloc(trace->sites, room * sizeof *grown);
        if (grown == NULL)
            return say(loading->wrong, loading->wrong_room, "there is too little memory for its sites");
        trace->sites = grown;
        loading->site_room = room;
    }
    char *const copy = strndup(name, length);
    if (copy == NULL)
        return say(loading->wrong, loading->wrong_room, "there is too little memory for its sites");
    for (char *at = copy; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r')
            *at = ' '; /* a name is one line of the text form */
    }
    trace->sites[trace->site_count++] = (struct trace_site){.number = number, .name = copy};
    return true;
}

void trace_free(struct trace *trace)
{
    for (size_t at = 0; at < trace->site_count; at++)
        free(trace->sites[at].name);
    free(trace->sites);
    free(trace->events);
    *trace = (struct trace){0};
}

/* Stable merge sort by time: mostly long runs are sorted already. */
static bool sort_events(struct trace *trace)
{
    bool sorted = true;
    for (size_t at = 1; at < trace->count && sorted; at++)
        sorted = trace->events[at - 1].time <= trace->events[at].time;
    if (sorted)
        return true;
    struct trace_event *const other = malloc(trace->count * sizeof *other);
    if (other == NULL)
        return false;
    struct trace_event *from = trace->events;
    struct trace_event *to = other;
    for (size_t width = 1; width < trace->count; width *= 2) {
        for (size_t start = 0; start < trace->count; start += 2 * width) {
            const size_t middle = width < trace->count - start ? start + width : trace->count;
            const size_t end = width < trace->count - middle ? middle + width : trace->count;
            size_t left = start;
            size_t right = middle;
            for (size_t at = start; at < end; at++)
                to[at] = left < middle && (right == end || from[left].time <= from[right].time) ? from[left++] : from[right++];
        }
        struct trace_event *const swap = from;
        from = to;
        to = swap;
    }
    if (from != trace->events)
        memcpy(trace->events, from, trace->count * sizeof *from);
    free(other);
    return true;
}

/* Ids: for each one whether it lives */

struct ids {
    struct {
        uint64_t id;
        enum { UNKNOWN, LIVE, GONE } state;
    } * slots;
    size_t mask;
};

static bool ids_make(struct ids *ids, size_t count)
{
    size_t room = 64;
    while (room / 2 < count)
        room *= 2;
    ids->mask = room - 1;
    ids->slots = calloc(room, sizeof *ids->slots);
    return ids->slots != NULL;
}

static size_t ids_find(const struct ids *ids, uint64_t id)
{
    size_t at = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & ids->mask;
    while (ids->slots[at].state != UNKNOWN && ids->slots[at].id != id)
        at = (at + 1) & ids->mask;
    return at;
}

static const char *const kind_names[] = {"alloc", "release", "truncate", "truncate", "expand", "coalesce", "handover"};

/* Takes the event into account. False if its slices are not in the state for it; *id is the one. */
static bool ids_take(struct ids *ids, const struct trace_event *event, uint64_t *id)
{
    const uint64_t count = event->kind == TRACE_COALESCE ? event->bytes : 1;
    for (uint64_t at = 0; at < count; at++) {
        *id = event->id + at;
        const size_t slot = ids_find(ids, *id);
        if (ids->slots[slot].state != (event->kind == TRACE_ALLOC ? UNKNOWN : LIVE))
            return false;
        if (event->kind == TRACE_ALLOC)
            ids->slots[slot].id = *id;
        if (event->kind == TRACE_ALLOC || event->kind == TRACE_RELEASE)
            ids->slots[slot].state = event->kind == TRACE_ALLOC ? LIVE : GONE;
    }
    return true;
}

static size_t alloc_count(const struct trace *trace)
{
    size_t count = 0;
    for (size_t at = 0; at < trace->count; at++)
        count += trace->events[at].kind == TRACE_ALLOC;
    return count;
}

bool trace_check(const struct trace *trace, char *wrong, size_t room)
{
    struct ids ids;
    bool fine = true;
    if (trace->count == 0)
        return say(wrong, room, "it has no events");
    if (!ids_make(&ids, alloc_count(trace)))
        return say(wrong, room, "there is too little memory to check it");
    for (size_t at = 0; at < trace->count && fine; at++) {
        const struct trace_event *const event = &trace->events[at];
        uint64_t id = event->id;
        if (event->kind == TRACE_ALLOC && (event->bytes > TRACE_LARGEST || event->reserve > TRACE_LARGEST)) {
            fine = say(wrong, room, "event %zu: alloc of %" PRIu64 " bytes, above the limit of %" PRIu64, at + 1,
                       event->bytes > event->reserve ? event->bytes : event->reserve, TRACE_LARGEST);
        } else if (event->kind == TRACE_COALESCE && event->bytes == 0) {
            fine = say(wrong, room, "event %zu: coalesce of no slice", at + 1);
        } else if (!ids_take(&ids, event, &id)) {
            const bool known = ids.slots[ids_find(&ids, id)].state != UNKNOWN;
            fine = say(wrong, room, "event %zu: %s of %" PRIu64 ", which %s", at + 1, kind_names[event->kind], id,
                       event->kind == TRACE_ALLOC ? "was allocated before"
                       : known                    ? "was released before"
                                                  : "was never allocated");
        }
    }
    free(ids.slots);
    return fine;
}

/* Drops every event of a slice whose alloc was lost with a chunk. */
static bool drop_strays(struct trace *trace)
{
    struct ids ids;
    size_t kept = 0;
    if (!ids_make(&ids, alloc_count(trace)))
        return false;
    for (size_t at = 0; at < trace->count; at++) {
        uint64_t id = 0;
        if (ids_take(&ids, &trace->events[at], &id) || ids.slots[ids_find(&ids, id)].state != UNKNOWN)
            trace->events[kept++] = trace->events[at]; /* what is wrong otherwise is no loss: trace_check finds it */
    }
    trace->lost_events = trace->count - kept;
    trace->count = kept;
    free(ids.slots);
    return true;
}

/* Binary */

struct cursor {
    const uint8_t *at, *end;
};

static bool get_number(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        const uint8_t byte = *cursor->at++;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static bool get_small(struct cursor *cursor, uint32_t *value)
{
    uint64_t wide = 0;
    const bool fine = get_number(cursor, &wide) && wide <= UINT32_MAX;
    *value = (uint32_t)wide;
    return fine;
}

enum got { EVENT, SITE, NONSENSE, NO_MEMORY };

static enum got get_event(struct loading *loading, struct cursor *cursor, struct trace_event *event, uint64_t *last_id)
{
    const unsigned first = *cursor->at++;
    uint64_t value = 0;
    if ((first & KIND) == SITE_NAME) {
        uint32_t number = 0;
        if (!get_small(cursor, &number) || !get_number(cursor, &value) || value > (size_t)(cursor->end - cursor->at))
            return NONSENSE;
        if (!add_site(loading, number, (const char *)cursor->at, (size_t)value))
            return NO_MEMORY;
        cursor->at += value;
        return SITE;
    }
    event->kind = (enum trace_kind)(first & KIND);
    event->bytes = event->reserve = 0;
    event->site = 0;
    if (first >= 32 || ((first & HAS_RESERVE) != 0 && event->kind != TRACE_ALLOC))
        return NONSENSE;
    if (!get_number(cursor, &value) || value > UINT64_MAX - event->time)
        return NONSENSE;
    event->time += value;
    if (!get_number(cursor, &value))
        return NONSENSE;
    event->id = *last_id + unfold(value);
    if (event->kind != TRACE_RELEASE && !get_number(cursor, &event->bytes))
        return NONSENSE;
    if (event->kind == TRACE_HANDOVER && event->bytes > UINT32_MAX)
        return NONSENSE;
    if ((first & HAS_RESERVE) != 0 && !get_number(cursor, &event->reserve))
        return NONSENSE;
    if ((first & HAS_SITE) != 0 && !get_small(cursor, &event->site))
        return NONSENSE;
    if (event->kind == TRACE_ALLOC)
        *last_id = event->id;
    return EVENT;
}

/* False if memory is short; a chunk that makes no sense adds nothing, and *sense is false. */
static bool get_chunk(struct loading *loading, const uint8_t *events, size_t size, uint32_t thread, bool *sense)
{
    struct cursor cursor = {events, events + size};
    struct trace_event event = {.thread = thread};
    uint64_t last_id = 0;
    const size_t count = loading->trace->count;
    while (cursor.at < cursor.end) {
        const enum got got = get_event(loading, &cursor, &event, &last_id);
        if (got == NO_MEMORY || (got == EVENT && !add_event(loading, &event)))
            return false;
        if (got == NONSENSE) {
            *sense = false;
            loading->trace->count = count;
            return true;
        }
    }
    return true;
}

static bool load_binary(struct loading *loading, const uint8_t *bytes, size_t size)
{
    struct trace *const trace = loading->trace;
    if (size < TRACE_FILE_HEADER)
        return say(loading->wrong, loading->wrong_room, "it is cut off in its header");
    if (get32(bytes + 8) != TRACE_VERSION)
        return say(loading->wrong, loading->wrong_room, "it is of version %" PRIu32 ", and this program reads %u: record it again",
                   get32(bytes + 8), TRACE_VERSION);
    size_t at = TRACE_FILE_HEADER;
    const char *what = NULL;
    for (uint32_t number = 0; at < size && !trace->ended; number++) {
        const uint8_t *const chunk = bytes + at;
        const uint32_t length = size - at < TRACE_CHUNK_HEADER ? 0 : get32(chunk);
        bool sense = true;
        if (size - at < TRACE_CHUNK_HEADER || length > size - at - TRACE_CHUNK_HEADER)
            what = "is cut off";
        else if (chunk_crc(chunk, length) != get32(chunk + 12))
            what = "is damaged (its CRC does not fit)";
        else if (get32(chunk + 8) != number)
            what = "is not the next one";
        else if (!get_chunk(loading, chunk + TRACE_CHUNK_HEADER, length, get32(chunk + 4), &sense))
            return false;
        else if (!sense)
            what = "makes no sense";
        if (what != NULL) {
            (void)say(trace->lost, sizeof trace->lost, "chunk %" PRIu32 " at byte %zu %s", number, at, what);
            break;
        }
        trace->ended = length == 0;
        at += TRACE_CHUNK_HEADER + length;
    }
    trace->lost_bytes = size - at;
    if (trace->ended && at < size)
        (void)say(trace->lost, sizeof trace->lost, "bytes follow its end, from %zu on", at);
    else if (!trace->ended && what == NULL)
        (void)say(trace->lost, sizeof trace->lost, "it has no end: the recorded program was killed, or it still runs");
    return true;
}

/* Text */

static char *next_word(char **at)
{
    *at += strspn(*at, " \t");
    char *const word = *at;
    *at += strcspn(*at, " \t");
    if (**at != '\0')
        *(*at)++ = '\0';
    return word;
}

static bool parse(const char *word, uint64_t most, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(word, &end, 10);
    return *word >= '0' && *word <= '9' && *end == '\0' && errno == 0 && *value <= most;
}

static bool parse_event(char *at, struct trace_event *event)
{
    uint64_t number = 0;
    if (!parse(next_word(&at), UINT32_MAX, &number) || !parse(next_word(&at), UINT64_MAX, &event->time))
        return false;
    event->thread = (uint32_t)number;
    const char *const name = next_word(&at);
    unsigned kind = 0;
    while (kind <= TRACE_HANDOVER && strcmp(name, kind_names[kind]) != 0)
        kind++;
    if (kind > TRACE_HANDOVER || !parse(next_word(&at), UINT64_MAX, &event->id))
        return false;
    event->kind = (enum trace_kind)kind;
    if (event->kind != TRACE_RELEASE &&
        !parse(next_word(&at), event->kind == TRACE_HANDOVER ? UINT32_MAX : UINT64_MAX, &event->bytes))
        return false;
    const char *word = next_word(&at);
    if (event->kind == TRACE_TRUNCATE_FRONT) {
        if (strcmp(word, "front") != 0 && strcmp(word, "back") != 0)
            return false;
        event->kind = strcmp(word, "front") == 0 ? TRACE_TRUNCATE_FRONT : TRACE_TRUNCATE_BACK;
        word = next_word(&at);
    } else if (event->kind == TRACE_ALLOC && *word != '\0' && *word != '@') {
        if (!parse(word, UINT64_MAX, &event->reserve))
            return false;
        word = next_word(&at);
    }
    if (*word == '\0')
        return true;
    if (*word != '@' || !parse(word + 1, UINT32_MAX, &number) || *next_word(&at) != '\0')
        return false;
    event->site = (uint32_t)number;
    return true;
}

static bool parse_line(struct loading *loading, char *line, size_t number)
{
    char shown[61];
    struct trace_event event = {0};
    uint64_t site = 0;
    (void)snprintf(shown, sizeof shown, "%s", line);
    char *at = line;
    if (*line == '\0' || *line == '#')
        return true;
    const char *const what = next_word(&at);
    if (strcmp(what, "site") == 0 && parse(next_word(&at), UINT32_MAX, &site))
        return add_site(loading, (uint32_t)site, at, strnlen(at, TRACE_SITE_ROOM));
    if (strcmp(what, "T") == 0 && parse_event(at, &event))
        return add_event(loading, &event);
    return say(loading->wrong, loading->wrong_room, "line %zu: '%s' is no event", number, shown);
}

static bool load_text(struct loading *loading, char *text)
{
    char *const first = strsep(&text, "\n");
    if (strncmp(first, "iobuf-trace ", 12) != 0)
        return say(loading->wrong, loading->wrong_room,
                   "it is no trace: it begins with neither " TRACE_MAGIC " nor 'iobuf-trace 1'");
    if (strcmp(first + 12, "1") != 0)
        return say(loading->wrong, loading->wrong_room, "it is of version '%.20s', and this program reads %u: record it again",
                   first + 12, TRACE_VERSION);
    if (text == NULL)
        return say(loading->wrong, loading->wrong_room, "line 1: the trace is cut off here");
    for (size_t number = 2; *text != '\0'; number++) {
        char *const line = strsep(&text, "\n");
        if (text == NULL)
            return say(loading->wrong, loading->wrong_room, "line %zu: the trace is cut off here", number);
        if (!parse_line(loading, line, number))
            return false;
    }
    loading->trace->ended = true;
    return true;
}

static bool read_all(const char *path, char **bytes, size_t *size)
{
    size_t room = 0;
    FILE *const file = fopen(path, "rb");
    *size = 0;
    if (file == NULL)
        return false;
    for (size_t got = 1; got != 0; *size += got) {
        if (room - *size < 2) {
            room = room == 0 ? 65536 : 2 * room;
            char *const grown = realloc(*bytes, room);
            if (grown == NULL) {
                (void)fclose(file);
                return false;
            }
            *bytes = grown;
        }
        got = fread(*bytes + *size, 1, room - *size - 1, file);
    }
    (*bytes)[*size] = '\0';
    const bool fine = ferror(file) == 0;
    const int error = errno;
    (void)fclose(file);
    errno = error;
    return fine;
}

bool trace_load(const char *path, struct trace *trace, char *wrong, size_t room)
{
    char *bytes = NULL;
    size_t size = 0;
    struct loading loading = {.trace = trace, .wrong = wrong, .wrong_room = room};
    *trace = (struct trace){0};
    errno = 0;
    bool fine = read_all(path, &bytes, &size);
    if (!fine)
        (void)say(wrong, room, "it cannot be read: %s", strerror(errno));
    else if (size == 0)
        fine = say(wrong, room, "it is empty");
    else if (size >= 8 && memcmp(bytes, TRACE_MAGIC, 8) == 0)
        fine = load_binary(&loading, (const uint8_t *)bytes, size);
    else if (memchr(bytes, '\0', size) != NULL)
        fine = say(wrong, room, "it is no trace: it begins with neither " TRACE_MAGIC " nor 'iobuf-trace 1'");
    else
        fine = load_text(&loading, bytes);
    if (fine && !(sort_events(trace) && (trace->ended || drop_strays(trace))))
        fine = say(wrong, room, "there is too little memory for its events");
    free(bytes);
    return fine;
}

/* Writing */

void trace_print(FILE *file, const struct trace_event *event)
{
    (void)fprintf(file, "T %" PRIu32 " %" PRIu64 " %s %" PRIu64, event->thread, event->time, kind_names[event->kind], event->id);
    if (event->kind != TRACE_RELEASE)
        (void)fprintf(file, " %" PRIu64, event->bytes);
    if (event->kind == TRACE_TRUNCATE_FRONT || event->kind == TRACE_TRUNCATE_BACK)
        (void)fputs(event->kind == TRACE_TRUNCATE_FRONT ? " front" : " back", file);
    if (event->reserve != 0)
        (void)fprintf(file, " %" PRIu64, event->reserve);
    if (event->site != 0)
        (void)fprintf(file, " @%" PRIu32, event->site);
}

bool trace_save_text(FILE *file, const struct trace *trace)
{
    (void)fputs("iobuf-trace 1\n", file);
    for (size_t at = 0; at < trace->site_count; at++)
        (void)fprintf(file, "site %" PRIu32 " %s\n", trace->sites[at].number, trace->sites[at].name);
    for (size_t at = 0; at < trace->count; at++) {
        trace_print(file, &trace->events[at]);
        (void)fputc('\n', file);
    }
    return fflush(file) == 0 && ferror(file) == 0;
}

struct saving {
    FILE *file;
    struct trace_chunk **chunks;
    size_t count, room;
    uint32_t number;
};

static void flush_chunk(struct saving *saving, struct trace_chunk *chunk)
{
    if (chunk->size != 0)
        (void)fwrite(chunk->bytes, 1, trace_chunk_seal(chunk, saving->number++), saving->file);
    trace_chunk_begin(chunk, chunk->thread);
}

static struct trace_chunk *chunk_of(struct saving *saving, uint32_t thread)
{
    for (size_t at = saving->count; at-- > 0;) {
        if (saving->chunks[at]->thread == thread)
            return saving->chunks[at];
    }
    if (saving->count == saving->room) {
        struct trace_chunk **const grown = realloc(saving->chunks, (saving->room + 64) * sizeof(struct trace_chunk *));
        if (grown == NULL)
            return NULL;
        saving->chunks = grown;
        saving->room += 64;
    }
    struct trace_chunk *const chunk = calloc(1, sizeof *chunk);
    if (chunk != NULL) {
        trace_chunk_begin(chunk, thread);
        saving->chunks[saving->count++] = chunk;
    }
    return chunk;
}

static bool save_sites(struct saving *saving, const struct trace *trace)
{
    struct trace_chunk *const chunk = trace->site_count == 0 ? NULL : chunk_of(saving, 0);
    for (size_t at = 0; at < trace->site_count; at++) {
        if (chunk == NULL)
            return false;
        if (trace_chunk_put_site(chunk, trace->sites[at].number, trace->sites[at].name))
            continue;
        flush_chunk(saving, chunk);
        (void)trace_chunk_put_site(chunk, trace->sites[at].number, trace->sites[at].name);
    }
    return true;
}

static bool save_events(struct saving *saving, const struct trace *trace)
{
    struct trace_chunk *last = NULL;
    uint64_t time = 0;
    for (size_t at = 0; at < trace->count; at++) {
        const struct trace_event *const event = &trace->events[at];
        struct trace_chunk *const chunk = last != NULL && last->thread == event->thread ? last : chunk_of(saving, event->thread);
        if (chunk == NULL)
            return false;
        /* Events of equal time are in the order of their chunks. */
        if (last != NULL && last != chunk && time == event->time)
            flush_chunk(saving, last);
        if (!trace_chunk_put(chunk, event)) {
            flush_chunk(saving, chunk);
            (void)trace_chunk_put(chunk, event);
        }
        last = chunk;
        time = event->time;
    }
    return true;
}

bool trace_save_binary(FILE *file, const struct trace *trace)
{
    struct saving saving = {.file = file};
    struct trace_chunk end;
    uint8_t header[TRACE_FILE_HEADER];
    trace_file_header(header);
    (void)fwrite(header, 1, sizeof header, file);
    const bool fine = save_sites(&saving, trace) && save_events(&saving, trace);
    for (size_t at = 0; at < saving.count; at++) {
        flush_chunk(&saving, saving.chunks[at]);
        free(saving.chunks[at]);
    }
    free(saving.chunks);
    trace_chunk_begin(&end, 0);
    (void)fwrite(end.bytes, 1, trace_chunk_seal(&end, saving.number), file);
    return fine && fflush(file) == 0 && ferror(file) == 0;
}
