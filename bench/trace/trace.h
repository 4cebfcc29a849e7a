/* A trace: what a program did with its buffers. FORMAT.md describes its two forms, text and binary; this reads and writes both.
 *
 * An event is encoded in a chunk, which belongs to one thread and can be read without any other. What a recorder needs (the
 * part on chunks) takes no memory and no lock.
 */
#ifndef BENCH_TRACE_TRACE_H
#define BENCH_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRACE_VERSION 1u
#define TRACE_MAGIC "IOBUFTRC"
#define TRACE_FILE_HEADER 12u
#define TRACE_CHUNK_HEADER 16u
#define TRACE_CHUNK_ROOM ((size_t)16384)  /* bytes of events in a chunk, at most */
#define TRACE_EVENT_ROOM 64u              /* no event takes more */
#define TRACE_SITE_ROOM 1024u             /* no site's name is longer */
#define TRACE_LARGEST ((uint64_t)1 << 30) /* above this nothing may be allocated: no pool is tuned for that */

enum trace_kind {
    TRACE_ALLOC,
    TRACE_RELEASE,
    TRACE_TRUNCATE_FRONT,
    TRACE_TRUNCATE_BACK,
    TRACE_EXPAND,
    TRACE_COALESCE,
    TRACE_HANDOVER
};

struct trace_event {
    uint64_t time; /* ns since the trace's start */
    uint64_t id;
    uint64_t bytes; /* of an alloc, truncate, expand; of a coalesce the number of slices, whose ids follow each other; of a
                     * handover the thread */
    uint64_t reserve;
    uint32_t thread;
    uint32_t site; /* 0: not recorded */
    enum trace_kind kind;
};

struct trace_site {
    uint32_t number;
    char *name;
};

/* A trace in memory: all threads' events in the order of their times; equal times are in the order of the file. */
struct trace {
    struct trace_event *events;
    size_t count;
    struct trace_site *sites;
    size_t site_count;
    bool ended;           /* the recorder could write all; else it was killed, and each thread's last chunk may be missing */
    uint64_t lost_bytes;  /* bytes of the file that could not be read */
    uint64_t lost_events; /* events left out, because the alloc that they belong to was lost */
    char lost[200];       /* what was wrong there, in words; "" if nothing was */
};

/* Reads either form. False, and *wrong is one line without the file's name. A binary that was cut off, or damaged in the
 * middle, is read up to there: `lost` says so, and nothing refers to what is missing. To be freed even when it is false. */
bool trace_load(const char *path, struct trace *trace, char *wrong, size_t room);
void trace_free(struct trace *trace);

/* False, and *wrong says which event it is: a second alloc of an id, an event of an id that is not allocated then, a size
 * above the limit, no event at all. */
bool trace_check(const struct trace *trace, char *wrong, size_t room);

/* One event as a line of text, without its end. */
void trace_print(FILE *file, const struct trace_event *event);

/* Whole files; false, with errno, if not all could be written. */
bool trace_save_text(FILE *file, const struct trace *trace);
bool trace_save_binary(FILE *file, const struct trace *trace);

/* What is encoded of a chunk so far. The header's place is in front. */
struct trace_chunk {
    uint64_t time;    /* of its last event */
    uint64_t last_id; /* of its last alloc */
    size_t size;      /* bytes of events */
    uint32_t thread;
    uint8_t bytes[TRACE_CHUNK_HEADER + TRACE_CHUNK_ROOM];
};

void trace_chunk_begin(struct trace_chunk *chunk, uint32_t thread);
/* False, and nothing changes, if the chunk is full. */
bool trace_chunk_put(struct trace_chunk *chunk, const struct trace_event *event);
bool trace_chunk_put_site(struct trace_chunk *chunk, uint32_t number, const char *name);
/* Makes the header of the file's chunk `number`; returns how many of the chunk's bytes are to be written. One without events
 * ends the file. */
size_t trace_chunk_seal(struct trace_chunk *chunk, uint32_t number);
void trace_file_header(uint8_t header[TRACE_FILE_HEADER]);

#ifdef __cplusplus
}
#endif

#endif
