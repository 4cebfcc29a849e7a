/* What is proved of each function, and what is taken for granted of those that are not in the list of functions. */
#ifndef IOBUF_PROOF_CONTRACTS_H
#define IOBUF_PROOF_CONTRACTS_H

#include "model.h"

/* ---- taken for granted: buf.c */

/*@ requires \valid(b);
    assigns b->shared; */
void buf_get(struct buf *b);

/*@ assigns b->owner_, b->local_, b->taken_, ((struct buf *)b)->shared; */
void iobuf_put_slow_(struct iobuf_buf *b);

/*@ assigns \nothing; */
uintptr_t iobuf_self_(void);

/*@ requires \valid(b);
    assigns \nothing; */
bool buf_is_held(struct buf *b);

/*@ requires \valid(b);
    assigns \nothing; */
bool buf_has_one_slice(struct buf *b);

/*@ assigns \nothing;
    ensures \result != \null ==> buf_ok(\result) && \result->head.start_ == bytes && \result->size == size; */
struct buf *buf_new_foreign(void *bytes, size_t size, iobuf_free_fn release, void *context);

/*@ requires \valid(count);
    assigns *count; */
void proof_count(size_t *count);

/* ---- iobuf.h */

/*@ assigns \nothing;
    ensures \result.data_ == (uint8_t *)bytes && \result.size_ == size && \result.headroom_ == 0 && \result.buf_ == \null; */
static inline iobuf_slice iobuf_slice_borrow(void *bytes, size_t size);

/*@ requires slice_ok(s);
    requires s->buf_ != \null ==> counts_ok(s->buf_);
    assigns *s, s->buf_->owner_, s->buf_->local_, s->buf_->taken_, ((struct buf *)s->buf_)->shared;
    ensures empty(s); */
static inline void iobuf_release_(iobuf_slice *s);

/*@ requires \valid(b) && counts_ok(b) && n < TOP / 8;
    assigns b->local_;
    ensures \result ==> b->local_ == \old(b->local_) - 2 * n;
    ensures !\result ==> b->local_ == \old(b->local_); */
static inline bool iobuf_put_local_(struct iobuf_buf *b, size_t n);

/*@ requires \valid_read(s) && \object_pointer(s->data_);
    assigns \nothing;
    ensures \result == s->data_; */
static inline uint8_t *iobuf_slice_data(const iobuf_slice *s);

/*@ requires \valid_read(s);
    assigns \nothing;
    ensures \result == s->size_; */
static inline size_t iobuf_slice_size(const iobuf_slice *s);

/*@ requires \valid(s);
    assigns \nothing; */
static inline void iobuf_keep_(iobuf_slice *s);

/*@ requires \valid_read(slices + (0 .. count - 1)) && \valid(iov + (0 .. capacity - 1));
    requires \separated(slices + (0 .. count - 1), iov + (0 .. capacity - 1));
    requires \forall integer i; 0 <= i < count ==> \object_pointer(slices[i].data_);
    assigns iov[0 .. capacity - 1];
    ensures \result <= count && \result <= capacity;
    ensures \forall integer j; 0 <= j < \result ==> iov[j].iov_len > 0;
    ensures \forall integer j; 0 <= j < \result ==>
      \exists integer i; j <= i < count && iov[j].iov_base == (void *)slices[i].data_ && iov[j].iov_len == slices[i].size_; */
static inline size_t iobuf_describe_(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity);

/* ---- the reader: iobuf_reader_fill_ is taken for granted */

/*@ requires reader_ok(r);
    assigns *r;
    ensures reader_ok(r);
    ensures \result == IOBUF_OK ==> r->bound_ - r->base_ >= size;
    ensures \result == IOBUF_OK && size != 0 ==> r->buf_ != \null; */
int iobuf_reader_fill_(iobuf_reader *r, size_t size);

