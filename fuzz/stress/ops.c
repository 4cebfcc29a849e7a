/* What a thread does, an op after the other. What each is, and on what, comes from the thread's random numbers alone: one draw an
 * op, whatever other threads do. */
#include "stress.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define MADE 256 /* bytes of a slice that is copied, borrowed or wrapped, at most */

/* The next number of an op's draw, which is the seed of as many as it takes. */
static size_t part(uint64_t *draw, unsigned below)
{
    return (size_t)(next_random(draw) % below);
}

static held *any(worker *me, uint64_t *draw)
{
    return &me->held[part(draw, HELD)];
}

static size_t any_size(const world *w, uint64_t *draw)
{
    switch (part(draw, 16)) {
    case 0:
        return 0;
    case 1:
        return w->min_size;
    case 2:
        return w->min_size + 1 + part(draw, 100);
    default:
        return 1 + part(draw, (unsigned)w->small);
    }
}

/* True if it went well; every reason not to must be there. `closed`: the caller knows of one. */
static bool went_well(worker *me, int status, bool closed)
{
    const world *w = me->w;
    if (status == IOBUF_OK)
        return true;
    if ((status == IOBUF_ECLOSED && (closed || world_is_closing(me->w))) || (status == IOBUF_ELIMIT && w->max_bytes != 0) ||
        (status == IOBUF_ENOMEM && w->refuse_one_in != 0))
        return false;
    wrong(me, "refused without a reason: %s", DO(me, strerror, status));
}

/* ---- allocators ---- */

static bool take(worker *me, iobuf_allocator *a, size_t size, held *h, bool closed)
{
    iobuf_slice s;
    held_drop(me, h);
    if (!went_well(me, DO(me, alloc, a, size, &s), closed))
        return false;
    if (DO(me, slice_size, &s) != size)
        wrong(me, "alloc of %zu bytes gives %zu", size, DO(me, slice_size, &s));
    held_fill(me, h, s);
    return true;
}

static void do_alloc(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    (void)take(me, &me->a, any_size(me->w, &draw), h, false);
}

/* Several of one buf, for a bundle. */
static void do_alloc_run(worker *me, uint64_t draw)
{
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = 2 + part(&draw, BUNDLE - 1);
    const size_t size = 1 + part(&draw, (unsigned)me->w->small);
    for (size_t i = 0; i < count; i++)
        (void)take(me, &me->a, size, &me->held[first + i], false);
}

/* The allocators that go from thread to thread. */
static void do_alloc_shared(worker *me, uint64_t draw)
{
    shared_allocator *shared = &me->w->shared[part(&draw, ALLOCATORS)];
    held *h = any(me, &draw);
    if (pthread_mutex_trylock(&shared->lock) != 0)
        return;
    const size_t size = any_size(me->w, &draw);
    (void)take(me, &shared->a, size, h, true); /* it may have been released: see do_anew_shared */
    pthread_mutex_unlock(&shared->lock);
}

static void do_anew_shared(worker *me, uint64_t draw)
{
    shared_allocator *shared = &me->w->shared[part(&draw, ALLOCATORS)];
    if (pthread_mutex_trylock(&shared->lock) != 0)
        return;
    DO(me, allocator_release, &shared->a);
    if (world_enter(me->w)) {
        if (DO(me, allocator_init, &shared->a, me->w->pool, me->w->reserve) != IOBUF_OK)
            wrong(me, "an allocator is refused");
        world_leave(me->w);
    }
    pthread_mutex_unlock(&shared->lock);
}

static void do_anew(worker *me, uint64_t draw)
{
    if (!world_enter(me->w))
        return;
    DO(me, allocator_release, &me->a);
    if (DO(me, allocator_init, &me->a, me->w->pool, part(&draw, 3) * 8) != IOBUF_OK)
        wrong(me, "an allocator is refused");
    world_leave(me->w);
}

