/* What the unit tests share: cmocka, checks that print both values, a backing that counts and fails, a scripted source.
 *
 * Every test closes what it opens and ends with a backing that has everything back: a leak is a failure of that test.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef IOBUF_TEST_SUPPORT_H
#define IOBUF_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iobuf/iobuf.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Rounds of a test with threads. Valgrind runs threads one at a time, so there it is a tenth; IOBUF_TEST_SCALE=4 in the environment
 * makes a quarter anywhere. Never less than one. */
size_t scaled(size_t rounds);

/* ---- checks ---- */

void check_status(int got, int want, const char *call, const char *file, int line);
void check_size(size_t got, size_t want, const char *what, const char *file, int line);
void check_bytes(const iobuf_slice *s, const void *want, size_t size, const char *what, const char *file, int line);

#define assert_status(call, want) check_status(call, want, #call, __FILE__, __LINE__)
#define assert_ok(call) check_status(call, IOBUF_OK, #call, __FILE__, __LINE__)
#define assert_size(got, want) check_size(got, want, #got, __FILE__, __LINE__)
#define assert_bytes(slice, want, size) check_bytes(slice, want, size, #slice, __FILE__, __LINE__)
#define assert_text(slice, text) check_bytes(slice, text, strlen(text), #slice, __FILE__, __LINE__)

/* For threads other than the test's own, where a cmocka check may not jump. */
#define thread_require(condition)                                                               \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: not so in a thread: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

/* Byte `i` of the pattern `seed`: neighbours and seeds differ. */
uint8_t pattern_byte(size_t seed, size_t i);
void pattern_fill(iobuf_slice *s, size_t seed);
bool pattern_holds(const iobuf_slice *s, size_t seed);

/* A small repeatable generator. */
uint32_t next_random(uint32_t *state);

/* ---- a backing that counts, checks the sizes it gets back, and fails when asked ---- */

typedef struct test_backing {
    atomic_size_t calls; /* allocations asked for */
    atomic_size_t live;  /* blocks out */
    atomic_size_t live_bytes;
    atomic_size_t failures;      /* allocations refused */
    atomic_size_t fail_at;       /* the call, from 1, that is refused; 0: none */
    atomic_bool fail_ever_after; /* and all that follow it */
    size_t largest;              /* refuses more bytes than this at once; 0: 1 GiB */
} test_backing;

iobuf_backing backing_of(test_backing *b);

/* A pool over the backing, with the given sizes; fails the test if there is none. */
iobuf_pool *make_pool(test_backing *b, size_t min_size, size_t max_bytes, size_t max_cached_bytes);

/* Closes the pool and checks that the backing has everything back. */
void close_pool(iobuf_pool *pool, test_backing *b);

#define assert_nothing_left(b) check_size(atomic_load(&(b)->live), 0, "blocks of the backing still out", __FILE__, __LINE__)

iobuf_pool_stats stats_of(const iobuf_pool *pool);
void check_bufs(const iobuf_pool *pool, size_t allocated, size_t in_use, size_t cached, const char *file, int line);
void check_same_stats(const iobuf_pool_stats *got, const iobuf_pool_stats *want, const char *file, int line);
#define assert_bufs(pool, allocated, in_use, cached) check_bufs(pool, allocated, in_use, cached, __FILE__, __LINE__)
#define assert_same_stats(got, want) check_same_stats(got, want, __FILE__, __LINE__)

/* A slice that alone keeps a buf for `size` bytes: its allocator is released. */
iobuf_slice lone_slice(iobuf_pool *pool, size_t size);

/* ---- a source that follows a script ---- */

typedef enum source_act {
    SOURCE_BYTES,     /* up to `count` bytes of the stream, in one or several reads */
    SOURCE_ERROR,     /* -1 with `error` */
    SOURCE_END,       /* 0 */
    SOURCE_BYTES_AND, /* up to `count` bytes, in one read, together with `error` */
    SOURCE_TOO_MANY   /* a count above the room */
} source_act;

typedef struct source_step {
    source_act act;
    size_t count;
    int error;
} source_step;

typedef struct source {
    const uint8_t *bytes;
    size_t size; /* of the stream; it ends there at the latest */
    const source_step *steps;
    size_t step_count; /* after the last step: the rest of the stream, then its end */
    size_t most;       /* bytes a read gives at most; 0: all that fits */
    size_t at;         /* bytes given so far */
    size_t step;       /* the step under way */
    size_t given;      /* bytes given in this step */
    size_t calls;
    size_t last_room;
} source;

ssize_t source_read(void *context, void *into, size_t room, int *error);

#endif
