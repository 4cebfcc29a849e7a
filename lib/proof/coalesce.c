/* lib/src/coalesce.c, for the prover. Its two loops have their invariants here, by way of the preprocessor. */
#define IOBUF_NO_INLINE 1
#include "contracts.h"

/*@ requires slice_ok(a) && slice_ok(b) && \separated(a, b) && a->buf_ != \null && b->buf_ == a->buf_;
    requires \separated(b, (struct buf *)a->buf_);
    requires place(b, (struct buf *)a->buf_) == place(a, (struct buf *)a->buf_) + a->size_;
    assigns a->headroom_;
    ensures slice_ok(a);
    ensures sharing(a->headroom_);
    ensures room(a->headroom_) == least(room(\old(a->headroom_)), 0xffffffff);
    behavior some:
      assumes !owns_all(a);
      ensures own(a->headroom_) == own(\old(a->headroom_));
    behavior first:
      assumes owns_all(a) && !owns_all(b);
      ensures own(a->headroom_) == least(a->size_ + own(b->headroom_), 0x7fffffff);
    behavior both:
      assumes owns_all(a) && owns_all(b);
      ensures own(a->headroom_) == least(a->size_ + b->size_, 0x7fffffff); */
static void join_fronts(iobuf_slice *a, const iobuf_slice *b);

/*@ requires last == first + (last - first) && last - first >= 1 && slices_ok(first, last - first);
    requires first->buf_ != \null && first->size_ <= max_size;
    assigns first[0 .. last - first - 1];
    ensures 0 <= \result < last - first;
    ensures slices_ok(first, last - first);
    ensures \forall integer i; 1 <= i <= \result ==> empty(first + i);
    ensures \forall integer i; \result < i < last - first ==> first[i] == \old(first[i]);
    ensures first->buf_ == \old(first->buf_) && first->data_ == \old(first->data_);
    ensures first->size_ <= max_size;
    ensures \let r = \result; first->data_ + first->size_ == \at(first[r].data_, Pre) + \at(first[r].size_, Pre);
    ensures \result == 0 ==> first->headroom_ == \old(first->headroom_); */
static size_t join(iobuf_slice *first, const iobuf_slice *last, size_t max_size);

#define for                                                                                                                        \
    /*@ loop invariant s == first + (s - first) && 1 <= s - first <= last - first;                                                 \
        loop invariant \forall integer i; 1 <= i < s - first ==> empty(first + i);                                                 \
        loop invariant \forall integer i; s - first <= i < last - first ==> first[i] == \at(first[i], Pre);                        \
        loop invariant first->buf_ == \at(first->buf_, Pre) && first->data_ == \at(first->data_, Pre);                             \
        loop invariant \let k = s - first - 1; at == (uintptr_t)\at(first[k].data_, Pre) + \at(first[k].size_, Pre);               \
        loop invariant start <= at <= start + max_size;                                                                            \
        loop invariant place(first, (struct buf *)first->buf_) + (at - start) <= ((struct buf *)first->buf_)->size;                \
        loop invariant place(first, (struct buf *)first->buf_) + own(first->headroom_) <= ((struct buf *)first->buf_)->size;       \
        loop invariant room(first->headroom_) <= room(\at(first->headroom_, Pre));                                                 \
        loop invariant s == first + 1 ==> first->headroom_ == \at(first->headroom_, Pre) && at - start == first->size_;            \
        loop invariant sharing(first->headroom_) <==> (flags & TOP) != 0;                                                          \
        loop assigns s, at, flags, first[0 .. last - first - 1];                                                                   \
        loop variant last - s; */                                                                                                  \
    for
#define while                                                                                                                      \
    /*@ loop invariant kept == slices + (kept - slices) && next == slices + (next - slices);                                       \
        loop invariant 0 <= kept - slices <= next - slices <= count;                                                               \
        loop invariant slices_ok(slices, count);                                                                                   \
        loop invariant \forall integer i; kept - slices <= i < next - slices ==> empty(slices + i);                                \
        loop assigns kept, next, slices[0 .. count - 1];                                                                           \
        loop variant last - next; */                                                                                               \
    while
#include "src/coalesce.c"
