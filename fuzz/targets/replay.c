/* Replays inputs, or text programs, of one target under any compiler, with all checks after every op; converts between the forms.
 *
 * Exit status: 0 all ran clean, 1 a check failed or the library crashed, 2 wrong usage, 3 something could not be read or written.
 */
#include "../minimise/minimise.h"
#include "../sweep/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FINE = 0, FAILED = 1, USAGE = 2, UNREADABLE = 3, MOST_BYTES = 1 << 20 };

static const char usage[] =
    "usage: replay TARGET [OPTION...] FILE|DIR...\n"
    "\n"
    "TARGET is slice, reader, pool or all. Each FILE is an input of a fuzzer or a text program (which names its target); a\n"
    "DIR is searched for them. All checks run after every op; the first failure ends the run.\n"
    "\n"
    "  --print        print each op with its result\n"
    "  --text         print the program as text, and do not run it\n"
    "  --encode OUT   write the program's shortest encoding to OUT, and do not run it\n"
    "  --c OUT        write the run to OUT as a C file that needs the library alone, up to the op that fails\n"
    "  --hash         print a hash of all results of each program\n"
    "  --fast         check as while fuzzing: after each op only what it can have touched\n"
    "  --abort        abort when a check fails, so that a sanitizer or a debugger shows the stack\n"
    "  --minimise OUT write the one FILE, which fails, as the smallest program found that fails the same way: to OUT encoded, to\n"
    "                 OUT.txt as text, to OUT.c as C\n"
    "  --any          with --minimise: as a program of any ops that fails in any way\n"
    "  --fault-sweep  run each program once for each allocation that it makes, which fails, and once where all after it fail too\n"
    "  --quiet        no summary\n"
    "  --help\n"
    "\n"
    "Example: replay slice --print corpus/slice/seeds/coalesce-limit\n"
    "Exit status: 0 clean, 1 a check failed, 2 wrong usage, 3 a file could not be read or written.\n";

typedef struct replay {
    const program_target *target;
    const char *encode_to, *c_to, *minimise_to;
    bool print, text, hash, quiet, fast, abort, sweep, any;
    unsigned programs, ops;
} replay;

static char current[4096]; /* the file that is running, for messages */
static uint8_t bytes[MOST_BYTES];
static program parsed;

static _Noreturn void give_up(int status, const char *format, const char *what, const char *why)
{
    fprintf(stderr, format, what, why);
    exit(status);
}

static void note_failure(void)
{
    fflush(stdout);
    fprintf(stderr, "in %s\n", current);
    _exit(FAILED);
}

/* The library, checked, aborts with its own line; or it crashed. Not strictly safe in a handler, but the process is lost anyway. */
static void on_signal(int number)
{
    static volatile sig_atomic_t again;
    if (!again) {
        again = 1;
        fprintf(stderr, "check failed: library_does_not_crash: signal %d ", number);
        execute_describe(stderr);
        note_failure();
    }
    _exit(FAILED);
}

static void on_death(void)
{
    fprintf(stderr, "check failed: library_does_not_crash: sanitizer ");
    execute_describe(stderr);
    fprintf(stderr, "in %s\n", current);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch_for_crashes(void)
{
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(on_death);
        return;
    }
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], on_signal);
}

static size_t read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        give_up(UNREADABLE, "replay: cannot open %s: %s\n", path, strerror(errno));
    size_t size = fread(bytes, 1, MOST_BYTES, f);
    if (ferror(f))
        give_up(UNREADABLE, "replay: cannot read %s: %s\n", path, strerror(errno));
    if (size == MOST_BYTES)
        give_up(UNREADABLE, "replay: %s is too large for a program%s\n", path, "");
    fclose(f);
    return size;
}

static void load(const replay *r, const char *path)
{
    size_t size = read_file(path);
    unsigned line;
    const char *error;
    if (!program_is_text(bytes, size)) {
        program_decode(r->target, bytes, size, &parsed);
    } else if (!program_parse((const char *)bytes, size, &parsed, &line, &error)) {
        fprintf(stderr, "replay: %s:%u: %s\n", path, line, error);
        exit(UNREADABLE);
    }
}

static void encode(const char *path)
{
    static uint8_t out[PROGRAM_MAX_BYTES];
    size_t size = program_encode(&parsed, out, sizeof out);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(out, 1, size, f) != size || fclose(f) != 0)
        give_up(UNREADABLE, "replay: cannot write %s: %s\n", path, strerror(errno));
}

/* path.part is where a file is written before it takes its place. */
static const char *with(const char *path, const char *suffix)
{
    static char names[8][4096];
    static unsigned next;
    char *name = names[next++ % 8];
    if (snprintf(name, sizeof names[0], "%s%s", path, suffix) >= (int)sizeof names[0])
        give_up(UNREADABLE, "replay: %s is too long a name%s\n", path, "");
    return name;
}

static void take_place(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        give_up(UNREADABLE, "replay: cannot write %s: %s\n", to, strerror(errno));
}

