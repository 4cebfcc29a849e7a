/* What an input does depends on nothing but the input: neither its results, nor which blocks of the library it reaches and how often,
 * depend on what ran before in the process. Every file of the corpus is run in several shuffled orders, and each run is compared
 * with the file's first one.
 *
 * The library in this program is instrumented by -fsanitize-coverage=trace-pc, which gcc and clang have both.
 *
 * Usage: test_order CORPUS [ORDERS]
 * Exit status: 0 nothing depends on the order, 1 something does and is named, 2 wrong usage, 3 could not run.
 */
#define _GNU_SOURCE 1 /* dladdr */
#include "../targets/target.h"
#include "corpus.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { INPUTS = 1 << 14, BLOCKS = 1 << 13, SHOWN = 20 };

typedef struct input {
    char *path;
    const program_target *target;
    uint8_t *bytes;
    size_t size;
    uint64_t hash;
    uint32_t *hits; /* of each block that was known after its first run */
    size_t blocks;
} input;

static input inputs[INPUTS];
static size_t input_count;
static const char *program_name;

/* ---- blocks: numbered as they are first seen, found by a hash of their place */

static uintptr_t place[BLOCKS]; /* of block i + 1 */
static uint32_t hits[BLOCKS];
static size_t blocks;
static uint16_t slot[4 * BLOCKS]; /* number of a block, 0: none */

void __sanitizer_cov_trace_pc(void);

static size_t number_of(uintptr_t at)
{
    size_t s = (size_t)((uint32_t)at * 2654435761u) % (4 * BLOCKS);
    while (slot[s] && place[slot[s] - 1] != at)
        s = (s + 1) % (4 * BLOCKS);
    if (slot[s])
        return slot[s] - 1U;
    if (blocks == BLOCKS) {
        fprintf(stderr, "test_order: the library has more than %d blocks\n", BLOCKS);
        exit(3);
    }
    place[blocks] = at;
    slot[s] = (uint16_t)++blocks;
    return blocks - 1;
}

/* Called at each block of the library. Two threads take turns in a program and never run both: see run.c. */
void __sanitizer_cov_trace_pc(void)
{
    hits[number_of((uintptr_t)__builtin_return_address(0))]++;
}

/* ---- inputs */

static const program_target *target_of(const char *path)
{
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[32];
        snprintf(folder, sizeof folder, "/%s/", program_targets[t].name);
        if (strstr(path, folder) != NULL)
            return &program_targets[t];
    }
    return NULL;
}

static void collect(const char *path, const uint8_t *bytes, size_t size)
{
    const program_target *target = target_of(path);
    if (!target) /* the traces of benchmarks */
        return;
    if (input_count == INPUTS) {
        fprintf(stderr, "test_order: more than %d inputs\n", INPUTS);
        exit(3);
    }
    input *in = &inputs[input_count++];
    *in = (input){.path = strdup(path), .target = target, .bytes = malloc(size + 1), .size = size};
    if (!in->path || !in->bytes)
        exit(3);
    memcpy(in->bytes, bytes, size);
}

static uint64_t run(const input *in)
{
    static program p;
    static const execute_options options;
    unsigned line;
    const char *error;
    if (!program_is_text(in->bytes, in->size)) {
        program_decode(in->target, in->bytes, in->size, &p);
    } else if (!program_parse((const char *)in->bytes, in->size, &p, &line, &error)) {
        fprintf(stderr, "test_order: %s:%u: %s\n", in->path, line, error);
        exit(3);
    }
    memset(hits, 0, sizeof hits);
    return execute_program(&p, &options);
}

static void remember(input *in, uint64_t hash)
{
    in->hash = hash;
    in->blocks = blocks;
    in->hits = malloc(blocks * sizeof *in->hits + 1);
    if (!in->hits)
        exit(3);
    memcpy(in->hits, hits, blocks * sizeof *in->hits);
}

/* ---- comparison */

static void say_block(size_t i, uint32_t first, uint32_t now)
{
    Dl_info info;
    uintptr_t at = place[i];
    if (dladdr((void *)at, &info) != 0) /* NOLINT(performance-no-int-to-ptr): a return address */
        at -= (uintptr_t)info.dli_fbase + 1; /* in the call, not behind it */
    printf("  reached %u times, then %u: addr2line -fe %s 0x%zx\n", first, now, program_name, (size_t)at);
}

/* True if the input did what it did in its first run. */
static bool same(const input *in, uint64_t hash, unsigned order)
{
    size_t differ = 0;
    for (size_t i = 0; i < blocks; i++)
        differ += hits[i] != (i < in->blocks ? in->hits[i] : 0);
    if (hash == in->hash && !differ)
        return true;
    printf("%s depends on what ran before it (order %u):%s", in->path, order, hash == in->hash ? "\n" : " other results\n");
    for (size_t i = 0, shown = 0; i < blocks && shown < SHOWN; i++) {
        uint32_t first = i < in->blocks ? in->hits[i] : 0;
        if (hits[i] != first) {
            say_block(i, first, hits[i]);
            shown++;
        }
    }
    return false;
}

static void shuffle(size_t *order, uint32_t seed)
{
    for (size_t i = 0; i < input_count; i++)
        order[i] = i;
    for (size_t i = input_count; i > 1; i--) {
        seed = seed * 1664525 + 1013904223;
        size_t j = (seed >> 8) % i, other = order[i - 1];
        order[i - 1] = order[j];
        order[j] = other;
    }
}

static size_t count_changed(unsigned orders)
{
    static size_t order[INPUTS];
    static bool changed[INPUTS];
    size_t count = 0;
    for (unsigned o = 1; o <= orders; o++) {
        shuffle(order, o);
        for (size_t i = 0; i < input_count; i++) {
            input *in = &inputs[order[i]];
            uint64_t hash = run(in);
            if (!in->hits) {
                remember(in, hash);
            } else if (!same(in, hash, o) && !changed[order[i]]) {
                changed[order[i]] = true;
                count++;
            }
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    unsigned orders = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
    if (argc < 2 || argc > 3 || orders < 2) {
        fprintf(stderr, "usage: test_order CORPUS [ORDERS], at least 2, or 10\n");
        return 2;
    }
    program_name = argv[0];
    corpus_walk(argv[1], collect);
    LLVMFuzzerInitialize(&argc, &argv);
    if (!input_count || !blocks) {
        fprintf(stderr, "test_order: %s\n", input_count ? "the library is not instrumented" : "no inputs");
        return 3;
    }
    size_t changed = count_changed(orders);
    printf("%zu inputs in %u orders, %zu blocks of the library: %zu depend on the order\n", input_count, orders, blocks, changed);
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].path);
        free(inputs[i].bytes);
        free(inputs[i].hits);
    }
    return changed ? 1 : 0;
}
