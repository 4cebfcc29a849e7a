/* The frame server's event loop: epoll, edge-triggered. Each connection is in one list, and freed in `sweep` alone. Out of
 * descriptors, it tries to accept again and again: a server that may run out of them needs a limit on connections as well.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#define _GNU_SOURCE /* accept4 */
#include "frame_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, TICK_MS = 10, STUCK_TICKS = 100 };

static int watch(frame_server *s, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
}

int frame_server_open(frame_server *s, iobuf_pool *pool, int listener, frame_handler handler)
{
    *s = (frame_server){.pool = pool, .handler = handler, .listener = listener};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll >= 0 && s->wake >= 0 && watch(s, s->wake, EPOLLIN, &s->wake) == 0 &&
        watch(s, listener, EPOLLIN, &s->listener) == 0) {
        iobuf_allocator_init(&s->headers, pool, 0);
        return 0;
    }
    int error = errno;
    close(s->epoll);
    close(s->wake);
    errno = error;
    return -1;
}

static void accept_all(frame_server *s)
{
    int fd;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        frame_connection *c = calloc(1, sizeof *c);
        if (c == NULL || watch(s, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c) != 0) {
            free(c);
            close(fd);
            continue;
        }
        c->server = s;
        c->fd = fd;
        c->next = s->connections;
        iobuf_reader_init_fd(&c->reader, s->pool, fd);
        s->connections = c;
        s->counts.accepted++;
    }
}

/* Goes on where no event will say so, and frees what has gone. If nothing has happened for a second but that connections wait for
 * memory, each having half a frame say, one of them has to go. */
static void sweep(frame_server *s, bool idle)
{
    frame_connection *c, *starved = NULL, **at = &s->connections;
    s->sweep = s->starving = false;
    while ((c = *at) != NULL) {
        bool was_starved = c->starved;
        if (c->again || c->starved)
            frame_pump(c);
        idle = idle && (!was_starved || c->starved);
        starved = c->starved ? c : starved;
        if (c->fd < 0 && c->awaited == 0) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    }
    s->stuck = idle && starved != NULL ? s->stuck + 1 : 0;
    if (s->stuck == STUCK_TICKS) {
        s->counts.shed++;
        s->stuck = 0;
        frame_drop(starved);
    }
}

int frame_server_step(frame_server *s, int timeout)
{
    struct epoll_event events[EVENTS];
    if (s->sweep)
        timeout = 0;
    else if (s->starving && (timeout < 0 || timeout > TICK_MS))
        timeout = TICK_MS;
    int count = epoll_wait(s->epoll, events, EVENTS, timeout);
    if (count < 0)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) {
        void *what = events[i].data.ptr;
        eventfd_t wakes;
        if (what == &s->listener)
            accept_all(s);
        else if (what != &s->wake && (events[i].events & EPOLLERR) != 0)
            frame_drop(what); /* reset: what it holds goes, also if reading has stopped */
        else if (what != &s->wake)
            frame_pump(what);
        else if (eventfd_read(s->wake, &wakes) == 0 && s->woken != NULL)
            s->woken(s);
    }
    if (s->sweep || s->starving)
        sweep(s, count == 0 && timeout != 0);
    return 0;
}

void frame_server_wake(frame_server *s)
{
    int error = errno;
    eventfd_write(s->wake, 1);
    errno = error;
}

void frame_server_close(frame_server *s)
{
    for (frame_connection *c = s->connections; c != NULL; c = c->next)
        frame_drop(c);
    sweep(s, false);
    iobuf_allocator_release(&s->headers);
    close(s->epoll);
    close(s->wake);
}
