/* iobuf_record.so, to be preloaded: writes a trace of what a program takes from malloc and gives back. FORMAT.md describes it.
 *
 *   IOBUF_TRACE=FILE        where it goes; a process that was forked, or finds FILE there, writes FILE.PID
 *   IOBUF_TRACE_MIN=256     the least size to record
 *   IOBUF_TRACE_MAX=...     the largest, at most 1 GiB
 *   IOBUF_TRACE_LIMIT=...   after so many events the recorder stops
 *
 * Each thread fills a chunk of its own and writes it when it is full or TOO_OLD; only that takes a lock that others wait for. A
 * process that is killed loses each thread's last chunk. Nothing here calls malloc. Whatever goes wrong, the program goes on:
 * it is said once, and recorded no more.
 *
 * A block's number is taken out of `shards` before the block is given back, and put in after it was received, so that none
 * is there twice.
 */
#include "trace/trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define TOO_OLD UINT64_C(100000000) /* ns: then a chunk is written though it is not full */

enum { SHARDS = 64, FIRST_ROOM = 256, IDS = 1024, QUOTA = 256, HIGH_HANDLE = 900 };

/* The malloc behind this one */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    size_t (*usable)(void *);
} real;

/* dlsym may take memory, before there is a malloc to ask. */
static _Alignas(16) char early[64 * 1024];
static atomic_size_t early_used;

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static void *early_alloc(size_t size)
{
    if (size > sizeof early - 16)
        return NULL;
    const size_t room = (size + 31) & ~(size_t)15; /* its size stands in front of it */
    const size_t at = atomic_fetch_add_explicit(&early_used, room, memory_order_relaxed);
    if (at > sizeof early - room)
        return NULL;
    memcpy(early + at, &size, sizeof size);
    return early + at + 16;
}

static void find(void *pointer, const char *name)
{
    void *const found = dlsym(RTLD_NEXT, name);
    memcpy(pointer, &found, sizeof found); /* an object pointer cannot be cast to a function's in ISO C */
}

static void find_real(void)
{
    find(&real.calloc, "calloc");
    find(&real.realloc, "realloc");
    find(&real.free, "free");
    find(&real.posix_memalign, "posix_memalign");
    find(&real.aligned_alloc, "aligned_alloc");
    find(&real.memalign, "memalign");
    find(&real.usable, "malloc_usable_size");
    find(&real.malloc, "malloc"); /* last: the others are there when this one is */
}

static __thread bool finding;

static bool ready(void)
{
    if (LIKELY(real.malloc != NULL))
        return true;
    if (finding)
        return false;
    finding = true;
    find_real();
    finding = false;
    return real.malloc != NULL;
}

/* Spin locks: held for some instructions, except while a chunk is written */

static void lock(atomic_flag *flag)
{
    /* Acquire: pairs with the release in unlock. */
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
        (void)sched_yield();
}

static void unlock(atomic_flag *flag)
{
    atomic_flag_clear_explicit(flag, memory_order_release);
}

/* Numbers of live blocks by address */

struct entry {
    uintptr_t block; /* 0: free */
    uint64_t id;
};

static struct shard {
    _Alignas(64) atomic_flag locked;
    struct entry *entries;
    size_t room, count;
} shards[SHARDS];

