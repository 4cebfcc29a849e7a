/* See sweep.h. */
#include "sweep.h"

#include "../execute/memory.h"

#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 24, STACKS = 1 << 12, FAR_AWAY = INT32_MAX };

typedef struct stack {
    int depth;
    bool refused;
    void *frame[DEPTH];
} stack;

static stack stacks[STACKS];
static size_t stack_count;
static unsigned long programs, points;

/* Where this executable was loaded: the linker's symbol. */
extern const char __executable_start[];

static size_t place_of(const stack *s)
{
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < s->depth; i++)
        hash = (hash ^ (uintptr_t)s->frame[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32) % STACKS;
}

static void note(bool injected)
{
    stack s = {.depth = 0};
    s.depth = backtrace(s.frame, DEPTH);
    size_t at = place_of(&s);
    while (stacks[at].depth && (stacks[at].depth != s.depth || memcmp(stacks[at].frame, s.frame, sizeof s.frame) != 0))
        at = (at + 1) % STACKS;
    if (!stacks[at].depth) {
        if (++stack_count == STACKS) {
            fprintf(stderr, "replay: too many call stacks for the sweep's table\n");
            exit(3);
        }
        stacks[at] = s;
    }
    stacks[at].refused |= injected;
}

/* Runs the program with a fault put in behind its first `at` ops, and without those from `end` on. */
static void run_with_fault(const program *p, const execute_options *options, size_t at, size_t end, int32_t nth, program_mode mode)
{
    static program faulty;
    const size_t kept = end < PROGRAM_MAX_OPS ? end : PROGRAM_MAX_OPS - 1;
    const program_op fault = {.kind = OP_fail_alloc, .choice = (uint8_t)mode, .size = {{nth, BASE_CONST}}};
    faulty.target = p->target;
    faulty.count = kept + 1;
    memcpy(faulty.ops, p->ops, at * sizeof fault);
    faulty.ops[at] = fault;
    memcpy(&faulty.ops[at + 1], &p->ops[at], (kept - at) * sizeof fault);
    execute_program(&faulty, options);
}

/* How often memory is asked for by the ops from `at` up to `end`: a fault too far away tells how much nearer it came. */
static int32_t count_asked(const program *p, const execute_options *options, size_t at, size_t end)
{
    run_with_fault(p, options, at, end, FAR_AWAY, MODE_ONCE);
    return FAR_AWAY - (int32_t)the_memory.fail_in;
}

/* A program's own faults end those in front of them, so each is followed by faults of its own. */
void sweep_program(const program *p, const execute_options *options)
{
    memory_asked = note;
    programs++;
    for (size_t at = 0, end; at < p->count && at < PROGRAM_MAX_OPS - 1; at = end + 1) {
        for (end = at; end < p->count && p->ops[end].kind != OP_fail_alloc; end++)
            continue;
        const int32_t asked = count_asked(p, options, at, end);
        for (int32_t nth = 1; nth <= asked; nth++) {
            run_with_fault(p, options, at, p->count, nth, MODE_ONCE);
            run_with_fault(p, options, at, p->count, nth, MODE_ALWAYS);
        }
        points += (unsigned long)asked;
    }
}

void sweep_report(FILE *to)
{
    fprintf(to, "%lu programs, %lu allocations failed in turn\n", programs, points);
    for (size_t i = 0; i < STACKS; i++) {
        if (!stacks[i].depth)
            continue;
        fputs(stacks[i].refused ? "refused" : "met", to);
        for (int j = 0; j < stacks[i].depth; j++)
            fprintf(to, " 0x%zx", (size_t)((uintptr_t)stacks[i].frame[j] - (uintptr_t)__executable_start));
        fputc('\n', to);
    }
}
