/* Runs the library under schedules of all kinds, and says what failed as a program with its schedule, which replays.
 *
 * Exit status: 0 clean, 1 a run failed, 2 wrong usage, 3 a file could not be read.
 */
#include "choose.h"
#include "explore.h"
#include "programs.h"
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINE = 0, FOUND = 1, USAGE = 2, UNREADABLE = 3 };

#define TEXT_MOST ((size_t)1 << 20)
#define PREEMPTIONS 2

static const char usage[] =
    "usage: iobuf_interleave [OPTION...] [FILE|NAME...]\n"
    "\n"
    "Runs programs of 2 to 4 threads on the library under many schedules, with all checks. A FILE holds a program, as a failure "
    "is\n"
    "printed; a NAME is one of those that are built in; without either, these all are run, and with --random and --pct as many\n"
    "more that the seeds make. The first failure ends it, and is printed with its schedule to standard output.\n"
    "\n"
    "  --exhaustive      every schedule with at most so many preemptions\n"
    "  --preemptions N   how many (default: 2)\n"
    "  --stale N         at most N times a run, a thread gets an older value than the latest, or stores behind one, where C11\n"
    "                    permits it (default: 0, or what a FILE says)\n"
    "  --random N        N schedules, of seeds 0 to N - 1\n"
    "  --pct DEPTH N     N schedules of PCT, for bugs that take up to DEPTH (at most 16) ordered steps\n"
    "  --replay FILE     one program under its schedule\n"
    "  --made N          --exhaustive runs N programs more, which the seeds 0 to N - 1 make\n"
    "  --from N          all these seeds begin with N, not 0\n"
    "  --as-found        print the schedule of --random and --pct as it is, without a try to make it shorter\n"
    "  --list            name the built-in programs\n"
    "  --each            a line for each program of --exhaustive\n"
    "  --help\n"
    "\n"
    "Examples: iobuf_interleave --exhaustive --random 1000 --pct 3 1000\n"
    "          iobuf_interleave --exhaustive --preemptions 4 last-two\n"
    "Exit status: 0 clean, 1 a run failed, 2 wrong usage, 3 a file could not be read.\n";

typedef struct given {
    char name[64];
    program program;
} given;

static struct {
    given *programs;
    unsigned count;
    unsigned stale; /* values in each run, if not what the program says */
    bool named;     /* on the command line */
    turn turns[STEPS_MOST];
    unsigned turns_count;
} g;

static _Noreturn void give_up(int status, const char *format, const char *what, const char *why)
{
    fprintf(stderr, format, what, why);
    exit(status);
}

static unsigned number_of(const char *word, unsigned least, unsigned most, const char *option)
{
    char *end = NULL;
    errno = 0;
    const unsigned long value = word == NULL ? 0 : strtoul(word, &end, 10);
    if (word == NULL || *word < '0' || *word > '9' || *end != '\0' || errno != 0 || value < least || value > most)
        give_up(USAGE, "iobuf_interleave: %s takes a number, not %s: --help says more\n", option, word == NULL ? "nothing" : word);
    return (unsigned)value;
}

/* ---- programs ---- */

static given *add_program(const char *name)
{
    g.programs = realloc(g.programs, (g.count + 1) * sizeof *g.programs);
    if (g.programs == NULL)
        give_up(UNREADABLE, "iobuf_interleave: %s: %s\n", name, strerror(ENOMEM));
    given *it = &g.programs[g.count++];
    snprintf(it->name, sizeof it->name, "%s", name);
    return it;
}

static void add_text(const char *name, const char *text)
{
    unsigned line;
    given *it = add_program(name);
    const char *why = program_parse(text, &it->program, g.turns, &g.turns_count, &line);
    if (why != NULL) {
        fprintf(stderr, "iobuf_interleave: %s, line %u: %s\n", name, line, why);
        exit(UNREADABLE);
    }
}

static void add_built_in(const named_program *p)
{
    char text[2048];
    snprintf(text, sizeof text, "iobuf-interleave 1\n%s", p->text);
    add_text(p->name, text);
}

static void add_file(const char *path)
{
    static char text[TEXT_MOST];
    FILE *f = fopen(path, "rb");
    const size_t size = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (f == NULL || ferror(f) != 0)
        give_up(UNREADABLE, "iobuf_interleave: %s cannot be read: %s\n", path, strerror(errno));
    fclose(f);
    text[size] = '\0';
    add_text(path, text);
}

