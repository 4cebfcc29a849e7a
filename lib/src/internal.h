/* What crosses files inside the library: the buf's descriptor and its counts, the pool as seen from its users, and how a
 * slice refers to its buf. buf.c explains the reference counts. */
#ifndef IOBUF_SRC_INTERNAL_H
#define IOBUF_SRC_INTERNAL_H

#include "atomic.h"

#define OWNER_NONE ((uintptr_t)0)

/* A size or sum of sizes that no object can have. */
#define SIZE_TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

#define CACHE_LINE 64

/* Descriptor of one memory area; apart from the memory, so that descriptors lie densely. Three cache lines, see buf.c: whose it is
 * and where; what its holder counts; and what other threads count, or, while it is free, where it is kept. */
struct buf {
    struct iobuf_buf head; /* owner_, local_, start_; taken_ on the second line */
    union {
        struct {
            size_t size;
            iobuf_pool *pool; /* NULL: foreign memory, taken over by iobuf_slice_wrap */
            union {
                size_t units; /* size in multiples of the pool's min_size: the key in the free list */
                struct {
                    iobuf_free_fn free;
                    void *context;
                } foreign;
            };
            uintptr_t taker; /* the thread that took it from the pool */
            bool give_up;    /* the bias, together with the hold: others are expected to release what is cut from it */
            bool adoptable;  /* ... and one of them alone, who then becomes the owner */
            bool is_listed;
#if IOBUF_CHECKED
            struct check_table *handles;
#endif
        };
        unsigned char second_line[CACHE_LINE - sizeof(size_t)];
    };
    union {
        struct {
            _Alignas(8) uint64_t shared; /* atomic: see buf.c */
            union {
                struct { /* cached, or a spare descriptor */
                    struct buf *next, *child[2], **slot;
                } idle;
                struct { /* in use, and `listed`: its owner's count was closed while slices were out */
                    struct buf *inbox, *prev, *next;
                } listed;
            };
        };
        unsigned char third_line[CACHE_LINE];
    };
};
_Static_assert(offsetof(struct buf, head.taken_) == CACHE_LINE && offsetof(struct buf, shared) == 2 * CACHE_LINE &&
                   sizeof(struct buf) == 3 * CACHE_LINE,
               "the lines are apart, and shared does not cross one");

/* Fields of `shared`; buf.c says what they mean. */
#define COUNT_ZERO ((uint64_t)1 << 39) /* so that a negative count borrows from nothing */
#define COUNT_MASK (((uint64_t)1 << 40) - 1)
#define HOLD ((uint64_t)1 << 40)
#define CLAIMED ((uint64_t)1 << 41)
#define MERGED ((uint64_t)1 << 42)
#define ADOPTED ((uint64_t)1 << 43)
#define STAMP ((uint64_t)1 << 44)

static inline struct buf *buf_from(struct iobuf_buf *head)
{
    return (struct buf *)(void *)head;
}

/* Starts a life of the buf: no slice, one holder, the calling thread. */
static inline void buf_attach(struct buf *b, bool biased)
{
    /* Relaxed, all: nobody else has the buf. Other threads get to know it by a slice, whose handing over orders all this. */
    uint64_t stamp = atomic_get(&b->shared, RELAXED) & ~(STAMP - 1);
    atomic_set(&b->head.local_, (intptr_t)0, RELAXED);
    atomic_set(&b->head.taken_, (size_t)0, RELAXED);
    atomic_set(&b->shared, (stamp + STAMP) | HOLD | COUNT_ZERO, RELAXED);
    b->taker = iobuf_self_();
    atomic_set(&b->head.owner_, biased ? b->taker : OWNER_NONE, RELAXED);
}

/* For the holder: how many slices are left, times two, if `shared` has not changed since the buf had none, and is seen to be
 * unchanged behind this. At 0 nobody else can reach the buf, and it can start again as it is: counts that cancel out may stay,
 * where they cannot wrap. */
static inline size_t buf_live_here(struct buf *b)
{
    /* Acquire: pairs with the owner's release store of local_, so that his use of the bytes comes before ours, and so that a
     * reference which he moved from local_ to shared (iobuf_slice_share) before is seen there. taken_ is the holder's own. */
    return atomic_get(&b->head.taken_, RELAXED) * 2 + (size_t)atomic_get(&b->head.local_, ACQUIRE);
}

/* buf.c */
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
