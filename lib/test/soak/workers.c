/* The servers, one to a thread, and the mail between them, by which slices go from thread to thread. See soak.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "soak.h"

enum { WORKERS_MOST = 16, PATIENCE_S = 60, COMPARE = 4096 };

enum errand { TO_WORK, TO_COPY, BACK, AUDIT, EMPTY, LET_GO, STOP };

typedef struct mail {
    struct mail *next;
    enum errand errand;
    worker *from;
    frame_connection *connection;
    iobuf_slice slice;
} mail;

struct worker {
    frame_server server; /* its context is the worker */
    iobuf_allocator copies;
    pthread_t thread;
    pthread_mutex_t lock;
    mail *first, **last; /* under the lock */
    bool empty_wanted, stop;
    size_t audited, passed, wrapped;
    worker *next; /* the one that gets this one's work: a ring */
};

static worker workers[WORKERS_MOST];
static size_t worker_count;
static sem_t reported;
static atomic_size_t freed;
static atomic_bool trims;

static void post(worker *to, worker *from, enum errand errand, frame_connection *c, iobuf_slice *slice)
{
    mail *m = malloc(sizeof *m);
    if (m == NULL)
        fail("no memory for a mail");
    *m = (mail){.errand = errand, .from = from, .connection = c, .slice = iobuf_slice_borrow(NULL, 0)};
    if (slice != NULL)
        m->slice = *slice;
    pthread_mutex_lock(&to->lock);
    *to->last = m;
    to->last = &m->next;
    frame_server_wake(&to->server); /* under the lock: behind STOP the server closes */
    pthread_mutex_unlock(&to->lock);
}

/* Each byte of a payload, as far as the server can know it. */
static void compare(const iobuf_slice *s, const char *where)
{
    uint8_t want[COMPARE];
    const uint8_t *got = iobuf_slice_data(s);
    const size_t size = iobuf_slice_size(s);
    frame f;
    if (!frame_of(got, size, &f))
        fail("%s: a frame of %zu bytes has lost its head", where, size);
    for (size_t at = 0; at < size; at += COMPARE) {
        size_t part = size - at < COMPARE ? size - at : COMPARE;
        frame_bytes(&f, false, FRAME_HEADER + at, want, part);
        if (memcmp(got + at, want, part) != 0)
            fail("%s: frame %u of connection %016llx is wrong in bytes %zu to %zu of %zu", where, f.number,
                 (unsigned long long)f.seed, at, at + part, size);
    }
}

static void free_wrapped(void *bytes, size_t size, void *context)
{
    (void)size;
    (void)context;
    atomic_fetch_add(&freed, 1);
    free(bytes);
}

/* The payload goes on in memory that is not the pool's. */
static void wrap(worker *w, iobuf_slice *s)
{
    const size_t size = iobuf_slice_size(s);
    iobuf_slice wrapped;
    void *bytes = malloc(size);
    if (bytes == NULL)
        fail("no memory for a frame");
    memcpy(bytes, iobuf_slice_data(s), size);
    if (iobuf_slice_wrap(bytes, size, free_wrapped, NULL, &wrapped) != IOBUF_OK)
        fail("iobuf_slice_wrap refused %zu bytes", size);
    w->wrapped++;
    iobuf_slice_release(s);
    *s = wrapped;
}

void workers_trim(bool wanted)
{
    atomic_store(&trims, wanted);
}

/* On the connection's own thread. */
static void handle(frame_connection *c, iobuf_slice *s)
{
    worker *w = c->server->context;
    iobuf_slice parts[FRAME_PARTS - 1];
    const size_t size = iobuf_slice_size(s);
    frame f;
    if (c->server->counts.frames % 8 == 0 && atomic_load(&trims))
        (void)iobuf_pool_trim(c->server->pool, 0);
    switch (frame_of(iobuf_slice_data(s), size, &f) ? f.route : ECHO) {
    case WORK:
        post(w->next, w, TO_WORK, c, s);
        return;
    case COPY:
        post(w->next, w, TO_COPY, c, s);
        return;
    case SPLIT:
        parts[0] = *s;
        if (iobuf_slice_split(&parts[0], size / 3, &parts[1]) != IOBUF_OK ||
            iobuf_slice_split(&parts[1], iobuf_slice_size(&parts[1]) / 2, &parts[2]) != IOBUF_OK)
            fail("iobuf_slice_split refused a frame of %zu bytes", size);
        frame_answer(c, parts, 3);
        return;
    case REPEAT:
        if (iobuf_slice_share(s, 0, size, &parts[0]) != IOBUF_OK || iobuf_slice_share(s, 0, size, &parts[1]) != IOBUF_OK)
            fail("iobuf_slice_share refused a frame of %zu bytes", size);
        post(w->next, w, AUDIT, NULL, &parts[1]);
        parts[1] = *s;
        frame_answer(c, parts, 2);
        return;
    case WRAP:
        wrap(w, s);
        frame_answer(c, s, 1);
        return;
    default:
        frame_answer(c, s, 1);
    }
}

