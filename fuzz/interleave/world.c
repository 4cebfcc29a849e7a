/* The library, its caller, and what the caller checks: each byte of a slice is what was written there, until the slice is released;
 * nobody else gets it meanwhile, or before others are known to have done with it; at the end nothing is in use, and the backing has
 * everything back. */
#include "world.h"

#include "memory.h"

#include "src/atomic.h"

#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

typedef struct held {
    iobuf_slice slice;
    bool live;
    size_t size;
    uint8_t bytes[BUF_MOST]; /* what is in it */
} held;

static struct {
    const program *program;
    chooser *choose;
    void *context;
    iobuf_pool *pool;
    bool closing, closed;
    iobuf_allocator allocators[ALLOCATORS];
    bool allocator_live[ALLOCATORS];
    held slices[SLICES];
    unsigned handed[REGISTERS]; /* how often each register was handed over */
    uint8_t fill;
} w;

/* The pool's lock becomes a thread's own as soon as it is taken twice in a row, in place of 65 times: programs are short. */
void __real_biased_init(biased_lock *l, bool may_bias);
void __wrap_biased_init(biased_lock *l, bool may_bias);

void __wrap_biased_init(biased_lock *l, bool may_bias)
{
    __real_biased_init(l, may_bias);
    if (may_bias)
        l->wanted = 1;
}

/* The library's one call of the system is membarrier(2). */
#define MEMBARRIER_PRIVATE_EXPEDITED 8
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    const int command = va_arg(arguments, int);
    va_end(arguments);
    if (number != SYS_membarrier)
        scheduler_fail("a call of the system that the harness does not know: %ld", number);
    if (command == MEMBARRIER_PRIVATE_EXPEDITED)
        scheduler_fence_heavy("membarrier");
    return 0;
}

static held *slice_of(const op *o, unsigned operand)
{
    return &w.slices[o->registers[operand] - ALLOCATORS];
}

static void expect_ok(int status, const char *what)
{
    if (status != IOBUF_OK)
        scheduler_fail("%s returns %d (%s)", what, status, iobuf_strerror(status));
}

/* Of a call that may need a buf. */
static bool got_memory(int status, const char *what)
{
    if (status == IOBUF_ELIMIT && w.program->max_bytes != 0)
        return false;
    if (status == IOBUF_ECLOSED && w.closing)
        return false;
    expect_ok(status, what);
    return true;
}

static void check_contents(const held *h, const char *what)
{
    const uint8_t *bytes = iobuf_slice_data(&h->slice);
    if (iobuf_slice_size(&h->slice) != h->size)
        scheduler_fail("%s: the slice has %zu bytes, not %zu", what, iobuf_slice_size(&h->slice), h->size);
    memory_read(bytes, h->size, what);
    for (size_t i = 0; i < h->size; i++) {
        if (bytes[i] != h->bytes[i])
            scheduler_fail("%s: byte %zu of a slice is %#x, not %#x: somebody else wrote there", what, i, bytes[i], h->bytes[i]);
    }
}

static void check_nobody_else(const held *h, uintptr_t from, uintptr_t to, const char *what)
{
    for (unsigned i = 0; i < SLICES; i++) {
        const held *other = &w.slices[i];
        if (other == h || !other->live || other->size == 0)
            continue;
        const uintptr_t data = (uintptr_t)iobuf_slice_data(&other->slice);
        if (data - iobuf_slice_headroom(&other->slice) < to && from < data + other->size)
            scheduler_fail("%s: bytes of s%u are given to another slice", what, i);
    }
}

/* The first `size` bytes, and the free prefix, are the slice's own: writes to all of them. */
static void fill(held *h, size_t size, const char *what)
{
    uint8_t *data = iobuf_slice_data(&h->slice);
    const size_t prefix = iobuf_slice_headroom(&h->slice);
    check_nobody_else(h, (uintptr_t)data - prefix, (uintptr_t)data + size, what);
    memory_write(data - prefix, prefix + size, what);
    w.fill = w.fill == 0x7f ? 1 : w.fill + 1;
    memset(data - prefix, w.fill, prefix + size);
    memset(h->bytes, w.fill, size);
}