static uint64_t hash(uintptr_t block)
{
    return (block >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t slot_of(const struct shard *shard, uintptr_t block)
{
    return (size_t)(hash(block) >> 20) & (shard->room - 1);
}

static size_t probe(const struct shard *shard, uintptr_t block)
{
    size_t at = slot_of(shard, block);
    while (shard->entries[at].block != 0 && shard->entries[at].block != block)
        at = (at + 1) & (shard->room - 1);
    return at;
}

static void *map(size_t size)
{
    void *const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool grow(struct shard *shard)
{
    const struct shard old = *shard;
    const size_t room = old.room == 0 ? FIRST_ROOM : 2 * old.room;
    struct entry *const entries = map(room * sizeof *entries);
    if (entries == NULL)
        return false;
    shard->entries = entries;
    shard->room = room;
    for (size_t at = 0; at < old.room; at++) {
        if (old.entries[at].block != 0)
            entries[probe(shard, old.entries[at].block)] = old.entries[at];
    }
    if (old.room != 0)
        (void)munmap(old.entries, old.room * sizeof *old.entries);
    return true;
}

/* False if memory is short. *before is the number of the block that was there, if its end was missed, else 0. */
static bool insert(void *block, uint64_t id, uint64_t *before)
{
    struct shard *const shard = &shards[hash((uintptr_t)block) >> 58];
    *before = 0;
    lock(&shard->locked);
    const bool fine = shard->count < shard->room / 2 || grow(shard);
    if (fine) {
        struct entry *const entry = &shard->entries[probe(shard, (uintptr_t)block)];
        if (entry->block != 0)
            *before = entry->id;
        else
            shard->count++;
        *entry = (struct entry){(uintptr_t)block, id};
    }
    unlock(&shard->locked);
    return fine;
}

/* 0 if the block is not there. */
static uint64_t take(void *block)
{
    struct shard *const shard = &shards[hash((uintptr_t)block) >> 58];
    uint64_t id = 0;
    lock(&shard->locked);
    if (shard->count != 0) {
        size_t at = probe(shard, (uintptr_t)block);
        if (shard->entries[at].block != 0) {
            id = shard->entries[at].id;
            shard->count--;
            /* What probed over this place moves up into it. */
            for (size_t next = (at + 1) & (shard->room - 1); shard->entries[next].block != 0;
                 next = (next + 1) & (shard->room - 1)) {
                const size_t home = slot_of(shard, shard->entries[next].block);
                if (((next - home) & (shard->room - 1)) >= ((next - at) & (shard->room - 1))) {
                    shard->entries[at] = shard->entries[next];
                    at = next;
                }
            }
            shard->entries[at].block = 0;
        }
    }
    unlock(&shard->locked);
    return id;
}

/* The file */

static struct {
    char path[PATH_MAX];
    atomic_flag locked;
    int handle; /* -1 until there is something to write */
    dev_t device;
    ino_t inode;
    uint32_t chunks;
    bool forked;
    bool failed; /* and it was said */
} out = {.handle = -1};

static atomic_bool recording; /* relaxed, but for what is said below: a stale value records an event more or less */
static size_t least = 256;
static size_t most = TRACE_LARGEST;
static uint64_t start;
static pid_t process;
static atomic_ullong next_id = 1;
static atomic_ullong left = UINT64_MAX;

static void complain(const char *what, const char *name, const char *why)
{
    char line[PATH_MAX + 200];
    const int length = snprintf(line, sizeof line, "iobuf_record: %s %s: %s; the program goes on, unrecorded\n", what, name, why);
    const size_t size = length < 0 ? 0 : (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    if (write(STDERR_FILENO, line, size) < 0)
        return;
}

static bool write_all(const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size != 0) {
        const ssize_t done = write(out.handle, at, size);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            at += done;
            size -= (size_t)done;
        }
    }
    return true;
}

static int create(char *name, size_t room)
{
    int handle = -1;
    if (!out.forked) {
        (void)snprintf(name, room, "%s", out.path);
        handle = open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    }
    /* A process may begin several programs, one after the other. */
    for (int again = 0; handle < 0 && (errno == EEXIST || again == 0) && again < 100; again++) {
        if (again == 0 && !out.forked && errno != EEXIST)
            break;
        (void)snprintf(name, room, again == 0 ? "%s.%d" : "%s.%d.%d", out.path, (int)getpid(), again);
        handle = open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    }
    return handle;
}

static bool open_file(void)
{
    uint8_t header[TRACE_FILE_HEADER];
    struct stat state;
    char name[PATH_MAX + 32];
    const int low = create(name, sizeof name);
    if (low < 0) {
        complain("cannot write", name, strerror(errno));
        return false;
    }
    /* Out of the way of programs that count on low numbers or close them all. */
    const int high = fcntl(low, F_DUPFD_CLOEXEC, HIGH_HANDLE);
    out.handle = high < 0 ? low : high;
    if (high >= 0)
        (void)close(low);
    trace_file_header(header);
    if (fstat(out.handle, &state) != 0 || !write_all(header, sizeof header)) {
        complain("cannot write", name, strerror(errno));
        return false;
    }
    out.device = state.st_dev;
    out.inode = state.st_ino;
    return true;
}

/* The program may have closed the file, and opened one of its own under the same number. */
static bool still_ours(void)
{
    struct stat state;
    return fstat(out.handle, &state) == 0 && state.st_dev == out.device && state.st_ino == out.inode;
}

static void write_chunk(struct trace_chunk *chunk)
{
    const int error = errno;
    lock(&out.locked);
    if (!out.failed) {
        out.failed = out.handle < 0 && !open_file();
        if (!out.failed && !still_ours()) {
            complain("cannot write", out.path, "the program closed it");
            out.failed = true;
        } else if (!out.failed && !write_all(chunk->bytes, trace_chunk_seal(chunk, out.chunks++))) {
            complain("cannot write", out.path, strerror(errno));
            out.failed = true;
        }
        if (out.failed)
            atomic_store_explicit(&recording, false, memory_order_relaxed);
    }
    unlock(&out.locked);
    errno = error;
}

/* Threads */

struct recorder {
    atomic_flag locked; /* the thread's own, or that of whoever ends the trace */
    struct recorder *next;
    struct recorder *next_idle;
    uint64_t opened; /* time of the chunk's first event */
    unsigned long long ids, ids_end, quota;
    struct trace_chunk chunk;
};

static atomic_flag list_locked;
static struct recorder *all, *idle;
static atomic_uint next_thread;
static pthread_key_t key;
static __thread struct recorder *mine;
static __thread uint32_t thread_number; /* plus one; 0: none yet */
static __thread bool busy;

static void flush(struct recorder *recorder)
{
    if (recorder->chunk.size != 0)
        write_chunk(&recorder->chunk);
    trace_chunk_begin(&recorder->chunk, recorder->chunk.thread);
}

static struct recorder *begin_thread(void)
{
    const int error = errno;
    if (thread_number == 0)
        thread_number = atomic_fetch_add_explicit(&next_thread, 1, memory_order_relaxed) + 1;
    lock(&list_locked);
    struct recorder *recorder = idle;
    if (recorder != NULL)
        idle = recorder->next_idle;
    else if ((recorder = map(sizeof *recorder)) != NULL) {
        recorder->next = all;
        all = recorder;
    }
    unlock(&list_locked);
    if (recorder != NULL) {
        trace_chunk_begin(&recorder->chunk, thread_number - 1);
        (void)pthread_setspecific(key, recorder);
    }
    mine = recorder;
    errno = error;
    return recorder;
}

static void end_thread(void *value)
{
    struct recorder *const recorder = value;
    busy = true;
    lock(&recorder->locked);
    flush(recorder);
    unlock(&recorder->locked);
    lock(&list_locked);
    recorder->next_idle = idle;
    idle = recorder;
    unlock(&list_locked);
    mine = NULL;
    busy = false;
}

/* No thread records after this: each looks at `recording` again once it has its lock, which is taken here. */
static void end_trace(void)
{
    static struct trace_chunk last;
    if (!atomic_exchange_explicit(&recording, false, memory_order_relaxed))
        return;
    lock(&list_locked);
    for (struct recorder *at = all; at != NULL; at = at->next) {
        lock(&at->locked);
        flush(at);
        unlock(&at->locked);
    }
    trace_chunk_begin(&last, 0);
    if (out.chunks != 0) /* none writes beside this any more */
        write_chunk(&last);
    unlock(&list_locked);
}

static bool take_quota(struct recorder *recorder)
{
    unsigned long long there = atomic_load_explicit(&left, memory_order_relaxed);
    unsigned long long wanted = 0;
    do {
        wanted = there < QUOTA ? there : QUOTA;
    } while (!atomic_compare_exchange_weak_explicit(&left, &there, there - wanted, memory_order_relaxed, memory_order_relaxed));
    recorder->quota = wanted;
    return wanted != 0;
}

static uint64_t now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void put(struct recorder *recorder, enum trace_kind kind, uint64_t id, size_t size)
{
    bool ended = false;
    lock(&recorder->locked);
    if (atomic_load_explicit(&recording, memory_order_relaxed)) {
        if (LIKELY(recorder->quota != 0) || take_quota(recorder)) {
            struct trace_event event = {.time = now() - start, .id = id, .bytes = size, .kind = kind};
            const bool full = TRACE_CHUNK_ROOM - recorder->chunk.size < TRACE_EVENT_ROOM;
            if (full || (recorder->chunk.size != 0 && event.time - recorder->opened > TOO_OLD))
                flush(recorder);
            if (recorder->chunk.size == 0)
                recorder->opened = event.time;
            (void)trace_chunk_put(&recorder->chunk, &event); /* there is room */
            recorder->quota--;
        } else {
            ended = true;
        }
    }
    unlock(&recorder->locked);
    if (ended)
        end_trace();
}

static bool wanted(void)
{
    return atomic_load_explicit(&recording, memory_order_relaxed) && !busy;
}

static void received_in_range(void *block, size_t size)
{
    busy = true;
    struct recorder *const recorder = mine != NULL ? mine : begin_thread();
    if (recorder != NULL) {
        uint64_t before = 0;
        if (recorder->ids == recorder->ids_end) {
            recorder->ids = atomic_fetch_add_explicit(&next_id, IDS, memory_order_relaxed);
            recorder->ids_end = recorder->ids + IDS;
        }
        const uint64_t id = recorder->ids++;
        if (insert(block, id, &before)) {
            if (before != 0)
                put(recorder, TRACE_RELEASE, before, 0);
            put(recorder, TRACE_ALLOC, id, size);
        }
    }
    busy = false;
}

static void received(void *block, size_t size)
{
    if (size >= least && size <= most && block != NULL && wanted())
        received_in_range(block, size);
}

static void record_end(uint64_t id)
{
    busy = true;
    struct recorder *const recorder = mine != NULL ? mine : begin_thread();
    if (recorder != NULL)
        put(recorder, TRACE_RELEASE, id, 0);
    busy = false;
}

/* The number of a block that is about to be given back; 0 if it is not recorded. */
static uint64_t leaving(void *block)
{
    return block != NULL && wanted() && real.usable(block) >= least ? take(block) : 0;
}

/* What the program calls */

EXPORT void *malloc(size_t size)
{
    if (!ready())
        return early_alloc(size);
    void *const block = real.malloc(size);
    received(block, size);
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!ready())
        return size != 0 && count > sizeof early / size ? NULL : early_alloc(count * size); /* which is zero, and used once */
    void *const block = real.calloc(count, size);
    received(block, count * size); /* it did not wrap, or block is NULL */
    return block;
}

EXPORT void free(void *block)
{
    if (is_early(block) || !ready())
        return;
    const uint64_t id = leaving(block);
    if (id != 0)
        record_end(id);
    real.free(block);
}

EXPORT void *realloc(void *block, size_t size)
{
    if (is_early(block)) {
        size_t old = 0;
        memcpy(&old, (char *)block - 16, sizeof old);
        void *const moved = malloc(size);
        if (moved != NULL)
            memcpy(moved, block, old < size ? old : size);
        return moved;
    }
    if (!ready())
        return block == NULL ? early_alloc(size) : NULL;
    const uint64_t id = leaving(block);
    void *const moved = real.realloc(block, size);
    uint64_t before = 0;
    if (moved == NULL && size != 0 && id != 0)
        (void)insert(block, id, &before); /* it stays as it is */
    else if (id != 0)
        record_end(id);
    received(moved, size);
    return moved;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!ready())
        return ENOMEM;
    const int error = real.posix_memalign(block, alignment, size);
    if (error == 0)
        received(*block, size);
    return error;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    void *const block = ready() ? real.aligned_alloc(alignment, size) : NULL;
    received(block, size);
    return block;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    void *const block = ready() ? real.memalign(alignment, size) : NULL;
    received(block, size);
    return block;
}

