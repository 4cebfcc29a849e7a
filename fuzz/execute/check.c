/* The checks. Each has a name, which a failure prints first: the same bug keeps failing the same check. */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void execute_describe(FILE *to)
{
    world *w = &the_world;
    if (!w->program)
        return;
    if (w->options->c) {
        if (w->at < w->program->count)
            emit_op(w, !the_memory.inside);
        emit_end(w);
    }
    size_t ops = w->at < w->program->count ? w->at + 1 : w->program->count;
    if (w->at < w->program->count)
        fprintf(to, "at op %zu of %zu; the program up to it:\n", w->at + 1, w->program->count);
    else
        fprintf(to, "at the end of %zu ops; the program:\n", w->program->count);
    program_print(w->program, ops, to);
    fflush(to);
}

void fail(world *w, const char *check, const char *format, ...)
{
    va_list args;
    the_memory.inside = false;
    if (w->options->print)
        fflush(w->options->print);
    fprintf(stderr, "check failed: %s: ", check);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    execute_describe(stderr);
    if (w->options->failed)
        w->options->failed();
    abort();
}

void fail_memory(world *w)
{
    if (the_memory.misuse)
        fail(w, the_memory.misuse, "memory taken, or given back, wrongly");
    fail(w, "no_lock_is_kept", "the call returned with %u", the_memory.locks);
}

/* The library's locks. Its calls run one at a time, those of the other thread too, so that no lock is ever found taken: what stands
 * here for the C library's says so, instead of waiting for ever, and costs next to nothing. Outside of the library's calls it
 * passes on. */
#if defined(__GLIBC__)
int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    if (!the_memory.inside)
        return __real_pthread_mutex_lock(lock);
    if (lock->__data.__lock != 0)
        fail(&the_world, "lock_is_free_when_taken", "the library would wait for itself");
    lock->__data.__lock = 1;
    the_memory.locks++;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    if (!the_memory.inside)
        return __real_pthread_mutex_unlock(lock);
    if (lock->__data.__lock == 0)
        fail(&the_world, "lock_is_taken_when_released", "it was free");
    lock->__data.__lock = 0;
    the_memory.locks--;
    return 0;
}
#endif

void fail_oracle(world *w)
{
    model *m = &w->model;
    if (m->broken)
        fail(w, "source_is_read_as_predicted", "%s", m->broken);
    if (m->oracle.next != m->oracle.calls)
        fail(w, "source_is_read_as_predicted", "called %zu times, not %zu", m->oracle.calls, m->oracle.next);
    fail(w, "memory_is_taken_only_when_needed", "memory was asked for (and refused) where none was needed");
}

static void check_place(world *w, unsigned reg)
{
    const model_slice *e = &w->model.slice[reg];
    uint8_t *data = iobuf_slice_data(&w->slice[reg]);
    if (e->buf == MODEL_NONE) {
        if (data)
            fail(w, "empty_handle_has_no_data", "s%u points somewhere", reg);
        return;
    }
    model_buf *b = &w->model.buf[e->buf];
    if (b->kind == MODEL_POOLED && !b->base && data) {
        b->base = data - e->start;
        if ((uintptr_t)b->base % 64)
            fail(w, "buf_is_aligned", "the buf of s%u begins at %p", reg, b->base);
    }
    size_t place = (size_t)((uintptr_t)data - (uintptr_t)b->base); /* as integers: what is lent may be NULL */
    if (place != e->start)
        fail(w, "place_equals", "s%u is %zu bytes into its buf, not %zu", reg, place, e->start);
}

static void check_contents(world *w, unsigned reg)
{
    const model_slice *e = &w->model.slice[reg];
    if (!e->size)
        return;
    const uint8_t *have = iobuf_slice_data(&w->slice[reg]);
    if (model_holds(&w->model, e->buf, e->start, have, e->size))
        return;
    size_t i = 0;
    while (have[i] == model_byte(&w->model, e->buf, e->start + i))
        i++;
    int want = model_byte(&w->model, e->buf, e->start + i);
    if (want < 0)
        fail(w, "contents_equal", "byte %zu of s%u has no promised value", i, reg);
    fail(w, "contents_equal", "byte %zu of s%u is 0x%02x, not 0x%02x", i, reg, have[i], (unsigned)want);
}

/* All that can be asked of a slice. */
void check_named_slice(world *w, unsigned reg)
{
    const model_slice *e = &w->model.slice[reg];
    const iobuf_slice *s = &w->slice[reg];
    size_t headroom = iobuf_slice_headroom(s), buf_size = iobuf_slice_buf_size(s), keeps = 0;
    if (iobuf_slice_size(s) != e->size)
        fail(w, "size_equals", "s%u has %zu bytes, not %zu", reg, iobuf_slice_size(s), e->size);
    check_place(w, reg);
    if (headroom != e->headroom)
        fail(w, "headroom_equals", "s%u has a free prefix of %zu bytes, not %zu", reg, headroom, e->headroom);
    if (e->buf != MODEL_NONE && w->model.buf[e->buf].kind != MODEL_LENT)
        keeps = w->model.buf[e->buf].size;
    if (buf_size != keeps)
        fail(w, "buf_size_equals", "s%u keeps a buf of %zu bytes, not %zu", reg, buf_size, keeps);
    check_contents(w, reg);
}

