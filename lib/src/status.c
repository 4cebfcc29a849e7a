/* Statuses in words. */
#include "internal.h"

const char *iobuf_strerror(int status)
{
    switch (status) {
    case IOBUF_OK:
        return "success";
    case IOBUF_EINVAL:
        return "invalid argument";
    case IOBUF_ENOMEM:
        return "out of memory";
    case IOBUF_ELIMIT:
        return "the pool's limit is reached";
    case IOBUF_EOVERFLOW:
        return "size too large";
    case IOBUF_ECLOSED:
        return "closed";
    case IOBUF_EOF:
        return "end of stream";
    case IOBUF_EAGAIN:
        return "would block";
    case IOBUF_EIO:
        return "input/output error";
    default:
        return "unknown status";
    }
}