/* What has no destructors ends the trace too; but not that of the parent, whose memory the child of a vfork is in. */
static _Noreturn void leave(int status)
{
    if (getpid() == process && wanted()) {
        busy = true;
        end_trace();
    }
    for (;;)
        (void)syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _exit(int status)
{
    leave(status);
}

EXPORT _Noreturn void _Exit(int status)
{
    leave(status);
}

/* Start, fork, end */

/* The child begins a trace of its own; what it inherited is in the parent's. Its only thread holds none of the locks. */
static void in_child(void)
{
    process = getpid();
    if (!atomic_load_explicit(&recording, memory_order_relaxed))
        return;
    if (out.handle >= 0 && still_ours())
        (void)close(out.handle);
    out.handle = -1;
    out.chunks = 0;
    out.forked = true;
    atomic_flag_clear(&out.locked);
    atomic_flag_clear(&list_locked);
    for (size_t at = 0; at < SHARDS; at++) {
        atomic_flag_clear(&shards[at].locked);
        if (shards[at].room != 0)
            (void)munmap(shards[at].entries, shards[at].room * sizeof(struct entry));
        shards[at].entries = NULL;
        shards[at].room = shards[at].count = 0;
    }
    idle = NULL;
    for (struct recorder *at = all; at != NULL; at = at->next) {
        atomic_flag_clear(&at->locked);
        trace_chunk_begin(&at->chunk, at->chunk.thread);
        if (at != mine) {
            at->next_idle = idle;
            idle = at;
        }
    }
    start = now();
}

/* False, and it is said, if a variable is not a number from `from` to `to`. */
static bool setting(const char *name, unsigned long long from, unsigned long long to, unsigned long long *value)
{
    const char *const text = getenv(name);
    char *end = NULL;
    if (text == NULL || *text == '\0')
        return true;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *value >= from && *value <= to)
        return true;
    char why[100];
    (void)snprintf(why, sizeof why, "it must be a number from %llu to %llu", from, to);
    complain("cannot use", name, why);
    return false;
}

