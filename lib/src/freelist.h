/* The free bufs of one pool, by size in units: best fit in time bounded by the bits of a size, whatever is in it. */
#ifndef IOBUF_SRC_FREELIST_H
#define IOBUF_SRC_FREELIST_H

#include "internal.h"

#define FREELIST_EXACT 64 /* sizes of 1 to 64 units have a list each */
#define FREELIST_BINS 64  /* above, one tree for each power of two */

struct freelist {
    uint64_t exact_map; /* bit i set: exact[i] is not empty */
    struct buf *exact[FREELIST_EXACT];
    uint64_t tree_map;
    struct buf *tree[FREELIST_BINS];
};

/* The same for a buf of 1 unit, which most are. */
static inline void freelist_put_unit(struct freelist *f, struct buf *b)
{
    b->idle.next = f->exact[0];
    f->exact[0] = b;
    f->exact_map |= 1;
}

/* The last put of 1 unit, NULL if there is none. */
static inline struct buf *freelist_take_unit(struct freelist *f)
{
    struct buf *b = f->exact[0];
    if (b != NULL && (f->exact[0] = b->idle.next) == NULL)
        f->exact_map &= ~(uint64_t)1;
    return b;
}

void freelist_put(struct freelist *f, struct buf *b);
/* The smallest that has at least `units`, the last put of that size; NULL if there is none. */
struct buf *freelist_take(struct freelist *f, uint64_t units);
/* The largest, the last put of that size; NULL if empty. */
struct buf *freelist_take_largest(struct freelist *f);

#endif
