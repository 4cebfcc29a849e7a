/* Reference for allocators. */
#include "model.h"

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

int model_allocator_init(model *m, model_allocator *a, int pool, size_t reserve)
{
    *a = (model_allocator){.ready = true, .pool = pool, .buf = MODEL_NONE, .reserve = reserve};
    m->pool[pool].users++;
    return IOBUF_OK;
}

void model_allocator_release(model *m, model_allocator *a)
{
    if (a->released)
        return;
    a->released = true;
    m->pool[a->pool].users--;
    model_unhold(m, &a->buf);
}

static void cut(model *m, model_allocator *a, size_t size, model_slice *out)
{
    size_t start = a->cursor + a->reserve;
    model_forget(m, a->buf, a->cursor, start + size);
    a->cursor = start + size;
    *out = (model_slice){.buf = a->buf, .start = start, .size = size, .headroom = a->reserve};
    model_get(m, a->buf);
}

static bool fits(const model *m, const model_allocator *a, size_t need)
{
    return a->buf != MODEL_NONE && need <= m->buf[a->buf].size - a->cursor;
}

int model_alloc(model *m, model_allocator *a, size_t size, model_slice *out)
{
    if (a->released)
        return IOBUF_ECLOSED;
    if (size >= TOO_LARGE || a->reserve >= TOO_LARGE || size + a->reserve >= TOO_LARGE)
        return IOBUF_EOVERFLOW;
    size_t need = a->reserve + size;
    if (!fits(m, a, need) && a->buf != MODEL_NONE && !m->buf[a->buf].slices && need <= m->buf[a->buf].size)
        a->cursor = 0;
    if (!fits(m, a, need)) {
        int buf;
        int status = model_take(m, a->pool, need, &buf);
        if (status)
            return status;
        model_unhold(m, &a->buf);
        a->buf = buf;
        a->cursor = 0;
        m->buf[buf].cut = &a->cursor;
    }
    cut(m, a, size, out);
    return IOBUF_OK;
}

int model_shrink(model *m, model_allocator *a, model_slice *last, size_t size)
{
    (void)m;
    if (last->buf == MODEL_NONE || last->buf != a->buf || last->start + last->size != a->cursor || last->sharing ||
        size > last->size)
        return IOBUF_EINVAL;
    last->size = size;
    a->cursor = last->start + size;
    return IOBUF_OK;
}

int model_compact(model *m, model_slice *s, model_allocator *a)
{
    const model_buf *b = s->buf == MODEL_NONE ? NULL : &m->buf[s->buf];
    if (!b || b->kind == MODEL_LENT || b->held || b->slices != 1 || s->size > b->size / 2 || a->reserve > b->size / 2 - s->size)
        return IOBUF_OK;
    model_slice moved;
    int status = model_alloc(m, a, s->size, &moved);
    if (status)
        return status;
    model_copy(m, moved.buf, moved.start, s->buf, s->start, s->size);
    model_release(m, s);
    *s = moved;
    return IOBUF_OK;
}