static bool find_path(void)
{
    const char *const path = getenv("IOBUF_TRACE");
    if (path == NULL || *path == '\0')
        return false; /* preloaded, but nothing is asked for */
    char folder[PATH_MAX] = "";
    if (*path != '/' && getcwd(folder, sizeof folder) == NULL)
        return false;
    /* Whole, since the program may go to another directory; room for what is appended is in open_file's name. */
    const int length = snprintf(out.path, sizeof out.path, "%s%s%s", folder, *path == '/' ? "" : "/", path);
    if (length < 0 || (size_t)length >= sizeof out.path) {
        complain("cannot write", "IOBUF_TRACE", "its name is too long");
        return false;
    }
    return true;
}

static __attribute__((constructor)) void begin(void)
{
    unsigned long long low = least;
    unsigned long long high = most;
    unsigned long long limit = UINT64_MAX;
    process = getpid();
    if (!ready() || !find_path() || !setting("IOBUF_TRACE_MIN", 0, TRACE_LARGEST, &low) ||
        !setting("IOBUF_TRACE_MAX", low, TRACE_LARGEST, &high) || !setting("IOBUF_TRACE_LIMIT", 1, UINT64_MAX, &limit))
        return;
    least = (size_t)low;
    most = (size_t)high;
    atomic_store_explicit(&left, limit, memory_order_relaxed);
    if (pthread_key_create(&key, end_thread) != 0 || pthread_atfork(NULL, NULL, in_child) != 0) {
        complain("cannot record", out.path, "the process has no room for it");
        return;
    }
    start = now();
    atomic_store_explicit(&recording, true, memory_order_relaxed);
}

static __attribute__((destructor)) void end(void)
{
    const bool was = busy;
    busy = true;
    end_trace();
    busy = was;
}
