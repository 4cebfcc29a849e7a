/* What the registers hold at some point of a program, guessed from its ops alone and not from what came of them. The codec's ranks
 * and the mutators both go by it, so that most ops find something to work on.
 */
#ifndef IOBUF_FUZZ_HELD_H
#define IOBUF_FUZZ_HELD_H

#include "program.h"

/* Where the letters of an operand are known, nothing of the choice between them is to be left. */
#define HELD_INLINE static inline __attribute__((always_inline))

/* What the registers hold, as far as the ops alone tell: a bit for each. */
typedef struct held {
    uint32_t pools, allocators, readers, slices;
} held;

typedef struct file {
    uint32_t all;   /* a bit for each register of the file */
    uint32_t *live; /* which of them hold something */
    uint32_t registers;
} file;

HELD_INLINE file file_of(held *h, char letter)
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
    bits -= bits >> 1 & 0x55555555; /* __builtin_popcount is a call where the machine may lack the instruction */
    bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
    return ((bits + (bits >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
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

HELD_INLINE void held_end(held *h, const program_op *op, char letter, uint8_t reg)
{
    if (letter == 'U')
        h->slices &= ~run_bits(op);
    else if (letter == 'P' || letter == 'A' || letter == 'R' || letter == 'x')
        *file_of(h, letter).live &= ~(1U << reg);
}

/* Of an op whose result and first two operands are of these letters: registers come first. */
HELD_INLINE void held_follow_as(held *h, const program_op *op, char result, char first, char second)
{
    held_end(h, op, first, op->reg[0]);
    held_end(h, op, second, op->reg[1]);
    if (result)
        *file_of(h, result).live |= 1U << op->result;
}

/* Follows what an op does to the registers; the encoder and the decoder must see the same. */
static inline void held_follow(held *h, const program_op *op)
{
    const program_op_info *info = &program_ops[op->kind];
    held_follow_as(h, op, info->result, info->operands[0], info->operands[0] ? info->operands[1] : 0);
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