static void add_named(const char *name)
{
    g.named = true;
    for (unsigned i = 0; i < small_programs_count; i++) {
        if (strcmp(small_programs[i].name, name) == 0) {
            add_built_in(&small_programs[i]);
            return;
        }
    }
    add_file(name);
}

/* ---- failures ---- */

static outcome run_turns(const program *p, const turn *turns, unsigned count)
{
    turns_choice c = {.turns = turns, .count = count};
    return world_run(p, choose_by_turns, &c);
}

static unsigned stale_in(const turn *turns, unsigned count)
{
    unsigned stale = 0;
    for (unsigned i = 0; i < count; i++)
        stale += turns[i].stale != 0;
    return stale;
}

/* Fewer turns that fail in the same words, or as many with fewer stale values: one after the other is left out. */
static void simplify(const program *p)
{
    static turn best[STEPS_MOST], candidate[STEPS_MOST];
    char failure[1024];
    unsigned count;
    snprintf(failure, sizeof failure, "%s", scheduler_failure());
    memcpy(best, scheduler_turns(&count), sizeof best);
    for (unsigned out = 0; out < count;) {
        const bool stale = best[out].stale != 0;
        memcpy(candidate, best, count * sizeof *best);
        candidate[out].stale = 0;
        if (!stale)
            memmove(candidate + out, candidate + out + 1, (count - out - 1) * sizeof *best);
        unsigned now;
        const turn *turns = run_turns(p, candidate, stale ? count : count - 1) == FAILED ? scheduler_turns(&now) : NULL;
        if (turns != NULL && strcmp(failure, scheduler_failure()) == 0 &&
            (now < count || (now == count && stale_in(turns, now) < stale_in(best, count)))) {
            memcpy(best, turns, now * sizeof *best);
            count = now;
            out = 0;
        } else {
            out++;
        }
    }
    (void)run_turns(p, best, count);
}

static void print_failure(const program *p, const char *name, const char *how)
{
    unsigned count;
    const turn *turns = scheduler_turns(&count);
    program_print(p);
    program_print_schedule(turns, count);
    printf("# %s, %s, fails: %s\n# Who ran until where:\n", name, how, scheduler_failure());
    program_print_run(p, turns, count);
}

/* ---- methods ---- */

static const char *stale_words(char words[40])
{
    words[0] = '\0';
    if (g.stale != 0)
        snprintf(words, 40, ", at most %u stale values", g.stale);
    return words;
}

static bool run_exhaustive(unsigned preemptions, bool each)
{
    char words[40];
    explored all = {.runs = 0};
    for (unsigned i = 0; i < g.count; i++) {
        const explored e = explore(&g.programs[i].program, preemptions, UINT64_MAX);
        all.runs += e.runs;
        all.cut_short += e.cut_short;
        all.states += e.states;
        if (each)
            fprintf(stderr, "%-24s %8" PRIu64 " schedules, %8" PRIu64 " cut short, %8" PRIu64 " states, %u passes\n",
                    g.programs[i].name, e.runs, e.cut_short, e.states, e.passes);
        if (e.failed) {
            char how[100];
            snprintf(how, sizeof how, "exhaustive, %u preemptions, schedule %" PRIu64, preemptions, (all.runs + all.cut_short + 1));
            print_failure(&g.programs[i].program, g.programs[i].name, how);
            return false;
        }
    }
    fprintf(stderr,
            "exhaustive: %u programs, at most %u preemptions%s: %" PRIu64 " schedules to their end, %" PRIu64
            " to a known state, of %" PRIu64 " states; "
            "none failed\n",
            g.count, preemptions, stale_words(words), all.runs, all.cut_short, all.states);
    return true;
}

static unsigned next_random(void *context, unsigned n)
{
    return random_below(context, n);
}

static void make_of_seed(program *p, unsigned seed, char name[64])
{
    random_numbers numbers = {seed};
    program_make(p, next_random, &numbers);
    p->stale = g.stale;
    snprintf(name, 64, "made of seed %u", seed);
}

/* Half of them the programs that are given, half made of the seed, if none was named. */
static const program *program_of_seed(unsigned seed, char name[64])
{
    static program made;
    if (g.named || seed % 2 == 0) {
        const given *it = &g.programs[(g.named ? seed : seed / 2) % g.count];
        snprintf(name, 64, "%s", it->name);
        return &it->program;
    }
    make_of_seed(&made, seed, name);
    return &made;
}

