/* The op table and the small vocabularies, made from ops.def. */
#include "program.h"

#include <errno.h>
#include <string.h>

const program_op_info program_ops[OP_KINDS] = {
#define OP(name, result, operands, weight, targets) {#name, operands, result, weight},
#include "ops.def"
#undef OP
};

enum { S = 1, R = 2, P = 4 };

#define OP(name, result, operands, weight, targets) ((uint64_t)(((targets)&TARGET) != 0) << OP_##name) |
const program_target program_targets[PROGRAM_TARGETS] = {
    {"slice",
#define TARGET S
#include "ops.def"
     0},
#undef TARGET
    {"reader",
#define TARGET R
#include "ops.def"
     0},
#undef TARGET
    {"pool",
#define TARGET P
#include "ops.def"
     0},
#undef TARGET
    {"all", ((uint64_t)1 << OP_KINDS) - 1},
};
#undef OP

_Static_assert(OP_KINDS < 64, "a kind is a bit of 64, and its code is below 64");

const program_target *program_target_find(const char *name)
{
    for (size_t i = 0; i < PROGRAM_TARGETS; i++)
        if (strcmp(program_targets[i].name, name) == 0)
            return &program_targets[i];
    return NULL;
}

const int program_errno[PROGRAM_ERRNOS] = {0, EINTR, EAGAIN, EIO, ECONNRESET, EPIPE, ENOMEM, EBADF};
const char *const program_errno_name[PROGRAM_ERRNOS] = {"0", "EINTR", "EAGAIN", "EIO", "ECONNRESET", "EPIPE", "ENOMEM", "EBADF"};
