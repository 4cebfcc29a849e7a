/* What the contracts are said in: when a buf, a slice and an allocator are as the library keeps them, and what the front of a slice
 * means. Words of 64 bits. */
#ifndef IOBUF_PROOF_MODEL_H
#define IOBUF_PROOF_MODEL_H

#include "primitives.h"
#include "src/internal.h"

#define WORDS 0x10000000000000000 /* how many values a word has */
#define TOP 0x8000000000000000    /* IOBUF_SHARING_ */

/*@ // Bits as arithmetic: bits.smt2 has a prover for bit vectors show each of these.
    axiomatic bits {
      axiom top_bit: \forall integer h; 0 <= h < WORDS ==> ((h & TOP) != 0 <==> h >= TOP);
      axiom low_half: \forall integer h; 0 <= h < WORDS ==> (h & 0xffffffff) == h % 0x100000000;
      axiom high_half: \forall integer h; 0 <= h < WORDS ==> ((h >> 32) & 0x7fffffff) == (h / 0x100000000) % 0x80000000;
      axiom moved_up: \forall integer e; 0 <= e < 0x80000000 ==> (e << 32) == e * 0x100000000;
      axiom packed: \forall integer e, r; 0 <= e < 0x80000000 && 0 <= r < 0x100000000 ==>
        (TOP | (e << 32) | r) == TOP + e * 0x100000000 + r;
    }

    // The front of a slice, from its headroom_.
    predicate sharing(integer h) = h >= TOP;
    logic integer room(integer h) = h >= TOP ? h % 0x100000000 : h;
    logic integer own(integer h) = h >= TOP ? (h / 0x100000000) % 0x80000000 : 0;
    logic integer least(integer a, integer b) = a < b ? a : b;

    // Memory is flat where a buf is: addresses are consecutive numbers, in the lower half of all, which is the user's.
    predicate flat(uint8_t *start, integer size) =
      0 <= (uintptr_t)start && (uintptr_t)start + size < TOP &&
      (\forall uint8_t *p; \base_addr(p) == \base_addr(start) && 0 <= p - start <= size ==>
        (uintptr_t)p == (uintptr_t)start + (p - start)) &&
      (\forall uintptr_t a; (uintptr_t)start <= a <= (uintptr_t)start + size ==>
        (uint8_t *)a == start + (a - (uintptr_t)start));

    // What a caller may lend, and what a buf in use has.
    predicate memory{L}(uint8_t *start, integer size) =
      0 <= size < TOP &&
      (start == \null ? size == 0 : \valid(start + (0 .. size - 1)) && \object_pointer(start + (0 .. size)));
    predicate area{L}(uint8_t *start, integer size) = memory(start, size) && flat(start, size);
    // Descriptors of bufs are the library's own: what a caller passes in for the library to fill lies in none of them.
    axiomatic owners {
      predicate descriptor(struct buf *b) reads \nothing;
      predicate callers(iobuf_slice *s) reads \nothing;
      predicate callers_allocator(iobuf_allocator *a) reads \nothing;
      axiom slices_apart: \forall iobuf_slice *s, struct buf *b; callers(s) && descriptor(b) ==> \separated(s, b);
      axiom allocators_apart: \forall iobuf_allocator *a, struct buf *b; callers_allocator(a) && descriptor(b) ==> \separated(a, b);
    }
    predicate buf_ok{L}(struct buf *b) = \valid(b) && descriptor(b) && area(b->head.start_, b->size);

    // The counts of releases are far from the ends of a word.
    predicate counts_ok{L}(struct iobuf_buf *b) = -TOP / 4 < b->local_ < TOP / 4;

    // How far into its buf a slice begins.
    logic integer place{L}(iobuf_slice *s, struct buf *b) = s->data_ - b->head.start_;
    predicate within{L}(iobuf_slice *s, struct buf *b) =
      s->data_ == b->head.start_ + place(s, b) && room(s->headroom_) <= place(s, b) && place(s, b) + s->size_ <= b->size &&
      place(s, b) + own(s->headroom_) <= b->size;
    predicate slice_ok{L}(iobuf_slice *s) =
      \valid(s) &&
      (s->buf_ == \null ? s->headroom_ == 0 && memory(s->data_, s->size_)
                        : buf_ok((struct buf *)s->buf_) && within(s, (struct buf *)s->buf_) && \separated(s, (struct buf *)s->buf_));
    // The same in parts, where the whole is too much for a prover at once.
    predicate slice_lent{L}(iobuf_slice *s) = \valid(s) && (s->buf_ == \null ==> s->headroom_ == 0 && memory(s->data_, s->size_));
    predicate slice_held{L}(iobuf_slice *s) =
      s->buf_ != \null ==> buf_ok((struct buf *)s->buf_) && \separated(s, (struct buf *)s->buf_);
    predicate slice_placed{L}(iobuf_slice *s) = s->buf_ != \null ==> within(s, (struct buf *)s->buf_);
    predicate empty{L}(iobuf_slice *s) = s->data_ == \null && s->size_ == 0 && s->headroom_ == 0 && s->buf_ == \null;
    // An array of slices, none of which lies in the descriptor of a buf.
    predicate in{L}(iobuf_slice *p, iobuf_slice *slices, integer count) =
      \base_addr(p) == \base_addr(slices) && p == slices + (p - slices) && 0 <= p - slices < count;
    predicate slices_ok{L}(iobuf_slice *slices, integer count) =
      \valid(slices + (0 .. count - 1)) &&
      (\forall iobuf_slice *p; in(p, slices, count) ==> slice_ok(p)) &&
      (\forall iobuf_slice *p, *q; in(p, slices, count) && in(q, slices, count) && p->buf_ != \null ==>
        \separated(q, (struct buf *)p->buf_));
    // An allocator: where its buf ends, and how far it has cut it. next_ may lie beyond the end.
    logic integer end{L}(struct buf *b) = (uintptr_t)b->head.start_ + b->size;
    logic integer cut{L}(iobuf_allocator *a, struct buf *b) = a->next_ - a->reserve_ - (uintptr_t)b->head.start_;
    predicate bound_ok{L}(iobuf_allocator *a, struct buf *b) =
      a->reserve_ <= b->size &&
      a->bound_ <= end(b) + 1 &&
      (a->most_ == 0 || a->most_ == b->size - a->reserve_ + 1) &&
      a->first_ == (uintptr_t)b->head.start_ + a->reserve_;
    predicate allocator_ok{L}(iobuf_allocator *a) =
      \valid(a) && callers_allocator(a) &&
      (a->buf_ == \null ? a->bound_ == 0 && a->most_ == 0
                        : buf_ok((struct buf *)a->buf_) && \separated(a, (struct buf *)a->buf_) &&
                            bound_ok(a, (struct buf *)a->buf_) && 0 <= cut(a, (struct buf *)a->buf_) <= ((struct buf *)a->buf_)->size);
    // The same in parts, of one that has a buf.
    predicate allocator_held{L}(iobuf_allocator *a) =
      \valid(a) && callers_allocator(a) && a->buf_ != \null && buf_ok((struct buf *)a->buf_) && \separated(a, (struct buf *)a->buf_);
    predicate allocator_bound{L}(iobuf_allocator *a) = bound_ok(a, (struct buf *)a->buf_);
    predicate allocator_placed{L}(iobuf_allocator *a) = 0 <= cut(a, (struct buf *)a->buf_) <= ((struct buf *)a->buf_)->size;
    predicate has_room{L}(iobuf_allocator *a, integer size) =
      a->buf_ != \null && cut(a, (struct buf *)a->buf_) + a->reserve_ + size <= ((struct buf *)a->buf_)->size;

    // A reader: [base_, bound_) has arrived, and there is room to end_.
    predicate reader_ok{L}(iobuf_reader *r) =
      \valid(r) &&
      (r->buf_ == \null
         ? r->base_ == \null && r->bound_ == \null && r->end_ == \null
         : buf_ok((struct buf *)r->buf_) && \separated(r, (struct buf *)r->buf_) &&
             \let b = (struct buf *)r->buf_; \let p = r->base_ - b->head.start_; \let q = r->bound_ - b->head.start_;
             r->base_ == b->head.start_ + p && r->bound_ == b->head.start_ + q && 0 <= p <= q <= b->size);

    predicate owns_all{L}(iobuf_slice *s) = sharing(s->headroom_) ==> own(s->headroom_) >= s->size_;
*/

#endif
