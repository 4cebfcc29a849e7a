/* What the threads of a round share, and the memory that the pools take. */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOSING ((uint32_t)1 << 31)
#define FREED 0xdb /* what memory that was given back is filled with */

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Not instrumented: what it writes is the caller's alone. */
#if defined(__has_attribute)
#if __has_attribute(no_sanitize)
__attribute__((no_sanitize("thread")))
#endif
#endif
void pattern(uint64_t tag, size_t at, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, at++)
        bytes[i] = (uint8_t)((tag + at / 8 * 0x0101010101010101u) >> (at % 8 * 8));
}

/* ---- the backing ---- */

/* In front of each block. */
typedef struct block {
    size_t size;
    uint64_t state;
} block;

#define FRONT 64 /* and so is the most that the library aligns to */
#define LIVE 0x6c697665u
#define DEAD 0x64656164u

static void *world_allocate(void *context, size_t size, size_t alignment)
{
    world *w = context;
    const size_t asked = atomic_fetch_add_explicit(&w->asked, 1, memory_order_relaxed);
    uint64_t dice = asked;
    if (w->refuse_one_in != 0 && next_random(&dice) % w->refuse_one_in == 0)
        return NULL;
    void *memory;
    if (alignment > FRONT || posix_memalign(&memory, FRONT, FRONT + size) != 0)
        cannot("no memory, or more aligned than the harness knows");
    *(block *)memory = (block){size, LIVE};
    atomic_fetch_add_explicit(&w->live, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->live_bytes, size, memory_order_relaxed);
    return (uint8_t *)memory + FRONT;
}

static void world_deallocate(void *context, void *memory, size_t size)
{
    world *w = context;
    block *b = (block *)(void *)((uint8_t *)memory - FRONT);
    if (b->state != LIVE || b->size != size)
        wrong(NULL, "the backing gets %zu bytes back that are %s (%zu bytes)", size,
              b->state == DEAD ? "free already" : "not so given", b->size);
    b->state = DEAD;
    memset(memory, FREED, size); /* a write, so that whoever still uses it is seen */
    atomic_fetch_sub_explicit(&w->live, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&w->live_bytes, size, memory_order_relaxed);
    free(b);
}

iobuf_backing world_backing(world *w)
{
    return (iobuf_backing){world_allocate, world_deallocate, w};
}

/* ---- the pool's handle ---- */

/* Relaxed: what the caller may use, the thread had from its start. */
bool world_enter(world *w)
{
    uint32_t guests = atomic_load_explicit(&w->guests, memory_order_relaxed);
    do {
        if ((guests & CLOSING) != 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&w->guests, &guests, guests + 1, memory_order_relaxed, memory_order_relaxed));
    return true;
}

void world_leave(world *w)
{
    atomic_fetch_sub_explicit(&w->guests, 1, memory_order_release); /* pairs with the load in world_give_up_pool */
}

/* Relaxed: who was told by the library that the pool is closed, was told behind this. */
bool world_is_closing(world *w)
{
    return (atomic_load_explicit(&w->guests, memory_order_relaxed) & CLOSING) != 0;
}

void world_give_up_pool(world *w, worker *me)
{
    atomic_fetch_or_explicit(&w->guests, CLOSING, memory_order_relaxed);
    while (atomic_load_explicit(&w->guests, memory_order_acquire) != CLOSING)
        sched_yield();
    DO(me, pool_close, w->pool);
}

/* ---- from open to close ---- */

static void open_stream(world *w, worker *me, stream *s, uint64_t *random)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s->ends) != 0)
        cannot("no socketpair");
    for (unsigned i = 0; i < 2; i++)
        if (fcntl(s->ends[i], F_SETFL, O_NONBLOCK) != 0)
            cannot("no socket that does not block");
    const int room = 4096; /* so that writes are cut short */
    (void)setsockopt(s->ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    s->tag = next_random(random) | 1;
    if (pthread_mutex_init(&s->writes, NULL) != 0 || pthread_mutex_init(&s->reads, NULL) != 0)
        cannot("no lock");
    if (DO(me, reader_init_fd, &s->r, w->pool, s->ends[0]) != IOBUF_OK)
        wrong(me, "a reader is refused");
}

