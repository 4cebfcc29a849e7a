/* One function per op: the call on the library, then the same on the reference, then the checks of what it can have touched. The
 * library goes first, because the reference has to know what the backing and the sources did.
 *
 * An op on a register that cannot take it (an allocator never initialised, a closed pool) is skipped. To assign a register that
 * holds something releases that first. */
#include "world.h"

#include <errno.h>
#include <string.h>

/* ---- results */

static void skip(world *w)
{
    w->result_kind = RESULT_SKIPPED;
}

static void note(world *w, result_kind kind, uint64_t value, uint64_t want)
{
    w->result_kind = kind;
    w->result = value;
    w->want = want;
    w->want_known = true;
}

static void check_status(world *w, int have, int want)
{
    note(w, RESULT_STATUS, (uint64_t)(int64_t)have, (uint64_t)(int64_t)want);
    check_oracle_used_up(w);
    if (have != want)
        fail(w, "status_equals", "%s, not %s", iobuf_strerror(have), iobuf_strerror(want));
}

static void check_bool(world *w, bool have, bool want)
{
    note(w, RESULT_BOOL, have, want);
    if (have != want)
        fail(w, "result_equals", "%s, not %s", have ? "true" : "false", want ? "true" : "false");
}

static void check_count(world *w, size_t have, size_t want)
{
    note(w, RESULT_COUNT, have, want);
    if (have != want)
        fail(w, "result_equals", "%zu, not %zu", have, want);
}

/* What an output looks like that must not be touched. */
static iobuf_slice untouched(void)
{
    iobuf_slice s;
    memset(&s, 0xa5, sizeof s);
    return s;
}

/* The end of an op that makes a slice. True if it made one. */
static bool finish_slice(world *w, unsigned reg, int have, int want, const iobuf_slice *out, const model_slice *expect)
{
    const iobuf_slice before = untouched();
    check_status(w, have, want);
    if (have != IOBUF_OK) {
        if (memcmp(out, &before, sizeof before) != 0)
            fail(w, "output_is_untouched_on_error", "s%u was written", reg);
        return false;
    }
    w->slice[reg] = *out;
    w->model.slice[reg] = *expect;
    return true;
}

/* ---- contents */

static const uint8_t *pattern(const world *w)
{
    return the_pattern + w->at * 67 % MEMORY_MOST;
}

/* Writes `size` bytes of the pattern, as the owner of a slice would. */
static void write_bytes(world *w, unsigned reg, size_t size)
{
    const model_slice *e = &w->model.slice[reg];
    if (!size)
        return;
    memcpy(iobuf_slice_data(&w->slice[reg]), pattern(w), size);
    model_set(&w->model, e->buf, e->start, pattern(w), size);
    emit_fill(w, reg, 0, size);
}

/* Bytes that have come into reach at the front, and have no promised value, get one. */
static void write_unknown(world *w, unsigned reg, size_t size)
{
    const model_slice *e = &w->model.slice[reg];
    if (e->buf == MODEL_NONE)
        return;
    for (size_t at, end; model_gap(&w->model, e->buf, e->start, e->start + size, &at, &end);) {
        size_t offset = at - e->start;
        memcpy(iobuf_slice_data(&w->slice[reg]) + offset, pattern(w) + offset, end - at);
        model_set(&w->model, e->buf, at, pattern(w) + offset, end - at);
        emit_fill(w, reg, offset, end - at);
    }
}

/* ---- pools */

void close_pool(world *w, unsigned reg)
{
    if (w->pool_id[reg] == MODEL_NONE)
        return;
    LIBRARY(w, iobuf_pool_close(w->pool[reg]));
    model_pool_close(&w->model, w->pool_id[reg]);
    w->pool_id[reg] = MODEL_NONE;
    w->pool[reg] = NULL;
    check_oracle_used_up(w);
}