/* Exit status 1, as of any run in which a check failed; 0: the file does not fail. */
static int minimise(const replay *r, const char *path)
{
    const execute_options options = {!r->fast, true, NULL, NULL, note_failure};
    const char *out = r->minimise_to, *text = with(out, ".txt"), *c = with(out, ".c");
    const char *out_part = with(out, ".part"), *text_part = with(text, ".part"), *c_part = with(c, ".part");
    verdict v;
    load(r, path);
    if (r->any)
        parsed.target = program_target_find("all");
    const size_t before = parsed.count;
    judge_begin(&options);
    judge(&parsed, true, &v);
    if (!v.check[0]) {
        judge_end();
        printf("%s does not fail: nothing to minimise\n", path);
        return FINE;
    }
    shrink(&parsed, &v, r->any);
    judge(&parsed, true, &v);
    encode(out_part);
    if (!judge_write(&parsed, &v, text_part, c_part))
        give_up(UNREADABLE, "replay: cannot write %s.txt and %s.c\n", out, out);
    take_place(out_part, out);
    take_place(text_part, text);
    take_place(c_part, c);
    const judge_counts counts = judge_end();
    printf("%zu of %zu ops left; %s at %s%s%s; %lu runs in %lu processes\n", parsed.count, before, v.check,
           v.kind < OP_KINDS  ? program_ops[v.kind].name
           : v.kind == AT_END ? "the end"
                              : "an unknown op",
           v.report[0] ? ": " : "", v.report, counts.runs, counts.processes);
    return FAILED;
}

static void replay_file(replay *r, const char *path)
{
    execute_options options = {!r->fast, true, r->print ? stdout : NULL, NULL, r->abort ? NULL : note_failure};
    snprintf(current, sizeof current, "%s", path);
    load(r, path);
    r->programs++;
    r->ops += (unsigned)parsed.count;
    if (r->encode_to)
        encode(r->encode_to);
    else if (r->text)
        program_print(&parsed, parsed.count, stdout);
    if (r->encode_to || r->text)
        return;
    if (r->sweep) {
        sweep_program(&parsed, &options);
        return;
    }
    if (r->c_to && !(options.c = fopen(r->c_to, "w")))
        give_up(UNREADABLE, "replay: cannot write %s: %s\n", r->c_to, strerror(errno));
    uint64_t hash = execute_program(&parsed, &options);
    if (options.c && fclose(options.c) != 0)
        give_up(UNREADABLE, "replay: cannot write %s: %s\n", r->c_to, strerror(errno));
    if (r->hash)
        printf("%016llx %s\n", (unsigned long long)hash, path);
}

static int is_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_path(replay *r, const char *path)
{
    struct stat status;
    struct dirent **entries;
    if (stat(path, &status) != 0)
        give_up(UNREADABLE, "replay: cannot open %s: %s\n", path, strerror(errno));
    if (!S_ISDIR(status.st_mode)) {
        replay_file(r, path);
        return;
    }
    int count = scandir(path, &entries, is_name, alphasort);
    if (count < 0)
        give_up(UNREADABLE, "replay: cannot read %s: %s\n", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *name = malloc(strlen(path) + strlen(entries[i]->d_name) + 2);
        if (!name)
            give_up(UNREADABLE, "replay: %s%s\n", "no memory", "");
        sprintf(name, "%s/%s", path, entries[i]->d_name);
        replay_path(r, name);
        free(name);
        free(entries[i]);
    }
    free(entries);
}

static int parse_option(replay *r, char **argv, int at)
{
    const char *option = argv[at];
    if (strcmp(option, "--print") == 0)
        r->print = true;
    else if (strcmp(option, "--text") == 0)
        r->text = true;
    else if (strcmp(option, "--hash") == 0)
        r->hash = true;
    else if (strcmp(option, "--fast") == 0)
        r->fast = true;
    else if (strcmp(option, "--quiet") == 0)
        r->quiet = true;
    else if (strcmp(option, "--abort") == 0)
        r->abort = true;
    else if (strcmp(option, "--fault-sweep") == 0)
        r->sweep = true;
    else if (strcmp(option, "--any") == 0)
        r->any = true;
    else if (strcmp(option, "--minimise") == 0 && argv[at + 1])
        r->minimise_to = argv[++at];
    else if (strcmp(option, "--encode") == 0 && argv[at + 1])
        r->encode_to = argv[++at];
    else if (strcmp(option, "--c") == 0 && argv[at + 1])
        r->c_to = argv[++at];
    else
        give_up(USAGE, "replay: %s %s; see replay --help\n", option,
                strcmp(option, "--encode") == 0 || strcmp(option, "--c") == 0 || strcmp(option, "--minimise") == 0
                    ? "needs a file"
                    : "is no option");
    return at;
}

int main(int argc, char **argv)
{
    replay r = {0};
    int paths = 0;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return FINE;
    }
    if (argc < 3)
        give_up(USAGE, "replay: %s%s\n", "needs a target and a file", "; see replay --help");
    r.target = program_target_find(argv[1]);
    if (!r.target)
        give_up(USAGE, "replay: no target %s%s\n", argv[1], ": slice, reader, pool or all");
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0)
            i = parse_option(&r, argv, i);
        else
            argv[paths++] = argv[i];
    }
    if (!paths)
        give_up(USAGE, "replay: %s%s\n", "needs a file", "; see replay --help");
    watch_for_crashes();
    if (r.minimise_to) {
        if (paths != 1)
            give_up(USAGE, "replay: %s%s\n", "--minimise needs one file", "; see replay --help");
        return minimise(&r, argv[0]);
    }
    for (int i = 0; i < paths; i++)
        replay_path(&r, argv[i]);
    if (r.sweep)
        sweep_report(stdout);
    if (!r.quiet && !r.text && !r.encode_to && !r.sweep)
        printf("%u programs, %u ops: clean\n", r.programs, r.ops);
    return FINE;
}
