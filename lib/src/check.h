/* Checked builds: every handle is known, and memory that is nobody's is poisoned. In other builds all of this is nothing.
 *
 * A slice's handle has a tag, in the upper 16 bits of buf_ (or in tag_ on 32-bit platforms); its buf keeps the tags of its
 * live slices. So a copy of a handle that was released is told from the slice that lives there now. */
#ifndef IOBUF_SRC_CHECK_H
#define IOBUF_SRC_CHECK_H

#if IOBUF_CHECKED

/* The buf of a slice, NULL if it has none; aborts with a message naming `call` if the handle is not a live slice's. */
struct buf *check_handle(const iobuf_slice *s, const char *call);
void check_handle_new(iobuf_slice *s);
void check_handle_gone(const iobuf_slice *s);
/* Whether both are of one buf; `a` has one. */
bool check_same_buf(const iobuf_slice *a, const iobuf_slice *b);

/* The buf becomes usable: gets its table of tags. It goes, with check_forget_buf, before the descriptor does. */
void check_adopt_buf(struct buf *b);
void check_forget_buf(struct buf *b);

/* Memory that nobody may touch, and whose contents are lost: AddressSanitizer and Valgrind report any use, MemorySanitizer that of
 * a value read there; else it is filled with a pattern. Where contents are kept, only the first two are told. */
void check_poison(void *bytes, size_t size);
void check_unpoison(void *bytes, size_t size);
/* Aborts if the pattern has been written to. */
void check_intact(const void *bytes, size_t size, const char *what);
/* A slice's data becomes usable: contents unspecified. */
void check_unpoison_new(const iobuf_slice *s);
/* Bytes of a slice from one offset to another, if its buf is a pool's: contents kept, or lost where that can be told without
 * writing to them. */
void check_poison_slice(const iobuf_slice *s, size_t from, size_t to);
void check_lose_slice(const iobuf_slice *s, size_t from, size_t to);
/* The first bytes of a slice become usable, with what they hold. */
void check_unpoison_slice(const iobuf_slice *s, size_t size);
/* A part of a pool's buf, for a reader; contents are kept. */
void check_poison_keep(void *bytes, size_t size);

/* An allocator or reader is entered by one thread at a time. */
void check_enter(uint32_t *busy, const char *call);
void check_leave(uint32_t *busy);

#else

#define check_handle(s, call) buf_from((s)->buf_)
#define check_same_buf(a, b) ((a)->buf_ == (b)->buf_)
#define check_handle_new(s) ((void)0)
#define check_handle_gone(s) ((void)0)
#define check_adopt_buf(b) ((void)0)
#define check_forget_buf(b) ((void)0)
#define check_poison(bytes, size) ((void)0)
#define check_unpoison(bytes, size) ((void)0)
#define check_intact(bytes, size, what) ((void)0)
#define check_unpoison_new(s) ((void)0)
#define check_poison_slice(s, from, to) ((void)(to))
#define check_lose_slice(s, from, to) ((void)(to))
#define check_unpoison_slice(s, size) ((void)0)
#define check_poison_keep(bytes, size) ((void)0)
#define check_enter(busy, call) ((void)0)
#define check_leave(busy) ((void)0)

#endif

#endif