/*@ requires reader_ok(r) && \valid(out) && \separated(r, out) && size <= r->bound_ - r->base_;
    requires r->buf_ != \null ==> \separated(out, (struct buf *)r->buf_);
    assigns *out, r->base_, r->buf_->taken_;
    ensures reader_ok(r);
    ensures size == 0 ==> empty(out);
    ensures size != 0 ==> out->data_ == \old(r->base_) && out->size_ == size && out->headroom_ == 0 && out->buf_ == r->buf_;
    ensures size != 0 ==> out->buf_ != \null && buf_ok((struct buf *)out->buf_) && \separated(out, (struct buf *)out->buf_);
    ensures size != 0 ==> within(out, (struct buf *)out->buf_);
    ensures r->base_ == \old(r->base_) + size; */
static inline void iobuf_reader_cut_(iobuf_reader *r, size_t size, iobuf_slice *out);

/* ---- internal.h */

/*@ assigns \nothing;
    ensures \result == (struct buf *)head; */
static inline struct buf *buf_from(struct iobuf_buf *head);

/*@ requires \valid(sum);
    assigns *sum;
    ensures \result <==> a + b >= WORDS;
    ensures *sum == (a + b) % WORDS; */
bool proof_add_overflow(size_t a, size_t b, size_t *sum);

/*@ requires \valid(product);
    assigns *product;
    ensures \result <==> a * b >= WORDS;
    ensures !\result ==> *product == a * b; */
bool proof_mul_overflow(size_t a, size_t b, size_t *product);

/*@ requires \false;
    assigns \nothing; */
void proof_unreachable(void);

/*@ requires \valid(b);
    assigns \nothing; // but counts, of which nothing here tells
*/
void buf_put_some(struct buf *b, size_t references);

/* ---- slice.c */

/*@ requires \valid_read(s);
    assigns \nothing;
    ensures \result.sharing <==> sharing(s->headroom_);
    ensures \result.headroom == room(s->headroom_);
    ensures \result.exclusive == own(s->headroom_);
    ensures \result.sharing ==> \result.headroom <= 0xffffffff && \result.exclusive <= 0x7fffffff; */
struct front slice_front(const iobuf_slice *s);

/*@ requires \valid(s);
    requires !f.sharing ==> f.headroom < TOP;
    assigns s->headroom_;
    ensures sharing(s->headroom_) <==> f.sharing;
    ensures !f.sharing ==> s->headroom_ == f.headroom;
    ensures f.sharing ==> room(s->headroom_) == least(f.headroom, 0xffffffff);
    ensures f.sharing ==> own(s->headroom_) == least(f.exclusive, 0x7fffffff); */
void slice_set_front(iobuf_slice *s, struct front f);

/*@ requires \valid_read(s);
    assigns \nothing;
    ensures \result <==> (f.sharing ==> f.exclusive >= s->size_); */
bool slice_owns_all(const iobuf_slice *s, struct front f);

/*@ requires \valid(s) && \object_pointer(data) && (b == \null || \valid(b));
    assigns *s;
    ensures s->data_ == data && s->size_ == size && s->headroom_ == 0 && s->buf_ == (struct iobuf_buf *)b; */
void slice_init(iobuf_slice *s, struct buf *b, uint8_t *data, size_t size);

/*@ requires slice_ok(s);
    assigns s->data_, s->size_, s->headroom_, s->buf_;
    ensures slice_lent(s);
    ensures slice_held(s);
    ensures slice_placed(s);
    ensures s->buf_ == \old(s->buf_);
    ensures s->data_ == \old(s->data_) + least(bytes, \old(s->size_));
    ensures s->size_ == \old(s->size_) - least(bytes, \old(s->size_));
    behavior own:
      assumes s->buf_ != \null && !sharing(s->headroom_);
      ensures s->headroom_ == \old(s->headroom_) + least(bytes, \old(s->size_));
    behavior shared:
      assumes s->buf_ != \null && sharing(s->headroom_) && least(bytes, s->size_) <= own(s->headroom_);
      ensures sharing(s->headroom_);
      ensures room(s->headroom_) == least(room(\old(s->headroom_)) + least(bytes, \old(s->size_)), 0xffffffff);
      ensures own(s->headroom_) == own(\old(s->headroom_)) - least(bytes, \old(s->size_));
    behavior into_shared:
      assumes s->buf_ != \null && sharing(s->headroom_) && least(bytes, s->size_) > own(s->headroom_);
      ensures sharing(s->headroom_);
      ensures room(s->headroom_) == 0 && own(s->headroom_) == 0;
    behavior borrowed:
      assumes s->buf_ == \null;
    complete behaviors;
    disjoint behaviors; */
