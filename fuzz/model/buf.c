/* Reference for pools and bufs. A buf's index is never used again within a program; a cached buf keeps its own. */
#include "model.h"

#include <string.h>

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

void model_reset(model *m)
{
    memset(&m->oracle, 0, offsetof(model_oracle, call));
    m->broken = NULL;
    m->pools = 0;
    m->bufs = 0;
    m->wraps_gone = 0;
    m->bytes = 0;
    m->runs = m->run_free = 0;
    memset(m->allocator, 0, sizeof m->allocator);
    memset(m->reader, 0, sizeof m->reader);
    for (int i = 0; i < PROGRAM_SLICES; i++)
        m->slice[i] = (model_slice){.buf = MODEL_NONE};
}

bool model_refused(model *m)
{
    bool refused = m->oracle.refused;
    m->oracle.refused = false;
    return refused;
}

int model_pool_create(model *m, const iobuf_pool_options *options, int *pool)
{
    if (options->min_size >= TOO_LARGE)
        return IOBUF_EOVERFLOW;
    if (model_refused(m))
        return IOBUF_ENOMEM;
    model_pool *p = &m->pool[m->pools];
    memset(p, 0, offsetof(model_pool, cached));
    p->cached_count = 0;
    p->min_size = options->min_size ? options->min_size : 4096;
    p->max_bytes = options->max_bytes ? options->max_bytes : SIZE_MAX;
    p->max_cached = options->max_cached_bytes ? options->max_cached_bytes : (size_t)64 << 20;
    *pool = m->pools++;
    return IOBUF_OK;
}

static size_t bytes_of(const model_pool *p)
{
    return p->stats.bytes_in_use + p->stats.bytes_cached;
}

static int uncache(model *m, model_pool *p, size_t at)
{
    int buf = p->cached[at];
    memmove(&p->cached[at], &p->cached[at + 1], (--p->cached_count - at) * sizeof p->cached[0]);
    p->stats.bufs_cached--;
    p->stats.bytes_cached -= m->buf[buf].size;
    return buf;
}

/* The smallest cached buf of at least `size` bytes, of equals the last freed; -1 if there is none. */
static int best_fit(const model *m, const model_pool *p, size_t size)
{
    int best = MODEL_NONE;
    for (int i = (int)p->cached_count - 1; i >= 0; i--) {
        size_t s = m->buf[p->cached[i]].size;
        if (s >= size && (best < 0 || s < m->buf[p->cached[best]].size))
            best = i;
    }
    return best;
}

static void evict_largest(model *m, model_pool *p)
{
    size_t largest = p->cached_count - 1;
    for (size_t i = largest; i-- > 0;)
        if (m->buf[p->cached[i]].size > m->buf[p->cached[largest]].size)
            largest = i;
    m->buf[uncache(m, p, largest)].gone = true;
}

void model_pool_close(model *m, int pool)
{
    model_pool *p = &m->pool[pool];
    p->closed = true;
    while (p->cached_count)
        evict_largest(m, p);
}

size_t model_pool_trim(model *m, int pool, size_t keep)
{
    model_pool *p = &m->pool[pool];
    size_t before = p->stats.bytes_cached;
    while (p->stats.bytes_cached > keep)
        evict_largest(m, p);
    return before - p->stats.bytes_cached;
}

bool model_pool_ended(const model *m, int pool)
{
    const model_pool *p = &m->pool[pool];
    return p->closed && !p->users && !p->stats.bufs_in_use;
}

int model_new_buf(model *m, model_kind kind, int pool, size_t size)
{
    model_buf *b = &m->buf[m->bufs];
    *b = (model_buf){.kind = kind, .pool = pool, .size = size};
    if (size > MODEL_BYTES - m->bytes || m->bufs == MODEL_MAX_BUFS - 1) {
        m->broken = "more bufs than the harness can have allowed";
        m->bytes = 0;
        m->bufs = 0;
    } else {
        m->bytes += size;
    }
    return m->bufs++;
}

/* A multiple of min_size for n bytes, at least one; 0 if no object can be that large. */
static size_t round_up(size_t n, size_t min_size)
{
    size_t units = n / min_size + (n % min_size || !n);
    return units <= (size_t)PTRDIFF_MAX / min_size ? units * min_size : 0;
}

static void take_over(model *m, model_pool *p, int buf)
{
    model_buf *b = &m->buf[buf];
    b->held = true;
    b->slices = 0;
    model_forget(m, buf, 0, b->size);
    p->stats.bufs_in_use++;
    p->stats.bytes_in_use += b->size;
    if (bytes_of(p) > p->stats.bytes_peak)
        p->stats.bytes_peak = bytes_of(p);
}

/* A buf for `size` bytes, held by the caller. */
int model_take(model *m, int pool, size_t size, int *buf)
{
    model_pool *p = &m->pool[pool];
    if (p->closed)
        return IOBUF_ECLOSED;
    size_t rounded = round_up(size, p->min_size);
    if (!rounded)
        return IOBUF_EOVERFLOW;
    int at = best_fit(m, p, rounded);
    if (at < 0) {
        if (p->stats.bytes_in_use > p->max_bytes || rounded > p->max_bytes - p->stats.bytes_in_use)
            return IOBUF_ELIMIT;
        bool refused = model_refused(m);
        /* Whether memory was refused before or after it made room is the library's choice. */
        if (!refused || m->oracle.evicted)
            while (bytes_of(p) > p->max_bytes - rounded)
                evict_largest(m, p);
        if (refused)
            return IOBUF_ENOMEM;
        *buf = model_new_buf(m, MODEL_POOLED, pool, rounded);
        p->stats.bufs_allocated++;
    } else {
        *buf = uncache(m, p, (size_t)at);
    }
    take_over(m, p, *buf);
    return IOBUF_OK;
}

/* Nobody refers to the buf: a pool's returns to it, a wrapped one goes to its free callback. */
static void end_use(model *m, int buf)
{
    model_buf *b = &m->buf[buf];
    if (b->held || b->slices || b->kind == MODEL_LENT)
        return;
    model_forget(m, buf, 0, b->size); /* nobody looks at it any more */
    if (b->kind == MODEL_WRAPPED) {
        b->gone = true;
        m->wraps_gone++;
        return;
    }
    model_pool *p = &m->pool[b->pool];
    p->stats.bufs_in_use--;
    p->stats.bytes_in_use -= b->size;
    if (p->closed || b->size > p->max_cached || p->stats.bytes_cached > p->max_cached - b->size) {
        b->gone = true;
        return;
    }
    p->cached[p->cached_count++] = buf;
    p->stats.bufs_cached++;
    p->stats.bytes_cached += b->size;
}

void model_unhold(model *m, int *buf)
{
    int b = *buf;
    *buf = MODEL_NONE;
    if (b == MODEL_NONE)
        return;
    m->buf[b].held = false;
    end_use(m, b);
}

void model_get(model *m, int buf)
{
    if (buf != MODEL_NONE)
        m->buf[buf].slices++;
}

void model_put(model *m, int buf)
{
    if (buf == MODEL_NONE)
        return;
    m->buf[buf].slices--;
    end_use(m, buf);
}
