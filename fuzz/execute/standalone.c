/* The part of a C reproducer that does not depend on its program: scripted ends, failing memory, and checks. Written in front of
 * what emit.c prints; everything here is for one file that is linked with the library alone. */
#include <errno.h>
#include <iobuf/iobuf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 << 10, BUDGET = 4 << 20, FD_READER = 0x7fff0000, FD_SINK = 0x7fff1000 };
enum { GIVE, FAIL, END, GIVE_FAIL, OVER, ZERO_FAIL };

static iobuf_pool *p[3];
static iobuf_allocator a[6];
static iobuf_reader r[3];
static iobuf_slice s[32], out;
static uint8_t pattern[2 * MOST];
static unsigned op;

static void wrong(const char *what, size_t have, size_t want)
{
    fprintf(stderr, "op %u: %s: %zu, not %zu\n", op, what, have, want);
    abort();
}

static void expect(const char *what, size_t have, size_t want)
{
    if (have != want)
        wrong(what, have, want);
}

static void expect_status(int have, int want)
{
    if (have != want) {
        fprintf(stderr, "op %u: %s, not %s\n", op, iobuf_strerror(have), iobuf_strerror(want));
        abort();
    }
}

static void make_pattern(void)
{
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof pattern; i++) {
        x = x * 1664525 + 1013904223;
        pattern[i] = (uint8_t)(x >> 24 | 1);
    }
}

/* ---- memory, and its failures */

static size_t fail_in, used, live[128];
static int fail_always;

static int should_fail(void)
{
    if (fail_in == 0)
        return 0;
    if (fail_in > 1)
        return fail_in--, 0;
    if (!fail_always)
        fail_in = 0;
    return 1;
}

static void *get(void *context, size_t size, size_t alignment)
{
    void *bytes = NULL;
    if (should_fail() || size > MOST || size > BUDGET - used)
        return NULL;
    used += size;
    bytes = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (bytes == NULL)
        return NULL;
    live[(uintptr_t)context]++;
    return bytes;
}

static void give_back(void *context, void *bytes, size_t size)
{
    (void)size;
    live[(uintptr_t)context]--;
    free(bytes);
}

static iobuf_pool_options options(size_t min_size, size_t max_bytes, size_t max_cached_bytes, unsigned pool)
{
    return (iobuf_pool_options){min_size, max_bytes, max_cached_bytes, {get, give_back, (void *)(uintptr_t)pool}};
}

static unsigned frees;

static void free_wrapped(void *bytes, size_t size, void *context)
{
    (void)size;
    expect("the wrapped bytes", (uintptr_t)bytes, (uintptr_t)context);
    frees++;
    free(bytes);
}

static void *lend(unsigned i, size_t size)
{
    return size != 0 ? malloc(size) : i % 2 != 0 ? malloc(1) : NULL;
}

/* ---- scripts */

typedef struct script {
    struct {
        int kind;
        size_t size;
        int error;
    } event[16];
    size_t first, count;
} script;

static script sources[3], sink;
static size_t positions[3];
static int is_fd[3];

static void add(script *q, int kind, size_t size, int error)
{
    size_t i = (q->first + q->count) % 16;
    if (q->count == 16)
        return;
    q->event[i].kind = kind;
    q->event[i].size = size;
    q->event[i].error = error;
    q->count++;
}

static ssize_t source(void *context, void *into, size_t room, int *error)
{
    unsigned i = (unsigned)(uintptr_t)context;
    script *q = &sources[i];
    int kind = q->count ? q->event[q->first].kind : GIVE, e = q->count ? q->event[q->first].error : 0;
    size_t size = q->count ? q->event[q->first].size : SIZE_MAX, at = positions[i] % MOST;
    ssize_t result = 0;
    if (q->count) {
        q->count--;
        q->first = (q->first + 1) % 16;
    }
    if (is_fd[i]) {
        kind = kind == GIVE_FAIL || kind == OVER ? GIVE : kind == ZERO_FAIL ? END : kind;
        e = kind == FAIL && e == 0 ? EIO : e;
    }
    if (kind == GIVE || kind == GIVE_FAIL) {
        size = size == 0 ? 1 : size;
        result = (ssize_t)(size < room ? size : room);
        memcpy(into, pattern + at, (size_t)result);
    } else if (kind == OVER) {
        result = (ssize_t)(room + (size != 0 && size < MOST ? size : 1));
    } else if (kind == FAIL) {
        result = -1;
    }
    if ((kind == FAIL || kind == GIVE_FAIL || kind == ZERO_FAIL) && e != 0)
        *error = e;
    positions[i] += result > 0 ? (size_t)result : 0;
    return result;
}

#if USES_READ
ssize_t read(int fd, void *into, size_t room)
{
    int error = 0;
    ssize_t n = source((void *)(uintptr_t)(fd - FD_READER), into, room, &error);
    errno = n < 0 ? error : errno;
    return n;
}
#endif

#if USES_WRITEV
ssize_t writev(int fd, const struct iovec *iov, int count)
{
    size_t total = 0, most = sink.count ? sink.event[sink.first].size : SIZE_MAX;
    int error = sink.count && sink.event[sink.first].kind == FAIL ? sink.event[sink.first].error : 0;
    int fails = sink.count && sink.event[sink.first].kind == FAIL;
    (void)fd;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    if (sink.count) {
        sink.count--;
        sink.first = (sink.first + 1) % 16;
    }
    if (fails) {
        errno = error != 0 ? error : EIO;
        return -1;
    }
    return (ssize_t)(most < total ? most : total);
}
#endif

