/* Runs a program under a chooser, on the library, with all checks. */
#ifndef IOBUF_INTERLEAVE_WORLD_H
#define IOBUF_INTERLEAVE_WORLD_H

#include "program.h"

/* RAN: clean. FAILED: scheduler_failure says why. */
outcome world_run(const program *p, chooser *choose, void *context);

#endif