void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes);

/*@ requires slice_ok(s);
    assigns s->data_, s->size_, s->headroom_, s->buf_;
    ensures slice_ok(s);
    ensures s->buf_ == \old(s->buf_);
    behavior refused:
      assumes bytes > room(s->headroom_);
      ensures !\result;
      ensures s->data_ == \old(s->data_) && s->size_ == \old(s->size_) && s->headroom_ == \old(s->headroom_);
    behavior expanded:
      assumes bytes <= room(s->headroom_);
      ensures \result;
      ensures s->data_ == \old(s->data_) - bytes;
      ensures s->size_ == \old(s->size_) + bytes;
      ensures sharing(s->headroom_) <==> sharing(\old(s->headroom_));
      ensures room(s->headroom_) == room(\old(s->headroom_)) - bytes;
      ensures sharing(s->headroom_) ==> own(s->headroom_) == least(own(\old(s->headroom_)) + bytes, 0x7fffffff);
    complete behaviors;
    disjoint behaviors; */
bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes);

/*@ requires slice_ok(s);
    assigns s->data_, s->size_, s->headroom_, s->buf_;
    ensures slice_lent(s);
    ensures slice_held(s);
    ensures slice_placed(s);
    ensures s->buf_ == \old(s->buf_);
    ensures s->data_ == \old(s->data_) + least(bytes, \old(s->size_));
    ensures s->size_ == \old(s->size_) - least(bytes, \old(s->size_));
    behavior own:
      assumes s->buf_ != \null && !sharing(s->headroom_);
      ensures s->headroom_ == \old(s->headroom_) + least(bytes, \old(s->size_));
    behavior shared:
      assumes s->buf_ != \null && sharing(s->headroom_) && least(bytes, s->size_) <= own(s->headroom_);
      ensures sharing(s->headroom_);
      ensures room(s->headroom_) == least(room(\old(s->headroom_)) + least(bytes, \old(s->size_)), 0xffffffff);
      ensures own(s->headroom_) == own(\old(s->headroom_)) - least(bytes, \old(s->size_));
    behavior into_shared:
      assumes s->buf_ != \null && sharing(s->headroom_) && least(bytes, s->size_) > own(s->headroom_);
      ensures sharing(s->headroom_);
      ensures room(s->headroom_) == 0 && own(s->headroom_) == 0;
    behavior borrowed:
      assumes s->buf_ == \null;
    complete behaviors;
    disjoint behaviors; */
void iobuf_truncate_front_slow_(iobuf_slice *s, size_t bytes);

/*@ requires slice_ok(s);
    assigns s->data_, s->size_, s->headroom_, s->buf_;
    ensures slice_ok(s);
    ensures s->buf_ == \old(s->buf_);
    behavior refused:
      assumes bytes > room(s->headroom_);
      ensures !\result;
      ensures s->data_ == \old(s->data_) && s->size_ == \old(s->size_) && s->headroom_ == \old(s->headroom_);
    behavior expanded:
      assumes bytes <= room(s->headroom_);
      ensures \result;
      ensures s->data_ == \old(s->data_) - bytes;
      ensures s->size_ == \old(s->size_) + bytes;
      ensures sharing(s->headroom_) <==> sharing(\old(s->headroom_));
      ensures room(s->headroom_) == room(\old(s->headroom_)) - bytes;
      ensures sharing(s->headroom_) ==> own(s->headroom_) == least(own(\old(s->headroom_)) + bytes, 0x7fffffff);
    complete behaviors;
    disjoint behaviors; */
