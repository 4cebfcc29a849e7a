/* Programs to run: those that are written down, and those that numbers make. */
#ifndef IOBUF_INTERLEAVE_PROGRAMS_H
#define IOBUF_INTERLEAVE_PROGRAMS_H

#include "program.h"

typedef struct named_program {
    const char *name, *text; /* without the first line */
} named_program;

extern const named_program small_programs[];
extern const unsigned small_programs_count;

/* 0 .. n - 1. */
typedef unsigned number_source(void *context, unsigned n);
/* Any numbers make some program, of 2 or 3 threads and at most 4 ops each. */
void program_make(program *p, number_source *next, void *context);

#endif