static void create_pool(world *w, unsigned reg, const iobuf_pool_options *options, bool is_default)
{
    static const iobuf_pool_options defaults;
    iobuf_pool *const before = (iobuf_pool *)(void *)w;
    iobuf_pool *pool = before;
    int status, id = MODEL_NONE;
    LIBRARY(w, status = iobuf_pool_create(is_default ? NULL : options, &pool));
    int want = model_pool_create(&w->model, is_default ? &defaults : options, &id);
    check_status(w, status, want);
    if (status == IOBUF_OK) {
        w->pool[reg] = pool;
        w->pool_id[reg] = id;
        w->model.pool[id].is_default = is_default;
    } else if (pool != before) {
        fail(w, "output_is_untouched_on_error", "p%u was written", reg);
    }
}

static void do_pool_create(world *w, const program_op *op)
{
    close_pool(w, op->result);
    if (w->model.pools == MODEL_MAX_POOLS) {
        skip(w);
        return;
    }
    iobuf_pool_options options = {w->size[0], w->size[1], w->size[2], memory_backing(w->model.pools)};
    create_pool(w, op->result, &options, false);
}

static void do_pool_create_default(world *w, const program_op *op)
{
    close_pool(w, op->result);
    if (w->model.pools == MODEL_MAX_POOLS)
        skip(w);
    else
        create_pool(w, op->result, NULL, true);
}

static void do_pool_close(world *w, const program_op *op)
{
    close_pool(w, op->reg[0]);
}

static void do_pool_stats(world *w, const program_op *op)
{
    (void)op;
    check_pools(w);
}

static void do_pool_trim(world *w, const program_op *op)
{
    unsigned reg = op->reg[0];
    size_t freed;
    if (w->pool_id[reg] == MODEL_NONE) {
        skip(w);
        return;
    }
    LIBRARY(w, freed = iobuf_pool_trim(w->pool[reg], w->size[0]));
    check_count(w, freed, model_pool_trim(&w->model, w->pool_id[reg], w->size[0]));
    check_oracle_used_up(w);
}

/* ---- allocators */

void release_allocator(world *w, unsigned reg)
{
    if (!w->model.allocator[reg].ready)
        return;
    LIBRARY(w, iobuf_allocator_release(&w->allocator[reg]));
    model_allocator_release(&w->model, &w->model.allocator[reg]);
    check_oracle_used_up(w);
}

static void do_allocator_init(world *w, const program_op *op)
{
    unsigned reg = op->result, pool = op->reg[0];
    int status;
    if (w->pool_id[pool] == MODEL_NONE) {
        skip(w);
        return;
    }
    release_allocator(w, reg);
    LIBRARY(w, status = iobuf_allocator_init(&w->allocator[reg], w->pool[pool], w->size[0]));
    check_status(w, status, model_allocator_init(&w->model, &w->model.allocator[reg], w->pool_id[pool], w->size[0]));
}

static void do_allocator_release(world *w, const program_op *op)
{
    release_allocator(w, op->reg[0]);
}

/* `bytes` NULL: iobuf_alloc; else iobuf_copy. */
static void alloc(world *w, const program_op *op, const uint8_t *bytes)
{
    unsigned reg = op->result, a = op->reg[0];
    iobuf_slice out = untouched();
    model_slice expect;
    int status;
    if (!w->model.allocator[a].ready) {
        skip(w);
        return;
    }
    release_register(w, reg);
    if (bytes)
        LIBRARY(w, status = iobuf_copy(&w->allocator[a], bytes, w->size[0], &out));
    else
        LIBRARY(w, status = iobuf_alloc(&w->allocator[a], w->size[0], &out));
    int want = model_alloc(&w->model, &w->model.allocator[a], w->size[0], &expect);
    if (!finish_slice(w, reg, status, want, &out, &expect))
        return;
    if (bytes) {
        model_set(&w->model, expect.buf, expect.start, bytes, expect.size);
        check_slice(w, reg);
    } else {
        uint8_t *const data = iobuf_slice_data(&out);
        if (iobuf_slice_size(&out) != expect.size || !data)
            fail(w, "size_equals", "s%u has %zu bytes, not %zu", reg, iobuf_slice_size(&out), expect.size);
        write_bytes(w, reg, expect.size);
        check_slice(w, reg);
    }
}

static void do_alloc(world *w, const program_op *op)
{
    alloc(w, op, NULL);
}

static void do_copy(world *w, const program_op *op)
{
    alloc(w, op, pattern(w));
}