/* `depth` 0: at random, else PCT. */
static bool run_seeds(unsigned depth, unsigned from, unsigned seeds, bool as_found)
{
    char name[64], how[100];
    for (unsigned seed = from; seed - from < seeds; seed++) {
        const program *p = program_of_seed(seed, name);
        outcome ended;
        if (depth == 0) {
            random_choice c;
            random_begin(&c, seed);
            ended = world_run(p, choose_at_random, &c);
        } else {
            pct_choice c;
            ended = run_turns(p, NULL, 0); /* for how many steps there are */
            pct_begin(&c, seed, depth, scheduler_steps());
            if (ended == RAN)
                ended = world_run(p, choose_by_priority, &c);
        }
        scheduler_forget(); /* of what another program learned */
        if (ended == FAILED) {
            if (depth == 0)
                snprintf(how, sizeof how, "random, seed %u", seed);
            else
                snprintf(how, sizeof how, "PCT, depth %u, seed %u", depth, seed);
            if (!as_found)
                simplify(p);
            print_failure(p, name, how);
            return false;
        }
    }
    char words[40];
    fprintf(stderr, "%s%s: %u schedules, none failed\n", depth == 0 ? "random" : "PCT", stale_words(words), seeds);
    return true;
}

static int replay(const char *path)
{
    add_file(path);
    const program *p = &g.programs[0].program;
    const outcome ended = run_turns(p, g.turns, g.turns_count);
    if (ended == FAILED)
        print_failure(p, path, "replayed");
    else
        fprintf(stderr, "%s: %u steps, clean\n", path, scheduler_steps());
    return ended == FAILED ? FOUND : FINE;
}

int main(int argc, char **argv)
{
    bool exhaustive = false, each = false, as_found = false, fine = true;
    unsigned preemptions = PREEMPTIONS, made = 0, random_seeds = 0, depth = 0, pct_seeds = 0, from = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--help") == 0) {
            fputs(usage, stdout);
            return FINE;
        }
        if (strcmp(word, "--list") == 0) {
            for (unsigned at = 0; at < small_programs_count; at++)
                puts(small_programs[at].name);
            return FINE;
        }
        if (strcmp(word, "--exhaustive") == 0) {
            exhaustive = true;
        } else if (strcmp(word, "--each") == 0) {
            each = true;
        } else if (strcmp(word, "--as-found") == 0) {
            as_found = true;
        } else if (strcmp(word, "--preemptions") == 0) {
            preemptions = number_of(next, 0, 1000, word);
            i++;
        } else if (strcmp(word, "--stale") == 0) {
            g.stale = number_of(next, 0, STALE_MOST, word);
            i++;
        } else if (strcmp(word, "--made") == 0) {
            made = number_of(next, 1, 1000000, word);
            i++;
        } else if (strcmp(word, "--from") == 0) {
            from = number_of(next, 0, UINT32_MAX, word);
            i++;
        } else if (strcmp(word, "--random") == 0) {
            random_seeds = number_of(next, 1, UINT32_MAX, word);
            i++;
        } else if (strcmp(word, "--pct") == 0) {
            depth = number_of(next, 1, DEPTH_MOST, word);
            pct_seeds = number_of(i + 2 < argc ? argv[i + 2] : NULL, 1, UINT32_MAX, word);
            i += 2;
        } else if (strcmp(word, "--replay") == 0) {
            if (next == NULL || argc != 3)
                give_up(USAGE, "iobuf_interleave: %s takes one FILE%s: --help says more\n", word, " and stands alone");
            return replay(next);
        } else if (*word == '-') {
            give_up(USAGE, "iobuf_interleave: no option is called %s%s: --help says more\n", word, "");
        } else {
            add_named(word);
        }
    }
    if (!exhaustive && random_seeds == 0 && pct_seeds == 0)
        give_up(USAGE, "iobuf_interleave: %s, %s or --replay: --help says more\n", "say one of --exhaustive", "--random, --pct");
    for (unsigned i = 0; !g.named && i < small_programs_count; i++)
        add_built_in(&small_programs[i]);
    for (unsigned i = 0; g.stale != 0 && i < g.count; i++)
        g.programs[i].program.stale = g.stale;
    const unsigned not_made = g.count;
    for (unsigned seed = 0; seed < made; seed++) {
        given *it = add_program("");
        make_of_seed(&it->program, from + seed, it->name);
    }
    fine = !exhaustive || run_exhaustive(preemptions, each);
    g.count = not_made;
    fine = fine && (random_seeds == 0 || run_seeds(0, from, random_seeds, as_found));
    fine = fine && (pct_seeds == 0 || run_seeds(depth, from, pct_seeds, as_found));
    return fine ? FINE : FOUND;
}
