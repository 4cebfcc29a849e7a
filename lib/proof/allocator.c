/* lib/src/allocator.c, for the prover. Its loop has its invariant here, by way of the preprocessor. */
#define IOBUF_NO_INLINE 1
#include "contracts.h"

/*@ requires allocator_ok(a) && a->buf_ != \null;
    assigns \nothing;
    ensures \result == ((struct buf *)a->buf_)->head.start_ + cut(a, (struct buf *)a->buf_); */
static uint8_t *uncut(const iobuf_allocator *a);

/*@ requires \valid(a) && buf_ok(b) && \separated(a, b) && a->reserve_ <= b->size;
    assigns a->bound_, a->most_;
    ensures a->bound_ == end(b) + 1 && a->most_ == b->size - a->reserve_ + 1; */
static void set_bound(iobuf_allocator *a, const struct buf *b);

/*@ requires \valid(a) && callers_allocator(a) && buf_ok(b) && a->reserve_ <= b->size;
    assigns a->buf_, a->next_, a->first_, a->shared_, a->bound_, a->most_;
    ensures allocator_ok(a);
    ensures a->buf_ == (struct iobuf_buf *)b && cut(a, b) == 0; */
static void begin(iobuf_allocator *a, struct buf *b);

/*@ requires allocator_ok(a) && a->buf_ == (struct iobuf_buf *)b && b != \null;
    assigns \nothing;
    ensures \result ==> cut(a, b) + need <= b->size; */
static bool fits_exactly(const iobuf_allocator *a, const struct buf *b, size_t need);

/*@ requires allocator_ok(a) && a->buf_ == (struct iobuf_buf *)b && b != \null && need > 0 && need >= a->reserve_;
    assigns a->bound_, a->most_;
    ensures allocator_ok(a) && cut(a, b) == cut{Pre}(a, b); */
static void prefetch(iobuf_allocator *a, const struct buf *b, size_t need, size_t first);

/*@ requires allocator_ok(a) && need >= a->reserve_;
    assigns *a, a->buf_->owner_, a->buf_->local_, a->buf_->taken_, ((struct buf *)a->buf_)->shared;
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> has_room(a, need - a->reserve_);
    ensures \result != IOBUF_OK ==> *a == \old(*a); */
static int take(iobuf_allocator *a, size_t need);

/*@ requires allocator_ok(a);
    assigns *a, a->buf_->owner_, a->buf_->local_, a->buf_->taken_, ((struct buf *)a->buf_)->shared;
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> has_room(a, size);
    ensures \result != IOBUF_OK ==> *a == \old(*a); */
static int refill_slow(iobuf_allocator *a, size_t size);

/*@ requires allocator_ok(a);
    assigns *a, a->buf_->owner_, a->buf_->local_, a->buf_->taken_, ((struct buf *)a->buf_)->shared;
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> has_room(a, size);
    ensures \result != IOBUF_OK ==> *a == \old(*a); */
static int refill(iobuf_allocator *a, size_t size);

/*@ requires allocator_ok(a) && \valid(out) && callers(out) && \separated(a, out);
    requires a->buf_ != \null ==> \separated(out, (struct buf *)a->buf_);
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> out->size_ == size && out->headroom_ == a->reserve_ && out->buf_ == a->buf_ && out->buf_ != \null;
    ensures \result == IOBUF_OK ==> slice_held(out);
    ensures \result == IOBUF_OK ==> slice_placed(out);
    ensures \result == IOBUF_OK ==> place(out, (struct buf *)a->buf_) + size == cut(a, (struct buf *)a->buf_);
    ensures \result != IOBUF_OK ==> *a == \old(*a) && *out == \old(*out); */
static int alloc_slow(iobuf_allocator *a, size_t size, iobuf_slice *out);

#define for                                                                                                                        \
    /*@ loop invariant first <= i;                                                                                                 \
        loop assigns i;                                                                                                            \
        loop variant 32 - i; */                                                                                                    \
    for
#include "src/allocator.c"
