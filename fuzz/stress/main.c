/* Threads do to one pool whatever the public header allows, round after round, and every byte and block is accounted for. A round
 * is decided by its seed, apart from when which thread is on: round n of seed s is the first round of seed s + n.
 *
 * Exit status: 0 clean, 1 a check failed or threads hang, 2 wrong usage, 3 could not run; under a sanitizer what that makes of it.
 */
#include "stress.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FINE = 0, FOUND = 1, USAGE = 2, COULD_NOT = 3 };

#define SPINS_SECONDS 10 /* of the processor, without that one op ends anywhere */
#define SLEEPS_LOOKS 20  /* a second apart, at which every thread sleeps */

static const char usage[] =
    "usage: iobuf_stress [OPTION...]\n"
    "\n"
    "Threads do to one pool whatever the public header allows, round after round. The first thing that is wrong ends it.\n"
    "\n"
    "  --threads N   2 to 64 (default: 4)\n"
    "  --rounds N    each with a pool of its own (default: 100; with --seconds: no limit)\n"
    "  --seconds N   begin no round later than that\n"
    "  --ops N       of each thread in a round (default: 400)\n"
    "  --seed N      of the first round; the next one has N + 1 (default: 1)\n"
    "  --calls       say how often each public call was made\n"
    "  --help\n"
    "\n"
    "Examples: iobuf_stress --threads 16 --seconds 60\n"
    "          iobuf_stress --threads 4 --seed 1234 --rounds 1\n"
    "Exit status: 0 clean, 1 a check failed or threads hang, 2 wrong usage, 3 could not run.\n";

static struct {
    unsigned threads;
    uint64_t seed; /* of this round */
    world world;
    worker workers[THREADS_MOST], main_thread;
} g;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "halt_on_error=1";
}
#endif
#endif

_Noreturn void wrong(const worker *me, const char *format, ...)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    va_list arguments;
    while (atomic_flag_test_and_set(&said)) /* another thread is about to end all */
        pause();
    fprintf(stderr, "iobuf_stress: --threads %u --ops %u --seed %" PRIu64, g.threads, g.world.ops, g.seed);
    if (me == &g.main_thread)
        fprintf(stderr, ", %s: ", me->doing);
    else if (me != NULL)
        fprintf(stderr, ", thread %u, op %u (%s): ", me->number, me->op, me->doing);
    else
        fputs(": ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(FOUND);
}

_Noreturn void cannot(const char *what)
{
    fprintf(stderr, "iobuf_stress: %s: %s\n", what, strerror(errno));
    _exit(COULD_NOT);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the watch: threads that do not go on ---- */

static uint64_t ops_done(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < g.threads; i++)
        sum += atomic_load_explicit(&g.workers[i].done, memory_order_relaxed);
    return sum;
}

/* Whether a thread other than this one could run; true too where there is no way to know. */
static bool someone_runs(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const long self = syscall(SYS_gettid);
    bool found = tasks == NULL;
    for (const struct dirent *task; !found && (task = readdir(tasks)) != NULL;) {
        char path[300], line[512] = "";
        if (*task->d_name == '.' || strtol(task->d_name, NULL, 10) == self)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        FILE *stat = fopen(path, "r");
        const bool read = stat != NULL && fgets(line, sizeof line, stat) != NULL;
        const char *state = strrchr(line, ')');
        found = !read || state == NULL || state[1] == '\0' || state[2] != 'S';
        if (stat != NULL)
            fclose(stat);
    }
    if (tasks != NULL)
        closedir(tasks);
    return found;
}

/* What each thread does, of which some do not end. Read without order: they are at it. */
static _Noreturn void hangs(const char *how)
{
    for (unsigned i = 0; i < g.threads; i++)
        fprintf(stderr, "iobuf_stress: thread %u, op %u (%s)\n", i, g.workers[i].op, g.workers[i].doing);
    wrong(NULL, "%s", how);
}

/* Judges by the processor's time and by the threads' states alone: a machine that has no time for us is no hang. */
static void *watch(void *argument)
{
    uint64_t last = UINT64_MAX;
    double since = 0;
    unsigned sleeping = 0;
    (void)argument;
    for (;;) {
        const uint64_t now = ops_done();
        const bool asleep = !someone_runs();
        if (now != last)
            since = seconds(CLOCK_PROCESS_CPUTIME_ID);
        sleeping = now == last && asleep ? sleeping + 1 : 0;
        last = now;
        if (sleeping == SLEEPS_LOOKS)
            hangs("all threads wait for each other");
        if (seconds(CLOCK_PROCESS_CPUTIME_ID) - since > SPINS_SECONDS)
            hangs("a thread goes round for ever");
        nanosleep(&(struct timespec){1, 0}, NULL);
    }
    return NULL;
}

