/* How many ops a second the harness does without an engine: programs like those of the corpus, all of one length, are decoded and
 * run again and again in one process, as an engine would.
 *
 * A program of the corpus that is too short goes on with those behind it; one that is too long is cut.
 */
#include "target.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { INPUTS = 256, MOST_BYTES = 1 << 16, CLOCK_EVERY = 16 };

static const char usage[] =
    "usage: speed TARGET [OPTION...] FILE|DIR...\n"
    "\n"
    "  --ops N        ops in a program (32)\n"
    "  --seconds S    how long (2)\n"
    "  --rounds N     run each program N times instead\n"
    "  --dump DIR     write the programs there, for an engine to begin with, and do not run them\n"
    "  --empty        do everything but decode and run: what the loop itself can do\n"
    "\n"
    "Prints one line of JSON. Exit status: 0 fine, 2 wrong usage, 3 a file could not be read or written.\n";

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static program loaded[INPUTS]; /* of the corpus; what is beyond is left out */
static size_t loaded_count;
static input inputs[INPUTS];
static const program_target *target;

static _Noreturn void give_up(int status, const char *what, const char *why)
{
    fprintf(stderr, "speed: %s%s\n", what, why);
    exit(status);
}

static void load_file(const char *path)
{
    static uint8_t bytes[MOST_BYTES];
    unsigned line;
    const char *error;
    FILE *f = fopen(path, "rb");
    if (!f)
        give_up(3, path, ": cannot be opened");
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (loaded_count == sizeof loaded / sizeof loaded[0])
        return;
    program *p = &loaded[loaded_count];
    if (!program_is_text(bytes, size))
        program_decode(target, bytes, size, p);
    else if (!program_parse((const char *)bytes, size, p, &line, &error))
        give_up(3, path, ": is no program");
    loaded_count += p->count > 0;
}

static int is_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void load(const char *path)
{
    struct stat status;
    struct dirent **entries;
    if (stat(path, &status) != 0)
        give_up(3, path, ": cannot be opened");
    if (!S_ISDIR(status.st_mode)) {
        load_file(path);
        return;
    }
    int count = scandir(path, &entries, is_name, alphasort);
    if (count < 0)
        give_up(3, path, ": cannot be read");
    for (int i = 0; i < count; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (length > 0 && (size_t)length < sizeof name)
            load(name);
        free(entries[i]);
    }
    free(entries);
}

/* Program `first`, and what it takes of those behind it, as bytes. */
static void make_input(size_t first, size_t ops, input *in)
{
    static program p;
    static uint8_t bytes[PROGRAM_MAX_BYTES];
    p.target = target;
    p.count = 0;
    for (size_t i = first; p.count < ops; i = (i + 1) % loaded_count)
        for (size_t j = 0; j < loaded[i].count && p.count < ops; j++)
            p.ops[p.count++] = loaded[i].ops[j];
    in->size = program_encode(&p, bytes, sizeof bytes);
    in->bytes = malloc(in->size);
    if (!in->bytes)
        give_up(3, "no memory", "");
    memcpy(in->bytes, bytes, in->size);
}

static void dump(const char *folder)
{
    for (size_t i = 0; i < loaded_count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%04zu", folder, i);
        FILE *f = fopen(name, "wb");
        if (!f || fwrite(inputs[i].bytes, 1, inputs[i].size, f) != inputs[i].size || fclose(f) != 0)
            give_up(3, name, ": cannot be written");
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return run_target(target->name, bytes, size);
}

static int nothing(const uint8_t *bytes, size_t size)
{
    __asm__ volatile("" : : "r"(bytes), "r"(size) : "memory");
    return 0;
}

typedef struct settings {
    size_t ops, rounds;
    double seconds;
    const char *dump;
    bool empty;
} settings;

static void measure(const settings *s)
{
    int (*run)(const uint8_t *, size_t) = s->empty ? nothing : LLVMFuzzerTestOneInput;
    size_t done = 0, bytes = 0;
    for (size_t i = 0; i < loaded_count; i++) {
        bytes += inputs[i].size;
        if (!s->rounds)
            run(inputs[i].bytes, inputs[i].size); /* warm */
    }
    double start = now(), took = 0;
    for (bool more = true; more;) {
        const input *in = &inputs[done++ % loaded_count];
        run(in->bytes, in->size);
        if (s->rounds)
            more = done < s->rounds * loaded_count;
        else if (done % CLOCK_EVERY == 0)
            more = now() - start < s->seconds;
    }
    took = now() - start;
    printf("{\"target\": \"%s\", \"inputs\": %zu, \"ops\": %zu, \"mean_bytes\": %.1f, \"executions\": %zu, \"seconds\": %.6f, "
           "\"executions_per_second\": %.0f, \"ops_per_second\": %.0f}\n",
           target->name, loaded_count, s->ops, (double)bytes / (double)loaded_count, done, took, (double)done / took,
           (double)(done * s->ops) / took);
}

static int parse_option(settings *s, char **argv, int at)
{
    const char *option = argv[at], *value = argv[at + 1];
    if (strcmp(option, "--empty") == 0) {
        s->empty = true;
        return at;
    }
    if (strcmp(option, "--ops") == 0 && value)
        s->ops = strtoul(value, NULL, 10);
    else if (strcmp(option, "--seconds") == 0 && value)
        s->seconds = strtod(value, NULL);
    else if (strcmp(option, "--rounds") == 0 && value)
        s->rounds = strtoul(value, NULL, 10);
    else if (strcmp(option, "--dump") == 0 && value)
        s->dump = value;
    else
        give_up(2, option, " is no option, or needs a value");
    return at + 1;
}

int main(int argc, char **argv)
{
    settings s = {.ops = 32, .seconds = 2};
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    target = argc > 1 ? program_target_find(argv[1]) : NULL;
    if (!target)
        give_up(2, "needs a target", ": slice, reader, pool or all");
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0)
            i = parse_option(&s, argv, i);
        else
            load(argv[i]);
    }
    if (!s.ops || s.ops > PROGRAM_MAX_OPS || !(s.seconds > 0))
        give_up(2, "there must be 1 to 1024 ops", ", and some time");
    if (!loaded_count)
        give_up(2, "needs a file", " that holds a program");
    for (size_t i = 0; i < loaded_count; i++)
        make_input(i, s.ops, &inputs[i]);
    LLVMFuzzerInitialize(&argc, &argv);
    if (s.dump)
        dump(s.dump);
    else
        measure(&s);
    for (size_t i = 0; i < loaded_count; i++)
        free(inputs[i].bytes);
    return 0;
}