#if USES_CALLOC
static int fail_calloc;

void *calloc(size_t count, size_t size)
{
    void *bytes = fail_calloc ? NULL : malloc(count * size);
    fail_calloc = 0;
    return bytes != NULL ? memset(bytes, 0, count * size) : NULL;
}
#endif

#if USES_DEFAULT_POOL
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *bytes = get((void *)127, size, alignment);
    live[127] = 0;
    *memory = bytes != NULL ? bytes : *memory;
    return bytes != NULL ? 0 : ENOMEM;
}
#endif

/* ---- contents and checks */

static void fill(unsigned i, size_t from, size_t size)
{
    memcpy(iobuf_slice_data(&s[i]) + from, pattern + (op - 1) * 67 % MOST + from, size);
}

static uint32_t sum(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static void slice(unsigned i, size_t size, size_t headroom, uint32_t contents)
{
    expect("size", iobuf_slice_size(&s[i]), size);
    expect("headroom", iobuf_slice_headroom(&s[i]), headroom);
    expect("contents", sum(iobuf_slice_data(&s[i]), size), contents);
}

static void reader(unsigned i, size_t buffered, int error)
{
    expect("bytes buffered", iobuf_reader_buffered(&r[i]), buffered);
    expect("errno of the reader", (size_t)iobuf_reader_errno(&r[i]), (size_t)error);
}

static void counts(unsigned i, size_t allocated, size_t in_use, size_t cached, size_t bytes_in_use, size_t bytes_cached,
                   size_t peak)
{
    iobuf_pool_stats t;
    iobuf_pool_stats_get(p[i], &t);
    expect("bufs_allocated", t.bufs_allocated, allocated);
    expect("bufs_in_use", t.bufs_in_use, in_use);
    expect("bufs_cached", t.bufs_cached, cached);
    expect("bytes_in_use", t.bytes_in_use, bytes_in_use);
    expect("bytes_cached", t.bytes_cached, bytes_cached);
    expect("bytes_peak", t.bytes_peak, peak);
}

static void elsewhere(void *(*turn)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, turn, NULL) == 0)
        pthread_join(thread, NULL);
}

static void end(void)
{
    for (unsigned i = 0; i < 32; i++)
        iobuf_slice_release(&s[i]);
    for (unsigned i = 0; i < 6; i++)
        iobuf_allocator_release(&a[i]);
    for (unsigned i = 0; i < 3; i++)
        iobuf_reader_close(&r[i]);
    for (unsigned i = 0; i < 3; i++)
        iobuf_pool_close(p[i]);
    op++;
    for (unsigned i = 0; i < 128; i++)
        expect("blocks left of a pool", live[i], 0);
}

/* Calls that must be IOBUF_EINVAL. */
static int call_wrongly(unsigned which)
{
    iobuf_pool_options o = options(64, 0, 0, 0);
    iobuf_pool *pool = p[0] != NULL ? p[0] : p[1] != NULL ? p[1] : p[2];
    iobuf_allocator b;
    iobuf_reader t;
    size_t count = 1;
    switch (which) {
    case 0:
        return iobuf_pool_create(&o, NULL);
    case 1:
        o.backing.allocate = NULL;
        return iobuf_pool_create(&o, &pool);
    case 2:
        o.backing.deallocate = NULL;
        return iobuf_pool_create(&o, &pool);
    case 3:
        return iobuf_allocator_init(NULL, pool, 0);
    case 4:
        return iobuf_allocator_init(&b, NULL, 0);
    case 5:
        return iobuf_reader_init(NULL, pool, source, NULL);
    case 6:
        return iobuf_reader_init(&t, NULL, source, NULL);
    case 7:
        return iobuf_reader_init(&t, pool, NULL, NULL);
    case 8:
        return iobuf_reader_init_fd(NULL, pool, FD_READER);
    case 9:
        return iobuf_reader_init_fd(&t, NULL, FD_READER);
    case 10:
        return iobuf_reader_init_fd(&t, pool, -1);
    case 11:
        return iobuf_slice_wrap(&b, sizeof b, NULL, NULL, &out);
    case 12:
        return iobuf_slice_wrap(&b, sizeof b, free_wrapped, NULL, NULL);
    case 13:
        return iobuf_slice_wrap(NULL, 1, free_wrapped, NULL, &out);
    case 14:
        return iobuf_writev(FD_SINK, s, NULL, &count);
    case 15:
        return iobuf_writev(FD_SINK, NULL, &count, NULL);
    case 16:
        return iobuf_copy(&a[0], NULL, 1, &out);
    case 17:
        iobuf_pool_close(NULL);
        return iobuf_slice_share(&s[0], iobuf_slice_size(&s[0]), 1, &out);
    default: /* nothing is no mistake, wherever it is */
        count = 0;
        return iobuf_coalesce(s, 0, SIZE_MAX) == 0 && iobuf_writev(FD_SINK, NULL, &count, NULL) == IOBUF_OK ? IOBUF_EINVAL
                                                                                                            : IOBUF_OK;
    }
}

/* Not every program uses everything. */
void *const unused[] = {(void *)options, (void *)free_wrapped, (void *)lend,        (void *)add,           (void *)fill,
                        (void *)slice,   (void *)reader,       (void *)counts,      (void *)expect_status, (void *)elsewhere,
                        (void *)&sink,   (void *)&out,         (void *)call_wrongly};