bool iobuf_expand_front_slow_(iobuf_slice *s, size_t bytes);

/*@ requires slice_ok(s);
    assigns s->size_;
    ensures slice_ok(s);
    ensures s->size_ == \old(s->size_) - least(bytes, \old(s->size_)); */
void iobuf_slice_truncate_back(iobuf_slice *s, size_t bytes);

/*@ requires slice_ok(s);
    assigns \nothing;
    ensures \result == room(s->headroom_); */
size_t iobuf_slice_headroom(const iobuf_slice *s);

/*@ requires slice_ok(s);
    assigns \nothing;
    ensures \result == (s->buf_ == \null ? 0 : ((struct buf *)s->buf_)->size); */
size_t iobuf_slice_buf_size(const iobuf_slice *s);

/*@ requires slice_ok(s);
    assigns s->headroom_;
    ensures slice_ok(s);
    ensures s->buf_ == \null ==> s->headroom_ == \old(s->headroom_);
    ensures s->buf_ != \null ==> (sharing(s->headroom_) <==> sharing(\old(s->headroom_)));
    ensures s->buf_ != \null && !sharing(s->headroom_) ==> s->headroom_ == place(s, (struct buf *)s->buf_);
    ensures s->buf_ != \null && sharing(s->headroom_) ==>
      room(s->headroom_) == least(place(s, (struct buf *)s->buf_), 0xffffffff) && own(s->headroom_) == own(\old(s->headroom_)); */
void iobuf_slice_free_entire_prefix(iobuf_slice *s);

/*@ requires slice_ok(s);
    assigns s->headroom_;
    ensures slice_ok(s);
    ensures !\result ==> s->headroom_ == \old(s->headroom_);
    ensures \result ==> s->buf_ != \null && s->headroom_ == place(s, (struct buf *)s->buf_); */
bool iobuf_slice_claim_prefix(iobuf_slice *s);

/*@ requires slice_ok(s) && \valid(out) && \separated(s, out);
    requires s->buf_ != \null ==> \separated(out, (struct buf *)s->buf_);
    behavior refused:
      assumes offset > s->size_ || size > s->size_ - offset;
      assigns \nothing;
      ensures \result == IOBUF_EINVAL;
    behavior shared:
      assumes offset <= s->size_ && size <= s->size_ - offset;
      assigns s->headroom_, *out, ((struct buf *)s->buf_)->shared;
      ensures \result == IOBUF_OK;
      ensures slice_lent(s);
      ensures slice_held(s);
      ensures slice_placed(s);
      ensures slice_lent(out);
      ensures slice_held(out);
      ensures slice_placed(out);
      ensures out->buf_ == s->buf_ && out->size_ == size;
      ensures s->data_ == \null ? out->data_ == \null : out->data_ == s->data_ + offset;
      ensures s->buf_ == \null ==> s->headroom_ == \old(s->headroom_);
      ensures s->buf_ != \null ==> sharing(s->headroom_) && own(s->headroom_) <= offset;
      ensures s->buf_ != \null ==> sharing(out->headroom_) && room(out->headroom_) == 0 && own(out->headroom_) == 0;
    complete behaviors;
    disjoint behaviors; */
int iobuf_slice_share(iobuf_slice *s, size_t offset, size_t size, iobuf_slice *out);

