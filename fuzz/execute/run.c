/* The loop over a program's ops, the turns of other threads, and the end. */
#define _GNU_SOURCE 1 /* sched_getcpu, pthread_setaffinity_np */
#include "world.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TURNS = 2 }; /* of the other thread, in a program: they cost more than all else */

world the_world;
uint8_t the_pattern[PATTERN_BYTES];

static void make_pattern(void)
{
    uint32_t x = 1;
    if (the_pattern[0])
        return;
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        the_pattern[i] = (uint8_t)(x >> 24 | 1); /* never 0: fresh memory is not mistaken for it */
    }
}

static void world_reset(world *w, const program *p, const execute_options *options)
{
    make_pattern();
    memory_reset(options->real_memory);
    w->program = p;
    w->options = options;
    w->at = 0;
    w->hash = 14695981039346656037u;
    w->live = 0;
    w->frees = 0;
    for (unsigned i = 0; i < PROGRAM_POOLS; i++)
        w->pool_id[i] = MODEL_NONE;
    memset(w->slice, 0, sizeof w->slice);
    memset(&w->sink, 0, offsetof(sink, script.event));
    model_reset(&w->model);
}

/* ---- printing */

static const char *status_name(int64_t status)
{
    static const char *const name[] = {"ok", "EINVAL", "ENOMEM", "ELIMIT", "EOVERFLOW", "ECLOSED", "EOF", "EAGAIN", "EIO"};
    return status <= 0 && status >= IOBUF_EIO ? name[-status] : "no status";
}

static void print_sizes(const world *w, const program_op *op, FILE *to)
{
    for (unsigned i = 0; i < 3; i++)
        if (op->size[i].base != BASE_CONST)
            fprintf(to, " (%zu)", w->size[i]);
}

static void print_op(const world *w, const program_op *op)
{
    FILE *to = w->options->print;
    char text[128];
    program_op_text(op, text, sizeof text);
    fputs(text, to);
    if (w->result_kind == RESULT_SKIPPED)
        fputs(" -> nothing to do", to);
    else if (w->result_kind == RESULT_STATUS)
        fprintf(to, " -> %s", status_name((int64_t)w->result));
    else if (w->result_kind == RESULT_BOOL)
        fprintf(to, " -> %s", w->result ? "true" : "false");
    else if (w->result_kind == RESULT_COUNT)
        fprintf(to, " -> %zu", (size_t)w->result);
    else if (op->size[0].base || op->size[1].base || op->size[2].base)
        fputs(" -> done", to);
    if (w->result_kind != RESULT_SKIPPED)
        print_sizes(w, op, to);
    fputc('\n', to);
}

/* ---- running */

static void run_op(world *w)
{
    const program_op *op = &w->program->ops[w->at];
    w->result_kind = RESULT_NONE;
    w->result = w->want = 0;
    w->want_known = false;
    resolve_sizes(w, op);
    op_functions[op->kind](w, op);
    if (w->options->thorough)
        check_all(w);
    else
        check_touched(w, op);
    w->hash = (w->hash ^ w->result ^ (uint64_t)w->result_kind << 32) * 1099511628211u;
    if (w->options->print)
        print_op(w, op);
    if (w->options->c)
        emit_op(w, true);
}

static void run_until(world *w, size_t end)
{
    for (; w->at < end; w->at++)
        run_op(w);
}

/* The other thread. It is started once, since that costs more than a program, and takes turns with the first: never do both
 * run. */
static struct {
    bool started;
    sem_t begin, end;
    size_t until;
    pthread_t thread;
    int processor; /* where it runs; -1: wherever it likes */
} other = {.processor = -1};

static void *other_main(void *unused)
{
    (void)unused;
    for (;;) {
        while (sem_wait(&other.begin) != 0)
            continue;
        run_until(&the_world, other.until);
        sem_post(&other.end);
    }
    return NULL;
}

static void other_is_not_in_the_child(void)
{
    other.started = false;
    other.processor = -1;
}

static bool other_start(void)
{
    static bool watching;
    if (other.started)
        return true;
    if (!watching)
        watching = pthread_atfork(NULL, NULL, other_is_not_in_the_child) == 0;
    if (sem_init(&other.begin, 0, 0) != 0 || sem_init(&other.end, 0, 0) != 0 ||
        pthread_create(&other.thread, NULL, other_main, NULL) != 0)
        return false;
    pthread_detach(other.thread);
    return other.started = true;
}

/* Keeps the other thread on the processor that the first one is on. Since one of them always waits that costs no time, and another
 * processor, asleep mostly, takes longer to wake than a program to run. */
static void other_comes_along(void)
{
#if defined(__linux__)
    int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE || here == other.processor)
        return;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET((unsigned)here, &only);
    pthread_setaffinity_np(other.thread, sizeof only, &only); /* if that fails, it is slower */
    other.processor = here;
#endif
}

/* `thread n`: the next ops, 1 to 8 of them, run on the other thread. */
static void run_elsewhere(world *w)
{
    size_t turn = (w->size[0] + 7) % 8 + 1, left = w->program->count - w->at;
    other.until = w->at + (turn < left ? turn : left);
    w->turn_end[w->at - 1] = other.until;
    if (!other_start()) {
        fprintf(stderr, "the harness cannot start a thread\n");
        abort();
    }
    other_comes_along();
    sem_post(&other.begin);
    while (sem_wait(&other.end) != 0)
        continue;
}

static void release_everything(world *w)
{
    for (unsigned i = 0; i < PROGRAM_SLICES; i++)
        release_register(w, i);
    check_pools(w);
    for (unsigned i = 0; i < PROGRAM_ALLOCATORS; i++)
        release_allocator(w, i);
    for (unsigned i = 0; i < PROGRAM_READERS; i++)
        close_reader(w, i);
    check_pools(w);
    for (unsigned i = 0; i < PROGRAM_POOLS; i++)
        close_pool(w, i);
    check_nothing_left(w);
}

uint64_t execute_program(const program *p, const execute_options *options)
{
    world *w = &the_world;
    world_reset(w, p, options);
    if (options->print)
        fprintf(options->print, "iobuf-program %d %s\n", PROGRAM_VERSION, p->target->name);
    if (options->c)
        emit_begin(w);
    for (size_t turns = 0; w->at < p->count;) {
        bool elsewhere = p->ops[w->at].kind == OP_thread && turns++ < MOST_TURNS;
        run_op(w);
        w->at++;
        if (elsewhere)
            run_elsewhere(w);
    }
    check_all(w);
    release_everything(w);
    if (options->c)
        emit_end(w);
    memory_end();
    w->program = NULL;
    return w->hash;
}