static void do_copy(worker *me, uint64_t draw)
{
    uint8_t bytes[MADE];
    held *h = any(me, &draw);
    const size_t size = part(&draw, MADE + 1);
    const uint64_t tag = next_random(&me->tags) | 1;
    iobuf_slice s;
    pattern(tag, 0, bytes, size);
    held_drop(me, h);
    if (!went_well(me, DO(me, copy, &me->a, bytes, size, &s), false))
        return;
    *h = (held){.s = s, .tag = tag, .own = true};
    held_check(me, h);
}

static void do_shrink(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const size_t size = 1 + part(&draw, (unsigned)me->w->small), left = part(&draw, (unsigned)size + 1);
    if (!take(me, &me->a, size, h, false))
        return;
    if (DO(me, allocator_shrink, &me->a, &h->s, left) != IOBUF_OK)
        wrong(me, "the newest slice cannot be shortened");
}

/* A pool of its own, closed while its slices are about, and perhaps soon in other hands. */
static void do_pool(worker *me, uint64_t draw)
{
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = 1 + part(&draw, BUNDLE), closes_at = part(&draw, BUNDLE);
    const iobuf_pool_options options = {.min_size = 64, .backing = world_backing(me->w)};
    iobuf_pool *pool;
    iobuf_allocator a;
    if (!went_well(me, DO(me, pool_create, &options, &pool), false))
        return;
    if (DO(me, allocator_init, &a, pool, 0) != IOBUF_OK)
        wrong(me, "an allocator is refused");
    for (size_t i = 0; i < count; i++) {
        if (i == closes_at)
            DO(me, pool_close, pool);
        (void)take(me, &a, 1 + part(&draw, 40), &me->held[first + i], i >= closes_at);
    }
    if (closes_at >= count)
        DO(me, pool_close, pool);
    DO(me, allocator_release, &a);
}

/* ---- slices ---- */

static void do_release(worker *me, uint64_t draw)
{
    held_drop(me, any(me, &draw));
}

static void do_release_run(worker *me, uint64_t draw)
{
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = 2 + part(&draw, BUNDLE - 1);
    for (size_t i = 0; i < count; i++)
        held_drop(me, &me->held[first + i]);
}

static void do_share(worker *me, uint64_t draw)
{
    held *from = any(me, &draw), *to = any(me, &draw);
    if (from == to)
        return;
    held_drop(me, to);
    const size_t size = DO(me, slice_size, &from->s), at = part(&draw, (unsigned)size + 1);
    const size_t shared = part(&draw, (unsigned)(size - at) + 1);
    iobuf_slice s;
    if (DO(me, slice_share, &from->s, size + 1, 0, &s) != IOBUF_EINVAL ||
        DO(me, slice_share, &from->s, at, size - at + 1, &s) != IOBUF_EINVAL)
        wrong(me, "bytes that are not there are shared");
    if (DO(me, slice_share, &from->s, at, shared, &s) != IOBUF_OK)
        wrong(me, "a slice cannot be shared");
    *to = (held){.s = s, .tag = from->tag, .at = from->at + at};
    from->own = false; /* for good, but see do_claim */
}

static void do_split(worker *me, uint64_t draw)
{
    held *head = any(me, &draw), *tail = any(me, &draw);
    if (head == tail)
        return;
    held_drop(me, tail);
    const size_t size = DO(me, slice_size, &head->s), at = part(&draw, (unsigned)size + 1);
    iobuf_slice s;
    if (DO(me, slice_split, &head->s, size + 1, &s) != IOBUF_EINVAL)
        wrong(me, "a slice is split behind its end");
    if (DO(me, slice_split, &head->s, at, &s) != IOBUF_OK)
        wrong(me, "a slice cannot be split");
    *tail = (held){.s = s, .tag = head->tag, .at = head->at + at, .own = head->own};
    held_check(me, head);
    held_check(me, tail);
}

/* What `size` bytes from `at` of the old slices, one behind the other, are: whose, and whether one pattern goes through all of
 * them. */
