/* The reader: reads a stream into bufs and hands out slices of what has arrived.
 *
 * Invariant: buf_ is NULL, and then the three pointers are; or it is held, and start <= base_ <= bound_ <= end_, where
 * [base_, bound_) has arrived and was not handed out. Slices handed out lie in front of base_. pool_ is NULL once closed. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int init(iobuf_reader *r, iobuf_pool *pool, iobuf_read_fn read_fn, void *context, int fd)
{
    *r = (iobuf_reader){.pool_ = pool, .read_ = read_fn, .context_ = context, .fd_ = fd};
    pool_ref(pool);
    return IOBUF_OK;
}

int iobuf_reader_init(iobuf_reader *r, iobuf_pool *pool, iobuf_read_fn read_fn, void *context)
{
    return r == NULL || pool == NULL || read_fn == NULL ? IOBUF_EINVAL : init(r, pool, read_fn, context, -1);
}

int iobuf_reader_init_fd(iobuf_reader *r, iobuf_pool *pool, int fd)
{
    return r == NULL || pool == NULL || fd < 0 ? IOBUF_EINVAL : init(r, pool, NULL, NULL, fd);
}

size_t iobuf_reader_buffered(const iobuf_reader *r)
{
    return (size_t)(r->bound_ - r->base_);
}

int iobuf_reader_errno(const iobuf_reader *r)
{
    return r->errno_;
}

static int io_error(iobuf_reader *r, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return IOBUF_EAGAIN;
    r->errno_ = error == 0 ? EIO : error;
    return IOBUF_EIO;
}

/* An error that came together with bytes is due now. */
static int pending_error(iobuf_reader *r)
{
    int error = r->pending_;
    r->pending_ = 0;
    return error == 0 || error == EINTR ? IOBUF_OK : io_error(r, error);
}

/* What has arrived goes to the start of `b`, which is the reader's buf or a new one. */
static void move_to(iobuf_reader *r, struct buf *b)
{
    size_t buffered = iobuf_reader_buffered(r);
    if (buffered != 0) {
        check_unpoison(b->head.start_, buffered);
        memmove(b->head.start_, r->base_, buffered);
    }
    r->buf_ = &b->head;
    r->base_ = b->head.start_;
    r->bound_ = r->base_ + buffered;
    r->end_ = r->base_ + b->size;
    check_poison_keep(r->bound_, (size_t)(r->end_ - r->bound_));
}

/* Room for `need` bytes from base_ on. Nobody's bytes in front of base_ are used again as soon as nobody refers to them. */
static int make_space(iobuf_reader *r, size_t need)
{
    struct buf *b, *old = buf_from(r->buf_);
    if (old != NULL && r->base_ > old->head.start_ && buf_restart_if_idle(old))
        move_to(r, old);
    if (old != NULL && need <= (size_t)(r->end_ - r->base_))
        return IOBUF_OK;
    int status = pool_take(r->pool_, need, &b);
    if (status != IOBUF_OK)
        return status;
    move_to(r, b);
    if (old != NULL)
        buf_release_hold(old);
    return IOBUF_OK;
}

/* One successful call of the source, into the room that there is. */
static int read_once(iobuf_reader *r)
{
    size_t room = (size_t)(r->end_ - r->bound_);
    int error;
    ssize_t n;
    check_unpoison(r->bound_, room);
    do {
        error = 0;
        if (r->read_ != NULL) {
            n = r->read_(r->context_, r->bound_, room, &error);
        } else {
            n = read(r->fd_, r->bound_, room);
            error = n < 0 ? errno : 0;
        }
    } while (n < 0 && error == EINTR);
    size_t arrived = n > 0 && (size_t)n <= room ? (size_t)n : 0;
    r->bound_ += arrived;
    check_poison_keep(r->bound_, room - arrived);
    if (n == 0)
        return IOBUF_EOF;
    if (arrived == 0)
        return io_error(r, n > 0 ? EIO : error);
    r->pending_ = error;
    return IOBUF_OK;
}

/* Reads until `size` bytes are buffered, at most `calls` times. */
static int fill(iobuf_reader *r, size_t size, size_t calls)
{
    bool spaced = false;
    while (calls-- > 0 && iobuf_reader_buffered(r) < size) {
        int status = pending_error(r);
        if (status == IOBUF_OK && !spaced)
            status = make_space(r, size);
        spaced = true;
        if (status == IOBUF_OK)
            status = read_once(r);
        if (status != IOBUF_OK)
            return status;
    }
    return IOBUF_OK;
}

static void cut(iobuf_reader *r, size_t size, iobuf_slice *out)
{
    iobuf_reader_cut_(r, size, out);
    check_handle_new(out);
}

/* Makes sure that `size` bytes are buffered. */
static int await(iobuf_reader *r, size_t size)
{
    if (r->pool_ == NULL)
        return IOBUF_ECLOSED;
    return size >= SIZE_TOO_LARGE ? IOBUF_EOVERFLOW : fill(r, size, SIZE_MAX);
}

#if !IOBUF_CHECKED
int iobuf_reader_fill_(iobuf_reader *r, size_t size)
{
    return await(r, size);
}
#endif

static int read_some(iobuf_reader *r, size_t max, iobuf_slice *out)
{
    if (r->pool_ == NULL)
        return IOBUF_ECLOSED;
    int status = max == 0 ? IOBUF_OK : fill(r, 1, 1);
    if (status == IOBUF_OK) {
        size_t buffered = iobuf_reader_buffered(r);
        cut(r, buffered < max ? buffered : max, out);
    }
    return status;
}

static int peek(iobuf_reader *r, size_t want, const uint8_t **bytes, size_t *size)
{
    if (r->pool_ == NULL)
        return IOBUF_ECLOSED;
    if (want >= SIZE_TOO_LARGE)
        return IOBUF_EOVERFLOW;
    int status = fill(r, want, 1);
    if (status == IOBUF_OK) {
        *bytes = r->base_;
        *size = iobuf_reader_buffered(r);
    }
    return status;
}

int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out)
{
    check_enter(&r->busy_, "iobuf_reader_read");
    int status = await(r, size);
    if (status == IOBUF_OK)
        cut(r, size, out);
    check_leave(&r->busy_);
    return status;
}

int iobuf_reader_read_some(iobuf_reader *r, size_t max, iobuf_slice *out)
{
    check_enter(&r->busy_, "iobuf_reader_read_some");
    int status = read_some(r, max, out);
    check_leave(&r->busy_);
    return status;
}

int iobuf_reader_peek(iobuf_reader *r, size_t want, const uint8_t **bytes, size_t *size)
{
    check_enter(&r->busy_, "iobuf_reader_peek");
    int status = peek(r, want, bytes, size);
    check_leave(&r->busy_);
    return status;
}

void iobuf_reader_close(iobuf_reader *r)
{
    if (r->pool_ == NULL)
        return;
    check_enter(&r->busy_, "iobuf_reader_close");
    struct buf *b = buf_from(r->buf_);
    iobuf_pool *pool = r->pool_;
    *r = (iobuf_reader){.fd_ = -1, .errno_ = r->errno_};
    if (b != NULL)
        buf_release_hold(b);
    pool_unref(pool);
}
