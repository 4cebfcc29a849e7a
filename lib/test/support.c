/* The shared parts of the unit tests. See support.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if !defined(RUNNING_ON_VALGRIND)
#define RUNNING_ON_VALGRIND 0
#endif

/* A sanitizer's allocator shall say NULL to a size that it cannot serve, as the C library does. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__msan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:detect_stack_use_after_return=1";
}
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__msan_default_options(void)
{
    return "allocator_may_return_null=1";
}

size_t scaled(size_t rounds)
{
    const char *text = getenv("IOBUF_TEST_SCALE");
    unsigned long by = text ? strtoul(text, NULL, 10) : RUNNING_ON_VALGRIND ? 10 : 1;
    return by <= 1 ? rounds : rounds / by > 0 ? rounds / by : 1;
}

/* ---- checks ---- */

void check_status(int got, int want, const char *call, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s\n  is %d (%s), not %d (%s)\n", call, got, iobuf_strerror(got), want, iobuf_strerror(want));
    _fail(file, line);
}

void check_size(size_t got, size_t want, const char *what, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s\n  is %zu, not %zu\n", what, got, want);
    _fail(file, line);
}

void check_bytes(const iobuf_slice *s, const void *want, size_t size, const char *what, const char *file, int line)
{
    size_t i;
    const uint8_t *data = iobuf_slice_data(s);
    const uint8_t *expected = (const uint8_t *)want;
    check_size(iobuf_slice_size(s), size, what, file, line);
    for (i = 0; i < size && data[i] == expected[i]; i++)
        ;
    if (i == size)
        return;
    print_error("%s: byte %zu of %zu\n  is 0x%02x, not 0x%02x\n", what, i, size, data[i], expected[i]);
    _fail(file, line);
}

uint8_t pattern_byte(size_t seed, size_t i)
{
    return (uint8_t)((seed * 131 + i * 7 + (i >> 8) * 3 + 1) & 0xff);
}

void pattern_fill(iobuf_slice *s, size_t seed)
{
    uint8_t *data = iobuf_slice_data(s);
    for (size_t i = 0; i < iobuf_slice_size(s); i++)
        data[i] = pattern_byte(seed, i);
}

bool pattern_holds(const iobuf_slice *s, size_t seed)
{
    const uint8_t *data = iobuf_slice_data(s);
    for (size_t i = 0; i < iobuf_slice_size(s); i++)
        if (data[i] != pattern_byte(seed, i))
            return false;
    return true;
}

uint32_t next_random(uint32_t *state)
{
    *state = (uint32_t)((*state * UINT64_C(1664525) + 1013904223) & UINT32_MAX);
    return *state >> 8;
}

/* ---- backing ---- */

/* In front of each block, so that a size that comes back wrong, or a write before the block, is seen. */
typedef struct block_head {
    size_t size;
    size_t pad;
    uintptr_t mark;
} block_head;

#define BLOCK_MARK ((uintptr_t)0x10b0f00d)

static void *backing_allocate(void *context, size_t size, size_t alignment)
{
    test_backing *b = (test_backing *)context;
    size_t call = atomic_fetch_add(&b->calls, 1) + 1;
    size_t fail_at = atomic_load(&b->fail_at);
    size_t largest = b->largest ? b->largest : (size_t)1 << 30;
    bool refused = fail_at && (call == fail_at || (call > fail_at && atomic_load(&b->fail_ever_after)));
    size_t pad = alignment > 64 ? alignment : 64;
    uint8_t *memory = NULL;
    if (!refused && size <= largest) {
        void *block;
        if (posix_memalign(&block, pad, pad + size) == 0)
            memory = (uint8_t *)block;
    }
    if (!memory) {
        atomic_fetch_add(&b->failures, 1);
        return NULL;
    }
    block_head *head = (block_head *)(void *)(memory + pad) - 1;
    head->size = size;
    head->pad = pad;
    head->mark = BLOCK_MARK ^ (uintptr_t)head;
    atomic_fetch_add(&b->live, 1);
    atomic_fetch_add(&b->live_bytes, size);
    return memory + pad;
}