void check_slices(world *w, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        check_slice(w, i);
}

void check_reader(world *w, unsigned reg)
{
    const model_reader *e = &w->model.reader[reg];
    if (!e->ready)
        return;
    size_t buffered = iobuf_reader_buffered(&w->reader[reg]);
    int error = iobuf_reader_errno(&w->reader[reg]);
    if (buffered != model_buffered(e))
        fail(w, "buffered_equals", "r%u has %zu bytes buffered, not %zu", reg, buffered, model_buffered(e));
    if (error != e->last_errno)
        fail(w, "reader_errno_equals", "r%u says errno %d, not %d", reg, error, e->last_errno);
}

static void check_stat(world *w, unsigned reg, const char *name, size_t have, size_t want)
{
    if (have != want)
        fail(w, "stats_equal", "p%u counts %s %zu, not %zu", reg, name, have, want);
}

static bool equal_stats(const iobuf_pool_stats *a, const iobuf_pool_stats *b)
{
    return a->bufs_allocated == b->bufs_allocated && a->bufs_in_use == b->bufs_in_use && a->bufs_cached == b->bufs_cached &&
           a->bytes_in_use == b->bytes_in_use && a->bytes_cached == b->bytes_cached && a->bytes_peak == b->bytes_peak;
}

static void check_stats(world *w, unsigned reg)
{
    const iobuf_pool_stats *e = &w->model.pool[w->pool_id[reg]].stats;
    iobuf_pool_stats s;
    iobuf_pool_stats_get(w->pool[reg], &s);
    if (equal_stats(&s, e)) /* mostly */
        return;
    check_stat(w, reg, "bufs_allocated", s.bufs_allocated, e->bufs_allocated);
    check_stat(w, reg, "bufs_in_use", s.bufs_in_use, e->bufs_in_use);
    check_stat(w, reg, "bufs_cached", s.bufs_cached, e->bufs_cached);
    check_stat(w, reg, "bytes_in_use", s.bytes_in_use, e->bytes_in_use);
    check_stat(w, reg, "bytes_cached", s.bytes_cached, e->bytes_cached);
    check_stat(w, reg, "bytes_peak", s.bytes_peak, e->bytes_peak);
}

/* The counts of all open pools, and what wrapped memory was freed. */
void check_pools(world *w)
{
    w->called = false;
    the_memory.inside = true;
    for (unsigned i = 0; i < PROGRAM_POOLS; i++)
        if (w->pool_id[i] != MODEL_NONE)
            check_stats(w, i);
    the_memory.inside = false;
    check_memory(w);
    if (w->frees != w->model.wraps_gone)
        fail(w, "foreign_memory_is_freed_once", "%zu free callbacks have run, not %zu", w->frees, w->model.wraps_gone);
}

static void check_buf(world *w, const model_buf *b)
{
    if (b->kind != MODEL_POOLED || !b->base || w->model.pool[b->pool].is_default)
        return;
    if (!b->gone && !memory_is_live(b->base, b->pool))
        fail(w, "buf_in_use_is_not_given_back", "a buf of %zu bytes was given back while in use or cached", b->size);
}

static void check_bufs(world *w)
{
    for (int i = 0; i < w->model.bufs; i++)
        check_buf(w, &w->model.buf[i]);
    for (int i = 0; i < w->model.pools; i++)
        if (model_pool_ended(&w->model, i) && the_memory.live[i])
            fail(w, "closed_pool_gives_all_back", "%zu blocks are left", the_memory.live[i]);
}

/* The end of the bytes that are nobody else's: from the free prefix on. */
static size_t exclusive_end(const model_slice *s)
{
    size_t own = s->sharing && s->exclusive < s->size ? s->exclusive : s->size;
    return s->start + own;
}

/* True if a free prefix, or bytes that `a` does not share, belong to `b` too. */
static bool intrudes(const model_slice *a, const model_slice *b)
{
    size_t from = a->start - a->headroom, to = exclusive_end(a);
    return a->buf == b->buf && from < to && from < b->start + b->size && b->start < to && b->size;
}

/* Looks again in which buf the register holds bytes, if it is one that is counted. */
static void note_live(world *w, unsigned reg)
{
    int buf = w->model.slice[reg].buf;
    uint32_t bit = (uint32_t)1 << reg;
    if (w->live & bit) {
        if (w->live_in[reg] == buf) /* mostly */
            return;
        w->model.buf[w->live_in[reg]].live &= ~bit;
    }
    w->live &= ~bit;
    if (buf == MODEL_NONE || w->model.buf[buf].kind == MODEL_LENT)
        return;
    w->model.buf[buf].live |= bit;
    w->live |= bit;
    w->live_in[reg] = buf;
}

