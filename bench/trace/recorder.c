/* Each thread fills a chunk of its own and writes it when it is full or TOO_OLD; only that takes a lock that others wait for. A
 * process that is killed loses each thread's last chunk. Nothing here calls malloc. Whatever goes wrong, the program goes on:
 * it is said once, and recorded no more.
 */
#define _GNU_SOURCE 1 /* _dl_find_object */
#include "trace/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TOO_OLD UINT64_C(100000000) /* ns: then a chunk is written though it is not full */

enum { IDS = 1024, QUOTA = 256, HIGH_HANDLE = 900, SITES = 16384, SITE_TRIES = 64 };

atomic_bool recorder_recording;
__thread bool recorder_busy;
size_t recorder_least;
size_t recorder_most = TRACE_LARGEST;

void recorder_lock(atomic_flag *flag)
{
    /* Acquire: pairs with the release in recorder_unlock. */
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
        (void)sched_yield();
}

void recorder_unlock(atomic_flag *flag)
{
    atomic_flag_clear_explicit(flag, memory_order_release);
}

void *recorder_map(size_t size)
{
    void *const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
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
    recorder_lock(&out.locked);
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
            atomic_store_explicit(&recorder_recording, false, memory_order_relaxed);
    }
    recorder_unlock(&out.locked);
    errno = error;
}

/* Call sites: a number for each return address. What stands in the table stays there. */

static struct site {
    atomic_uintptr_t address; /* 0: free */
    atomic_uint number;       /* 0: not yet there */
} sites[SITES];
static atomic_uint last_site;
static bool with_sites = true;
static char program[PATH_MAX] = "the program";

