/* Carries ops of one program over into another: their registers are renamed, so that what they make does not overwrite what is
 * there, what they made themselves is found again, and what they lack is bound to something that is there. Only mutate/ includes
 * this. */
#ifndef IOBUF_FUZZ_GRAFT_H
#define IOBUF_FUZZ_GRAFT_H

#include "generate.h"

typedef struct graft {
    held held;           /* in the program that receives, before the next op */
    uint32_t renamed[4]; /* a bit for each register of the giving program, by file */
    uint8_t to[4][PROGRAM_SLICES];
} graft;

graft graft_at(const program *receiver, size_t at);
program_op graft_op(graft *g, const program_op *op, random_numbers *r);

#endif