/* What an allocator or reader has not handed out yet, no slice may reach. */
static void check_not_ahead(world *w, unsigned reg)
{
    const model *m = &w->model;
    const model_slice *s = &m->slice[reg];
    const model_buf *b = &m->buf[s->buf];
    size_t end = b->held ? *b->cut : b->size;
    if (s->size + s->headroom != 0 && s->start + s->size > end)
        fail(w, "no_slice_has_bytes_not_cut_yet", "s%u ends %zu bytes into its buf, %zu were cut", reg, s->start + s->size, end);
}

/* With those of the slices `among` that live in the same buf. */
static void check_no_overlap(world *w, unsigned reg, uint32_t among)
{
    const model *m = &w->model;
    if (!(w->live >> reg & 1))
        return;
    check_not_ahead(w, reg);
    for (uint32_t others = m->buf[w->live_in[reg]].live & among & ~((uint32_t)1 << reg); others; others &= others - 1) {
        unsigned i = (unsigned)__builtin_ctz(others);
        if (intrudes(&m->slice[reg], &m->slice[i]) || intrudes(&m->slice[i], &m->slice[reg]))
            fail(w, "exclusive_bytes_do_not_overlap", "s%u and s%u", reg, i);
    }
}

/* The bufs whose memory went back to the backing in the op that runs. */
static void check_dropped(world *w)
{
    memory *m = &the_memory;
    if (!m->drops) /* mostly */
        return;
    for (int i = 0; i < w->model.bufs; i++)
        for (size_t j = 0; j < m->drops; j++)
            if (w->model.buf[i].base == m->drop[j])
                check_buf(w, &w->model.buf[i]);
    m->drops = 0;
}

/* Which of an op's registers are slices. */
typedef struct names {
    bool result, first, second;
} names;

#define IS_SLICE(letter) ((letter) == 's' || (letter) == 'x')

/* The slices that the op names: a bit for each. */
static uint32_t slices_of(const program_op *op)
{
    static names of[OP_KINDS];
    static bool known;
    if (!known)
        for (unsigned k = 0; k < OP_KINDS; k++) {
            const program_op_info *info = &program_ops[k];
            const char *o = info->operands; /* registers come first */
            of[k] = (names){info->result == 's', IS_SLICE(o[0]), o[0] && IS_SLICE(o[1])};
        }
    known = true;
    const names *n = &of[op->kind];
    uint32_t slices = (uint32_t)n->result << op->result;
    if (op->count)
        return slices | (op->count < 32 ? ((uint32_t)1 << op->count) - 1 : UINT32_MAX) << op->reg[0];
    return slices | (uint32_t)n->first << op->reg[0] | (uint32_t)n->second << op->reg[1];
}

/* The kinds of op that leave no slice with a byte that it did not have before. */
#define KIND(name) ((uint64_t)1 << OP_##name)
static const uint64_t gains_nothing = KIND(release) | KIND(truncate_back) | KIND(to_iovec) | KIND(move) | KIND(fill);

/* Where the slices that the op names lie now; their sizes, free prefixes and contents it has compared itself. */
void check_touched(world *w, const program_op *op)
{
    const uint32_t slices = slices_of(op);
    for (uint32_t left = slices; left; left &= left - 1)
        note_live(w, (unsigned)__builtin_ctz(left));
    if (w->result_kind != RESULT_SKIPPED && !(gains_nothing >> op->kind & 1))
        for (uint32_t left = slices; left; left &= left - 1)
            check_no_overlap(w, (unsigned)__builtin_ctz(left), UINT32_MAX);
    check_dropped(w);
    if (w->called)
        check_pools(w);
}

void check_all(world *w)
{
    check_slices(w, 0, PROGRAM_SLICES);
    for (unsigned i = 0; i < PROGRAM_READERS; i++)
        check_reader(w, i);
    check_pools(w);
    check_bufs(w);
    for (unsigned i = 0; w->options->thorough && i < PROGRAM_SLICES; i++)
        note_live(w, i); /* else check_touched has */
    for (uint32_t left = w->live; left; left &= left - 1)
        check_no_overlap(w, (unsigned)__builtin_ctz(left), left); /* each pair once */
}

/* After everything was released and closed. */
void check_nothing_left(world *w)
{
    check_pools(w);
    check_bufs(w);
    for (int i = 0; i < w->model.bufs; i++)
        if (w->model.buf[i].kind == MODEL_WRAPPED && w->wrapped[i].freed != 1)
            fail(w, "foreign_memory_is_freed_once", "a free callback ran %d times", w->wrapped[i].freed);
    const long other = the_memory.heap + (long)the_memory.live[MEMORY_OTHER];
    if (the_memory.live[MEMORY_HEAP] || other)
        fail(w, "nothing_leaks", "%zu blocks and %ld of malloc are left", the_memory.live[MEMORY_HEAP], other);
}
