/* Reference for readers. The oracle holds what the source did, in order; the reference asks for it as the library must have. */
#include "model.h"

#include <errno.h>

int model_reader_init(model *m, model_reader *r, int pool)
{
    *r = (model_reader){.ready = true, .pool = pool, .buf = MODEL_NONE};
    m->pool[pool].users++;
    return IOBUF_OK;
}

void model_reader_close(model *m, model_reader *r)
{
    if (r->closed)
        return;
    r->closed = true;
    r->base = r->bound = 0;
    r->pending = 0;
    m->pool[r->pool].users--;
    model_unhold(m, &r->buf);
}

size_t model_buffered(const model_reader *r)
{
    return r->bound - r->base;
}

static void move_bytes(model *m, model_reader *r, int to)
{
    size_t size = model_buffered(r);
    if (size)
        model_copy(m, to, 0, r->buf, r->base, size);
    model_forget(m, to, size, m->buf[to].size);
    r->base = 0;
    r->bound = size;
}

/* Room for `need` bytes from the first buffered one on. */
static int make_space(model *m, model_reader *r, size_t need)
{
    if (r->buf != MODEL_NONE && !m->buf[r->buf].slices && r->base > 0)
        move_bytes(m, r, r->buf);
    if (r->buf != MODEL_NONE && m->buf[r->buf].size - r->base >= need)
        return IOBUF_OK;
    int buf;
    int status = model_take(m, r->pool, need, &buf);
    if (status)
        return status;
    move_bytes(m, r, buf);
    model_unhold(m, &r->buf);
    r->buf = buf;
    m->buf[buf].cut = &r->base;
    return IOBUF_OK;
}

static int fail(model_reader *r, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return IOBUF_EAGAIN;
    r->last_errno = error ? error : EIO;
    return IOBUF_EIO;
}

/* One error that came together with bytes is due now. EINTR is none. */
static int due(model_reader *r)
{
    int error = r->pending;
    r->pending = 0;
    return error && error != EINTR ? fail(r, error) : IOBUF_OK;
}

/* One call of the source that did something, after any that were interrupted. */
static int call_source(model *m, model_reader *r)
{
    model_oracle *o = &m->oracle;
    model_buf *b = &m->buf[r->buf];
    for (;;) {
        if (o->next == o->calls) {
            m->broken = "the source was not called as often as it must be";
            return IOBUF_EIO;
        }
        const model_call *c = &o->call[o->next++];
        if (c->room != b->size - r->bound)
            m->broken = "the source was offered another room";
        if (b->base && c->into != (uint8_t *)b->base + r->bound)
            m->broken = "the source was offered another place";
        if (!b->base)
            b->base = c->into - r->bound;
        if (c->result > 0 && (size_t)c->result > c->room)
            return fail(r, EIO);
        if (c->result > 0) {
            model_set(m, r->buf, r->bound, c->bytes, (size_t)c->result);
            r->bound += (size_t)c->result;
            r->pending = c->error;
            return IOBUF_OK;
        }
        if (c->result == 0)
            return IOBUF_EOF;
        if (c->error != EINTR)
            return fail(r, c->error);
    }
}

static void hand_out(model *m, model_reader *r, size_t size, model_slice *out)
{
    *out = (model_slice){.buf = r->buf, .start = r->base, .size = size};
    r->base += size;
    model_get(m, r->buf);
}

int model_read(model *m, model_reader *r, size_t size, model_slice *out)
{
    if (r->closed)
        return IOBUF_ECLOSED;
    if (size == 0) {
        *out = (model_slice){.buf = MODEL_NONE};
        return IOBUF_OK;
    }
    if (size > (size_t)PTRDIFF_MAX)
        return IOBUF_EOVERFLOW;
    bool space = false;
    while (model_buffered(r) < size) {
        int status = due(r);
        if (!status && !space)
            status = make_space(m, r, size);
        space = true;
        if (!status)
            status = call_source(m, r);
        if (status)
            return status;
    }
    hand_out(m, r, size, out);
    return IOBUF_OK;
}

/* One read, if an error is not due, with room for `need` bytes. */
static int read_once(model *m, model_reader *r, size_t need)
{
    int status = due(r);
    if (!status)
        status = make_space(m, r, need);
    return status ? status : call_source(m, r);
}

int model_read_some(model *m, model_reader *r, size_t max, model_slice *out)
{
    if (r->closed)
        return IOBUF_ECLOSED;
    if (max == 0) {
        *out = (model_slice){.buf = MODEL_NONE};
        return IOBUF_OK;
    }
    int status = model_buffered(r) ? IOBUF_OK : read_once(m, r, 1);
    if (status)
        return status;
    size_t buffered = model_buffered(r);
    hand_out(m, r, max < buffered ? max : buffered, out);
    return IOBUF_OK;
}

int model_peek(model *m, model_reader *r, size_t want)
{
    if (r->closed)
        return IOBUF_ECLOSED;
    if (model_buffered(r) >= want)
        return IOBUF_OK;
    if (want > (size_t)PTRDIFF_MAX)
        return IOBUF_EOVERFLOW;
    return read_once(m, r, want);
}