/*@ requires slice_ok(s) && \valid(tail) && \separated(s, tail);
    requires s->buf_ != \null ==> \separated(tail, (struct buf *)s->buf_);
    behavior refused:
      assumes at > s->size_;
      assigns \nothing;
      ensures \result == IOBUF_EINVAL;
    behavior cut:
      assumes at <= s->size_;
      assigns s->size_, s->headroom_, *tail, ((struct buf *)s->buf_)->shared;
      ensures \result == IOBUF_OK;
      ensures slice_lent(s);
      ensures slice_held(s);
      ensures slice_placed(s);
      ensures slice_lent(tail);
      ensures slice_held(tail);
      ensures slice_placed(tail);
      ensures s->size_ == at && tail->size_ == \old(s->size_) - at && tail->buf_ == s->buf_;
      ensures s->data_ == \null ? tail->data_ == \null : tail->data_ == s->data_ + at;
      ensures room(tail->headroom_) == 0;
      ensures room(s->headroom_) == room(\old(s->headroom_));
      ensures sharing(s->headroom_) <==> sharing(\old(s->headroom_));
      ensures sharing(tail->headroom_) <==> sharing(\old(s->headroom_));
      ensures sharing(s->headroom_) ==> own(s->headroom_) == least(own(\old(s->headroom_)), at);
      ensures sharing(s->headroom_) ==> own(tail->headroom_) == own(\old(s->headroom_)) - own(s->headroom_);
    complete behaviors;
    disjoint behaviors; */
int iobuf_slice_split(iobuf_slice *s, size_t at, iobuf_slice *tail);

/*@ requires out != \null ==> \valid(out);
    requires bytes != \null ==> area((uint8_t *)bytes, size);
    behavior bad:
      assumes release == \null || out == \null || (bytes == \null && size != 0);
      assigns \nothing;
      ensures \result == IOBUF_EINVAL;
    behavior large:
      assumes !(release == \null || out == \null || (bytes == \null && size != 0)) && size >= TOP;
      assigns \nothing;
      ensures \result == IOBUF_EOVERFLOW;
    behavior wrapped:
      assumes !(release == \null || out == \null || (bytes == \null && size != 0)) && size < TOP;
      assigns *out;
      ensures \result == IOBUF_OK || \result == IOBUF_ENOMEM;
      ensures \result == IOBUF_ENOMEM ==> *out == \old(*out);
      ensures \result == IOBUF_OK ==> out->data_ == (uint8_t *)bytes && out->size_ == size && out->headroom_ == 0 && out->buf_ != \null;
    complete behaviors;
    disjoint behaviors; */
int iobuf_slice_wrap(void *bytes, size_t size, iobuf_free_fn release, void *context, iobuf_slice *out);

/*@ requires slice_ok(s);
    requires s->buf_ != \null ==> counts_ok(s->buf_);
    assigns *s, s->buf_->owner_, s->buf_->local_, s->buf_->taken_, ((struct buf *)s->buf_)->shared;
    ensures empty(s); */
void iobuf_slice_release(iobuf_slice *s);

/*@ requires slice_ok(s) && slice_ok(previous) && \separated(s, previous);
    requires s->buf_ != \null ==> \separated(previous, (struct buf *)s->buf_);
    requires previous->buf_ != \null ==> \separated(s, (struct buf *)previous->buf_) && counts_ok(previous->buf_);
    assigns s->headroom_, *previous, previous->buf_->owner_, previous->buf_->local_, previous->buf_->taken_,
      ((struct buf *)previous->buf_)->shared;
    ensures slice_lent(s);
    ensures slice_held(s);
    ensures slice_placed(s);
    ensures empty(previous);
    behavior joined:
      assumes s->buf_ != \null && s->buf_ == previous->buf_ && owns_all(previous) &&
        previous->data_ + previous->size_ == s->data_ - room(s->headroom_);
      ensures sharing(s->headroom_) <==> sharing(\old(s->headroom_));
      ensures own(s->headroom_) == own(\old(s->headroom_));
      ensures !sharing(s->headroom_) ==> s->headroom_ == \old(s->headroom_) + \old(previous->size_) + room(\old(previous->headroom_));
      ensures sharing(s->headroom_) ==> room(s->headroom_) ==
        least(room(\old(s->headroom_)) + \old(previous->size_) + room(\old(previous->headroom_)), 0xffffffff);
    behavior apart:
      assumes !(s->buf_ != \null && s->buf_ == previous->buf_ && owns_all(previous) &&
        previous->data_ + previous->size_ == s->data_ - room(s->headroom_));
      ensures s->headroom_ == \old(s->headroom_);
    complete behaviors;
    disjoint behaviors; */
