/* iobuf_record.so, to be preloaded: writes a trace of what a program takes from malloc and gives back. FORMAT.md describes it, and
 * recorder.h its settings; the least size is 256 if none is given.
 *
 * A block's number is taken out of `shards` before the block is given back, and put in after it was received, so that none
 * is there twice. Nothing here calls malloc.
 */
#include "trace/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CALLER __builtin_return_address(0)

enum { SHARDS = 64, FIRST_ROOM = 256, LEAST = 256 };

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

static bool grow(struct shard *shard)
{
    const struct shard old = *shard;
    const size_t room = old.room == 0 ? FIRST_ROOM : 2 * old.room;
    struct entry *const entries = recorder_map(room * sizeof *entries);
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
    recorder_lock(&shard->locked);
    const bool fine = shard->count < shard->room / 2 || grow(shard);
    if (fine) {
        struct entry *const entry = &shard->entries[probe(shard, (uintptr_t)block)];
        if (entry->block != 0)
            *before = entry->id;
        else
            shard->count++;
        *entry = (struct entry){(uintptr_t)block, id};
    }
    recorder_unlock(&shard->locked);
    return fine;
}

/* 0 if the block is not there. */
static uint64_t take(void *block)
{
    struct shard *const shard = &shards[hash((uintptr_t)block) >> 58];
    uint64_t id = 0;
    recorder_lock(&shard->locked);
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
    recorder_unlock(&shard->locked);
    return id;
}

/* In the child of a fork. */
static void forget(void)
{
    for (size_t at = 0; at < SHARDS; at++) {
        atomic_flag_clear(&shards[at].locked);
        if (shards[at].room != 0)
            (void)munmap(shards[at].entries, shards[at].room * sizeof(struct entry));
        shards[at].entries = NULL;
        shards[at].room = shards[at].count = 0;
    }
}

static void received_in_range(void *block, size_t size, const void *caller)
{
    struct recorder *const recorder = recorder_enter();
    if (recorder != NULL) {
        uint64_t before = 0;
        const uint64_t id = recorder_id(recorder);
        if (insert(block, id, &before)) {
            if (before != 0)
                recorder_put(recorder, &(struct trace_event){.kind = TRACE_RELEASE, .id = before}, NULL);
            recorder_put(recorder, &(struct trace_event){.kind = TRACE_ALLOC, .id = id, .bytes = size}, caller);
        }
    }
    recorder_leave();
}

static void received(void *block, size_t size, const void *caller)
{
    if (block != NULL && recorder_wants_size(size))
        received_in_range(block, size, caller);
}

static void record_end(uint64_t id)
{
    struct recorder *const recorder = recorder_enter();
    if (recorder != NULL)
        recorder_put(recorder, &(struct trace_event){.kind = TRACE_RELEASE, .id = id}, NULL);
    recorder_leave();
}

/* The number of a block that is about to be given back; 0 if it is not recorded. */
static uint64_t leaving(void *block)
{
    return block != NULL && recorder_wants() && real.usable(block) >= recorder_least ? take(block) : 0;
}

/* What the program calls */

EXPORT void *malloc(size_t size)
{
    if (!ready())
        return early_alloc(size);
    void *const block = real.malloc(size);
    received(block, size, CALLER);
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!ready())
        return size != 0 && count > sizeof early / size ? NULL : early_alloc(count * size); /* which is zero, and used once */
    void *const block = real.calloc(count, size);
    received(block, count * size, CALLER); /* it did not wrap, or block is NULL */
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
    received(moved, size, CALLER);
    return moved;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!ready())
        return ENOMEM;
    const int error = real.posix_memalign(block, alignment, size);
    if (error == 0)
        received(*block, size, CALLER);
    return error;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    void *const block = ready() ? real.aligned_alloc(alignment, size) : NULL;
    received(block, size, CALLER);
    return block;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    void *const block = ready() ? real.memalign(alignment, size) : NULL;
    received(block, size, CALLER);
    return block;
}

static __attribute__((constructor)) void begin(void)
{
    if (ready())
        recorder_begin(LEAST, forget);
}