/* 0 if there are too many. All relaxed: nothing but the number itself is read because of it. */
static uint32_t site_of(uintptr_t address, bool *is_new)
{
    size_t at = (size_t)((uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    for (unsigned tries = 0; tries < SITE_TRIES; tries++, at++) {
        struct site *const site = &sites[at % SITES];
        uintptr_t there = atomic_load_explicit(&site->address, memory_order_relaxed);
        uint32_t number = 0;
        if (there == 0 &&
            atomic_compare_exchange_strong_explicit(&site->address, &there, address, memory_order_relaxed, memory_order_relaxed)) {
            number = atomic_fetch_add_explicit(&last_site, 1, memory_order_relaxed) + 1;
            atomic_store_explicit(&site->number, number, memory_order_relaxed);
            *is_new = true;
            return number;
        }
        if (LIKELY(there == address)) {
            while ((number = atomic_load_explicit(&site->number, memory_order_relaxed)) == 0)
                (void)sched_yield();
            return number;
        }
    }
    return 0;
}

static void forget_sites(void)
{
    for (size_t at = 0; at < SITES; at++) {
        atomic_store_explicit(&sites[at].address, 0, memory_order_relaxed);
        atomic_store_explicit(&sites[at].number, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&last_site, 0, memory_order_relaxed);
}

/* The function at an address relative to its object, among those that the object exports; NULL if it is none of them. dladdr would
 * wait for whoever is in dlopen, and he may wait for this thread. */
static const char *function_at(const struct link_map *object, uintptr_t offset, uintptr_t *begins)
{
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;
    for (const ElfW(Dyn) *entry = object->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        const uintptr_t at = entry->d_un.d_ptr < object->l_addr ? object->l_addr + entry->d_un.d_ptr : entry->d_un.d_ptr;
        if (entry->d_tag == DT_SYMTAB)
            symbols = (const void *)at;
        else if (entry->d_tag == DT_STRTAB)
            names = (const void *)at;
        else if (entry->d_tag == DT_GNU_HASH)
            hash = (const void *)at;
    }
    if (symbols == NULL || names == NULL || hash == NULL)
        return NULL;
    /* Buckets, first symbol, words of the filter, shift; the filter; the buckets; for each symbol a hash, odd at a bucket's end. */
    const uint32_t *const buckets = hash + 4 + hash[2] * (sizeof(ElfW(Addr)) / sizeof *hash);
    const uint32_t *const chain = buckets + hash[0];
    for (uint32_t bucket = 0; bucket < hash[0]; bucket++) {
        for (uint32_t at = buckets[bucket]; at != 0; at = (chain[at - hash[1]] & 1) != 0 ? 0 : at + 1) {
            const ElfW(Sym) *const symbol = &symbols[at];
            if ((symbol->st_info & 15) == STT_FUNC && symbol->st_shndx != SHN_UNDEF && offset >= symbol->st_value &&
                offset - symbol->st_value < symbol->st_size) {
                *begins = symbol->st_value;
                return names + symbol->st_name;
            }
        }
    }
    return NULL;
}

/* FILE+OFFSET, which addr2line takes, and in front of it FUNCTION+OFFSET where that is known. */
static void name_site(uintptr_t address, char name[TRACE_SITE_ROOM])
{
    struct dl_find_object found;
    if (_dl_find_object((void *)address, &found) != 0) {
        (void)snprintf(name, TRACE_SITE_ROOM, "0x%" PRIxPTR, address);
        return;
    }
    const struct link_map *const object = found.dlfo_link_map;
    const char *const file = *object->l_name == '\0' ? program : object->l_name;
    const uintptr_t offset = address - object->l_addr;
    uintptr_t begins = 0;
    const char *const function = function_at(object, offset, &begins);
    if (function == NULL)
        (void)snprintf(name, TRACE_SITE_ROOM, "%.900s+0x%" PRIxPTR, file, offset);
    else
        (void)snprintf(name, TRACE_SITE_ROOM, "%.200s+0x%" PRIxPTR " %.700s+0x%" PRIxPTR, function, offset - begins, file, offset);
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
    recorder_lock(&list_locked);
    struct recorder *recorder = idle;
    if (recorder != NULL)
        idle = recorder->next_idle;
    else if ((recorder = recorder_map(sizeof *recorder)) != NULL) {
        recorder->next = all;
        all = recorder;
    }
    recorder_unlock(&list_locked);
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
    recorder_busy = true;
    recorder_lock(&recorder->locked);
    flush(recorder);
    recorder_unlock(&recorder->locked);
    recorder_lock(&list_locked);
    recorder->next_idle = idle;
    idle = recorder;
    recorder_unlock(&list_locked);
    mine = NULL;
    recorder_busy = false;
}

/* No thread records after this: each looks at recorder_recording again once it has its lock, which is taken here. */
static void end_trace(void)
{
    static struct trace_chunk last;
    if (!atomic_exchange_explicit(&recorder_recording, false, memory_order_relaxed))
        return;
    recorder_lock(&list_locked);
    for (struct recorder *at = all; at != NULL; at = at->next) {
        recorder_lock(&at->locked);
        flush(at);
        recorder_unlock(&at->locked);
    }
    trace_chunk_begin(&last, 0);
    if (out.chunks != 0) /* none writes beside this any more */
        write_chunk(&last);
    recorder_unlock(&list_locked);
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

struct recorder *recorder_enter(void)
{
    recorder_busy = true;
    return LIKELY(mine != NULL) ? mine : begin_thread();
}

void recorder_leave(void)
{
    recorder_busy = false;
}

uint32_t recorder_thread(const struct recorder *recorder)
{
    return recorder->chunk.thread;
}

uint64_t recorder_ids(uint64_t count)
{
    return atomic_fetch_add_explicit(&next_id, count, memory_order_relaxed);
}

uint64_t recorder_id(struct recorder *recorder)
{
    if (recorder->ids == recorder->ids_end) {
        recorder->ids = recorder_ids(IDS);
        recorder->ids_end = recorder->ids + IDS;
    }
    return recorder->ids++;
}

/* For what begins now: there is room for it, and the chunk is not too old. */
static uint64_t make_room(struct recorder *recorder, size_t room)
{
    const uint64_t time = now() - start;
    const bool full = TRACE_CHUNK_ROOM - recorder->chunk.size < room;
    if (full || (recorder->chunk.size != 0 && time - recorder->opened > TOO_OLD))
        flush(recorder);
    if (recorder->chunk.size == 0)
        recorder->opened = time;
    return time;
}

static __attribute__((noinline)) void put_site(struct recorder *recorder, uint32_t number, uintptr_t address)
{
    char name[TRACE_SITE_ROOM];
    name_site(address, name);
    recorder_lock(&recorder->locked);
    if (atomic_load_explicit(&recorder_recording, memory_order_relaxed)) {
        (void)make_room(recorder, TRACE_EVENT_ROOM + TRACE_SITE_ROOM);
        (void)trace_chunk_put_site(&recorder->chunk, number, name); /* there is room */
    }
    recorder_unlock(&recorder->locked);
}

void recorder_put(struct recorder *recorder, struct trace_event *event, const void *caller)
{
    bool ended = false;
    if (caller != NULL && with_sites) {
        const uintptr_t call = (uintptr_t)caller - 1; /* within the call, not behind it */
        bool is_new = false;
        event->site = site_of(call, &is_new);
        if (UNLIKELY(is_new))
            put_site(recorder, event->site, call);
    }
    recorder_lock(&recorder->locked);
    if (atomic_load_explicit(&recorder_recording, memory_order_relaxed)) {
        if (LIKELY(recorder->quota != 0) || take_quota(recorder)) {
            event->time = make_room(recorder, TRACE_EVENT_ROOM);
            (void)trace_chunk_put(&recorder->chunk, event); /* there is room */
            recorder->quota--;
        } else {
            ended = true;
        }
    }
    recorder_unlock(&recorder->locked);
    if (ended)
        end_trace();
}

void recorder_give_up(const char *what, const char *why)
{
    if (!atomic_load_explicit(&recorder_recording, memory_order_relaxed))
        return;
    complain("cannot record", what, why);
    end_trace();
}

/* What has no destructors ends the trace too; but not that of the parent, whose memory the child of a vfork is in. */
static _Noreturn void leave(int status)
{
    if (getpid() == process && recorder_wants()) {
        recorder_busy = true;
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

static void (*forget)(void);

/* The child begins a trace of its own; what it inherited is in the parent's. Its only thread holds none of the locks. */
static void in_child(void)
{
    process = getpid();
    if (!atomic_load_explicit(&recorder_recording, memory_order_relaxed))
        return;
    if (out.handle >= 0 && still_ours())
        (void)close(out.handle);
    out.handle = -1;
    out.chunks = 0;
    out.forked = true;
    atomic_flag_clear(&out.locked);
    atomic_flag_clear(&list_locked);
    forget();
    forget_sites();
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

void recorder_begin(size_t least, void (*in_forked)(void))
{
    unsigned long long low = least;
    unsigned long long high = recorder_most;
    unsigned long long limit = UINT64_MAX;
    unsigned long long sited = 1;
    process = getpid();
    if (!find_path() || !setting("IOBUF_TRACE_MIN", 0, TRACE_LARGEST, &low) ||
        !setting("IOBUF_TRACE_MAX", low, TRACE_LARGEST, &high) || !setting("IOBUF_TRACE_LIMIT", 1, UINT64_MAX, &limit) ||
        !setting("IOBUF_TRACE_SITES", 0, 1, &sited))
        return;
    recorder_least = (size_t)low;
    recorder_most = (size_t)high;
    with_sites = sited != 0;
    atomic_store_explicit(&left, limit, memory_order_relaxed);
    forget = in_forked;
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0)
        (void)snprintf(program, sizeof program, "%.*s", (int)length, path);
    if (pthread_key_create(&key, end_thread) != 0 || pthread_atfork(NULL, NULL, in_child) != 0) {
        complain("cannot record", out.path, "the process has no room for it");
        return;
    }
    start = now();
    atomic_store_explicit(&recorder_recording, true, memory_order_relaxed);
}

static __attribute__((destructor)) void end(void)
{
    const bool was = recorder_busy;
    recorder_busy = true;
    end_trace();
    recorder_busy = was;
}
