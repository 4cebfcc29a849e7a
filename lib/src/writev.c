/* Gather output: a run of slices as an iovec, and writev(2) over it with exact accounting of what went out. */
#include "internal.h"

#include <errno.h>
#include <unistd.h>

#define WRITEV_MOST 1024 /* IOV_MAX on Linux */

size_t iobuf_slices_to_iovec(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity)
{
#if IOBUF_CHECKED
    for (size_t i = 0; i < count; i++)
        check_handle(&slices[i], "iobuf_slices_to_iovec");
#endif
    return iobuf_describe_(slices, count, iov, capacity);
}

/* Releases the first `bytes` bytes, and empty slices in front of the rest; moves the rest forward. Returns what is left. */
static size_t consume(iobuf_slice *slices, size_t count, size_t bytes)
{
    size_t done = 0;
    while (done < count && slices[done].size_ <= bytes) {
        bytes -= slices[done].size_;
        iobuf_slice_release(&slices[done++]);
    }
    if (bytes > 0)
        iobuf_slice_truncate_front(&slices[done], bytes);
    for (size_t i = 0; done > 0 && i + done < count; i++) {
        slices[i] = slices[i + done];
        slices[i + done] = iobuf_slice_borrow(NULL, 0);
    }
    return count - done;
}

int iobuf_writev(int fd, iobuf_slice *slices, size_t *count, size_t *written)
{
    struct iovec iov[WRITEV_MOST];
    ssize_t n = 0;
    if (written != NULL)
        *written = 0;
    if (count == NULL || (slices == NULL && *count != 0))
        return IOBUF_EINVAL;
    size_t used = iobuf_slices_to_iovec(slices, *count, iov, WRITEV_MOST);
    if (used != 0) {
        do {
            n = writev(fd, iov, (int)used);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? IOBUF_EAGAIN : IOBUF_EIO;
    }
    *count = consume(slices, *count, (size_t)n);
    if (written != NULL)
        *written = (size_t)n;
    return IOBUF_OK;
}