static held what_is_there(worker *me, const held *old, size_t count, size_t at, size_t size, size_t limit)
{
    held found = {.own = true};
    bool first = true, same = true;
    const size_t most = size > limit ? limit : SIZE_MAX; /* one alone may be larger */
    for (size_t i = 0; i < count; i++) {
        const size_t here = DO(me, slice_size, &old[i].s);
        if (here > at && size > 0) {
            const size_t used = here - at < size ? here - at : size;
            if (first)
                found.tag = old[i].tag, found.at = old[i].at + at;
            else
                same = same && old[i].tag == found.tag && old[i].at == found.at;
            if (!first && most != SIZE_MAX)
                wrong(me, "coalesce joins to more than %zu bytes", most);
            found.own = found.own && old[i].own;
            found.at += used;
            size -= used;
            at = 0;
            first = false;
        } else if (size > 0) {
            at -= here;
        }
    }
    if (size > 0)
        wrong(me, "coalesce adds %zu bytes", size);
    if (!same)
        found.tag = 0;
    return found; /* its `at` is where the bytes end */
}

static void do_coalesce(worker *me, uint64_t draw)
{
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = 2 + part(&draw, BUNDLE - 1);
    const size_t most = part(&draw, 3) == 0 ? part(&draw, 200) : SIZE_MAX;
    held *now = &me->held[first];
    iobuf_slice slices[BUNDLE];
    held old[BUNDLE];
    size_t at = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        held_check(me, &now[i]);
        old[i] = now[i];
        slices[i] = old[i].s;
        all += DO(me, slice_size, &slices[i]);
    }
    const size_t left = DO(me, coalesce, slices, count, most);
    for (size_t i = 0; i < count; i++) {
        const size_t size = DO(me, slice_size, &slices[i]);
        if (i >= left && (size != 0 || DO(me, slice_data, &slices[i]) != NULL))
            wrong(me, "coalesce leaves something behind its end");
        now[i] = what_is_there(me, old, count, at, size, most);
        now[i].s = slices[i];
        now[i].at -= size;
        at += size;
        held_check(me, &now[i]);
        if (now[i].tag == 0 && now[i].own)
            held_fill(me, &now[i], slices[i]);
    }
    if (at != all)
        wrong(me, "coalesce makes %zu bytes of %zu", at, all);
}

/* Takes `bytes` of the free prefix, which nobody else has, and writes there what was not there before. */
static void expand(worker *me, held *h, size_t bytes)
{
    if (DO(me, slice_expand_front, &h->s, DO(me, slice_headroom, &h->s) + 1))
        wrong(me, "a slice grows beyond its free prefix");
    if (!DO(me, slice_expand_front, &h->s, bytes))
        wrong(me, "a free prefix cannot be used");
    if (h->own) {
        held_fill(me, h, h->s);
        return;
    }
    if (bytes > 0)
        memset(DO(me, slice_data, &h->s), (int)(me->op & 0xff), bytes);
    DO(me, slice_truncate_front, &h->s, bytes);
}

static void do_expand(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const size_t room = DO(me, slice_headroom, &h->s);
    held_check(me, h);
    if (room > 0)
        expand(me, h, part(&draw, (unsigned)room + 1));
    held_check(me, h);
}

static void do_truncate_front(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const size_t size = DO(me, slice_size, &h->s), bytes = part(&draw, (unsigned)size + 10);
    held_check(me, h);
    DO(me, slice_truncate_front, &h->s, bytes);
    h->at += bytes < size ? bytes : size;
    if (part(&draw, 2) == 0)
        expand(me, h, DO(me, slice_headroom, &h->s));
    held_check(me, h);
}

static void do_truncate_back(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const size_t size = DO(me, slice_size, &h->s), bytes = part(&draw, (unsigned)size + 10);
    DO(me, slice_truncate_back, &h->s, bytes);
    held_check(me, h);
}

