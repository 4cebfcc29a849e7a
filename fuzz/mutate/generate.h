/* New ops and operands that make sense at one place of a program. Only mutate/ includes this. */
#ifndef IOBUF_FUZZ_GENERATE_H
#define IOBUF_FUZZ_GENERATE_H

#include "../program/held.h"
#include "random.h"

/* A place in a program: what is known before op `at`. */
typedef struct place {
    const program *program;
    size_t at;
    held held;
} place;

place place_of(const program *p, size_t at);

/* Some op of `kinds`, which the target issues; where it lacks what it needs, rather the op that makes that. */
program_op generate_op(const place *where, uint64_t kinds, random_numbers *r);

/* An op of that kind with operands from `like` where those have the same letters, else new ones. */
program_op generate_op_like(const place *where, uint8_t kind, const program_op *like, random_numbers *r);

/* A register to use: mostly one that holds something, and that the ops just before use too. */
uint8_t generate_register(const place *where, char letter, random_numbers *r);

/* A register to assign: mostly an empty one. */
uint8_t generate_result(const place *where, char letter, random_numbers *r);

/* The nth size of an op of that kind; its other members may help. */
program_size generate_size(const program_op *op, unsigned nth, random_numbers *r);

uint8_t generate_choice(char letter, random_numbers *r);

/* How many registers of a run that begins at `first`. */
uint8_t generate_run(uint8_t first, random_numbers *r);

/* Which of the files a letter of ops.def means: 'p', 'a', 'r', 's', or 0 where it is no register. */
char generate_file(char letter);

#endif
