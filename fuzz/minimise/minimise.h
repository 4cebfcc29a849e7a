/* Makes a failing program small while it keeps failing the same way: the same check, at the same kind of op, and, of a crash, with
 * the same report. Ops go first, with those that only make sense with them; then sizes and operands become simpler. What is left
 * is 1-minimal: without any one of its ops it does not fail so.
 */
#ifndef IOBUF_FUZZ_MINIMISE_H
#define IOBUF_FUZZ_MINIMISE_H

#include "../execute/execute.h"

enum { AT_END = OP_KINDS, NOWHERE };

/* What came of a run. A check "" is none: the run was clean. */
typedef struct verdict {
    char check[64];
    char report[160];  /* of a crash: what says so, the sanitizer, the library or the system, without its numbers */
    char message[256]; /* what the check said */
    unsigned kind;     /* the kind of op that failed, AT_END, or NOWHERE: the process died without a word */
    size_t ran;        /* ops up to the one that failed, with it */
} verdict;

bool verdict_same(const verdict *a, const verdict *b);

/* ---- judge.c: runs programs in a child process, which a crash, an abort or a hang may end */

typedef struct judge_counts {
    unsigned long runs, processes;
} judge_counts;

void judge_begin(const execute_options *options);
/* `fresh`: in a process that has run nothing else. */
void judge(const program *p, bool fresh, verdict *v);
/* Runs it once more, and writes its ops with their results, and the C file. False: one could not be written. */
bool judge_write(const program *p, const verdict *v, const char *text, const char *c);
judge_counts judge_end(void);

/* ---- shrink.c */

/* `v` is p's verdict. `any_failure`: what is left may fail otherwise. */
void shrink(program *p, const verdict *v, bool any_failure);

#endif