/* Whoever holds the only slice of a buf may do with it what he likes, though others had slices of it a moment ago. */
static void do_claim(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    held_check(me, h);
    if (!DO(me, slice_claim_prefix, &h->s))
        return;
    const size_t room = DO(me, slice_headroom, &h->s);
    DO(me, slice_free_entire_prefix, &h->s);
    if (DO(me, slice_headroom, &h->s) != room)
        wrong(me, "the entire prefix is %zu bytes, not the %zu that were claimed", DO(me, slice_headroom, &h->s), room);
    expand(me, h, room);
    held_fill(me, h, h->s);
}

static void do_release_previous(worker *me, uint64_t draw)
{
    held *h = any(me, &draw), *previous = any(me, &draw);
    if (h == previous)
        return;
    held_check(me, h);
    held_check(me, previous);
    DO(me, slice_release_previous, &h->s, &previous->s);
    *previous = (held){.own = false};
    expand(me, h, DO(me, slice_headroom, &h->s));
    held_check(me, h);
}

static void do_compact(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const uint8_t *before = DO(me, slice_data, &h->s);
    held_check(me, h);
    (void)went_well(me, DO(me, slice_compact, &h->s, &me->a), false);
    held_check(me, h);
    if (DO(me, slice_data, &h->s) != before)
        held_fill(me, h, h->s); /* nobody else has seen it there */
}

static void do_look(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    held_check(me, h);
    const size_t whole = DO(me, slice_buf_size, &h->s), part_of_it = DO(me, slice_headroom, &h->s) + DO(me, slice_size, &h->s);
    if (whole != 0 && part_of_it > whole)
        wrong(me, "a slice of %zu bytes with its prefix is in a buf of %zu", part_of_it, whole);
    if (*DO(me, strerror, (int)part(&draw, 20) - 10) == '\0')
        wrong(me, "a status has no name");
    iobuf_slice s;
    if (DO(me, alloc, &me->a, SIZE_MAX - part(&draw, 100), &s) == IOBUF_OK)
        wrong(me, "more is allocated than there can be");
}

static void do_iovec(worker *me, uint64_t draw)
{
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = 1 + part(&draw, BUNDLE), capacity = part(&draw, BUNDLE + 1);
    iobuf_slice slices[BUNDLE];
    struct iovec entries[BUNDLE];
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        slices[i] = me->held[first + i].s; /* only looked at */
    const size_t filled = DO(me, slices_to_iovec, slices, count, entries, capacity);
    for (size_t i = 0; i < count && at < capacity; i++) {
        if (DO(me, slice_size, &slices[i]) == 0)
            continue;
        if (at >= filled || entries[at].iov_base != DO(me, slice_data, &slices[i]) ||
            entries[at].iov_len != DO(me, slice_size, &slices[i]))
            wrong(me, "entry %zu is not its slice", at);
        at++;
    }
    if (filled != at)
        wrong(me, "%zu entries for %zu slices", filled, at);
}

/* ---- memory that is not a pool's ---- */

static void wrapped_is_free(void *bytes, size_t size, void *context)
{
    wrapped *w = context;
    if (w->bytes != bytes || w->size != size || w->freed++ != 0)
        wrong(NULL, "wrapped memory is freed with other words, or once more");
    memset(bytes, 0xdb, size);
}

static void do_wrap(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const size_t size = 1 + part(&draw, MADE);
    if (me->wraps_count == WRAPS)
        return;
    wrapped *w = &me->wraps[me->wraps_count++];
    *w = (wrapped){.bytes = malloc(size), .size = size};
    if (w->bytes == NULL)
        cannot("no memory");
    iobuf_slice s;
    held_drop(me, h);
    if (DO(me, slice_wrap, w->bytes, size, wrapped_is_free, w, &s) != IOBUF_OK)
        wrong(me, "memory cannot be wrapped");
    held_fill(me, h, s);
}