static void do_alloc(const op *o)
{
    held *h = slice_of(o, 1);
    if (!got_memory(iobuf_alloc(&w.allocators[o->registers[0]], o->size, &h->slice), "alloc"))
        return;
    if (iobuf_slice_size(&h->slice) != o->size)
        scheduler_fail("alloc gives %zu bytes, not %u", iobuf_slice_size(&h->slice), o->size);
    h->live = true;
    h->size = o->size;
    fill(h, h->size, "alloc");
}

static void do_release(held *h)
{
    check_contents(h, "release");
    h->live = false; /* from the call on: from when on others may have it, the clocks know */
    h->size = 0;
    iobuf_slice_release(&h->slice);
}

static void do_share(held *h, held *new)
{
    const size_t half = h->size / 2;
    check_contents(h, "share");
    expect_ok(iobuf_slice_share(&h->slice, half, h->size - half, &new->slice), "share");
    new->size = h->size - half;
    memcpy(new->bytes, h->bytes + half, new->size);
    new->live = true;
}

static void do_split(held *h, held *new)
{
    const size_t half = h->size / 2;
    check_contents(h, "split");
    expect_ok(iobuf_slice_split(&h->slice, half, &new->slice), "split");
    new->size = h->size - half;
    memcpy(new->bytes, h->bytes + half, new->size);
    h->size = half;
    new->live = true;
}

static void do_claim(held *h)
{
    check_contents(h, "claim");
    if (!iobuf_slice_claim_prefix(&h->slice))
        return;
    const size_t prefix = iobuf_slice_headroom(&h->slice);
    if (!iobuf_slice_expand_front(&h->slice, prefix))
        scheduler_fail("claim: the free prefix cannot be expanded into");
    memmove(h->bytes + prefix, h->bytes, h->size);
    h->size += prefix;
    fill(h, prefix, "claim");
}

static void do_join(held *h, held *next)
{
    check_contents(h, "join");
    check_contents(next, "join");
    iobuf_slice both[2] = {h->slice, next->slice};
    if (iobuf_coalesce(both, 2, SIZE_MAX) == 1) {
        memcpy(h->bytes + h->size, next->bytes, next->size);
        h->size += next->size;
        next->size = 0;
        next->live = false;
    }
    h->slice = both[0];
    next->slice = both[1];
}

static void do_compact(held *h, iobuf_allocator *a)
{
    check_contents(h, "compact");
    const uint8_t *before = iobuf_slice_data(&h->slice);
    (void)got_memory(iobuf_slice_compact(&h->slice, a), "compact");
    if (iobuf_slice_data(&h->slice) == before)
        return;
    for (size_t i = 0; i < h->size; i++) {
        if (iobuf_slice_data(&h->slice)[i] != h->bytes[i])
            scheduler_fail("compact: byte %zu was not copied", i);
    }
    fill(h, h->size, "compact");
}

static void do_stats(void)
{
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(w.pool, &stats);
    if (stats.bufs_in_use + stats.bufs_cached > stats.bufs_allocated || stats.bytes_in_use + stats.bytes_cached > stats.bytes_peak)
        scheduler_fail("stats: %zu bufs in use, %zu cached, %zu allocated; %zu bytes in use, %zu cached, %zu at most",
                       stats.bufs_in_use, stats.bufs_cached, stats.bufs_allocated, stats.bytes_in_use, stats.bytes_cached,
                       stats.bytes_peak);
    if (w.program->max_bytes != 0 && stats.bytes_peak > w.program->max_bytes)
        scheduler_fail("stats: %zu bytes at most, above the limit of %u", stats.bytes_peak, w.program->max_bytes);
}

static void free_allocator(unsigned at)
{
    w.allocator_live[at] = false;
    iobuf_allocator_release(&w.allocators[at]);
}

static void close_pool(void)
{
    w.closing = true;
    iobuf_pool_close(w.pool);
    w.closed = true;
}