/* ---- rounds ---- */

static void *work(void *argument)
{
    worker *me = argument;
    pthread_barrier_wait(&me->w->together);
    worker_run(me);
    worker_end(me);
    return NULL;
}

static void play_round(uint64_t seed)
{
    world *w = &g.world;
    pthread_t threads[THREADS_MOST];
    uint64_t random = seed;
    g.seed = seed;
    g.main_thread.doing = "the beginning";
    g.main_thread.tags = next_random(&random);
    world_open(w, &g.main_thread, next_random(&random));
    for (unsigned i = 0; i < w->threads; i++) {
        worker *me = &g.workers[i];
        me->w = w;
        me->number = i;
        me->random = next_random(&random);
        me->tags = next_random(&random);
        worker_begin(me);
    }
    for (unsigned i = 0; i < w->threads; i++)
        if ((errno = pthread_create(&threads[i], NULL, work, &g.workers[i])) != 0)
            cannot("no thread");
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(threads[i], NULL);
    world_close(w, &g.main_thread, g.workers);
}

static void print_calls(void)
{
#define CALL_NAME(name) "iobuf_" #name,
    static const char *const names[] = {CALLS(CALL_NAME)};
#undef CALL_NAME
    for (unsigned number = 0; number < CALL_COUNT; number++) {
        uint64_t sum = g.main_thread.calls[number];
        for (unsigned i = 0; i < g.threads; i++)
            sum += g.workers[i].calls[number];
        printf("%s %" PRIu64 "\n", names[number], sum);
    }
}

static uint64_t number_of(const char *word, uint64_t least, uint64_t most, const char *option)
{
    char *end = NULL;
    errno = 0;
    const uint64_t value = word == NULL ? 0 : strtoull(word, &end, 10);
    if (word == NULL || *word < '0' || *word > '9' || *end != '\0' || errno != 0 || value < least || value > most) {
        fprintf(stderr, "iobuf_stress: %s takes a number from %" PRIu64 " to %" PRIu64 ", not %s: --help says more\n", option,
                least, most, word == NULL ? "nothing" : word);
        exit(USAGE);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t threads = 4, rounds = 0, limit = 0, ops = 400, seed = 1;
    bool calls = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--help") == 0) {
            fputs(usage, stdout);
            return FINE;
        }
        if (strcmp(word, "--calls") == 0) {
            calls = true;
            continue;
        }
        if (strcmp(word, "--threads") == 0) {
            threads = number_of(next, 2, THREADS_MOST, word);
        } else if (strcmp(word, "--rounds") == 0) {
            rounds = number_of(next, 1, UINT32_MAX, word);
        } else if (strcmp(word, "--seconds") == 0) {
            limit = number_of(next, 1, UINT32_MAX, word);
        } else if (strcmp(word, "--ops") == 0) {
            ops = number_of(next, 1, 1000000, word);
        } else if (strcmp(word, "--seed") == 0) {
            seed = number_of(next, 0, UINT64_MAX, word);
        } else {
            fprintf(stderr, "iobuf_stress: no option is called %s: --help says more\n", word);
            return USAGE;
        }
        i++;
    }
    rounds = rounds != 0 ? rounds : limit == 0 ? 100 : UINT64_MAX;
    g.threads = g.world.threads = (unsigned)threads;
    g.world.ops = (unsigned)ops;
    pthread_t watcher;
    if ((errno = pthread_create(&watcher, NULL, watch, NULL)) != 0)
        cannot("no thread");
    pthread_detach(watcher);
    const double end = seconds(CLOCK_MONOTONIC) + (double)limit;
    uint64_t round = 0;
    for (; round < rounds && (limit == 0 || seconds(CLOCK_MONOTONIC) < end); round++)
        play_round(seed + round);
    fprintf(stderr, "stress: %" PRIu64 " threads, %" PRIu64 " rounds from seed %" PRIu64 " on, %" PRIu64 " ops; nothing is wrong\n",
            threads, round, seed, ops_done());
    if (calls)
        print_calls();
    return fflush(stdout) == 0 ? FINE : COULD_NOT;
}
