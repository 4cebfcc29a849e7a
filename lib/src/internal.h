/* What crosses files inside the library: the buf's descriptor and its counts, the pool as seen from its users, and how a
 * slice refers to its buf. buf.c explains the reference counts. */
#ifndef IOBUF_SRC_INTERNAL_H
#define IOBUF_SRC_INTERNAL_H

#include "atomic.h"

#define OWNER_NONE ((uintptr_t)0)

/* A size or sum of sizes that no object can have. */
#define SIZE_TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

/* Descriptor of one memory area; apart from the memory, so that descriptors lie densely. Two cache lines on 64-bit platforms:
 * the first is written by the owner thread and the allocator's, the second by the other threads that release, and while free. */
struct buf {
    struct iobuf_buf head; /* owner_, local_, taken_, start_ */
    size_t size;
    iobuf_pool *pool; /* NULL: foreign memory, taken over by iobuf_slice_wrap */
    union {
        size_t units; /* size in multiples of the pool's min_size: the key in the free list */
        struct {
            iobuf_free_fn free;
            void *context;
        } foreign;
    };
    uint64_t shared; /* atomic: see buf.c */
    union {
        struct { /* cached, or a spare descriptor */
            struct buf *next, *child[2], **slot;
        } idle;
        struct { /* in use, and `listed`: its owner's count was closed while slices were out */
            struct buf *inbox, *prev, *next;
        } listed;
    };
    bool is_listed;
#if IOBUF_CHECKED
    struct check_table *handles;
#endif
};

/* Fields of `shared`; buf.c says what they mean. */
#define COUNT_ZERO ((uint64_t)1 << 39) /* so that a negative count borrows from nothing */
#define COUNT_MASK (((uint64_t)1 << 40) - 1)
#define HOLD ((uint64_t)1 << 40)
#define CLAIMED ((uint64_t)1 << 41)
#define STAMP ((uint64_t)1 << 42)

static inline struct buf *buf_from(struct iobuf_buf *head)
{
    return (struct buf *)(void *)head;
}

/* For the holder, who knows what `shared` was when the buf had no slice: true if only the owner counted since, and no slice is
 * left. Then nobody else can reach the buf, and it can start again as it is: counts that cancel out may stay, where they cannot
 * wrap. */
static inline bool buf_is_balanced(struct buf *b, uint64_t shared)
{
    /* Acquire: pairs with the owner's release store of local_, so that his use of the bytes comes before ours, and so that a
     * reference which he moved from local_ to shared (iobuf_slice_share) before is seen there. taken_ is the holder's own. */
    return sizeof(size_t) > 4 && atomic_get(&b->head.taken_, RELAXED) * 2 + (size_t)atomic_get(&b->head.local_, ACQUIRE) == 0 &&
           atomic_get(&b->shared, RELAXED) == shared;
}

/* buf.c */
void buf_attach(struct buf *b, bool biased);
bool buf_restart_if_idle(struct buf *b);
void buf_release_hold(struct buf *b);
bool buf_is_held(struct buf *b);
bool buf_has_one_slice(struct buf *b);
void buf_get(struct buf *b);
void buf_put(struct buf *b);
void buf_put_some(struct buf *b, size_t references);
bool buf_claim_if_unused(struct buf *b);
void buf_wait_exact(struct buf *b);
struct buf *buf_new_foreign(void *bytes, size_t size, iobuf_free_fn release, void *context);

/* pool.c */
int pool_take(iobuf_pool *pool, size_t size, struct buf **out);
void pool_return(struct buf *b);
void pool_ref(iobuf_pool *pool);
void pool_unref(iobuf_pool *pool);
bool pool_biased(const iobuf_pool *pool);
bool pool_list_revoked(iobuf_pool *pool, struct buf *b);

/* The front of a slice, decoded. */
struct front {
    size_t headroom;
    size_t exclusive; /* bytes from the data on that are nobody else's; only if sharing, else all of them are */
    bool sharing;     /* some other slice may refer to bytes of this one */
};

/* slice.c */
struct front slice_front(const iobuf_slice *s);
void slice_set_front(iobuf_slice *s, struct front f);
bool slice_owns_all(const iobuf_slice *s, struct front f);
void slice_init(iobuf_slice *s, struct buf *b, uint8_t *data, size_t size);

#include "check.h"

#endif
