/* The frame server's dealings with iobuf.
 *
 * A frame is read as one slice, its header in front. The header's bytes become the free prefix, and there the answer's header goes:
 * an echo moves no byte. What a peer does not take waits in its queue. When that is full, or the pool has no memory, the peer is
 * not read from, so that it must wait in turn. A peer holds no more than its queue, frames awaited, and one buf of its reader; one
 * that is idle holds none.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "frame_server.h"

#include <unistd.h>

enum { JOIN_MOST = 128 << 10, TURNS = 4 };

static void release_queue(frame_connection *c)
{
    while (c->count > 0)
        iobuf_slice_release(&c->queue[--c->count]);
}

void frame_drop(frame_connection *c)
{
    if (c->fd < 0)
        return;
    iobuf_reader_close(&c->reader);
    release_queue(c);
    close(c->fd);
    c->fd = -1;
    c->starved = false;
    c->server->sweep = true;
}

/* The next frame, its header cut off; or why there is none yet. */
static int read_frame(iobuf_reader *r, iobuf_slice *frame)
{
    const uint8_t *h;
    size_t have;
    int status;
    do {
        status = iobuf_reader_peek(r, FRAME_HEADER, &h, &have);
        if (status != IOBUF_OK)
            return status;
    } while (have < FRAME_HEADER);
    size_t size = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
    if (size > FRAME_MOST) /* before memory is taken for it */
        return IOBUF_EINVAL;
    status = iobuf_reader_read(r, FRAME_HEADER + size, frame);
    if (status == IOBUF_OK)
        iobuf_slice_truncate_front(frame, FRAME_HEADER); /* it joins the free prefix */
    return status;
}

static bool has_room(const frame_connection *c)
{
    return c->bytes < FRAME_QUEUE_BYTES && c->count + FRAME_PARTS * (c->awaited + 1) <= FRAME_QUEUE;
}

/* True if it ended for want of room: there may be more to read. */
static bool read_frames(frame_connection *c)
{
    iobuf_slice frame;
    int status = IOBUF_OK;
    bool was_starved = c->starved;
    c->starved = false;
    while (status == IOBUF_OK && c->fd >= 0 && !c->ended) {
        if (!has_room(c))
            return true;
        status = read_frame(&c->reader, &frame);
        if (status == IOBUF_OK) {
            c->awaited++;
            c->server->counts.frames++;
            c->server->handler(c, &frame);
        }
    }
    if (status == IOBUF_ELIMIT || status == IOBUF_ENOMEM) { /* what has arrived is not lost */
        c->starved = c->server->starving = true;
        c->server->counts.starved += !was_starved;
    } else if (status == IOBUF_EOF) {
        c->ended = true;
    } else if (status == IOBUF_EAGAIN && iobuf_reader_buffered(&c->reader) == 0) {
        iobuf_reader_close(&c->reader); /* lets its buf go */
        iobuf_reader_init_fd(&c->reader, c->server->pool, c->fd);
    } else if (status != IOBUF_OK && status != IOBUF_EAGAIN) {
        frame_drop(c);
    }
    return false;
}

static void flush(frame_connection *c)
{
    size_t before = c->count, written;
    c->count = iobuf_coalesce(c->queue, c->count, JOIN_MOST); /* answers that lie one behind the other become one */
    c->server->counts.joined += before - c->count;
    while (c->count > 0) {
        int status = iobuf_writev(c->fd, c->queue, &c->count, &written); /* releases what was written */
        if (status == IOBUF_EAGAIN)
            return;
        if (status != IOBUF_OK) {
            frame_drop(c);
            return;
        }
        c->bytes -= written;
        c->server->counts.short_writes += c->count > 0;
    }
}

void frame_pump(frame_connection *c)
{
    bool more = true;
    for (int turn = 0; more && turn < TURNS && c->fd >= 0; turn++) {
        more = read_frames(c);
        flush(c);
        more = more && has_room(c);
    }
    if (c->ended && c->count == 0 && c->awaited == 0)
        frame_drop(c);
    c->again = more && c->fd >= 0; /* now it is another's turn */
    c->server->sweep |= c->again;
}

static void put_header(const iobuf_slice *s, size_t size)
{
    uint8_t *h = iobuf_slice_data(s);
    for (int i = 0; i < FRAME_HEADER; i++)
        h[i] = (uint8_t)(size >> (24 - 8 * i) & 0xff);
}

void frame_answer(frame_connection *c, iobuf_slice *parts, size_t count)
{
    frame_server *s = c->server;
    iobuf_slice header;
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += iobuf_slice_size(&parts[i]);
    c->bytes += FRAME_HEADER + size;
    if (count > 0 && iobuf_slice_expand_front(&parts[0], FRAME_HEADER)) {
        put_header(&parts[0], size);
    } else if (iobuf_alloc(&s->headers, FRAME_HEADER, &header) == IOBUF_OK) { /* a slice that shares bytes has no prefix */
        put_header(&header, size);
        c->queue[c->count++] = header;
    } else {
        s->counts.shed += c->fd >= 0;
        frame_drop(c);
    }
    for (size_t i = 0; i < count; i++)
        c->queue[c->count++] = parts[i];
    if (c->fd < 0)
        release_queue(c);
    c->awaited--;
    c->again = s->sweep = true;
}
