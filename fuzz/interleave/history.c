#include "history.h"

#include <string.h>

#define NOBODY (-1)
#define BY_ORDER CLOCKS /* in a view: the sequentially consistent stores */

static struct {
    bool weak;
    uint32_t stores;       /* those that are sequentially consistent */
    uint32_t fence[VIEWS]; /* what was known at the last fence that is; fences see all that earlier ones did */
} h;

void history_begin_run(bool weak)
{
    memset(&h, 0, sizeof h);
    h.weak = weak;
}

static void join(uint32_t *all, const uint32_t *other, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (all[i] < other[i])
            all[i] = other[i];
    }
}

static void learn(knowledge *k, const knowledge *other)
{
    join(k->clock, other->clock, CLOCKS);
    if (h.weak)
        join(k->view, other->view, VIEWS);
}

void observer_begin(observer *o, unsigned index, const observer *maker)
{
    *o = (observer){.index = index};
    if (maker != NULL) {
        o->knows = maker->knows;
        memcpy(o->settled, o->knows.view, sizeof o->settled);
    }
    o->knows.clock[index] = o->knows.view[index] = 1;
}

void observer_step(observer *o)
{
    o->knows.view[o->index] = ++o->knows.clock[o->index];
}

void observer_join(observer *o, const observer *other)
{
    learn(&o->knows, &other->knows);
}

/* ---- values ---- */

static bool is_known(const message *m, const uint32_t *view)
{
    for (unsigned i = 0; i < VIEWS; i++) {
        if (m->seen[i] != 0 && m->seen[i] <= view[i])
            return true;
    }
    return false;
}

/* A sequentially consistent operation also comes behind all such stores and fences that were before it (C11, 7.17.3). */
unsigned history_choices(const history *it, const observer *o, int order)
{
    unsigned back = 0;
    for (; back < it->older_count; back++) {
        const message *m = back == 0 ? &it->now : &it->older[it->older_count - back];
        if (is_known(m, o->knows.view) || (order == __ATOMIC_SEQ_CST && (m->seen[BY_ORDER] != 0 || is_known(m, h.fence))))
            break;
    }
    return back + 1;
}

message *history_at(history *it, unsigned back)
{
    return back == 0 ? &it->now : &it->older[it->older_count - back];
}

message *history_insert(history *it, unsigned back)
{
    if (!h.weak)
        return &it->now;
    const message before = *history_at(it, back);
    if (it->older_count == OLDER_MOST)
        memmove(it->older, it->older + 1, --it->older_count * sizeof *it->older);
    /* Behind what remains of the older ones: where the latest becomes one of them, or the new one. */
    message *m = &it->older[it->older_count];
    if (back > 0) {
        m -= back - 1;
        memmove(m + 1, m, (size_t)(&it->older[it->older_count] - m) * sizeof *m);
    }
    *m = before;
    it->older_count++;
    if (back == 0)
        m = &it->now;
    else
        m->written = 3 * before.written + history_at(it, back - 1)->written;
    memset(m->seen, 0, sizeof m->seen);
    m->follows = false;
    return m;
}

static void note_seen(const observer *o, message *m)
{
    if (m->seen[o->index] == 0)
        m->seen[o->index] = o->knows.clock[o->index];
}

static void acquire(observer *o, const message *m, int order)
{
    if (order_acquires(order))
        learn(&o->knows, &m->released);
    else if (h.weak)
        learn(&o->unacquired, &m->released);
}

/* What was released there before stays so for a read-modify-write, and for a store by the same thread (C11, 5.1.2.4). */
static void release(observer *o, message *m, int order, bool changes)
{
    const bool same = m->releaser == (int)o->index;
    m->follows = changes || same;
    if (h.weak) {
        note_seen(o, m);
        if (order == __ATOMIC_SEQ_CST)
            m->seen[BY_ORDER] = ++h.stores;
    }
    if (order_releases(order)) {
        if (!changes)
            memset(&m->released, 0, sizeof m->released);
        m->releaser = changes && !same ? NOBODY : (int)o->index;
        learn(&m->released, &o->knows);
        observer_step(o);
        return;
    }
    if (!changes && !same) { /* a relaxed store ends another thread's release sequence */
        memset(&m->released, 0, sizeof m->released);
        m->releaser = NOBODY;
    }
    if (h.weak)
        learn(&m->released, &o->fenced);
}

void history_loaded(observer *o, message *m, int order)
{
    if (h.weak)
        note_seen(o, m);
    acquire(o, m, order);
}

void history_stored(observer *o, message *m, int order)
{
    release(o, m, order, false);
}

void history_changed(observer *o, message *m, int order)
{
    acquire(o, m, order);
    release(o, m, order, true);
}

/* ---- fences ---- */

void observer_fence_light(observer *o)
{
    if (!h.weak)
        return;
    join(o->knows.view, o->coming, VIEWS);
    memcpy(o->settled, o->knows.view, sizeof o->settled);
    observer_step(o);
}

void observer_fence(observer *o, int order)
{
    if (!h.weak)
        return;
    if (order_acquires(order))
        learn(&o->knows, &o->unacquired);
    if (order == __ATOMIC_SEQ_CST) {
        join(o->knows.view, h.fence, VIEWS);
        o->knows.view[BY_ORDER] = h.stores;
        join(h.fence, o->knows.view, VIEWS);
    }
    if (order_releases(order))
        o->fenced = o->knows;
    observer_fence_light(o);
}

void observer_fence_from_without(observer *o)
{
    join(h.fence, o->settled, VIEWS);
    join(o->coming, h.fence, VIEWS);
    o->coming[BY_ORDER] = h.stores;
}
