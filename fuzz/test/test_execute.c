/* Runs are deterministic: the results of a program depend on nothing but the program. */
#include "../execute/execute.h"
#include "corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FILES = 4096 };

static const char *corpus;
static char *paths[FILES];
static uint64_t hashes[FILES];
static int files;

static program loaded;
static const program_target *target_of_path;

static void load(const char *path, const uint8_t *bytes, size_t size)
{
    unsigned line;
    const char *error;
    (void)path;
    if (!program_is_text(bytes, size) || !program_parse((const char *)bytes, size, &loaded, &line, &error))
        program_decode(target_of_path, bytes, size, &loaded);
}

static uint64_t run(const char *path, bool thorough, bool real_memory)
{
    const execute_options options = {.thorough = thorough, .real_memory = real_memory};
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[32];
        snprintf(folder, sizeof folder, "/%s/", program_targets[t].name);
        if (strstr(path, folder) != NULL)
            target_of_path = &program_targets[t];
    }
    corpus_file(path, load);
    return execute_program(&loaded, &options);
}

static void collect(const char *path, const uint8_t *bytes, size_t size)
{
    (void)bytes;
    (void)size;
    if (files < FILES)
        paths[files++] = strdup(path);
}

static int collect_corpus(void **state)
{
    (void)state;
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[4096];
        int length = snprintf(folder, sizeof folder, "%s/%s", corpus, program_targets[t].name);
        if (length > 0 && (size_t)length < sizeof folder)
            corpus_walk(folder, collect);
    }
    for (int i = 0; i < files; i++)
        hashes[i] = run(paths[i], false, false);
    return files == 0;
}

static int forget_corpus(void **state)
{
    (void)state;
    for (int i = 0; i < files; i++)
        free(paths[i]);
    return 0;
}

static void expect_hash(int i, uint64_t hash)
{
    if (hash != hashes[i])
        fail_msg("%s: %llx, not %llx", paths[i], (unsigned long long)hash, (unsigned long long)hashes[i]);
}

static void results_do_not_depend_on_what_ran_before(void **state)
{
    uint32_t random = 99;
    (void)state;
    for (int i = 0; i < 2 * files; i++) {
        random = random * 1664525 + 1013904223;
        int pick = (int)((random >> 8) % (uint32_t)files);
        expect_hash(pick, run(paths[pick], false, false));
    }
}

static void results_do_not_depend_on_how_often_is_checked(void **state)
{
    (void)state;
    for (int i = 0; i < files; i++)
        expect_hash(i, run(paths[i], true, false));
}

static void results_do_not_depend_on_where_memory_comes_from(void **state)
{
    (void)state;
    for (int i = 0; i < files; i++)
        expect_hash(i, run(paths[i], false, true));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_what_ran_before),
        cmocka_unit_test(results_do_not_depend_on_how_often_is_checked),
        cmocka_unit_test(results_do_not_depend_on_where_memory_comes_from),
    };
    corpus = argc > 1 ? argv[1] : "corpus";
    return cmocka_run_group_tests(tests, collect_corpus, forget_corpus);
}
