/* Programs: sequences of ops over fixed registers (pools p0.., allocators a0.., readers r0.., slices s0..), and their three forms:
 * bytes, text, C source. Knows no library: what an op does is execute/'s business.
 *
 * Invariants: any bytes decode to some program; program_decode(program_encode(p)) is p; program_encode(program_decode(b)) is the
 * same for all b that mean the same program, and never longer than b. Unused members of an op are 0, so that ops compare with
 * memcmp.
 */
#ifndef IOBUF_FUZZ_PROGRAM_H
#define IOBUF_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PROGRAM_VERSION = 1,
    PROGRAM_POOLS = 3,
    PROGRAM_ALLOCATORS = 6,
    PROGRAM_READERS = 3,
    PROGRAM_SLICES = 32,
    PROGRAM_MAX_OPS = 1024,
    PROGRAM_MAX_BYTES = 1 + PROGRAM_MAX_OPS * 18 /* 18: the longest encoding of an op */
};

typedef enum program_kind {
#define OP(name, result, operands, weight, targets) OP_##name,
#include "ops.def"
#undef OP
    OP_KINDS
} program_kind;

/* What a size counts from. Those between CONST and PTRDIFF_MAX are looked up when the op runs: `rest` of a buf, `size` of a
 * slice, ... so that an edge stays an edge when ops before it are dropped or changed. */
typedef enum program_base {
    BASE_CONST,
    BASE_MIN,  /* the pool's min_size */
    BASE_REST, /* what still fits: behind the allocator's cursor, behind the reader's bytes, behind the slice, under the limit */
    BASE_SIZE, /* of the slice, of the run of slices; bytes buffered; bytes cached */
    BASE_HEAD, /* the slice's free prefix; the allocator's reserve; bytes in use */
    BASE_BUF,  /* the size of the buf */
    BASE_PTRDIFF_MAX,
    BASE_SIZE_MAX,
    BASES
} program_base;

typedef struct program_size {
    int32_t value; /* CONST: the size, >= 0; else what is added to the base, within int16_t */
    uint32_t base;
} program_size;

typedef struct program_op {
    uint8_t kind;
    uint8_t result; /* register that the op assigns */
    uint8_t reg[2]; /* register operands in order; of a run: the first */
    uint8_t count;  /* of a run: how many registers */
    uint8_t choice; /* index of the errno value, or of the failure mode */
    uint8_t unused[2];
    program_size size[3];
} program_op;

typedef struct program {
    const struct program_target *target;
    size_t count;
    program_op ops[PROGRAM_MAX_OPS];
} program;

/* A target: the kinds of op that its programs may hold. */
typedef struct program_target {
    const char *name;
    uint64_t kinds; /* bit k: kind k */
} program_target;

extern const program_target program_targets[];
enum { PROGRAM_TARGETS = 4 };
const program_target *program_target_find(const char *name);

typedef struct program_op_info {
    const char *name;
    const char *operands;
    char result;
    uint8_t weight;
} program_op_info;

extern const program_op_info program_ops[OP_KINDS];

/* errno values by index, and what an injected allocation failure may do. */
enum { PROGRAM_ERRNOS = 8 };
extern const int program_errno[PROGRAM_ERRNOS];
extern const char *const program_errno_name[PROGRAM_ERRNOS];
typedef enum program_mode { MODE_ONCE, MODE_ALWAYS, MODE_OFF, PROGRAM_MODES } program_mode;

void program_decode(const program_target *target, const uint8_t *bytes, size_t size, program *p);

/* Returns the bytes written. `room` of PROGRAM_MAX_BYTES is always enough. */
size_t program_encode(const program *p, uint8_t *bytes, size_t room);

/* One op as text, without newline. Returns as snprintf. */
int program_op_text(const program_op *op, char *line, size_t room);
void program_print(const program *p, size_t count, FILE *to);

bool program_is_text(const uint8_t *bytes, size_t size);

/* Reads the text form, `size` bytes. False: *line (from 1) and *error say what is wrong. */
bool program_parse(const char *text, size_t size, program *p, unsigned *line, const char **error);

#endif