static void open_pool(world *w, worker *me, uint64_t *random)
{
    static const size_t min_sizes[] = {64, 128, 256, 1024, 4096};
    static const size_t smalls[] = {8, 32, 100, 600};
    static const size_t reserves[] = {0, 0, 8, 40};
    const uint64_t d = next_random(random);
    const size_t bufs = 8 + (size_t)(d >> 32) % 64;
    w->min_size = min_sizes[d % 5];
    w->small = smalls[(d >> 8) % 4];
    w->reserve = reserves[(d >> 16) % 4];
    w->max_bytes = (d >> 24) % 3 == 0 ? w->min_size * bufs : 0;
    const size_t cached[] = {0, 0, 1, 4 * w->min_size};
    w->refuse_one_in = (d >> 48) % 6 == 0 ? 40 : 0;
    const iobuf_pool_options options = {w->min_size, w->max_bytes, cached[(d >> 40) % 4], world_backing(w)};
    while (DO(me, pool_create, &options, &w->pool) != IOBUF_OK)
        if (w->refuse_one_in == 0)
            wrong(me, "a pool is refused");
}

void world_open(world *w, worker *main_thread, uint64_t seed)
{
    const unsigned threads = w->threads, ops = w->ops;
    uint64_t random = seed;
    memset(w, 0, sizeof *w);
    w->threads = threads;
    w->ops = ops;
    open_pool(w, main_thread, &random);
    /* Some kinds of op often, some never, so that long runs of few kinds occur. */
    for (unsigned i = 0; i < kinds_count; i++) {
        static const unsigned factors[] = {0, 1, 2, 8};
        w->weight += w->weights[i] = kind_weight(i) * factors[next_random(&random) % 4];
    }
    if (w->weight == 0)
        w->weight = w->weights[0] = 1;
    w->slots_used = 1 + (unsigned)(next_random(&random) % SLOTS);
    w->closer = (unsigned)(next_random(&random) % ((uint64_t)2 * threads));
    w->closes_at = (unsigned)(next_random(&random) % ((uint64_t)ops + 1));
    for (unsigned i = 0; i < ALLOCATORS; i++) {
        if (pthread_mutex_init(&w->shared[i].lock, NULL) != 0)
            cannot("no lock");
        if (DO(main_thread, allocator_init, &w->shared[i].a, w->pool, w->reserve) != IOBUF_OK)
            wrong(main_thread, "an allocator is refused");
    }
    for (unsigned i = 0; i < STREAMS; i++)
        open_stream(w, main_thread, &w->streams[i], &random);
    if (pthread_barrier_init(&w->together, NULL, threads) != 0)
        cannot("no barrier");
}

static void close_shared(world *w, worker *me)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        bundle *b = atomic_load_explicit(&w->slots[i], memory_order_relaxed);
        for (size_t at = 0; b != NULL && at < b->count; at++)
            held_drop(me, &b->held[at]);
        free(b);
    }
    for (unsigned i = 0; i < ALLOCATORS; i++) {
        DO(me, allocator_release, &w->shared[i].a);
        pthread_mutex_destroy(&w->shared[i].lock);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        stream *s = &w->streams[i];
        while (s->pending_count > 0)
            DO(me, slice_release, &s->pending[--s->pending_count]);
        DO(me, reader_close, &s->r);
        for (unsigned end = 0; end < 2; end++)
            close(s->ends[end]);
        pthread_mutex_destroy(&s->writes);
        pthread_mutex_destroy(&s->reads);
    }
}

/* Behind the last release of all: trim finds every buf free, whoever dropped its last reference. */
static void check_pool_is_idle(world *w, worker *me)
{
    iobuf_pool_stats stats;
    (void)DO(me, pool_trim, w->pool, 0);
    DO(me, pool_stats_get, w->pool, &stats);
    if (stats.bufs_in_use != 0 || stats.bytes_in_use != 0 || stats.bufs_cached != 0 || stats.bytes_cached != 0)
        wrong(me, "all is released and trimmed, and %zu bufs of %zu bytes are in use, %zu of %zu cached", stats.bufs_in_use,
              stats.bytes_in_use, stats.bufs_cached, stats.bytes_cached);
}

void world_close(world *w, worker *main_thread, worker *workers)
{
    main_thread->doing = "the end";
    const bool open = !world_is_closing(w), late = open && w->closes_at % 2 == 0;
    if (open && !late)
        world_give_up_pool(w, main_thread);
    close_shared(w, main_thread);
    if (late) {
        check_pool_is_idle(w, main_thread);
        world_give_up_pool(w, main_thread);
    }
    const size_t left = atomic_load_explicit(&w->live, memory_order_relaxed);
    if (left != 0)
        wrong(main_thread, "all is released, and %zu blocks of %zu bytes in all have not come back", left,
              atomic_load_explicit(&w->live_bytes, memory_order_relaxed));
    for (unsigned i = 0; i < w->threads; i++) {
        for (size_t at = 0; at < workers[i].wraps_count; at++) {
            if (workers[i].wraps[at].freed != 1)
                wrong(main_thread, "memory that was wrapped has been freed %u times", workers[i].wraps[at].freed);
            free(workers[i].wraps[at].bytes);
        }
    }
    pthread_barrier_destroy(&w->together);
}
