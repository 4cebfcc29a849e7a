/* iobuf_soak: see soak.h. One line of JSON for each phase, and one at the end, on standard output. SIGINT ends it behind the
 * connections that are under way, and the end is judged as any other.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(address_sanitizer) ||                             \
    HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(memory_sanitizer)
#define JUDGES_RSS 0 /* a sanitizer keeps what was freed */
#else
#define JUDGES_RSS 1
#endif

#define POOL_LIMIT (16 * MIB)
#define POOL_CACHE (4 * MIB)
/* What may be more than it was when all kinds of phases had been there twice. The heap is exact, but for what each thread keeps in
 * the C library's cache of chunks, unless GLIBC_TUNABLES=glibc.malloc.tcache_count=0. */
#define HEAP_SLACK (256 * KIB)
#define CHUNKS_SLACK (2 * MIB)
#define RSS_SLACK (4 * MIB)
#define READINGS 10000 /* readings of the pool's counters: a release that went unnoticed is seen by one of them */

enum { THREADS_MOST = 16, REST_MOST = 5 };

atomic_bool stopping;

static const phase phases[] = {
    {.name = "calm", .at_once = 8, .most_bytes = FRAME_MOST, .frames = 40, .killed = 20},
    {.name = "many", .at_once = 100, .most_bytes = 2000, .frames = 30, .killed = 30},
    {.name = "slow", .at_once = 12, .most_bytes = FRAME_MOST, .frames = 40, .killed = 30, .slow = 70},
    {.name = "killed", .at_once = 50, .most_bytes = 5000, .frames = 12, .killed = 100, .slow = 10},
    {.name = "limit", .at_once = 40, .most_bytes = FRAME_MOST, .frames = 20, .killed = 40, .slow = 20, .left = 1 * MIB},
    {.name = "no memory",
     .at_once = 24,
     .most_bytes = 20000,
     .frames = 20,
     .killed = 40,
     .slow = 20,
     .fail_every = 3,
     .trims = true},
};
enum { PHASES = sizeof phases / sizeof phases[0] };

static struct options {
    size_t connections, seconds, servers, clients, per_phase;
    uint64_t seed;
    unsigned patience;
} options = {.servers = 3, .clients = 2, .per_phase = 300, .patience = 60, .seed = 1};

/* ---- what is said ---- */

static pthread_mutex_t failing = PTHREAD_MUTEX_INITIALIZER;

void fail(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&failing); /* for ever: one failure is enough */
    printf("{\"failed\": \"%s\"}\n", text);
    fflush(stdout);
    _exit(1);
}

/* ---- the pool's memory: counted, and refused at times ---- */

static struct {
    atomic_size_t blocks, bytes, calls, refused;
    atomic_size_t fail_every;
} memory;

static void *memory_allocate(void *context, size_t size, size_t alignment)
{
    void *block;
    (void)context;
    size_t every = atomic_load(&memory.fail_every), call = atomic_fetch_add(&memory.calls, 1);
    if (every != 0 && call % every == 0) {
        atomic_fetch_add(&memory.refused, 1);
        return NULL;
    }
    if (posix_memalign(&block, alignment, size) != 0)
        fail("the machine has no memory");
    atomic_fetch_add(&memory.blocks, 1);
    atomic_fetch_add(&memory.bytes, size);
    return block;
}

static void memory_deallocate(void *context, void *block, size_t size)
{
    (void)context;
    atomic_fetch_sub(&memory.blocks, 1);
    atomic_fetch_sub(&memory.bytes, size);
    free(block);
}

/* ---- what a phase leaves behind ---- */