static void do_shrink(world *w, const program_op *op)
{
    unsigned a = op->reg[0], s = op->reg[1];
    int status;
    if (!w->model.allocator[a].ready) {
        skip(w);
        return;
    }
    LIBRARY(w, status = iobuf_allocator_shrink(&w->allocator[a], &w->slice[s], w->size[0]));
    check_status(w, status, model_shrink(&w->model, &w->model.allocator[a], &w->model.slice[s], w->size[0]));
    check_slice(w, s);
}

static void do_compact(world *w, const program_op *op)
{
    unsigned s = op->reg[0], a = op->reg[1];
    int status;
    if (!w->model.allocator[a].ready) {
        skip(w);
        return;
    }
    LIBRARY(w, status = iobuf_slice_compact(&w->slice[s], &w->allocator[a]));
    check_status(w, status, model_compact(&w->model, &w->model.slice[s], &w->model.allocator[a]));
    check_slice(w, s);
}

/* ---- slices */

void release_held(world *w, unsigned reg)
{
    LIBRARY(w, iobuf_slice_release(&w->slice[reg]));
    model_release(&w->model, &w->model.slice[reg]);
    check_oracle_used_up(w);
    check_slice(w, reg);
}

static void do_release(world *w, const program_op *op)
{
    release_held(w, op->reg[0]);
}

static void do_release_previous(world *w, const program_op *op)
{
    unsigned s = op->reg[0], previous = op->reg[1];
    if (s == previous) {
        skip(w);
        return;
    }
    LIBRARY(w, iobuf_slice_release_previous(&w->slice[s], &w->slice[previous]));
    model_release_previous(&w->model, &w->model.slice[s], &w->model.slice[previous]);
    check_oracle_used_up(w);
    check_slice(w, s);
    check_slice(w, previous);
}

static void do_truncate_front(world *w, const program_op *op)
{
    LIBRARY(w, iobuf_slice_truncate_front(&w->slice[op->reg[0]], w->size[0]));
    model_truncate_front(&w->model, &w->model.slice[op->reg[0]], w->size[0]);
    check_slice(w, op->reg[0]);
}

static void do_truncate_back(world *w, const program_op *op)
{
    LIBRARY(w, iobuf_slice_truncate_back(&w->slice[op->reg[0]], w->size[0]));
    model_truncate_back(&w->model.slice[op->reg[0]], w->size[0]);
    check_slice(w, op->reg[0]);
}

static void do_expand_front(world *w, const program_op *op)
{
    unsigned reg = op->reg[0];
    bool expanded;
    LIBRARY(w, expanded = iobuf_slice_expand_front(&w->slice[reg], w->size[0]));
    check_bool(w, expanded, model_expand_front(&w->model.slice[reg], w->size[0]));
    if (expanded)
        write_unknown(w, reg, w->size[0]);
    check_slice(w, reg);
}

static void do_free_entire_prefix(world *w, const program_op *op)
{
    unsigned reg = op->reg[0];
    if (!model_prefix_is_free(&w->model, &w->model.slice[reg])) {
        skip(w); /* nobody can vouch for it */
        return;
    }
    LIBRARY(w, iobuf_slice_free_entire_prefix(&w->slice[reg]));
    model_free_entire_prefix(&w->model, &w->model.slice[reg]);
    check_slice(w, reg);
}

static void do_claim_prefix(world *w, const program_op *op)
{
    unsigned reg = op->reg[0];
    bool claimed;
    LIBRARY(w, claimed = iobuf_slice_claim_prefix(&w->slice[reg]));
    check_bool(w, claimed, model_claim_prefix(&w->model, &w->model.slice[reg]));
    check_slice(w, reg);
}

static void do_share(world *w, const program_op *op)
{
    unsigned reg = op->result, from = op->reg[0];
    iobuf_slice out = untouched();
    model_slice expect;
    int status;
    if (reg == from) {
        skip(w);
        return;
    }
    release_register(w, reg);
    LIBRARY(w, status = iobuf_slice_share(&w->slice[from], w->size[0], w->size[1], &out));
    int want = model_share(&w->model, &w->model.slice[from], w->size[0], w->size[1], &expect);
    if (finish_slice(w, reg, status, want, &out, &expect))
        check_slice(w, reg);
    check_slice(w, from);
}