void iobuf_slice_release_previous(iobuf_slice *s, iobuf_slice *previous);

/* ---- the allocator: taken for granted */

/*@ requires \valid(out);
    assigns *out;
    ensures \result != IOBUF_OK ==> *out == \old(*out);
    ensures \result == IOBUF_OK ==> buf_ok(*out) && (*out)->size >= size; */
int pool_take(iobuf_pool *pool, size_t size, struct buf **out);

/*@ requires \valid(b);
    assigns b->head.owner_, b->head.local_, b->head.taken_, b->shared; */
void buf_release_hold(struct buf *b);

/*@ requires \valid(b);
    assigns b->head.owner_, b->head.local_, b->head.taken_, b->shared; */
bool buf_restart_if_idle(struct buf *b);

/*@ requires \valid(b);
    assigns \nothing; */
static inline size_t buf_live_here(struct buf *b);

/*@ assigns \nothing; */
void pool_ref(iobuf_pool *pool);

/*@ assigns \nothing; */
void pool_unref(iobuf_pool *pool);

/*@ requires \object_pointer((uint8_t *)place);
    assigns \nothing; */
void proof_prefetch(const void *place);

/* ---- the allocator: inline */

/*@ requires \valid(end) && \valid_read(a) && \separated(a, end);
    assigns *end;
    ensures \result ==> *end == a->next_ + size && *end < a->bound_;
    ensures a->next_ + size < a->bound_ ==> \result; */
static inline bool iobuf_fits_(const iobuf_allocator *a, size_t size, uintptr_t *end);

/*@ requires a->buf_ != \null;
    requires allocator_ok(a) && has_room(a, size) && \valid(out) && \separated(a, out, (struct buf *)a->buf_);
    requires end == (uintptr_t)((struct buf *)a->buf_)->head.start_ + cut(a, (struct buf *)a->buf_) + a->reserve_ + size;
    assigns a->next_, a->buf_->taken_, *out;
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_) && a->buf_ == \old(a->buf_);
    ensures out->buf_ == a->buf_ && out->size_ == size && out->headroom_ == a->reserve_;
    ensures (uintptr_t)out->data_ == \old(a->next_);
    ensures place(out, (struct buf *)a->buf_) == cut{Pre}(a, (struct buf *)a->buf_) + a->reserve_;
    ensures cut(a, (struct buf *)a->buf_) == cut{Pre}(a, (struct buf *)a->buf_) + a->reserve_ + size;
    // slice_ok(out), in parts
    ensures buf_ok((struct buf *)a->buf_) && \separated(out, (struct buf *)a->buf_);
    ensures !sharing(out->headroom_);
    ensures out->data_ == ((struct buf *)a->buf_)->head.start_ + place(out, (struct buf *)a->buf_);
    ensures place(out, (struct buf *)a->buf_) + size <= ((struct buf *)a->buf_)->size; */
static inline void iobuf_cut_(iobuf_allocator *a, size_t size, uintptr_t end, iobuf_slice *out);

/* ---- allocator.c */

/*@ requires a != \null ==> \valid(a) && callers_allocator(a);
    behavior bad:
      assumes a == \null || pool == \null;
      assigns \nothing;
      ensures \result == IOBUF_EINVAL;
    behavior good:
      assumes a != \null && pool != \null;
      assigns *a;
      ensures \result == IOBUF_OK && allocator_ok(a) && a->buf_ == \null && a->reserve_ == reserve && a->pool_ == pool;
    complete behaviors;
    disjoint behaviors; */
int iobuf_allocator_init(iobuf_allocator *a, iobuf_pool *pool, size_t reserve);

