/* Reference for slices. Bytes within a slice always have promised values: the harness writes those that do not. */
#include "model.h"

static bool owns(const model *m, const model_slice *s)
{
    return s->buf != MODEL_NONE && m->buf[s->buf].kind != MODEL_LENT;
}

static void empty(model_slice *s)
{
    *s = (model_slice){.buf = MODEL_NONE};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool owns_all(const model_slice *s)
{
    return !s->sharing || s->exclusive >= s->size;
}

int model_wrap(model *m, size_t size, model_slice *out)
{
    if (size > (size_t)PTRDIFF_MAX)
        return IOBUF_EOVERFLOW;
    if (model_refused(m))
        return IOBUF_ENOMEM;
    *out = (model_slice){.buf = model_new_buf(m, MODEL_WRAPPED, MODEL_NONE, size), .size = size};
    model_get(m, out->buf);
    return IOBUF_OK;
}

void model_borrow(model *m, size_t size, model_slice *out)
{
    *out = (model_slice){.buf = model_new_buf(m, MODEL_LENT, MODEL_NONE, size), .size = size};
}

void model_release(model *m, model_slice *s)
{
    if (owns(m, s))
        model_put(m, s->buf);
    empty(s);
}

void model_release_previous(model *m, model_slice *s, model_slice *previous)
{
    if (owns(m, s) && s->buf == previous->buf && previous->start + previous->size == s->start - s->headroom && owns_all(previous))
        s->headroom += previous->size + previous->headroom;
    model_release(m, previous);
}

void model_truncate_front(model *m, model_slice *s, size_t bytes)
{
    bytes = least(bytes, s->size);
    if (!owns(m, s) || (s->sharing && bytes > s->exclusive)) {
        s->headroom = 0;
        s->exclusive = 0;
    } else {
        s->headroom += bytes;
        s->exclusive -= s->sharing ? bytes : 0;
    }
    s->start += bytes;
    s->size -= bytes;
}

void model_truncate_back(model_slice *s, size_t bytes)
{
    s->size -= least(bytes, s->size);
}

bool model_expand_front(model_slice *s, size_t bytes)
{
    if (bytes > s->headroom)
        return false;
    s->start -= bytes;
    s->size += bytes;
    s->headroom -= bytes;
    s->exclusive += s->sharing ? bytes : 0;
    return true;
}

/* True if no other slice has bytes, or a free prefix, in front of `s`, and no allocator will cut there: only then may a caller
 * vouch for it. */
bool model_prefix_is_free(const model *m, const model_slice *s)
{
    for (int i = 0; i < PROGRAM_ALLOCATORS; i++)
        if (s->buf != MODEL_NONE && m->allocator[i].ready && m->allocator[i].buf == s->buf && m->allocator[i].cursor < s->start)
            return false;
    for (int i = 0; i < PROGRAM_SLICES; i++) {
        const model_slice *other = &m->slice[i];
        if (other != s && other->buf == s->buf && other->start - other->headroom < s->start)
            return false;
    }
    return true;
}

static void take_prefix(model *m, model_slice *s)
{
    model_forget(m, s->buf, 0, s->start - s->headroom);
    s->headroom = s->start;
}

void model_free_entire_prefix(model *m, model_slice *s)
{
    if (owns(m, s))
        take_prefix(m, s);
}

bool model_claim_prefix(model *m, model_slice *s)
{
    if (!owns(m, s) || m->buf[s->buf].slices != 1 || (m->buf[s->buf].held && !s->size))
        return false;
    take_prefix(m, s);
    s->sharing = false;
    s->exclusive = 0;
    return true;
}

int model_share(model *m, model_slice *s, size_t offset, size_t size, model_slice *out)
{
    if (offset > s->size || size > s->size - offset)
        return IOBUF_EINVAL;
    *out = (model_slice){.buf = s->buf, .start = s->start + offset, .size = size};
    if (!owns(m, s))
        return IOBUF_OK;
    s->exclusive = s->sharing ? least(s->exclusive, offset) : offset;
    s->sharing = out->sharing = true;
    model_get(m, s->buf);
    return IOBUF_OK;
}

int model_split(model *m, model_slice *s, size_t at, model_slice *tail)
{
    if (at > s->size)
        return IOBUF_EINVAL;
    *tail = (model_slice){.buf = s->buf, .start = s->start + at, .size = s->size - at, .sharing = s->sharing};
    s->size = at;
    if (owns(m, s))
        model_get(m, s->buf);
    if (s->sharing) {
        tail->exclusive = s->exclusive > at ? s->exclusive - at : 0;
        s->exclusive = least(s->exclusive, at);
    }
    return IOBUF_OK;
}

static bool joins(const model *m, const model_slice *a, const model_slice *b, size_t max_size)
{
    return owns(m, a) && a->buf == b->buf && a->start + a->size == b->start && a->size <= max_size && b->size <= max_size - a->size;
}

static void join(model *m, model_slice *a, model_slice *b)
{
    if (a->sharing || b->sharing) {
        if (owns_all(a))
            a->exclusive = a->size + (b->sharing ? least(b->exclusive, b->size) : b->size);
        a->sharing = true;
    }
    a->size += b->size;
    model_release(m, b);
}

size_t model_coalesce(model *m, model_slice *slices, size_t count, size_t max_size)
{
    size_t last = 0;
    for (size_t i = 1; i < count; i++) {
        if (joins(m, &slices[last], &slices[i], max_size)) {
            join(m, &slices[last], &slices[i]);
        } else if (++last != i) {
            slices[last] = slices[i];
            empty(&slices[i]);
        }
    }
    return count ? last + 1 : 0;
}

size_t model_written(model *m, model_slice *slices, size_t count, size_t bytes)
{
    size_t done = 0;
    while (done < count && slices[done].size <= bytes) {
        bytes -= slices[done].size;
        model_release(m, &slices[done++]);
    }
    if (bytes)
        model_truncate_front(m, &slices[done], bytes);
    for (size_t i = done; i < count && done; i++) {
        slices[i - done] = slices[i];
        empty(&slices[i]);
    }
    return count - done;
}