static void do_split(world *w, const program_op *op)
{
    unsigned reg = op->result, from = op->reg[0];
    iobuf_slice out = untouched();
    model_slice expect;
    int status;
    if (reg == from) {
        skip(w);
        return;
    }
    release_register(w, reg);
    LIBRARY(w, status = iobuf_slice_split(&w->slice[from], w->size[0], &out));
    int want = model_split(&w->model, &w->model.slice[from], w->size[0], &expect);
    if (finish_slice(w, reg, status, want, &out, &expect))
        check_slice(w, reg);
    check_slice(w, from);
}

/* The caller's memory, wrapped or borrowed, is real: so it is kept small. */
static size_t lendable(size_t size)
{
    return size <= 4096 ? size : 4096;
}

/* Of nothing, every other register lends nothing: NULL. */
static uint8_t *lend(unsigned reg, size_t size)
{
    return size == 0 && reg % 2 == 0 ? NULL : memory_lend(size);
}

static void free_wrapped(void *bytes, size_t size, void *context)
{
    wrapped *f = context;
    the_world.frees++;
    if (bytes != f->bytes || size != f->size)
        the_memory.misuse = "free_callback_gets_what_was_wrapped";
    if (++f->freed > 1)
        the_memory.misuse = "foreign_memory_is_freed_once";
    else if (bytes)
        memory_drop(f->bytes, f->size, MEMORY_FOREIGN);
}

static void do_wrap(world *w, const program_op *op)
{
    unsigned reg = op->result;
    wrapped *f = &w->wrapped[w->model.bufs];
    size_t size = w->size[0] > (size_t)PTRDIFF_MAX ? w->size[0] : lendable(w->size[0]);
    iobuf_slice out = untouched();
    model_slice expect;
    int status;
    release_register(w, reg);
    *f = (wrapped){lend(reg, lendable(size)), lendable(size), 0};
    the_memory.fail_heap = memory_should_fail();
    LIBRARY(w, status = iobuf_slice_wrap(f->bytes, size, free_wrapped, f, &out));
    bool unused = the_memory.fail_heap;
    the_memory.fail_heap = false;
    int want = model_wrap(&w->model, size, &expect);
    if (!finish_slice(w, reg, status, want, &out, &expect))
        return;
    if (unused)
        fail(w, "status_equals", "no memory, and yet a reference count");
    if (iobuf_slice_data(&out) != f->bytes || iobuf_slice_size(&out) != size)
        fail(w, "size_equals", "s%u has %zu bytes, not %zu", reg, iobuf_slice_size(&out), size);
    w->model.buf[expect.buf].base = f->bytes;
    write_bytes(w, reg, size);
    check_slice(w, reg);
}

static void do_borrow(world *w, const program_op *op)
{
    unsigned reg = op->result;
    size_t size = lendable(w->size[0]);
    release_register(w, reg);
    uint8_t *bytes = lend(reg, size);
    LIBRARY(w, w->slice[reg] = iobuf_slice_borrow(bytes, size));
    model_borrow(&w->model, size, &w->model.slice[reg]);
    w->model.buf[w->model.slice[reg].buf].base = bytes;
    write_bytes(w, reg, size);
    check_slice(w, reg);
}

static void do_coalesce(world *w, const program_op *op)
{
    size_t count;
    LIBRARY(w, count = iobuf_coalesce(&w->slice[op->reg[0]], op->count, w->size[0]));
    check_count(w, count, model_coalesce(&w->model, &w->model.slice[op->reg[0]], op->count, w->size[0]));
    check_oracle_used_up(w);
    check_slices(w, op->reg[0], op->count);
}

static void do_move(world *w, const program_op *op)
{
    unsigned reg = op->result, from = op->reg[0];
    if (reg == from) {
        skip(w);
        return;
    }
    release_register(w, reg);
    w->slice[reg] = w->slice[from];
    w->model.slice[reg] = w->model.slice[from];
    memset(&w->slice[from], 0, sizeof w->slice[from]);
    w->model.slice[from] = (model_slice){.buf = MODEL_NONE};
    check_slice(w, reg);
    check_slice(w, from);
}

