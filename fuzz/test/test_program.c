/* The forms of a program: any bytes decode, the encoding is canonical and never longer, text is lossless. */
#include "../program/program.h"
#include "corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *corpus;
static program one, two;
static uint8_t first[PROGRAM_MAX_BYTES], second[PROGRAM_MAX_BYTES];

static uint32_t next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static void assert_same_program(void)
{
    assert_int_equal(one.count, two.count);
    for (size_t i = 0; i < one.count; i++)
        assert_memory_equal(&one.ops[i], &two.ops[i], sizeof one.ops[i]);
}

static void assert_canonical(const program_target *target, const uint8_t *bytes, size_t size)
{
    program_decode(target, bytes, size, &one);
    size_t n = program_encode(&one, first, sizeof first);
    assert_true(n <= (size > 0 ? size : 1));
    program_decode(target, first, n, &two);
    assert_same_program();
    assert_int_equal(program_encode(&two, second, sizeof second), n);
    assert_memory_equal(first, second, n);
}

static void assert_lossless_as_text(const program_target *target, const uint8_t *bytes, size_t size)
{
    char *text = NULL;
    size_t length = 0;
    unsigned line;
    const char *error;
    program_decode(target, bytes, size, &one);
    FILE *f = open_memstream(&text, &length);
    program_print(&one, one.count, f);
    fclose(f);
    if (!program_parse(text, length, &two, &line, &error))
        fail_msg("line %u: %s\n%s", line, error, text);
    assert_ptr_equal(two.target, target);
    assert_same_program();
    free(text);
}

static size_t random_bytes(uint8_t *bytes, size_t most)
{
    size_t size = next_random() % (most + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)next_random();
    return size;
}

static void any_bytes_decode_to_a_canonical_program(void **state)
{
    static uint8_t bytes[600];
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t size = random_bytes(bytes, round % 7 ? 100 : sizeof bytes);
        for (size_t t = 0; t < PROGRAM_TARGETS; t++)
            assert_canonical(&program_targets[t], bytes, size);
    }
}

static void more_bytes_than_a_program_holds_are_harmless(void **state)
{
    static uint8_t bytes[1 << 16];
    (void)state;
    memset(bytes, 200, sizeof bytes);
    assert_canonical(&program_targets[3], bytes, sizeof bytes);
    assert_int_equal(one.count, PROGRAM_MAX_OPS);
}

static void any_program_survives_being_text(void **state)
{
    static uint8_t bytes[400];
    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t size = random_bytes(bytes, sizeof bytes);
        assert_lossless_as_text(&program_targets[round % PROGRAM_TARGETS], bytes, size);
    }
}

static void a_target_issues_only_its_ops(void **state)
{
    static uint8_t bytes[600];
    (void)state;
    for (int round = 0; round < 1000; round++) {
        size_t size = random_bytes(bytes, sizeof bytes);
        const program_target *target = &program_targets[round % PROGRAM_TARGETS];
        program_decode(target, bytes, size, &one);
        for (size_t i = 0; i < one.count; i++)
            assert_true(target->kinds >> one.ops[i].kind & 1);
    }
}

static void a_swarm_mask_switches_kinds_off(void **state)
{
    uint8_t bytes[300];
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = 0x80 | PROGRAM_VERSION;
    bytes[1 + OP_strerror / 8] &= (uint8_t) ~(1U << OP_strerror % 8);
    program_decode(program_target_find("all"), bytes, sizeof bytes, &one);
    assert_true(one.count > 0);
    for (size_t i = 0; i < one.count; i++)
        assert_int_equal(one.ops[i].kind, OP_strerror);
}

static void each_kind_of_op_is_reached_by_random_bytes(void **state)
{
    static uint8_t bytes[600];
    uint64_t seen = 0;
    (void)state;
    for (int round = 0; round < 500; round++) {
        program_decode(program_target_find("all"), bytes, random_bytes(bytes, sizeof bytes), &one);
        for (size_t i = 0; i < one.count; i++)
            seen |= (uint64_t)1 << one.ops[i].kind;
    }
    assert_int_equal(seen, ((uint64_t)1 << OP_KINDS) - 1);
}

static void assert_refused(const char *text, unsigned at_line)
{
    unsigned line;
    const char *error = NULL;
    if (program_parse(text, strlen(text), &one, &line, &error))
        fail_msg("accepted: %s", text);
    assert_non_null(error);
    if (at_line)
        assert_int_equal(line, at_line);
}

static void malformed_text_is_refused_with_its_line(void **state)
{
    (void)state;
    assert_refused("", 0);
    assert_refused("nonsense\n", 1);
    assert_refused("iobuf-program 2 slice\n", 1);
    assert_refused("iobuf-program 1 nowhere\n", 1);
#define HEAD "iobuf-program 1 slice\n"
    static const char *const lines[] = {
        "explode s0",        "release",          "release s32",      "release a0",         "release s0 s1",
        "s0 = release s1",   "alloc a0 1",       "p0 = alloc a0 1",  "s0 = alloc a6 1",    "s0 = alloc a0",
        "s0 = alloc a0 -1",  "s0 = alloc a0 x",  "s0 = alloc a0 1k", "s0 = alloc a0 min+", "s0 = alloc a0 min+99999",
        "coalesce s3..s1 4", "coalesce s1 4",    "sink_fail EFOO",   "fail_alloc 1 twice", "s0 = alloc a0 2147483648",
        "s0 = read r0 1",    "a b c d e f g h i"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, HEAD "p0 = pool_create 0 0 0\n%s\n", lines[i]);
        assert_refused(text, 3);
    }
}

static void comments_results_and_blank_lines_are_for_readers(void **state)
{
    static const char text[] = HEAD "\n# a comment\n  release s3 -> ok\r\n\texpand_front s3 min-1 # so\ncoalesce s1..s4 65536 -> 2";
    unsigned line;
    const char *error;
    (void)state;
    assert_true(program_parse(text, strlen(text), &one, &line, &error));
    assert_int_equal(one.count, 3);
    assert_int_equal(one.ops[1].size[0].base, BASE_MIN);
    assert_int_equal(one.ops[1].size[0].value, -1);
    assert_int_equal(one.ops[2].count, 4);
}

static void visit(const char *path, const uint8_t *bytes, size_t size)
{
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[32];
        snprintf(folder, sizeof folder, "/%s/", program_targets[t].name);
        if (program_is_text(bytes, size) || strstr(path, folder) == NULL)
            continue;
        assert_canonical(&program_targets[t], bytes, size);
        assert_lossless_as_text(&program_targets[t], bytes, size);
    }
}

static void each_file_of_the_corpus_is_canonical_and_lossless(void **state)
{
    (void)state;
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[4096];
        int length = snprintf(folder, sizeof folder, "%s/%s", corpus, program_targets[t].name);
        assert_in_range(length, 1, sizeof folder - 1);
        assert_true(corpus_walk(folder, visit) > 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_decode_to_a_canonical_program),
        cmocka_unit_test(more_bytes_than_a_program_holds_are_harmless),
        cmocka_unit_test(any_program_survives_being_text),
        cmocka_unit_test(a_target_issues_only_its_ops),
        cmocka_unit_test(a_swarm_mask_switches_kinds_off),
        cmocka_unit_test(each_kind_of_op_is_reached_by_random_bytes),
        cmocka_unit_test(malformed_text_is_refused_with_its_line),
        cmocka_unit_test(comments_results_and_blank_lines_are_for_readers),
        cmocka_unit_test(each_file_of_the_corpus_is_canonical_and_lossless),
    };
    corpus = argc > 1 ? argv[1] : "corpus";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