static void do_borrow(worker *me, uint64_t draw)
{
    static uint8_t bytes[MADE]; /* zero, and nobody writes there */
    held *h = any(me, &draw);
    held_drop(me, h);
    *h = (held){.s = DO(me, slice_borrow, bytes, part(&draw, MADE))};
    if (DO(me, slice_claim_prefix, &h->s) || DO(me, slice_headroom, &h->s) != 0)
        wrong(me, "borrowed bytes have a prefix");
}

/* ---- from thread to thread ---- */

/* Acquire and release: what each has done to the slices is in order for the next, and nothing else is. */
static void do_exchange(worker *me, uint64_t draw)
{
    _Atomic(bundle *) *slot = &me->w->slots[part(&draw, me->w->slots_used)];
    const size_t first = part(&draw, HELD - BUNDLE + 1), count = part(&draw, BUNDLE + 1);
    bundle *b = NULL;
    if (count > 0) {
        b = malloc(sizeof *b);
        if (b == NULL)
            cannot("no memory");
        b->count = count;
        memcpy(b->held, &me->held[first], count * sizeof *b->held);
        memset(&me->held[first], 0, count * sizeof *b->held);
    }
    b = atomic_exchange_explicit(slot, b, memory_order_acq_rel);
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->count; i++) {
        held_drop(me, &me->held[first + i]);
        me->held[first + i] = b->held[i];
        held_check(me, &me->held[first + i]);
    }
    free(b);
}

static void do_write(worker *me, uint64_t draw)
{
    stream *s = &me->w->streams[part(&draw, STREAMS)];
    held *h = any(me, &draw);
    if (pthread_mutex_trylock(&s->writes) != 0)
        return;
    for (size_t add = 1 + part(&draw, 4); add > 0 && s->pending_count < PENDING; add--) {
        held next = {.own = false};
        if (!take(me, &me->a, 1 + part(&draw, (unsigned)me->w->small), &next, false))
            break;
        next.tag = s->tag;
        next.at = s->written;
        s->written += DO(me, slice_size, &next.s);
        held_write(me, &next);
        if (part(&draw, 4) == 0) { /* so that what is written is not always the last of it */
            held_drop(me, h);
            *h = next;
            h->own = false;
            if (DO(me, slice_share, &next.s, 0, DO(me, slice_size, &next.s), &h->s) != IOBUF_OK)
                wrong(me, "a slice cannot be shared");
        }
        s->pending[s->pending_count++] = next.s;
    }
    size_t before = 0, after = 0, written = 0;
    for (size_t i = 0; i < s->pending_count; i++)
        before += DO(me, slice_size, &s->pending[i]);
    const int status = DO(me, writev, s->ends[1], s->pending, &s->pending_count, &written);
    for (size_t i = 0; i < s->pending_count; i++)
        after += DO(me, slice_size, &s->pending[i]);
    if ((status != IOBUF_OK && status != IOBUF_EAGAIN) || before != after + written ||
        (status == IOBUF_OK) != (written > 0 || before == 0))
        wrong(me, "writev of %zu bytes says %s, %zu written, and leaves %zu", before, DO(me, strerror, status), written, after);
    pthread_mutex_unlock(&s->writes);
}

/* What a reader gives or shows: one of three calls. */
static int read_one(worker *me, iobuf_reader *r, uint64_t *draw, held *h, uint64_t tag, size_t *at)
{
    const size_t size = 1 + part(draw, (unsigned)me->w->small), how = part(draw, 3), buffered = DO(me, reader_buffered, r);
    const uint8_t *bytes;
    size_t shown;
    iobuf_slice s;
    if (how == 0) {
        const int status = DO(me, reader_peek, r, size, &bytes, &shown);
        if (status == IOBUF_OK)
            bytes_check(me, bytes, shown, tag, *at, "stream");
        if (status == IOBUF_OK && shown < buffered)
            wrong(me, "%zu bytes are buffered, %zu shown", buffered, shown);
        return status;
    }
    const int status = how == 1 ? DO(me, reader_read, r, size, &s) : DO(me, reader_read_some, r, size, &s);
    if (status != IOBUF_OK)
        return status;
    if (DO(me, slice_size, &s) > size || (how == 1 && DO(me, slice_size, &s) != size))
        wrong(me, "%zu bytes are read instead of %zu", DO(me, slice_size, &s), size);
    held_drop(me, h);
    *h = (held){.s = s, .tag = tag, .at = *at, .own = true};
    held_check(me, h);
    *at += DO(me, slice_size, &s);
    return IOBUF_OK;
}