static void do_fill(world *w, const program_op *op)
{
    write_bytes(w, op->reg[0], w->model.slice[op->reg[0]].size);
}

/* ---- output */

static void do_to_iovec(world *w, const program_op *op)
{
    enum { ROOM = PROGRAM_SLICES + 1 };
    struct iovec iov[ROOM];
    size_t room = w->size[0] < ROOM ? w->size[0] : ROOM, used = 0, want = 0;
    memset(iov, 0xa5, sizeof iov);
    LIBRARY(w, used = iobuf_slices_to_iovec(&w->slice[op->reg[0]], op->count, iov, room));
    for (unsigned i = op->reg[0]; i < op->reg[0] + (unsigned)op->count && want < room; i++) {
        if (!w->model.slice[i].size)
            continue;
        if (want < used && (iov[want].iov_base != iobuf_slice_data(&w->slice[i]) || iov[want].iov_len != w->model.slice[i].size))
            fail(w, "iovec_describes_the_slices", "entry %zu is not s%u", want, i);
        want++;
    }
    check_count(w, used, want);
    for (size_t i = used; i < ROOM; i++)
        if (iov[i].iov_len != (size_t)0xa5a5a5a5a5a5a5a5)
            fail(w, "iovec_describes_the_slices", "entry %zu, behind the last, was written", i);
    check_slices(w, op->reg[0], op->count);
}

static void do_writev(world *w, const program_op *op)
{
    sink *s = &w->sink;
    size_t count = op->count, written = 12345;
    int status, want = IOBUF_OK;
    s->slices = &w->model.slice[op->reg[0]];
    s->slice_count = op->count;
    s->calls = 0;
    s->result = 0;
    s->wrong = NULL;
    LIBRARY(w, status = iobuf_writev(FD_SINK, &w->slice[op->reg[0]], &count, &written));
    int error = errno;
    size_t bytes = 0;
    for (unsigned i = 0; i < op->count; i++)
        bytes += s->slices[i].size;
    if ((s->calls != 0) != (bytes != 0))
        fail(w, "writev_gathers_the_slices", "writev was called %zu times for %zu bytes", s->calls, bytes);
    if (s->wrong)
        fail(w, "writev_gathers_the_slices", "%s", s->wrong);
    if (s->result < 0)
        want = s->error == EAGAIN || s->error == EWOULDBLOCK ? IOBUF_EAGAIN : IOBUF_EIO;
    check_status(w, status, want);
    if (want == IOBUF_EIO && error != s->error)
        fail(w, "writev_keeps_errno", "errno is %d, not %d", error, s->error);
    size_t expect = op->count;
    if (want == IOBUF_OK)
        expect = model_written(&w->model, &w->model.slice[op->reg[0]], op->count, (size_t)s->result);
    check_oracle_used_up(w);
    if (count != expect || written != (want == IOBUF_OK ? (size_t)s->result : 0))
        fail(w, "writev_counts", "%zu slices left, %zu bytes written; not %zu, %zd", count, written, expect, s->result);
    check_slices(w, op->reg[0], op->count);
}

/* ---- readers */

void close_reader(world *w, unsigned reg)
{
    if (!w->model.reader[reg].ready)
        return;
    LIBRARY(w, iobuf_reader_close(&w->reader[reg]));
    model_reader_close(&w->model, &w->model.reader[reg]);
    check_oracle_used_up(w);
    check_reader(w, reg);
}

static void init_reader(world *w, const program_op *op, bool is_fd)
{
    unsigned reg = op->result, pool = op->reg[0];
    int status;
    if (w->pool_id[pool] == MODEL_NONE) {
        skip(w);
        return;
    }
    close_reader(w, reg);
    source *s = &w->source[reg];
    s->is_fd = is_fd;
    s->position = reg * 1000;
    s->script.first = s->script.count = 0;
    if (is_fd)
        LIBRARY(w, status = iobuf_reader_init_fd(&w->reader[reg], w->pool[pool], FD_READER + (int)reg));
    else
        LIBRARY(w, status = iobuf_reader_init(&w->reader[reg], w->pool[pool], source_read, s));
    check_status(w, status, model_reader_init(&w->model, &w->model.reader[reg], w->pool_id[pool]));
    check_reader(w, reg);
}

