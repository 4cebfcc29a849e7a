/* What iobuf.h has inline, as users compile it, for the prover. The loop of iobuf_describe_ has its invariant here, by way of the
 * preprocessor. */
#define for                                                                                                                        \
    /*@ loop invariant 0 <= i <= count && used <= i && used <= capacity;                                                           \
        loop invariant \forall integer j; 0 <= j < used ==> iov[j].iov_len > 0;                                                    \
        loop invariant \forall integer j; 0 <= j < used ==>                                                                        \
          \exists integer k; j <= k < i && iov[j].iov_base == (void *)slices[k].data_ && iov[j].iov_len == slices[k].size_;        \
        loop assigns i, used, iov[0 .. capacity - 1];                                                                              \
        loop variant count - i; */                                                                                                 \
    for
#include "primitives.h"
#undef for
#include "contracts.h"

/*@ requires \valid(to) && \valid_read(from) && \separated(to, from) && \object_pointer(from->data_) && \object_pointer(from->buf_);
    assigns to->data_, to->size_, to->headroom_, to->buf_; // by field: callers then know more than of *to
    ensures to->data_ == from->data_ && to->size_ == from->size_ && to->headroom_ == from->headroom_ && to->buf_ == from->buf_; */
static inline void iobuf_copy_(iobuf_slice *to, const iobuf_slice *from);

/*@ requires reader_ok(r) && \valid(out) && \separated(r, out);
    requires r->buf_ != \null ==> \separated(out, (struct buf *)r->buf_);
    ensures reader_ok(r);
    ensures \result != IOBUF_OK ==> *out == \old(*out);
    ensures \result == IOBUF_OK ==> slice_ok(out) && out->size_ == size; */
static inline int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out);

/*@ requires \valid_read(slices + (0 .. count - 1)) && \valid(iov + (0 .. capacity - 1));
    requires \separated(slices + (0 .. count - 1), iov + (0 .. capacity - 1));
    requires \forall integer i; 0 <= i < count ==> \object_pointer(slices[i].data_);
    assigns iov[0 .. capacity - 1];
    ensures \result <= count && \result <= capacity; */
static inline size_t iobuf_slices_to_iovec(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity);