/* Another's frame: compared here, and sent back as it is, or as a copy, the original being released here. Without memory for
 * the copy, as it is. */
static void work(worker *w, mail *m)
{
    iobuf_slice copy;
    compare(&m->slice, "on another thread");
    w->audited++;
    if (m->errand == TO_WORK)
        (void)iobuf_slice_compact(&m->slice, &w->copies); /* without memory nothing happens */
    if (m->errand == TO_COPY &&
        iobuf_copy(&w->copies, iobuf_slice_data(&m->slice), iobuf_slice_size(&m->slice), &copy) == IOBUF_OK) {
        iobuf_slice_release(&m->slice);
        w->passed++;
        m->slice = copy;
    }
    post(m->from, w, BACK, m->connection, &m->slice);
}

static void let_go(worker *w)
{
    iobuf_pool *pool = w->server.pool;
    iobuf_allocator_release(&w->copies);
    iobuf_allocator_release(&w->server.headers);
    if (iobuf_allocator_init(&w->copies, pool, FRAME_HEADER) != IOBUF_OK ||
        iobuf_allocator_init(&w->server.headers, pool, 0) != IOBUF_OK)
        fail("iobuf_allocator_init refused");
}

static void read_mail(frame_server *s)
{
    worker *w = s->context;
    pthread_mutex_lock(&w->lock);
    mail *m = w->first, *next;
    w->first = NULL;
    w->last = &w->first;
    pthread_mutex_unlock(&w->lock);
    for (; m != NULL; m = next) {
        next = m->next;
        switch (m->errand) {
        case TO_WORK:
        case TO_COPY:
            work(w, m);
            break;
        case BACK:
            frame_answer(m->connection, &m->slice, 1);
            break;
        case AUDIT:
            compare(&m->slice, "a share on another thread");
            iobuf_slice_release(&m->slice);
            w->audited++;
            w->passed++;
            break;
        case EMPTY:
            w->empty_wanted = true;
            break;
        case LET_GO:
            let_go(w);
            sem_post(&reported);
            break;
        default:
            w->stop = true;
        }
        free(m);
    }
}

static void *serve(void *argument)
{
    worker *w = argument;
    while (!w->stop) {
        bool wanted = w->empty_wanted;
        if (frame_server_step(&w->server, wanted ? 1 : -1) != 0)
            fail("epoll_wait failed");
        if (wanted && w->server.connections == NULL) { /* and in that step nobody was at the door */
            w->empty_wanted = false;
            sem_post(&reported);
        }
    }
    frame_server_close(&w->server);
    iobuf_allocator_release(&w->copies);
    return NULL;
}

void workers_start(size_t count, iobuf_pool *pool, int listener)
{
    worker_count = count < WORKERS_MOST ? count : WORKERS_MOST;
    sem_init(&reported, 0, 0);
    for (size_t i = 0; i < worker_count; i++) {
        worker *w = &workers[i];
        w->last = &w->first;
        w->next = &workers[(i + 1) % worker_count];
        pthread_mutex_init(&w->lock, NULL);
        if (frame_server_open(&w->server, pool, listener, handle) != 0 ||
            iobuf_allocator_init(&w->copies, pool, FRAME_HEADER) != IOBUF_OK)
            fail("a server cannot be opened");
        w->server.woken = read_mail;
        w->server.context = w;
    }
    for (size_t i = 0; i < worker_count; i++)
        if (pthread_create(&workers[i].thread, NULL, serve, &workers[i]) != 0)
            fail("a thread cannot be made");
}

static void ask_all(enum errand errand, const char *what)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    for (size_t i = 0; i < worker_count; i++)
        post(&workers[i], NULL, errand, NULL, NULL);
    for (size_t i = 0; i < worker_count; i++)
        while (sem_timedwait(&reported, &until) != 0)
            if (errno != EINTR)
                fail("a server does not %s within %d s", what, PATIENCE_S);
}

void workers_rest(void)
{
    ask_all(EMPTY, "get rid of its connections");
    ask_all(LET_GO, "read its mail"); /* and with it what came before */
}

worker_counts workers_counts(void)
{
    worker_counts sum = {.freed = atomic_load(&freed)};
    for (size_t i = 0; i < worker_count; i++) {
        const worker *w = &workers[i];
        sum.accepted += w->server.counts.accepted;
        sum.frames += w->server.counts.frames;
        sum.joined += w->server.counts.joined;
        sum.short_writes += w->server.counts.short_writes;
        sum.starved += w->server.counts.starved;
        sum.shed += w->server.counts.shed;
        sum.audited += w->audited;
        sum.passed += w->passed;
        sum.wrapped += w->wrapped;
    }
    return sum;
}

void workers_stop(void)
{
    for (size_t i = 0; i < worker_count; i++)
        post(&workers[i], NULL, STOP, NULL, NULL);
    for (size_t i = 0; i < worker_count; i++) {
        pthread_join(workers[i].thread, NULL);
        pthread_mutex_destroy(&workers[i].lock);
    }
    sem_destroy(&reported);
}