static void do_reader_init(world *w, const program_op *op)
{
    init_reader(w, op, false);
}

static void do_reader_init_fd(world *w, const program_op *op)
{
    init_reader(w, op, true);
}

static void do_reader_close(world *w, const program_op *op)
{
    close_reader(w, op->reg[0]);
}

static void read_slice(world *w, const program_op *op, bool some)
{
    unsigned reg = op->result, r = op->reg[0];
    iobuf_slice out = untouched();
    model_slice expect;
    int status, want;
    if (!w->model.reader[r].ready) {
        skip(w);
        return;
    }
    release_register(w, reg);
    if (some)
        LIBRARY(w, status = iobuf_reader_read_some(&w->reader[r], w->size[0], &out));
    else
        LIBRARY(w, status = iobuf_reader_read(&w->reader[r], w->size[0], &out));
    if (some)
        want = model_read_some(&w->model, &w->model.reader[r], w->size[0], &expect);
    else
        want = model_read(&w->model, &w->model.reader[r], w->size[0], &expect);
    if (finish_slice(w, reg, status, want, &out, &expect))
        check_slice(w, reg);
    check_reader(w, r);
}

static void do_read(world *w, const program_op *op)
{
    read_slice(w, op, false);
}

static void do_read_some(world *w, const program_op *op)
{
    read_slice(w, op, true);
}

static void do_peek(world *w, const program_op *op)
{
    unsigned r = op->reg[0];
    const model_reader *e = &w->model.reader[r];
    const uint8_t *const untouched_bytes = (const uint8_t *)w;
    const uint8_t *bytes = untouched_bytes;
    size_t size = 12345;
    int status;
    if (!e->ready) {
        skip(w);
        return;
    }
    LIBRARY(w, status = iobuf_reader_peek(&w->reader[r], w->size[0], &bytes, &size));
    check_status(w, status, model_peek(&w->model, &w->model.reader[r], w->size[0]));
    check_reader(w, r);
    if (status != IOBUF_OK) {
        if (bytes != untouched_bytes || size != 12345)
            fail(w, "output_is_untouched_on_error", "peek wrote what it found");
        return;
    }
    if (size != model_buffered(e))
        fail(w, "buffered_equals", "peek shows %zu bytes, not %zu", size, model_buffered(e));
    if (size && !model_holds(&w->model, e->buf, e->base, bytes, size))
        fail(w, "contents_equal", "peek shows other bytes than r%u was given", r);
}

/* ---- what the ends of input and output will do */

static void add_event(world *w, const program_op *op, event_kind kind)
{
    if (!w->model.reader[op->reg[0]].ready)
        skip(w);
    else
        script_add(&w->source[op->reg[0]].script, (event){kind, w->size[0], program_errno[op->choice]});
}

static void do_source_give(world *w, const program_op *op)
{
    add_event(w, op, GIVE);
}

static void do_source_fail(world *w, const program_op *op)
{
    add_event(w, op, FAIL);
}

static void do_source_end(world *w, const program_op *op)
{
    add_event(w, op, END);
}

static void do_source_give_fail(world *w, const program_op *op)
{
    add_event(w, op, GIVE_FAIL);
}

static void do_source_over(world *w, const program_op *op)
{
    add_event(w, op, OVER);
}

static void do_source_zero_fail(world *w, const program_op *op)
{
    add_event(w, op, ZERO_FAIL);
}

static void do_sink_give(world *w, const program_op *op)
{
    (void)op;
    script_add(&w->sink.script, (event){GIVE, w->size[0], 0});
}

static void do_sink_fail(world *w, const program_op *op)
{
    script_add(&w->sink.script, (event){FAIL, 0, program_errno[op->choice]});
}

static void do_fail_alloc(world *w, const program_op *op)
{
    the_memory.fail_in = op->choice == MODE_OFF ? 0 : w->size[0] ? w->size[0] : 1;
    the_memory.fail_always = op->choice == MODE_ALWAYS;
}

