/* Runs a program on the library and on the reference, and compares everything observable after every op.
 *
 * A check that fails prints its name, the op, and the program up to it, and calls `failed`, or aborts. While fuzzing an op is
 * followed by the checks of what it can have touched, and the end by all; a thorough run makes all checks after every op.
 */
#ifndef IOBUF_FUZZ_EXECUTE_H
#define IOBUF_FUZZ_EXECUTE_H

#include "../program/program.h"

typedef struct execute_options {
    bool thorough;    /* all checks after every op */
    bool real_memory; /* bufs from malloc, for tools that watch it; always so under MemorySanitizer */
    FILE *print;      /* each op with its result, or NULL */
    FILE *c;          /* the program as a C file, up to the op that fails; or NULL */
    void (*failed)(void);
} execute_options;

/* Returns a hash of all results: the same for the same program in every run, whatever ran before. */
uint64_t execute_program(const program *p, const execute_options *options);

/* Prints where the run is, and the program so far; ends the C file. For a handler of crashes. */
void execute_describe(FILE *to);

#endif