static size_t resident(void)
{
    unsigned long total = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%lu %lu", &total, &pages) != 2)
        fail("/proc/self/statm cannot be read");
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What the process has from malloc and did not free; the C library counts as such the few chunks that each thread keeps to itself.
 */
static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static size_t descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        fail("/proc/self/fd cannot be read");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* As much of the pool as leaves `left` bytes of its limit to others. */
static size_t take_ballast(iobuf_pool *pool, size_t left, iobuf_slice *ballast, size_t most)
{
    iobuf_allocator a;
    iobuf_pool_stats stats;
    size_t count = 0;
    if (left == 0)
        return 0;
    if (iobuf_allocator_init(&a, pool, 0) != IOBUF_OK)
        fail("iobuf_allocator_init refused");
    for (;;) {
        iobuf_pool_stats_get(pool, &stats);
        if (count == most || stats.bytes_in_use + left >= POOL_LIMIT || iobuf_alloc(&a, 64 * KIB, &ballast[count]) != IOBUF_OK)
            break;
        memset(iobuf_slice_data(&ballast[count++]), 0x5a, 64 * KIB);
    }
    iobuf_allocator_release(&a);
    return count;
}

/* What the pool may keep for itself: its bookkeeping when as many bufs are out as its limit allows, and what several threads may
 * take at the same moment without need. */
static size_t bookkeeping_most(iobuf_pool *pool)
{
    size_t count = 0, before;
    iobuf_slice *all = calloc(POOL_LIMIT / 4096, sizeof *all);
    iobuf_allocator a;
    if (all == NULL || iobuf_allocator_init(&a, pool, 0) != IOBUF_OK)
        fail("no memory");
    before = atomic_load(&memory.bytes);
    while (count < POOL_LIMIT / 4096 && iobuf_alloc(&a, 4096, &all[count]) == IOBUF_OK)
        count++;
    iobuf_allocator_release(&a);
    if (count != POOL_LIMIT / 4096)
        fail("the pool gave %zu bufs of 4096 bytes, its limit is %zu", count, POOL_LIMIT / 4096);
    while (count > 0)
        iobuf_slice_release(&all[--count]);
    free(all);
    (void)iobuf_pool_trim(pool, 0);
    return atomic_load(&memory.bytes) + (atomic_load(&memory.bytes) - before) / 4;
}

/* The limit is as wide as it was: neither is anything booked that has gone, nor that was refused. */
static void use_limit(iobuf_pool *pool)
{
    iobuf_allocator a;
    iobuf_slice all;
    if (iobuf_allocator_init(&a, pool, 0) != IOBUF_OK)
        fail("iobuf_allocator_init refused");
    int status = iobuf_alloc(&a, POOL_LIMIT, &all);
    if (status != IOBUF_OK)
        fail("all %zu bytes of the limit are free, but: %s", POOL_LIMIT, iobuf_strerror(status));
    iobuf_slice_release(&all);
    iobuf_allocator_release(&a);
}

/* Brings everything to rest and judges what is left. Returns the memory that the process has. */
static size_t judge(iobuf_pool *pool, size_t bookkeeping, size_t fds)
{
    iobuf_pool_stats stats;
    for (int attempt = 0; attempt < REST_MOST; attempt++) { /* a connection may come late, after its client has gone */
        workers_rest();
        for (int i = 0; i < READINGS; i++) {
            iobuf_pool_stats_get(pool, &stats);
            if (stats.bufs_in_use == 0)
                break;
        }
        if (stats.bufs_in_use == 0)
            break;
    }
    if (stats.bufs_in_use != 0 || stats.bytes_in_use != 0)
        fail("%zu bufs of %zu bytes are in use though every connection has gone", stats.bufs_in_use, stats.bytes_in_use);
    if (stats.bytes_peak > POOL_LIMIT || stats.bytes_cached > POOL_CACHE)
        fail("the pool had %zu bytes, its limit is %zu; it has %zu cached, the limit is %zu", stats.bytes_peak, POOL_LIMIT,
             stats.bytes_cached, POOL_CACHE);
    use_limit(pool);
    (void)iobuf_pool_trim(pool, 0);
    if (atomic_load(&memory.bytes) > bookkeeping)
        fail("the pool keeps %zu bytes for itself, more than %zu", atomic_load(&memory.bytes), bookkeeping);
    if (descriptors() != fds)
        fail("%zu descriptors are open, not %zu", descriptors(), fds);
    worker_counts w = workers_counts();
    if (w.wrapped != w.freed)
        fail("of %zu wrapped frames %zu were freed", w.wrapped, w.freed);
    (void)malloc_trim(0);
    return resident();
}

/* ---- the phases ---- */

static void add(client_counts *to, const client_counts *from)
{
    to->connections += from->connections;
    for (int i = 0; i < ENDINGS; i++)
        to->ended[i] += from->ended[i];
    to->cut += from->cut;
    to->frames += from->frames;
    to->bytes += from->bytes;
}

static size_t killed(const client_counts *c)
{
    return c->ended[RESET] + c->ended[ABANDON] + c->ended[OVERSIZE];
}

static void run_phase(const phase *p, uint64_t seed, size_t connections, uint16_t port, iobuf_pool *pool, client_counts *all)
{
    static iobuf_slice ballast[POOL_LIMIT / (64 * KIB)];
    pthread_t threads[THREADS_MOST];
    client_job jobs[THREADS_MOST];
    size_t held = take_ballast(pool, p->left, ballast, sizeof ballast / sizeof ballast[0]);
    atomic_store(&memory.fail_every, p->fail_every);
    workers_trim(p->trims);
    for (size_t i = 0; i < options.clients; i++) {
        size_t share = connections / options.clients + (i < connections % options.clients);
        jobs[i] = (client_job){.phase = p, .seed = mix(seed + i), .connections = share, .port = port, .patience = options.patience};
        if (pthread_create(&threads[i], NULL, client_run, &jobs[i]) != 0)
            fail("a thread cannot be made");
    }
    for (size_t i = 0; i < options.clients; i++) {
        pthread_join(threads[i], NULL);
        add(all, &jobs[i].counts);
    }
    atomic_store(&memory.fail_every, (size_t)0);
    workers_trim(false);
    while (held > 0) {
        const uint8_t *bytes = iobuf_slice_data(&ballast[--held]);
        for (size_t i = 0; i < 64 * KIB; i++)
            if (bytes[i] != 0x5a)
                fail("byte %zu of a slice that was only held is 0x%02x", i, bytes[i]);
        iobuf_slice_release(&ballast[held]);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socket_set(fd, SOL_SOCKET, SO_SNDBUF, 8 << 10); /* what is accepted inherits it: so writes are short */
    socket_small(fd);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        fail("no socket to listen on: %s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

static void interrupt(int number)
{
    (void)number;
    atomic_store(&stopping, true);
}

static size_t number(const char *text, const char *option, size_t least, size_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "iobuf_soak: %s needs a number from %zu to %zu, not '%s'\n", option, least, most, text);
        exit(2);
    }
    return (size_t)value;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--connections") == 0)
            options.connections = number(value, name, 1, 1000000000);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = number(value, name, 1, 1000000000);
        else if (strcmp(name, "--seed") == 0)
            options.seed = number(value, name, 0, SIZE_MAX);
        else if (strcmp(name, "--servers") == 0)
            options.servers = number(value, name, 1, THREADS_MOST);
        else if (strcmp(name, "--clients") == 0)
            options.clients = number(value, name, 1, THREADS_MOST);
        else if (strcmp(name, "--per-phase") == 0)
            options.per_phase = number(value, name, 1, 1000000);
        else if (strcmp(name, "--patience") == 0)
            options.patience = (unsigned)number(value, name, 1, 3600);
        else {
            fprintf(stderr, "usage: iobuf_soak --connections N | --seconds N [--seed N] [--servers N] [--clients N] [--per-phase N]"
                            " [--patience N]\n");
            exit(2);
        }
    }
    if (options.connections == 0 && options.seconds == 0) {
        fprintf(stderr, "iobuf_soak: how long? --connections N or --seconds N\n");
        exit(2);
    }
}

static void say(const char *phase_name, size_t count, const client_counts *c, double seconds, size_t rss)
{
    const worker_counts w = workers_counts();
    const struct {
        const char *name;
        size_t value;
    } rows[] = {
        {"phases", count},
        {"connections", c->connections},
        {"killed", killed(c)},
        {"reset", c->ended[RESET]},
        {"abandoned", c->ended[ABANDON]},
        {"oversize", c->ended[OVERSIZE]},
        {"half_closed", c->ended[HALF]},
        {"cut", c->cut},
        {"frames", c->frames},
        {"bytes", c->bytes},
        {"audited", w.audited},
        {"passed", w.passed},
        {"wrapped", w.wrapped},
        {"joined", w.joined},
        {"short_writes", w.short_writes},
        {"starved", w.starved},
        {"shed", w.shed},
        {"refused", atomic_load(&memory.refused)},
        {"heap", heap()},
        {"rss", rss},
    };
    printf("{\"%s\": \"%s\", \"seconds\": %.1f", phase_name == NULL ? "summary" : "phase", phase_name == NULL ? "" : phase_name,
           seconds);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf(", \"%s\": %zu", rows[i].name, rows[i].value);
    printf("}\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const iobuf_pool_options pool_options = {
        .max_bytes = POOL_LIMIT, .max_cached_bytes = POOL_CACHE, .backing = {memory_allocate, memory_deallocate, NULL}};
    client_counts all = {0};
    iobuf_pool *pool;
    uint16_t port;
    size_t count = 0, rss = 0, rss_most = 0, heap_most = 0;
    const char *tunables = getenv("GLIBC_TUNABLES");
    const size_t heap_slack = tunables != NULL && strstr(tunables, "tcache_count=0") != NULL ? HEAP_SLACK : CHUNKS_SLACK;
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10); /* else they grow with what was freed, and free memory stays */
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 10);
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    signal(SIGPIPE, SIG_IGN);
    parse(argc, argv);
    if (iobuf_pool_create(&pool_options, &pool) != IOBUF_OK)
        fail("iobuf_pool_create refused");
    size_t bookkeeping = bookkeeping_most(pool);
    int listener = listen_on(&port);
    workers_start(options.servers, pool, listener);
    size_t fds = descriptors();
    double start = now();
    while (!atomic_load(&stopping) && (options.connections == 0 || all.connections < options.connections) &&
           (options.seconds == 0 || now() - start < (double)options.seconds)) {
        const phase *p = &phases[count % PHASES];
        size_t most = options.per_phase;
        if (options.connections != 0 && options.connections - all.connections < most)
            most = options.connections - all.connections;
        run_phase(p, mix(options.seed + count), most, port, pool, &all);
        count++;
        rss = judge(pool, bookkeeping, fds);
        if (all.cut > workers_counts().shed)
            fail("%zu connections were cut, and the servers dropped %zu for want of memory", all.cut, workers_counts().shed);
        if (count <= (size_t)2 * PHASES) {
            rss_most = rss > rss_most ? rss : rss_most;
            heap_most = heap() > heap_most ? heap() : heap_most;
        } else if (heap() > heap_most + heap_slack) {
            fail("%zu bytes of malloc's are not freed, %zu when the process was warm", heap(), heap_most);
        } else if (JUDGES_RSS && rss > rss_most + RSS_SLACK) {
            fail("the process has %zu bytes, %zu when it was warm", rss, rss_most);
        }
        say(p->name, count, &all, now() - start, rss);
    }
    double seconds = now() - start;
    workers_stop();
    close(listener);
    iobuf_pool_close(pool);
    if (atomic_load(&memory.blocks) != 0 || atomic_load(&memory.bytes) != 0)
        fail("%zu blocks of %zu bytes were not given back when the pool closed", atomic_load(&memory.blocks),
             atomic_load(&memory.bytes));
    say(NULL, count, &all, seconds, rss);
    return 0;
}