static void backing_deallocate(void *context, void *memory, size_t size)
{
    test_backing *b = (test_backing *)context;
    block_head *head = (block_head *)memory - 1;
    thread_require(head->mark == (BLOCK_MARK ^ (uintptr_t)head));
    thread_require(head->size == size);
    head->mark = 0;
    atomic_fetch_sub(&b->live_bytes, size);
    atomic_fetch_sub(&b->live, 1);
    free((uint8_t *)memory - head->pad);
}

iobuf_backing backing_of(test_backing *b)
{
    iobuf_backing backing = {backing_allocate, backing_deallocate, b};
    return backing;
}

iobuf_pool *make_pool(test_backing *b, size_t min_size, size_t max_bytes, size_t max_cached_bytes)
{
    iobuf_pool_options options = {min_size, max_bytes, max_cached_bytes, backing_of(b)};
    iobuf_pool *pool = NULL;
    assert_ok(iobuf_pool_create(&options, &pool));
    assert_non_null(pool);
    return pool;
}

void close_pool(iobuf_pool *pool, test_backing *b)
{
    iobuf_pool_close(pool);
    assert_nothing_left(b);
    assert_size(atomic_load(&b->live_bytes), 0);
}

iobuf_pool_stats stats_of(const iobuf_pool *pool)
{
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(pool, &stats);
    return stats;
}

void check_bufs(const iobuf_pool *pool, size_t allocated, size_t in_use, size_t cached, const char *file, int line)
{
    iobuf_pool_stats stats = stats_of(pool);
    check_size(stats.bufs_allocated, allocated, "bufs_allocated", file, line);
    check_size(stats.bufs_in_use, in_use, "bufs_in_use", file, line);
    check_size(stats.bufs_cached, cached, "bufs_cached", file, line);
}

void check_same_stats(const iobuf_pool_stats *got, const iobuf_pool_stats *want, const char *file, int line)
{
    check_size(got->bufs_allocated, want->bufs_allocated, "bufs_allocated", file, line);
    check_size(got->bufs_in_use, want->bufs_in_use, "bufs_in_use", file, line);
    check_size(got->bufs_cached, want->bufs_cached, "bufs_cached", file, line);
    check_size(got->bytes_in_use, want->bytes_in_use, "bytes_in_use", file, line);
    check_size(got->bytes_cached, want->bytes_cached, "bytes_cached", file, line);
    check_size(got->bytes_peak, want->bytes_peak, "bytes_peak", file, line);
}

iobuf_slice lone_slice(iobuf_pool *pool, size_t size)
{
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, size, &s));
    iobuf_allocator_release(&a);
    return s;
}

/* ---- source ---- */

static size_t source_give(source *s, void *into, size_t room, size_t most)
{
    size_t count = s->size - s->at;
    if (count > room)
        count = room;
    if (count > most)
        count = most;
    if (s->most && count > s->most)
        count = s->most;
    if (count)
        memcpy(into, s->bytes + s->at, count);
    s->at += count;
    s->given += count;
    return count;
}

static void source_advance(source *s)
{
    s->step++;
    s->given = 0;
}

ssize_t source_read(void *context, void *into, size_t room, int *error)
{
    source *s = (source *)context;
    s->calls++;
    s->last_room = room;
    thread_require(room > 0);
    /* Steps without bytes left to give are over. */
    while (s->step < s->step_count && s->steps[s->step].act == SOURCE_BYTES && s->given == s->steps[s->step].count)
        source_advance(s);
    if (s->step == s->step_count)
        return (ssize_t)source_give(s, into, room, SIZE_MAX);
    const source_step *step = &s->steps[s->step];
    switch (step->act) {
    case SOURCE_BYTES:
        return (ssize_t)source_give(s, into, room, step->count - s->given);
    case SOURCE_BYTES_AND: {
        size_t count = source_give(s, into, room, step->count);
        source_advance(s);
        *error = step->error;
        return (ssize_t)count;
    }
    case SOURCE_ERROR:
        source_advance(s);
        *error = step->error;
        return -1;
    case SOURCE_TOO_MANY:
        source_advance(s);
        return (ssize_t)room + 1;
    case SOURCE_END:
    default:
        source_advance(s);
        return 0;
    }
}
