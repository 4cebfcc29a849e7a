/* All memory that the library gets or is lent in a run: a table of blocks, limits, and injected failures.
 *
 * A block is cut off an arena that the next input starts afresh, or is malloc's, for tools that watch that. Both obey the same
 * limits, so that a program does the same in every build.
 */
#ifndef IOBUF_FUZZ_MEMORY_H
#define IOBUF_FUZZ_MEMORY_H

#include "../model/model.h"

enum {
    MEMORY_BLOCKS = 16384,
    MEMORY_MOST = 256 << 10, /* one block */
    MEMORY_BUDGET = 4 << 20, /* a program */
    MEMORY_FOREIGN = MODEL_MAX_POOLS,
    MEMORY_HEAP,  /* posix_memalign's: bufs of a pool without a backing */
    MEMORY_OTHER, /* calloc's and realloc's: not bounded, and not counted as given back to a backing */
    MEMORY_OWNERS,
    MEMORY_DROPS = 16
};

typedef struct memory_block {
    void *bytes;
    size_t size;
    int owner;
    bool live;
} memory_block;

typedef struct memory {
    bool real;
    bool inside;           /* the library is running: its calls of malloc are counted */
    unsigned locks;        /* that it holds */
    bool fail_heap;        /* its next calloc fails */
    bool refused, dropped; /* since memory_watch */
    size_t fail_in;        /* the how manyth next allocation fails; 0: none */
    bool fail_always;      /* ... and all after it */
    size_t used, count;
    size_t drops; /* blocks of pools given back in this op; the first of them: */
    const void *drop[MEMORY_DROPS];
    long heap; /* calloc's blocks less free's */
    size_t live[MEMORY_OWNERS];
    const char *misuse; /* what the library did wrong to its memory: the name of a check */
    memory_block block[MEMORY_BLOCKS];
} memory;

extern memory the_memory;

/* Called, if set, within each call of the library that asks for memory which may be refused, with whether an injected failure
 * refuses it. Stays set from run to run. */
extern void (*memory_asked)(bool injected);

void memory_reset(bool real);
void memory_end(void);
static inline void memory_watch(void)
{
    the_memory.refused = the_memory.dropped = false;
}
bool memory_should_fail(void);
void *memory_take(size_t size, size_t alignment, int owner);
void memory_drop(void *bytes, size_t size, int owner);
void *memory_lend(size_t size); /* the harness's own bytes; never NULL, never an injected failure */
bool memory_is_live(const void *bytes, int owner);
iobuf_backing memory_backing(int pool);

#endif