static void do_read(worker *me, uint64_t draw)
{
    stream *s = &me->w->streams[part(&draw, STREAMS)];
    held *h = any(me, &draw);
    if (pthread_mutex_trylock(&s->reads) != 0)
        return;
    const int status = read_one(me, &s->r, &draw, h, s->tag, &s->read);
    if (status != IOBUF_EAGAIN)
        (void)went_well(me, status, false);
    pthread_mutex_unlock(&s->reads);
}

/* The source of the thread's own reader: short, interrupted, not ready, failing, ended. */
static ssize_t source(void *context, void *into, size_t room, int *error)
{
    static const int errors[] = {EINTR, EAGAIN, ECONNRESET, EIO};
    worker *me = context;
    const uint64_t dice = next_random(&me->source_random);
    if (dice % 8 == 0) {
        *error = errors[(dice >> 8) % 4];
        if (*error == ECONNRESET || *error == EIO)
            me->source_error = *error;
        return -1;
    }
    if (dice % 64 == 1)
        return 0;
    const size_t count = 1 + (size_t)(dice >> 16) % (room < 200 ? room : 200);
    pattern(me->read_tag, me->source_at, into, count);
    me->source_at += count;
    return (ssize_t)count;
}

static void do_read_own(worker *me, uint64_t draw)
{
    held *h = any(me, &draw);
    const int status = read_one(me, &me->r, &draw, h, me->read_tag, &me->read_at);
    if (status == IOBUF_EIO && DO(me, reader_errno, &me->r) != me->source_error)
        wrong(me, "the reader's errno is %d, its source's %d", DO(me, reader_errno, &me->r), me->source_error);
    if (status != IOBUF_EAGAIN && status != IOBUF_EIO && status != IOBUF_EOF)
        (void)went_well(me, status, false);
    if (me->read_at + DO(me, reader_buffered, &me->r) != me->source_at)
        wrong(me, "of %zu bytes %zu are read and %zu buffered", me->source_at, me->read_at, DO(me, reader_buffered, &me->r));
}

static void open_reader(worker *me)
{
    me->read_tag = next_random(&me->tags) | 1;
    me->read_at = me->source_at = 0;
    if (DO(me, reader_init, &me->r, me->w->pool, source, me) != IOBUF_OK)
        wrong(me, "a reader is refused");
}

static void do_anew_reader(worker *me, uint64_t draw)
{
    (void)draw;
    if (!world_enter(me->w))
        return;
    DO(me, reader_close, &me->r);
    open_reader(me);
    world_leave(me->w);
}

/* ---- the pool ---- */

static void do_stats(worker *me, uint64_t draw)
{
    const world *w = me->w;
    iobuf_pool_stats stats;
    (void)draw;
    if (!world_enter(me->w))
        return;
    DO(me, pool_stats_get, w->pool, &stats);
    world_leave(me->w);
    if (stats.bufs_in_use + stats.bufs_cached > stats.bufs_allocated ||
        stats.bytes_in_use + stats.bytes_cached > stats.bytes_peak || (w->max_bytes != 0 && stats.bytes_peak > w->max_bytes) ||
        stats.bytes_in_use < stats.bufs_in_use * w->min_size || stats.bytes_cached < stats.bufs_cached * w->min_size)
        wrong(
            me,
            "the counters contradict each other: %zu bufs taken, %zu in use, %zu cached; %zu bytes in use, %zu cached, %zu at most",
            stats.bufs_allocated, stats.bufs_in_use, stats.bufs_cached, stats.bytes_in_use, stats.bytes_cached, stats.bytes_peak);
}

