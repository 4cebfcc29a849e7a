/* A server of frames for one thread, an example of how to use iobuf: to be read and taken over, it is no part of the library. A
 * frame is a length of 4 bytes, big-endian, and so many bytes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef FRAME_SERVER_H
#define FRAME_SERVER_H

#include <iobuf/iobuf.h>

#define FRAME_HEADER 4
#define FRAME_MOST ((size_t)64 << 10)         /* bytes of a frame that a peer may send */
#define FRAME_PARTS 4                         /* slices of an answer, its header being one of them */
#define FRAME_QUEUE 64                        /* slices that wait for a peer */
#define FRAME_QUEUE_BYTES ((size_t)256 << 10) /* and their bytes: a peer that holds as many is not read from */

typedef struct frame_server frame_server;

typedef struct frame_connection {
    frame_server *server;
    struct frame_connection *next;
    int fd;       /* -1: gone, but the handler still has a frame of it */
    bool ended;   /* the peer sends no more */
    bool starved; /* there was no memory: reading goes on when some is back */
    bool again;   /* there is work to do though no event comes */
    iobuf_reader reader;
    size_t awaited;      /* frames that the handler has not answered */
    size_t count, bytes; /* of the queue */
    iobuf_slice queue[FRAME_QUEUE];
} frame_connection;

/* Gets each frame, which it owns, and calls frame_answer once for it, now or later. Answers go out in the order they are given. */
typedef void (*frame_handler)(frame_connection *c, iobuf_slice *frame);

struct frame_server {
    iobuf_pool *pool;
    iobuf_allocator headers; /* of answers that have no room in front */
    frame_handler handler;
    void (*woken)(frame_server *s); /* runs behind frame_server_wake; may be NULL */
    void *context;                  /* the user's */
    int listener, epoll, wake;
    frame_connection *connections;
    bool sweep;     /* some connection has `again`, or has gone */
    bool starving;  /* some connection is starved */
    unsigned stuck; /* ticks in a row in which all that is alive waited for memory */
    struct {
        size_t accepted, frames, joined, short_writes, starved, shed;
    } counts;
};

/* frame_loop.c: who is called when. All calls are the server's thread's, but for frame_server_wake. */

/* Serves who connects to `listener`, a socket that does not block and stays the caller's. 0, or -1 with errno. */
int frame_server_open(frame_server *s, iobuf_pool *pool, int listener, frame_handler handler);

/* Waits for what there is to do, at most `timeout` milliseconds (-1: for ever), and does it. 0, or -1 with errno. */
int frame_server_step(frame_server *s, int timeout);

/* Ends a step that waits. Any thread, also a signal handler. */
void frame_server_wake(frame_server *s);

/* Closes all connections. The handler must have answered every frame. */
void frame_server_close(frame_server *s);

/* frame_server.c: what is done with the bytes. */

/* Answers a frame with `count` parts, fewer than FRAME_PARTS, and takes them over, also if the connection has gone. */
void frame_answer(frame_connection *c, iobuf_slice *parts, size_t count);

/* Reads, has handled and writes what can be now. */
void frame_pump(frame_connection *c);

/* Closes the connection; its memory goes with the next step. */
void frame_drop(frame_connection *c);

#endif