/* ---- odds and ends */

static void do_thread(world *w, const program_op *op)
{
    (void)w;
    (void)op; /* run.c sees to it; within another thread's turn it does nothing */
}

static void do_strerror(world *w, const program_op *op)
{
    (void)op;
    int status = -(int)(w->size[0] & 0x7fffffff);
    const char *words = iobuf_strerror(status);
    if (!words || !*words || words != iobuf_strerror(status))
        fail(w, "strerror_has_static_words", "none for %d", status);
    for (int other = 0; status < 0 && status >= IOBUF_EIO && other >= IOBUF_EIO; other--)
        if (other != status && strcmp(words, iobuf_strerror(other)) == 0)
            fail(w, "strerror_has_static_words", "%d and %d have the same", status, other);
}

static iobuf_pool *any_pool(const world *w)
{
    for (unsigned i = 0; i < PROGRAM_POOLS; i++)
        if (w->pool_id[i] != MODEL_NONE)
            return w->pool[i];
    return NULL;
}

/* Calls that must be IOBUF_EINVAL, whatever the state. Returns what they returned. */
static int call_wrongly(world *w, size_t which, iobuf_slice *out)
{
    iobuf_pool_options options = {64, 0, 0, memory_backing(0)};
    iobuf_pool *pool = any_pool(w);
    iobuf_allocator a;
    iobuf_reader r;
    size_t count = 1, written = 1;
    switch (which) {
    case 0:
        return iobuf_pool_create(&options, NULL);
    case 1:
        options.backing.allocate = NULL;
        return iobuf_pool_create(&options, &pool);
    case 2:
        options.backing.deallocate = NULL;
        return iobuf_pool_create(&options, &pool);
    case 3:
        return iobuf_allocator_init(NULL, pool, 0);
    case 4:
        return iobuf_allocator_init(&a, NULL, 0);
    case 5:
        return iobuf_reader_init(NULL, pool, source_read, NULL);
    case 6:
        return iobuf_reader_init(&r, NULL, source_read, NULL);
    case 7:
        return iobuf_reader_init(&r, pool, NULL, NULL);
    case 8:
        return iobuf_reader_init_fd(NULL, pool, FD_READER);
    case 9:
        return iobuf_reader_init_fd(&r, NULL, FD_READER);
    case 10:
        return iobuf_reader_init_fd(&r, pool, -1);
    case 11:
        return iobuf_slice_wrap(&a, sizeof a, NULL, NULL, out);
    case 12:
        return iobuf_slice_wrap(&a, sizeof a, free_wrapped, NULL, NULL);
    case 13:
        return iobuf_slice_wrap(NULL, 1, free_wrapped, NULL, out);
    case 14:
        return iobuf_writev(FD_SINK, w->slice, NULL, &written);
    case 15:
        return iobuf_writev(FD_SINK, NULL, &count, NULL);
    case 16:
        return iobuf_copy(&w->allocator[0], NULL, 1, out); /* never initialised, it is all zero, as one released */
    case 17:
        iobuf_pool_close(NULL); /* changes nothing: check_pools */
        return iobuf_slice_share(&w->slice[0], w->model.slice[0].size, 1, out);
    default: /* nothing is no mistake, wherever it is */
        count = 0;
        return iobuf_coalesce(w->slice, 0, SIZE_MAX) == 0 && iobuf_writev(FD_SINK, NULL, &count, NULL) == IOBUF_OK ? IOBUF_EINVAL
                                                                                                                   : IOBUF_OK;
    }
}

static void do_invalid(world *w, const program_op *op)
{
    (void)op;
    iobuf_slice out = untouched(), before = untouched();
    int status;
    LIBRARY(w, status = call_wrongly(w, w->size[0] % 19, &out));
    check_status(w, status, IOBUF_EINVAL);
    if (memcmp(&out, &before, sizeof out) != 0)
        fail(w, "output_is_untouched_on_error", "by wrong call %zu", w->size[0] % 19);
}

const op_function op_functions[OP_KINDS] = {
#define OP(name, result, operands, weight, targets) do_##name,
#include "../program/ops.def"
#undef OP
};
