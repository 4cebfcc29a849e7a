/* Reference for contents. What a buf holds is a list of runs, each so many bytes that were copied from one place; the bytes in no
 * run have no promised value. A buf's runs are in order and apart. Nothing is copied: where bytes come from must not change. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static size_t end_of(const model_run *r)
{
    return r->start + r->size;
}

/* A run between what *link leads to and what is in front of it. */
static void insert(model *m, uint32_t *link, size_t start, size_t size, const uint8_t *from)
{
    uint32_t at = m->run_free;
    if (at)
        m->run_free = m->run[at].next;
    else if (m->runs < MODEL_MAX_RUNS - 1)
        at = ++m->runs; /* 0 is no run */
    else
        abort(); /* the harness bounds the ops of a program, and each adds few */
    m->run[at] = (model_run){start, size, from, *link};
    *link = at;
}

static void drop(model *m, uint32_t *link)
{
    uint32_t at = *link;
    *link = m->run[at].next;
    m->run[at].next = m->run_free;
    m->run_free = at;
}

/* What leads to the first run that ends behind `place`. */
static uint32_t *find_link(model *m, int buf, size_t place)
{
    uint32_t *link = &m->buf[buf].runs;
    while (*link && end_of(&m->run[*link]) <= place)
        link = &m->run[*link].next;
    return link;
}

static uint32_t find(const model *m, int buf, size_t place)
{
    uint32_t at = m->buf[buf].runs;
    while (at && end_of(&m->run[at]) <= place)
        at = m->run[at].next;
    return at;
}

/* Makes a gap from `from` to `to`; returns where a run in it would be linked. */
static uint32_t *clear(model *m, int buf, size_t from, size_t to)
{
    uint32_t *link = find_link(m, buf, from);
    model_run *r = &m->run[*link];
    if (*link && r->start < from) {
        size_t end = end_of(r);
        r->size = from - r->start;
        link = &r->next;
        if (end > to)
            insert(m, link, to, end - to, r->from + (to - r->start));
    }
    while (*link && end_of(&m->run[*link]) <= to)
        drop(m, link);
    r = &m->run[*link];
    if (*link && r->start < to) {
        r->from += to - r->start;
        r->size -= to - r->start;
        r->start = to;
    }
    return link;
}

/* The run in front of `link`, 0 if there is none. */
static uint32_t last_before(const model *m, int buf, const uint32_t *link)
{
    if (link == &m->buf[buf].runs)
        return 0;
    const char *run = (const char *)link - offsetof(model_run, next);
    return (uint32_t)((const model_run *)(const void *)run - m->run);
}

void model_forget(model *m, int buf, size_t from, size_t to)
{
    if (from < to)
        clear(m, buf, from, to);
}

void model_set(model *m, int buf, size_t at, const uint8_t *from, size_t size)
{
    if (!size)
        return;
    uint32_t *link = clear(m, buf, at, at + size);
    uint32_t before = last_before(m, buf, link);
    if (before && end_of(&m->run[before]) == at && m->run[before].from + m->run[before].size == from)
        m->run[before].size += size; /* what a stream brings bit by bit is one run */
    else
        insert(m, link, at, size, from);
}

void model_copy(model *m, int to, size_t at, int from, size_t start, size_t size)
{
    /* In one buf the copy goes towards the front, so that it ends before what is still to be copied. */
    for (size_t done = 0, part; done < size; done += part) {
        uint32_t link = find(m, from, start + done);
        const model_run r = m->run[link];
        if (!link || r.start >= start + size)
            return;
        if (r.start > start + done)
            done = r.start - start;
        part = end_of(&r) - (start + done);
        part = part < size - done ? part : size - done;
        model_set(m, to, at + done, r.from + (start + done - r.start), part);
    }
}

bool model_gap(const model *m, int buf, size_t from, size_t to, size_t *start, size_t *end)
{
    uint32_t at = find(m, buf, from);
    while (at && m->run[at].start <= from) {
        from = end_of(&m->run[at]);
        at = m->run[at].next;
    }
    *start = from;
    *end = at && m->run[at].start < to ? m->run[at].start : to;
    return from < to;
}

bool model_holds(const model *m, int buf, size_t at, const uint8_t *bytes, size_t size)
{
    size_t done = 0;
    for (uint32_t link = size ? find(m, buf, at) : 0; done < size; link = m->run[link].next) {
        const model_run *r = &m->run[link];
        if (!link || r->start > at + done)
            return false;
        size_t skip = at + done - r->start, part = r->size - skip;
        part = part < size - done ? part : size - done;
        if (memcmp(bytes + done, r->from + skip, part) != 0)
            return false;
        done += part;
    }
    return true;
}

int model_byte(const model *m, int buf, size_t at)
{
    uint32_t link = find(m, buf, at);
    const model_run *r = &m->run[link];
    return link && r->start <= at ? r->from[at - r->start] : -1;
}
