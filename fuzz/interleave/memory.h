/* The backing of the pools that run here: blocks off an arena, which is the same in each run, so that equal runs have equal
 * addresses. No address is given out twice in a run, so that whoever uses a block that was given back is found out. */
#ifndef IOBUF_INTERLEAVE_MEMORY_H
#define IOBUF_INTERLEAVE_MEMORY_H

#include <stddef.h>

void memory_reset(void);
void *memory_allocate(void *context, size_t size, size_t alignment);
void memory_deallocate(void *context, void *memory, size_t size);

/* An operation on an atomic or a lock there: fails if it was given back. */
void memory_touch(const void *at, const char *what, const char *where);
/* Accesses to bytes of a buf: fail if they are not in one block that is out, or if another thread's access is not known to be over.
 */
void memory_read(const void *bytes, size_t size, const char *what);
void memory_write(const void *bytes, size_t size, const char *what);
/* Everything has come back, and nothing was written to after it had. */
void memory_check_end(void);

#endif