/*@ requires allocator_ok(a) && \valid(out) && callers(out) && \separated(a, out);
    requires a->buf_ != \null ==> \separated(out, (struct buf *)a->buf_);
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> out->size_ == size && out->headroom_ == a->reserve_ && out->buf_ == a->buf_ && out->buf_ != \null;
    ensures \result == IOBUF_OK ==> slice_held(out);
    ensures \result == IOBUF_OK ==> slice_placed(out);
    ensures \result == IOBUF_OK ==> place(out, (struct buf *)a->buf_) + size == cut(a, (struct buf *)a->buf_);
    ensures \result != IOBUF_OK ==> *a == \old(*a) && *out == \old(*out); */
int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out);

/*@ requires allocator_ok(a);
    assigns *a, a->buf_->owner_, a->buf_->local_, a->buf_->taken_, ((struct buf *)a->buf_)->shared;
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures \result == IOBUF_OK ==> has_room(a, size);
    ensures \result != IOBUF_OK ==> *a == \old(*a); */
int iobuf_refill_(iobuf_allocator *a, size_t size);

/*@ requires allocator_ok(a) && \valid(out) && callers(out) && \separated(a, out);
    requires a->buf_ != \null ==> \separated(out, (struct buf *)a->buf_);
    requires bytes != \null ==> \valid_read((uint8_t *)bytes + (0 .. size - 1));
    ensures allocator_ok(a);
    ensures a->reserve_ == \old(a->reserve_) && a->pool_ == \old(a->pool_);
    ensures bytes == \null && size != 0 ==> \result == IOBUF_EINVAL;
    ensures \result == IOBUF_OK ==> out->size_ == size && out->headroom_ == a->reserve_ && out->buf_ == a->buf_ && out->buf_ != \null;
    ensures \result == IOBUF_OK ==> slice_held(out);
    ensures \result == IOBUF_OK ==> slice_placed(out);
    ensures \result != IOBUF_OK ==> *a == \old(*a) && *out == \old(*out); */
int iobuf_copy(iobuf_allocator *a, const void *bytes, size_t size, iobuf_slice *out);

/*@ requires allocator_ok(a) && \object_pointer(a->pool_);
    ensures allocator_ok(a) && a->buf_ == \null && a->pool_ == \null || *a == \old(*a);
    ensures \old(a->pool_) == \null ==> *a == \old(*a); */
void iobuf_allocator_release(iobuf_allocator *a);

/*@ requires allocator_ok(a) && slice_ok(last) && \separated(a, last);
    requires a->buf_ != \null ==> \separated(last, (struct buf *)a->buf_);
    requires last->buf_ != \null ==> \separated(a, (struct buf *)last->buf_);
    behavior shrunk:
      assumes last->buf_ != \null && last->buf_ == a->buf_ && size <= last->size_ && !sharing(last->headroom_) &&
        place(last, (struct buf *)a->buf_) + last->size_ == cut(a, (struct buf *)a->buf_);
      assigns a->next_, last->size_, a->bound_;
      ensures \result == IOBUF_OK;
      ensures allocator_held(a);
      ensures allocator_bound(a);
      ensures allocator_placed(a);
      ensures slice_lent(last);
      ensures slice_held(last);
      ensures slice_placed(last);
      ensures last->size_ == size && cut(a, (struct buf *)a->buf_) == place(last, (struct buf *)a->buf_) + size;
    behavior refused:
      assumes !(last->buf_ != \null && last->buf_ == a->buf_ && size <= last->size_ && !sharing(last->headroom_) &&
        place(last, (struct buf *)a->buf_) + last->size_ == cut(a, (struct buf *)a->buf_));
      assigns \nothing;
      ensures \result == IOBUF_EINVAL;
    complete behaviors;
    disjoint behaviors; */
int iobuf_allocator_shrink(iobuf_allocator *a, iobuf_slice *last, size_t size);

/* ---- coalesce.c */

/*@ requires slices_ok(slices, count);
    assigns slices[0 .. count - 1];
    ensures \result <= count;
    ensures slices_ok(slices, count);
    ensures \forall integer i; \result <= i < count ==> empty(slices + i); */
size_t iobuf_coalesce(iobuf_slice *slices, size_t count, size_t max_size);

#endif
