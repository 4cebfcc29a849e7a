/* Fails every allocation of a program in turn: once, and from then on. A fault is an op, `fail_alloc n once`, put in front, so that
 * what fails is a program like any other. It notes the call stacks from which the library asks for memory, and from which of them
 * it was refused.
 */
#ifndef IOBUF_FUZZ_SWEEP_H
#define IOBUF_FUZZ_SWEEP_H

#include "../execute/execute.h"

void sweep_program(const program *p, const execute_options *options);

/* `N programs, M allocations failed in turn`, then a line for each stack: `refused` or `met`, and its return addresses within the
 * executable. */
void sweep_report(FILE *to);

#endif
