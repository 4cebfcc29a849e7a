/* lib/src/slice.c, for the prover. */
#define IOBUF_NO_INLINE 1
#include "contracts.h"

/*@ assigns \nothing;
    ensures \result == least(value, limit); */
static size_t at_most(size_t value, size_t limit);

/*@ requires slice_ok(s) && s->buf_ != \null;
    assigns \nothing;
    ensures \result == (uintptr_t)s->data_ + s->size_; */
static uintptr_t end_of(const iobuf_slice *s);

/*@ requires buf_ok(b) && within(s, b) && \valid_read(s);
    assigns \nothing;
    ensures \result == place(s, b); */
static size_t offset_in(const struct buf *b, const iobuf_slice *s);

/*@ requires \valid_read(s);
    assigns \nothing; */
static size_t own_bytes(const iobuf_slice *s, struct front f);

/*@ requires slice_ok(s);
    requires s->buf_ != \null ==> counts_ok(s->buf_);
    assigns *s, s->buf_->owner_, s->buf_->local_, s->buf_->taken_, ((struct buf *)s->buf_)->shared;
    ensures empty(s); */
static void drop(iobuf_slice *s, struct buf *b);

#include "src/slice.c"
