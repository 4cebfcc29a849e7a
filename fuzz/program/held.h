/* What the registers hold at some point of a program, guessed from its ops alone and not from what came of them. The codec's ranks
 * and the mutators both go by it, so that most ops find something to work on.
 */
#ifndef IOBUF_FUZZ_HELD_H
#define IOBUF_FUZZ_HELD_H

#include "program.h"

/* What the registers hold, as far as the ops alone tell: a bit for each. */
typedef struct held {
    uint32_t pools, allocators, readers, slices;
} held;

typedef struct file {
    uint32_t all;   /* a bit for each register of the file */
    uint32_t *live; /* which of them hold something */
    uint32_t registers;
} file;

static inline file file_of(held *h, char letter)
{
    switch (letter) {
    case 'p':
    case 'P':
        return (file){(1U << PROGRAM_POOLS) - 1, &h->pools, PROGRAM_POOLS};
    case 'a':
    case 'A':
        return (file){(1U << PROGRAM_ALLOCATORS) - 1, &h->allocators, PROGRAM_ALLOCATORS};
    case 'r':
    case 'R':
        return (file){(1U << PROGRAM_READERS) - 1, &h->readers, PROGRAM_READERS};
    default:
        return (file){UINT32_MAX, &h->slices, PROGRAM_SLICES};
    }
}

static inline uint32_t count_bits(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits);
}

static inline uint8_t nth_bit(uint32_t bits, uint32_t n)
{
    while (n-- > 0)
        bits &= bits - 1;
    return (uint8_t)__builtin_ctz(bits);
}

static inline uint32_t run_bits(const program_op *op)
{
    return (op->count >= 32 ? UINT32_MAX : (1U << op->count) - 1) << op->reg[0];
}

/* Follows what an op does to the registers; the encoder and the decoder must see the same. */
static inline void held_follow(held *h, const program_op *op)
{
    const program_op_info *info = &program_ops[op->kind];
    for (unsigned i = 0; i < 2 && info->operands[i]; i++) { /* registers come first */
        const char o = info->operands[i];
        if (o == 'U')
            h->slices &= ~run_bits(op);
        else if (o == 'P' || o == 'A' || o == 'R' || o == 'x')
            *file_of(h, o).live &= ~(1U << op->reg[i]);
    }
    if (info->result)
        *file_of(h, info->result).live |= 1U << op->result;
}

/* The op that fills the first empty register file that `kind` needs, or `kind` itself if nothing is missing. */
static inline uint8_t held_missing(const held *h, uint8_t kind)
{
    for (const char *o = program_ops[kind].operands; *o; o++) {
        if ((*o == 'p' || *o == 'P') && !h->pools)
            return OP_pool_create;
        if ((*o == 'a' || *o == 'A') && !h->allocators)
            return OP_allocator_init;
        if ((*o == 'r' || *o == 'R') && !h->readers)
            return OP_reader_init;
        if ((*o == 's' || *o == 'x' || *o == 'u' || *o == 'U') && !h->slices)
            return h->allocators || !h->readers ? OP_alloc : OP_read;
    }
    return kind;
}

#endif