/* An op on a slice that an alloc above did not get does nothing. */
static void do_op(const op *o)
{
    const char *form = op_forms[o->kind].operands;
    for (unsigned i = 0; i < 2 && form[i] != '\0' && form[i] != '#'; i++) {
        if (form[i] == 's' && !slice_of(o, i)->live)
            return;
    }
    switch (o->kind) {
    case OP_INIT:
        expect_ok(iobuf_allocator_init(&w.allocators[o->registers[0]], w.pool, o->size), "init");
        w.allocator_live[o->registers[0]] = true;
        break;
    case OP_ALLOC:
        do_alloc(o);
        break;
    case OP_FREE:
        free_allocator(o->registers[0]);
        break;
    case OP_RELEASE:
        do_release(slice_of(o, 0));
        break;
    case OP_SHARE:
        do_share(slice_of(o, 0), slice_of(o, 1));
        break;
    case OP_SPLIT:
        do_split(slice_of(o, 0), slice_of(o, 1));
        break;
    case OP_CLAIM:
        do_claim(slice_of(o, 0));
        break;
    case OP_JOIN:
        do_join(slice_of(o, 0), slice_of(o, 1));
        break;
    case OP_COMPACT:
        do_compact(slice_of(o, 0), &w.allocators[o->registers[1]]);
        break;
    case OP_STATS:
        do_stats();
        break;
    case OP_TRIM:
        (void)iobuf_pool_trim(w.pool, o->size);
        break;
    case OP_CLOSE:
        close_pool();
        break;
    case OP_NONE:
    case OP_KINDS:
        break;
    }
}

static unsigned register_of(const op *o, unsigned operand)
{
    return operand == 2 ? POOL : o->registers[operand];
}

static void run_thread(unsigned me)
{
    for (unsigned row = 0; row < w.program->rows; row++) {
        const op *o = &w.program->ops[row][me];
        if (o->kind == OP_NONE)
            continue;
        scheduler_note_op(row);
        for (unsigned i = 0; i < 3; i++) {
            if (o->waits[i] != 0)
                scheduler_await(&w.handed[register_of(o, i)], o->waits[i], "");
        }
        do_op(o);
        for (unsigned i = 0; i < 3; i++) {
            if (o->passes[i])
                scheduler_pass(&w.handed[register_of(o, i)], "");
        }
    }
}

static void check_pool_is_whole(void)
{
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(w.pool, &stats);
    if (stats.bufs_in_use != 0 || stats.bytes_in_use != 0)
        scheduler_fail("%zu bufs of %zu bytes are in use at the end, though no slice is left", stats.bufs_in_use,
                       stats.bytes_in_use);
    do_stats();
    if (w.program->max_bytes == 0)
        return;
    iobuf_allocator a;
    iobuf_slice s;
    expect_ok(iobuf_allocator_init(&a, w.pool, 0), "init at the end");
    expect_ok(iobuf_alloc(&a, w.program->max_bytes, &s), "at the end, alloc of all that the limit allows");
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
}

static void run_all(void *unused)
{
    (void)unused;
    const program *p = w.program;
    const iobuf_pool_options options = {.min_size = p->min_size,
                                        .max_bytes = p->max_bytes,
                                        .max_cached_bytes = p->max_cached,
                                        .backing = {memory_allocate, memory_deallocate, NULL}};
    expect_ok(iobuf_pool_create(&options, &w.pool), "pool_create");
    for (unsigned i = 0; i < p->before_count; i++) {
        scheduler_as(p->before[i].thread);
        do_op(&p->before[i]);
    }
    scheduler_threads(p->threads, run_thread, w.choose, w.context);
    scheduler_as(MAIN_THREAD);
    for (unsigned i = 0; i < SLICES; i++) {
        if (w.slices[i].live)
            do_release(&w.slices[i]);
    }
    for (unsigned i = 0; i < ALLOCATORS; i++) {
        if (w.allocator_live[i])
            free_allocator(i);
    }
    if (!w.closing) {
        check_pool_is_whole();
        close_pool();
    }
    memory_check_end();
}

outcome world_run(const program *p, chooser *choose, void *context)
{
    memset(&w, 0, sizeof w);
    w.program = p;
    w.choose = choose;
    w.context = context;
    memory_reset();
    return scheduler_run(run_all, NULL, p->stale);
}
