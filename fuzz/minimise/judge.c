/* Runs candidates in a child process. A clean run leaves the child as it was, so the next candidate is run by the same one, and a
 * process is paid for only by what fails: a failure ends the child. What a child says on stderr goes to a file, and tells how the
 * run failed: the one form that checks, sanitizers and the library's own messages share.
 */
#include "minimise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_LIMIT = 5000, /* ms; of the later runs: */
    LEAST_LIMIT = 500,
    LIMIT_FACTOR = 20, /* ... what the first took, times this */
    GRACE = 2000,      /* for a child that hangs to say where */
    SAID = 1 << 18
};

static struct {
    execute_options options;
    program *shared; /* what the child is to run */
    FILE *said;
    pid_t child; /* 0: none */
    int ask, answer;
    bool used; /* the child has run something */
    int limit;
    judge_counts counts;
} the;

static _Noreturn void cannot(const char *what)
{
    fprintf(stderr, "replay: cannot %s: %s\n", what, strerror(errno));
    exit(3);
}

void judge_begin(const execute_options *options)
{
    memset(&the, 0, sizeof the);
    the.options = *options;
    the.shared = mmap(NULL, sizeof *the.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    the.said = tmpfile();
    the.limit = FIRST_LIMIT;
    if (the.shared == MAP_FAILED || !the.said)
        cannot("minimise");
    signal(SIGPIPE, SIG_IGN);
}

/* ---- the child */

/* Not strictly safe in a handler, but the process is lost anyway; one that gets stuck here is killed. */
static void on_hang(int number)
{
    (void)number;
    fprintf(stderr, "check failed: program_ends: it hangs ");
    execute_describe(stderr);
    _exit(1);
}

static _Noreturn void serve(int ask, int answer)
{
    char byte;
    dup2(fileno(the.said), STDERR_FILENO);
    signal(SIGALRM, on_hang);
    while (read(ask, &byte, 1) == 1) {
        execute_program(the.shared, &the.options);
        if (write(answer, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static void start(void)
{
    int ask[2], answer[2];
    fflush(NULL);
    if (ftruncate(fileno(the.said), 0) != 0 || lseek(fileno(the.said), 0, SEEK_SET) != 0 || pipe(ask) != 0 || pipe(answer) != 0 ||
        (the.child = fork()) < 0)
        cannot("start a process");
    if (the.child == 0) {
        close(ask[1]);
        close(answer[0]);
        serve(ask[0], answer[1]);
    }
    close(ask[0]);
    close(answer[1]);
    the.ask = ask[1];
    the.answer = answer[0];
    the.used = false;
    the.counts.processes++;
}

/* Returns how it ended. */
static int bury(void)
{
    int status = 0;
    close(the.ask);
    close(the.answer);
    while (waitpid(the.child, &status, 0) < 0 && errno == EINTR)
        continue;
    the.child = 0;
    return status;
}

/* ---- what it said */

/* Numbers and addresses differ from run to run. */
static void copy_without_numbers(char *to, size_t room, const char *from, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < room; i++) {
        if (from[i] < '0' || from[i] > '9') {
            to[used++] = from[i];
            continue;
        }
        to[used++] = '#';
        while (i + 1 < size && strchr("0123456789abcdefx", from[i + 1]))
            i++;
    }
    to[used] = '\0';
}

/* The line that says what kind of crash it was. */
static void find_report(const char *text, verdict *v)
{
    static const char *const marks[] = {
        "ERROR: AddressSanitizer: ", "WARNING: MemorySanitizer: ", "WARNING: ThreadSanitizer: ", "runtime error: ", "iobuf: "};
    static const char *const ends[] = {" on ", " (", " in "};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *at = strstr(text, marks[i]);
        if (!at)
            continue;
        at += strlen(marks[i]);
        size_t size = strcspn(at, "\n");
        for (size_t j = 0; j < sizeof ends / sizeof ends[0] && i < 3; j++) {
            const char *end = strstr(at, ends[j]);
            if (end && end < at + size)
                size = (size_t)(end - at);
        }
        copy_without_numbers(v->report, sizeof v->report, at, size);
        return;
    }
    const char *number = strstr(text, ": signal ");
    if (number)
        snprintf(v->report, sizeof v->report, "signal %ld", strtol(number + 9, NULL, 10));
}

static void find_place(const char *line, const program *p, verdict *v)
{
    const char *program_text = strstr(line, "iobuf-program"), *at = strstr(line, "at op ");
    v->kind = AT_END;
    v->ran = p->count;
    if (!at || (program_text && at > program_text))
        return;
    size_t number = strtoul(at + 6, NULL, 10);
    if (number && number <= p->count) {
        v->ran = number;
        v->kind = p->ops[number - 1].kind;
    }
}

static void read_said(const program *p, int status, verdict *v)
{
    static char text[SAID];
    ssize_t size = pread(fileno(the.said), text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    const char *line = strstr(text, "check failed: ");
    if (!line) {
        snprintf(v->check, sizeof v->check, "process_survives");
        snprintf(v->report, sizeof v->report, "%s %d", WIFSIGNALED(status) ? "signal" : "exit status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        v->kind = NOWHERE;
        v->ran = p->count;
        return;
    }
    const char *name = line + strlen("check failed: ");
    int length = (int)strcspn(name, ":\n");
    snprintf(v->check, sizeof v->check, "%.*s", length, name);
    name += length + (name[length] == ':');
    name += *name == ' ';
    snprintf(v->message, sizeof v->message, "%.*s", (int)strcspn(name, "\n"), name);
    find_place(line, p, v);
    if (strcmp(v->check, "library_does_not_crash") == 0)
        find_report(text, v);
}

bool verdict_same(const verdict *a, const verdict *b)
{
    return a->kind == b->kind && strcmp(a->check, b->check) == 0 && strcmp(a->report, b->report) == 0;
}

/* ---- a run */

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* True if the child answers, false if it is gone or hangs. */
static bool wait_for_answer(int limit)
{
    struct pollfd wait = {.fd = the.answer, .events = POLLIN};
    const long end = now() + limit;
    char byte;
    int found;
    do {
        const long left = end - now();
        found = poll(&wait, 1, left > 0 ? (int)left : 0);
    } while (found < 0 && errno == EINTR);
    if (found > 0)
        return read(the.answer, &byte, 1) == 1;
    kill(the.child, SIGALRM);
    if (poll(&wait, 1, GRACE) <= 0)
        kill(the.child, SIGKILL);
    return false;
}

void judge(const program *p, bool fresh, verdict *v)
{
    const long start_time = now();
    memset(v, 0, sizeof *v);
    if (the.child && the.used && fresh)
        bury();
    if (!the.child)
        start();
    the.shared->target = p->target;
    the.shared->count = p->count;
    memcpy(the.shared->ops, p->ops, p->count * sizeof p->ops[0]);
    the.counts.runs++;
    the.used = true;
    if (write(the.ask, "", 1) != 1 || !wait_for_answer(the.limit))
        read_said(p, bury(), v);
    if (the.limit == FIRST_LIMIT) {
        const long took = (now() - start_time) * LIMIT_FACTOR;
        the.limit = took < LEAST_LIMIT || strcmp(v->check, "program_ends") == 0 ? LEAST_LIMIT
                    : took < FIRST_LIMIT                                        ? (int)took
                                                                                : FIRST_LIMIT - 1;
    }
}

/* What ran is in the text with its results; the op that failed, and any behind it, are added here. */
static bool end_text(const program *p, const verdict *v, const char *path)
{
    FILE *f = fopen(path, "r+");
    char last = '\n';
    size_t lines = 0;
    if (!f)
        return false;
    for (int c; (c = getc(f)) != EOF; last = (char)c)
        lines += c == '\n';
    fseek(f, 0, SEEK_END);
    if (!lines)
        program_print(p, 0, f);
    if (last != '\n')
        putc('\n', f);
    for (size_t i = lines ? lines - 1 : 0; i < p->count; i++) {
        char text[128];
        program_op_text(&p->ops[i], text, sizeof text);
        fprintf(f, "%s\n", text);
    }
    fprintf(f, "# check failed: %s: %s%s%s\n", v->check, v->message, v->report[0] ? "; " : "", v->report);
    return fclose(f) == 0;
}

bool judge_write(const program *p, const verdict *v, const char *text, const char *c)
{
    verdict again;
    the.options.print = fopen(text, "w");
    the.options.c = fopen(c, "w");
    if (!the.options.print || !the.options.c)
        return false;
    setvbuf(the.options.print, NULL, _IOLBF, 0);
    if (the.child)
        bury();
    judge(p, true, &again);
    bool closed = fclose(the.options.print) == 0;
    closed = fclose(the.options.c) == 0 && closed;
    the.options.print = the.options.c = NULL;
    return closed && end_text(p, v, text);
}

judge_counts judge_end(void)
{
    if (the.child)
        bury();
    fclose(the.said);
    munmap(the.shared, sizeof *the.shared);
    return the.counts;
}
