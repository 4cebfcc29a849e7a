/* The soak: frame servers on several threads (lib/example), clients that send them frames, take their time and disappear, and a
 * comparison of each byte. Phase by phase: when the clients of one have gone, all memory must have come back.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef SOAK_H
#define SOAK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame_server.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* What the server does with a frame. All frames of a connection take the same route, since answers keep their order on each alone.
 */
enum route { ECHO, SPLIT, WORK, COPY, REPEAT, WRAP, ROUTES };

/* How a client ends. Those from RESET on are kills. */
enum ending { DRAIN, CLOSE, HALF, RESET, ABANDON, OVERSIZE, ENDINGS };

/* ---- frames.c: the bytes of a frame follow from its number and its connection's seed ---- */

#define FRAME_HEAD 16 /* a payload of at least so many bytes begins with its route, number and seed */

typedef struct frame {
    uint64_t seed;
    uint32_t number;
    enum route route;
    size_t size;
} frame;

uint64_t mix(uint64_t value);

/* `size` bytes of the frame, or of the answer to it, header included, from `offset` on. */
void frame_bytes(const frame *f, bool answer, size_t offset, uint8_t *to, size_t size);
size_t frame_length(const frame *f, bool answer);

/* Fills *f from a payload that begins with its head. False if it is none that a client sends. */
bool frame_of(const uint8_t *payload, size_t size, frame *f);

/* ---- main.c ---- */

/* Says what is wrong and ends the process. Any thread. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern atomic_bool stopping; /* interrupted: no new connections */

/* ---- workers.c: the servers ---- */

typedef struct worker worker;

typedef struct worker_counts {
    size_t accepted, frames, joined, short_writes, starved, shed;
    size_t audited; /* frames compared on another thread than the connection's */
    size_t passed;  /* slices released on another thread than they were cut on */
    size_t wrapped, freed;
} worker_counts;

void workers_start(size_t count, iobuf_pool *pool, int listener);

/* Whether the servers give free bufs back now and then, so that others have to be asked for. */
void workers_trim(bool wanted);

/* Waits until all connections have gone and nothing is under way, and has every allocator let its buf go. */
void workers_rest(void);
worker_counts workers_counts(void);
void workers_stop(void);

/* ---- clients.c ---- */

typedef struct phase {
    const char *name;
    size_t at_once;    /* connections of one client thread */
    size_t most_bytes; /* of a frame */
    size_t frames;     /* of a connection, at most */
    unsigned killed;   /* percent */
    unsigned slow;     /* percent of clients that read late and a few bytes at a time */
    size_t left;       /* bytes of the pool's limit that are left to the servers; 0: all */
    size_t fail_every; /* the backing refuses one allocation in so many; 0: none */
    bool trims;        /* the servers give free bufs back now and then */
} phase;

typedef struct client_counts {
    size_t connections, ended[ENDINGS];
    size_t cut; /* connections that the server ended, for want of memory */
    size_t frames, bytes;
} client_counts;

typedef struct client_job {
    const phase *phase;
    uint64_t seed;
    size_t connections; /* to make */
    uint16_t port;
    unsigned patience; /* seconds without any progress: then something is stuck */
    client_counts counts;
} client_job;

/* For both ends: see clients.c. */
void socket_set(int fd, int level, int option, int value);
void socket_small(int fd);

/* A thread: argument and result are a client_job. */
void *client_run(void *job);

#endif