static void do_trim(worker *me, uint64_t draw)
{
    if (!world_enter(me->w))
        return;
    const size_t freed = DO(me, pool_trim, me->w->pool, part(&draw, 4) * me->w->min_size);
    if (freed % me->w->min_size != 0)
        wrong(me, "trim frees %zu bytes, which are no bufs", freed);
    world_leave(me->w);
}

/* Where processors are few, this is where another thread comes in. */
static void do_pause(worker *me, uint64_t draw)
{
    (void)me;
    if (part(&draw, 4) == 0)
        sched_yield();
    else
        for (volatile size_t i = part(&draw, 200); i > 0; i--)
            ;
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    void (*run)(worker *me, uint64_t draw);
    unsigned weight;
} kinds[] = {
    {"alloc", do_alloc, 6},
    {"alloc run", do_alloc_run, 4},
    {"alloc shared", do_alloc_shared, 4},
    {"anew shared", do_anew_shared, 1},
    {"anew", do_anew, 2},
    {"copy", do_copy, 2},
    {"shrink", do_shrink, 1},
    {"pool", do_pool, 1},
    {"release", do_release, 6},
    {"release run", do_release_run, 4},
    {"share", do_share, 4},
    {"split", do_split, 2},
    {"coalesce", do_coalesce, 2},
    {"expand", do_expand, 1},
    {"truncate front", do_truncate_front, 2},
    {"truncate back", do_truncate_back, 1},
    {"claim", do_claim, 3},
    {"release previous", do_release_previous, 2},
    {"compact", do_compact, 2},
    {"look", do_look, 1},
    {"iovec", do_iovec, 1},
    {"wrap", do_wrap, 1},
    {"borrow", do_borrow, 1},
    {"exchange", do_exchange, 10},
    {"write", do_write, 1},
    {"read", do_read, 1},
    {"read own", do_read_own, 2},
    {"anew reader", do_anew_reader, 1},
    {"stats", do_stats, 1},
    {"trim", do_trim, 1},
    {"pause", do_pause, 1},
};

const unsigned kinds_count = sizeof kinds / sizeof *kinds;
_Static_assert(sizeof kinds / sizeof *kinds <= KINDS_MOST, "world.weights has room for each kind");

unsigned kind_weight(unsigned kind)
{
    return kinds[kind].weight;
}

void worker_begin(worker *me)
{
    memset(me->held, 0, sizeof me->held);
    me->wraps_count = 0;
    me->doing = "the beginning";
    me->op = 0;
    me->source_random = next_random(&me->random);
    if (DO(me, allocator_init, &me->a, me->w->pool, me->w->reserve) != IOBUF_OK)
        wrong(me, "an allocator is refused");
    open_reader(me);
}

void worker_run(worker *me)
{
    const world *w = me->w;
    for (me->op = 0; me->op < w->ops; me->op++) {
        uint64_t dice = next_random(&me->random) % w->weight;
        unsigned kind = 0;
        while (dice >= w->weights[kind])
            dice -= w->weights[kind++];
        if (me->number == w->closer && me->op == w->closes_at) {
            me->doing = "close";
            world_give_up_pool(me->w, me);
        }
        me->doing = kinds[kind].name;
        kinds[kind].run(me, next_random(&me->random));
        atomic_store_explicit(&me->done, atomic_load_explicit(&me->done, memory_order_relaxed) + 1, memory_order_relaxed);
    }
}

/* While others may still be at work. */
void worker_end(worker *me)
{
    me->doing = "the end";
    for (unsigned i = 0; i < HELD; i++)
        held_drop(me, &me->held[i]);
    DO(me, allocator_release, &me->a);
    DO(me, reader_close, &me->r);
}
