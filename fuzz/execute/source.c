/* Scripted ends of the library's input and output: a reader's source, also as read(2), and writev(2). */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t __real_read(int fd, void *into, size_t room);
ssize_t __real_writev(int fd, const struct iovec *iov, int count);
ssize_t __wrap_read(int fd, void *into, size_t room);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);

void script_add(script *s, event e)
{
    if (s->count < EVENTS)
        s->event[(s->first + s->count++) % EVENTS] = e;
}

/* An empty script gives whatever there is room for. */
static event script_next(script *s)
{
    if (!s->count)
        return (event){GIVE, SIZE_MAX, 0};
    event e = s->event[s->first];
    s->first = (s->first + 1) % EVENTS;
    s->count--;
    return e;
}

/* What read(2) cannot do is done as it would. */
static event as_fd(event e)
{
    if (e.kind == GIVE_FAIL || e.kind == OVER)
        e.kind = GIVE;
    if (e.kind == ZERO_FAIL)
        e.kind = END;
    if (e.kind == FAIL && !e.error)
        e.error = EIO;
    return e;
}

static ssize_t give(source *s, uint8_t *into, size_t room, size_t size)
{
    size = size < room ? size : room;
    memcpy(into, the_pattern + s->position % MEMORY_MOST, size);
    return (ssize_t)size;
}

ssize_t source_read(void *context, void *into, size_t room, int *error)
{
    source *s = context;
    model_oracle *o = &the_world.model.oracle;
    if (o->calls == MODEL_MAX_CALLS || room == 0 || room > MEMORY_MOST) {
        the_world.model.broken = room == 0 ? "the source was offered no room" : "the source was called without end";
        *error = EIO;
        return -1;
    }
    event e = script_next(&s->script);
    e = s->is_fd ? as_fd(e) : e;
    model_call *c = &o->call[o->calls++];
    *c = (model_call){room, 0, 0, the_pattern + s->position % MEMORY_MOST, into};
    if (e.kind == GIVE || e.kind == GIVE_FAIL)
        c->result = give(s, into, room, e.size ? e.size : 1);
    else if (e.kind == OVER)
        c->result = (ssize_t)(room + (e.size && e.size < MEMORY_MOST ? e.size : 1));
    else if (e.kind == FAIL)
        c->result = -1;
    if (e.kind == FAIL || e.kind == GIVE_FAIL || e.kind == ZERO_FAIL)
        c->error = e.error;
    if (c->result > 0)
        s->position += (size_t)c->result;
    if (c->error)
        *error = c->error;
    return c->result;
}

ssize_t __wrap_read(int fd, void *into, size_t room)
{
    if (fd < FD_READER || fd >= FD_READER + PROGRAM_READERS)
        return __real_read(fd, into, room);
    int error = 0;
    ssize_t n = source_read(&the_world.source[fd - FD_READER], into, room, &error);
    if (n < 0)
        errno = error;
    return n;
}

/* True if the entries are exactly the slices that are not empty. */
static bool entries_match(const world *w, const struct iovec *iov, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < w->sink.slice_count; i++) {
        const model_slice *s = &w->sink.slices[i];
        if (!s->size)
            continue;
        if (used == count || iov[used].iov_len != s->size ||
            !model_holds(&w->model, s->buf, s->start, iov[used].iov_base, s->size))
            return false;
        used++;
    }
    return used == count;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
    if (fd != FD_SINK)
        return __real_writev(fd, iov, count);
    sink *s = &the_world.sink;
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    if (!entries_match(&the_world, iov, (size_t)count))
        s->wrong = "writev was not given the slices, in order";
    event e = script_next(&s->script);
    s->calls++;
    s->error = e.kind == FAIL ? (e.error ? e.error : EIO) : 0;
    s->result = e.kind == FAIL ? -1 : (ssize_t)(e.size < total ? e.size : total);
    if (s->result < 0)
        errno = s->error;
    return s->result;
}
