/* The mutators: any bytes go in, what comes out is canonical and fits, each mutation can happen and does what its name says, and
 * the adapters pass on what the engines mean. The test stands in for the engines. */
#include "../execute/execute.h"
#include "../mutate/mutate.h"
#include "corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 3000, MOST = 400 };

static const char *corpus;
static program before, after, donor, again;
static uint8_t one[MOST], two[MOST], out[PROGRAM_MAX_BYTES], out2[PROGRAM_MAX_BYTES];
static random_numbers numbers = {1};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *to, size_t max_size,
                                 unsigned seed);
void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t size, uint8_t **to, uint8_t *other, size_t other_size, size_t max_size);
void afl_custom_deinit(void *data);

static const program_target *some_target(void)
{
    return &program_targets[random_below(&numbers, PROGRAM_TARGETS)];
}

static size_t garbage(uint8_t *bytes, size_t most)
{
    size_t size = random_below(&numbers, most + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_next(&numbers);
    return size;
}

static bool same_op(const program_op *a, const program_op *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool same_programs(const program *a, const program *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_op(&a->ops[i], &b->ops[i]))
            return false;
    return true;
}

/* Encoded and decoded it is itself: so it is a program of its target, all operands in their ranges, unused members 0. */
static void assert_well_formed(const program *p)
{
    size_t size = program_encode(p, out2, sizeof out2);
    program_decode(p->target, out2, size, &again);
    assert_true(same_programs(p, &again));
}

static void assert_canonical(const program_target *target, const uint8_t *bytes, size_t size, size_t room)
{
    assert_in_range(size, room ? 1 : 0, room);
    if (!room)
        return;
    program_decode(target, bytes, size, &again);
    assert_int_equal(program_encode(&again, out2, sizeof out2), size);
    assert_memory_equal(bytes, out2, size);
}

static void whatever_goes_in_comes_out_canonical_and_fits(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const program_target *target = some_target();
        size_t n = garbage(one, MOST), m = garbage(two, MOST), room = random_below(&numbers, round % 2 ? 40 : MOST * 2);
        uint8_t *exact = malloc(room + 1); /* a byte beyond its room is seen by AddressSanitizer */
        size_t written = mutate_bytes(target, one, n, round % 3 ? two : NULL, m, exact + 1, room, random_next(&numbers));
        assert_canonical(target, exact + 1, written, room);
        free(exact);
    }
}

static void no_room_at_all_is_harmless(void **state)
{
    uint8_t byte;
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        assert_int_equal(mutate_bytes(&program_targets[3], NULL, 0, NULL, 0, &byte, 0, seed), 0);
        assert_int_equal(mutate_bytes(&program_targets[3], NULL, 0, one, 0, &byte, 0, seed), 0);
        assert_int_equal(mutate_bytes(&program_targets[3], NULL, 0, NULL, 0, &byte, 1, seed), 1);
    }
}

static void a_full_program_stays_within_its_bounds(void **state)
{
    static uint8_t bytes[1 << 15];
    (void)state;
    unsigned long_ones = 0;
    memset(bytes, 200, sizeof bytes);
    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t written = mutate_bytes(&program_targets[3], bytes, sizeof bytes, bytes, sizeof bytes, out, sizeof out, seed);
        assert_canonical(&program_targets[3], out, written, sizeof out);
        long_ones += again.count > PROGRAM_MAX_OPS / 2;
    }
    assert_in_range(long_ones, 100, 200);
}

static void the_seed_alone_decides(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS / 4; round++) {
        const program_target *target = some_target();
        size_t n = garbage(one, MOST), m = garbage(two, MOST);
        uint64_t seed = random_next(&numbers);
        size_t first = mutate_bytes(target, one, n, two, m, out, sizeof out, seed);
        mutate_bytes(target, two, m, one, n, out2, sizeof out2, seed + 1); /* nothing of this is remembered */
        assert_int_equal(mutate_bytes(target, one, n, two, m, out2, sizeof out2, seed), first);
        assert_memory_equal(out, out2, first);
    }
}

static void seeds_differ_in_what_comes_out(void **state)
{
    (void)state;
    unsigned different = 0;
    size_t n = garbage(one, MOST);
    size_t first = mutate_bytes(&program_targets[0], one, n, NULL, 0, out, sizeof out, 0);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t size = mutate_bytes(&program_targets[0], one, n, NULL, 0, out2, sizeof out2, seed);
        different += size != first || memcmp(out, out2, size) != 0;
    }
    assert_in_range(different, 90, 100);
}

static void an_input_is_seldom_handed_back_as_it_was(void **state)
{
    (void)state;
    unsigned unchanged = 0;
    for (int round = 0; round < ROUNDS; round++) {
        program_decode(&program_targets[3], one, garbage(one, 100), &before);
        size_t n = program_encode(&before, one, MOST);
        unchanged +=
            mutate_bytes(&program_targets[3], one, n, NULL, 0, out, sizeof out, (uint64_t)round) == n && memcmp(one, out, n) == 0;
    }
    assert_in_range(unchanged, 0, ROUNDS / 100);
}

/* ---- each mutation by itself */

static size_t in_front(const program *a, const program *b)
{
    size_t n = 0;
    while (n < a->count && n < b->count && same_op(&a->ops[n], &b->ops[n]))
        n++;
    return n;
}

static size_t behind(const program *a, const program *b)
{
    size_t n = 0;
    while (n < a->count && n < b->count && same_op(&a->ops[a->count - 1 - n], &b->ops[b->count - 1 - n]))
        n++;
    return n;
}

/* All ops of `shorter` are in `longer`, as a head and a tail with something between. */
static void assert_gap_between(const program *shorter, const program *longer)
{
    assert_true(longer->count > shorter->count);
    assert_true(in_front(shorter, longer) + behind(shorter, longer) >= shorter->count);
}

/* The index of the one op that differs. */
static size_t the_changed_op(void)
{
    assert_int_equal(before.count, after.count);
    size_t at = in_front(&before, &after);
    assert_true(at < before.count);
    assert_int_equal(at + 1 + behind(&before, &after), before.count);
    return at;
}

static int count_op(const program *p, const program_op *op)
{
    int n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += same_op(&p->ops[i], op);
    return n;
}

static uint64_t kinds_in(const program *p)
{
    uint64_t kinds = 0;
    for (size_t i = 0; i < p->count; i++)
        kinds |= (uint64_t)1 << p->ops[i].kind;
    return kinds;
}

static void check_insert(void)
{
    assert_gap_between(&before, &after);
}

static void check_delete(void)
{
    assert_gap_between(&after, &before);
}

static void check_duplicate(void)
{
    assert_gap_between(&before, &after);
    for (size_t i = 0; i < after.count; i++)
        assert_true(count_op(&before, &after.ops[i]) > 0);
}

static void check_swap(void)
{
    assert_int_equal(before.count, after.count);
    for (size_t i = 0; i < after.count; i++)
        assert_int_equal(count_op(&before, &after.ops[i]), count_op(&after, &after.ops[i]));
}

/* What is new is a run of the donor's: kinds and sizes are, registers may be renamed. */
static void check_splice(void)
{
    size_t from = in_front(&before, &after), to = after.count - behind(&before, &after);
    for (size_t at = 0; at < donor.count; at++) {
        size_t i = from;
        while (i < to && at + i - from < donor.count && after.ops[i].kind == donor.ops[at + i - from].kind &&
               memcmp(after.ops[i].size, donor.ops[at + i - from].size, sizeof donor.ops[at].size) == 0)
            i++;
        if (i >= to)
            return;
    }
    fail_msg("ops %zu to %zu are not a run of the donor's", from, to);
}

static void check_retarget(void)
{
    size_t at = the_changed_op();
    program_op a = before.ops[at], b = after.ops[at];
    int changed = (a.result != b.result) + (a.reg[0] != b.reg[0]) + (a.reg[1] != b.reg[1]);
    assert_int_equal(changed, 1);
    b.result = a.result;
    memcpy(b.reg, a.reg, sizeof a.reg);
    assert_true(b.count <= a.count); /* a run ends where the slices do */
    b.count = a.count;
    assert_true(same_op(&a, &b));
}

static void check_size(void)
{
    size_t at = the_changed_op();
    program_op a = before.ops[at], b = after.ops[at];
    int changed = 0;
    for (int i = 0; i < 3; i++)
        changed += memcmp(&a.size[i], &b.size[i], sizeof a.size[i]) != 0;
    assert_int_equal(changed, 1);
    memcpy(b.size, a.size, sizeof a.size);
    assert_true(same_op(&a, &b));
}

static void check_choice(void)
{
    size_t at = the_changed_op();
    program_op a = before.ops[at], b = after.ops[at];
    assert_int_equal((a.choice != b.choice) + (a.count != b.count), 1);
    b.choice = a.choice;
    b.count = a.count;
    assert_true(same_op(&a, &b));
}

static void check_kind(void)
{
    size_t at = the_changed_op();
    assert_int_not_equal(before.ops[at].kind, after.ops[at].kind);
}

static void check_swarm_off(void)
{
    assert_true((kinds_in(&before) & ~kinds_in(&after)) != 0);
}

static void check_swarm_on(void)
{
    assert_gap_between(&before, &after);
    assert_true((kinds_in(&after) & ~kinds_in(&before)) != 0);
}

static void check_burst(void)
{
    assert_gap_between(&before, &after);
    assert_in_range(after.count - before.count, 1, 24);
}

static void (*const checks[MUTATIONS])(void) = {
    [MUTATE_INSERT] = check_insert,       [MUTATE_DELETE] = check_delete,     [MUTATE_DUPLICATE] = check_duplicate,
    [MUTATE_SWAP] = check_swap,           [MUTATE_SPLICE] = check_splice,     [MUTATE_RETARGET] = check_retarget,
    [MUTATE_SIZE] = check_size,           [MUTATE_CHOICE] = check_choice,     [MUTATE_KIND] = check_kind,
    [MUTATE_SWARM_OFF] = check_swarm_off, [MUTATE_SWARM_ON] = check_swarm_on, [MUTATE_BURST] = check_burst,
};

/* Rounds in which the mutation changed something; each was checked. */
static unsigned try_mutation(mutation kind)
{
    unsigned happened = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const program_target *target = some_target();
        program_decode(target, one, garbage(one, 100), &before);
        program_decode(target, two, garbage(two, 100), &donor);
        after = before;
        bool did = mutate_program(&after, kind, &donor, &numbers);
        assert_well_formed(&after);
        assert_ptr_equal(after.target, target);
        if (!did) {
            assert_true(same_programs(&before, &after));
            continue;
        }
        checks[kind]();
        happened += !same_programs(&before, &after);
    }
    return happened;
}

static void each_mutation_happens_and_does_what_its_name_says(void **state)
{
    (void)state;
    for (mutation kind = 0; kind < MUTATIONS; kind++) {
        unsigned happened = try_mutation(kind);
        if (happened < ROUNDS / 4)
            fail_msg("%s happened %u times of %d", mutation_names[kind], happened, ROUNDS);
    }
}

static void nothing_to_do_changes_nothing(void **state)
{
    (void)state;
    before = (program){.target = &program_targets[3]};
    for (mutation kind = 0; kind < MUTATIONS; kind++) {
        bool grows = kind == MUTATE_INSERT || kind == MUTATE_SWARM_ON || kind == MUTATE_BURST;
        after = before;
        assert_int_equal(mutate_program(&after, kind, NULL, &numbers), grows);
        assert_int_equal(after.count != 0, grows);
    }
}

static void sizes_come_to_each_edge_that_an_op_can_look_up(void **state)
{
    unsigned seen[BASES] = {0};
    (void)state;
    before = (program){.target = &program_targets[3], .count = 1};
    before.ops[0].kind = OP_truncate_front;
    for (int round = 0; round < ROUNDS; round++) {
        after = before;
        mutate_program(&after, MUTATE_SIZE, NULL, &numbers);
        seen[after.ops[0].size[0].base]++;
    }
    for (unsigned base = 0; base < BASES; base++)
        assert_in_range(seen[base], 1, ROUNDS);
}

static void new_ops_mostly_use_registers_that_hold_something(void **state)
{
    unsigned live = 0;
    (void)state;
    before = (program){.target = &program_targets[3], .count = 1};
    before.ops[0] = (program_op){.kind = OP_borrow, .result = 17};
    for (int round = 0; round < ROUNDS; round++) {
        after = before;
        after.count = 2;
        after.ops[1] = (program_op){.kind = OP_release, .reg = {3}};
        if (mutate_program(&after, MUTATE_RETARGET, NULL, &numbers))
            live += after.ops[1].reg[0] == 17 || after.ops[0].result != 17;
    }
    assert_in_range(live, ROUNDS * 9 / 10, ROUNDS);
}

/* ---- two programs */

static bool has_op_like(const program *p, const program_op *op)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->ops[i].kind == op->kind && memcmp(p->ops[i].size, op->size, sizeof op->size) == 0)
            return true;
    return false;
}

/* Ops of the first have sizes below 100, those of the second above. */
static void make_both(void)
{
    before = (program){.target = &program_targets[0], .count = 5};
    donor = (program){.target = &program_targets[0], .count = 5};
    for (int i = 0; i < 5; i++) {
        before.ops[i] = (program_op){.kind = OP_borrow, .result = (uint8_t)i, .size = {{i, BASE_CONST}}};
        donor.ops[i] = (program_op){.kind = OP_wrap, .result = (uint8_t)i, .size = {{100 + i, BASE_CONST}}};
    }
}

static unsigned count_like(const program *p, const program *of)
{
    unsigned n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += has_op_like(of, &p->ops[i]);
    return n;
}

static void a_cross_keeps_ops_of_both(void **state)
{
    (void)state;
    make_both();
    for (int round = 0; round < ROUNDS; round++) {
        after = before;
        assert_true(mutate_cross(&after, &donor, &numbers));
        unsigned of_first = count_like(&after, &before), of_second = count_like(&after, &donor);
        assert_true(of_second > 0);
        assert_true(of_first > 0);
        assert_int_equal(of_first + of_second, after.count);
    }
}

/* By the cross alone in half of all cases, by a splice in some more; what comes of one input has mostly something left of it. */
static void another_input_comes_into_most_mutants(void **state)
{
    unsigned of_first = 0, of_second = 0;
    (void)state;
    make_both();
    size_t n = program_encode(&before, one, MOST), m = program_encode(&donor, two, MOST);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        size_t size = mutate_bytes(&program_targets[0], one, n, two, m, out, sizeof out, seed);
        program_decode(&program_targets[0], out, size, &after);
        of_first += count_like(&after, &before) > 0;
        of_second += count_like(&after, &donor) > 0;
    }
    assert_in_range(of_first, ROUNDS * 8 / 10, ROUNDS);
    assert_in_range(of_second, ROUNDS / 2, ROUNDS * 9 / 10);
}

static void a_spliced_run_finds_what_it_made_itself(void **state)
{
    unsigned kept = 0;
    (void)state;
    before = (program){.target = &program_targets[0], .count = 1};
    before.ops[0] = (program_op){.kind = OP_borrow, .result = 0, .size = {{7, BASE_CONST}}};
    donor = (program){.target = &program_targets[0], .count = 2};
    donor.ops[0] = (program_op){.kind = OP_wrap, .result = 0, .size = {{100, BASE_CONST}}};
    donor.ops[1] = (program_op){.kind = OP_release, .reg = {0}};
    for (int round = 0; round < ROUNDS; round++) {
        after = before;
        mutate_cross(&after, &donor, &numbers);
        if (after.count == 3) {
            assert_int_equal(after.ops[1].result, after.ops[2].reg[0]);
            kept += after.ops[1].result != 0; /* what the head holds is not overwritten */
        }
    }
    assert_in_range(kept, ROUNDS / 4, ROUNDS);
}

static void crossing_with_nothing_gives_the_other(void **state)
{
    (void)state;
    make_both();
    donor.count = 0;
    for (int round = 0; round < 100; round++) {
        after = before;
        assert_true(mutate_cross(&after, &donor, &numbers));
        assert_in_range(count_like(&after, &before), 1, before.count);
        after = donor;
        assert_true(mutate_cross(&after, &before, &numbers));
        assert_in_range(count_like(&after, &before), 1, before.count);
        after = donor;
        assert_false(mutate_cross(&after, &donor, &numbers));
    }
}

static void text_is_mutated_as_the_program_that_it_is(void **state)
{
    static const char text[] =
        "iobuf-program 1 all\np0 = pool_create 64 0 0\na0 = allocator_init p0 8\ns0 = alloc a0 77\nstrerror 3\n";
    unsigned kept = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t size = mutate_bytes(&program_targets[0], (const uint8_t *)text, strlen(text), NULL, 0, out, sizeof out, seed);
        assert_canonical(&program_targets[0], out, size, sizeof out);
        for (size_t i = 0; i < again.count; i++)
            kept += again.ops[i].kind == OP_alloc && again.ops[i].size[0].value == 77;
        assert_false(kinds_in(&again) >> OP_strerror & 1); /* `all` issues it, `slice` does not */
    }
    assert_in_range(kept, 100, 1000);
}

/* ---- the adapters */

static unsigned byte_mutations;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    byte_mutations++;
    if (size < max_size)
        data[size++] = 0xff;
    return size;
}

static void libfuzzer_gets_mutants_within_its_limit_and_some_of_its_own(void **state)
{
    (void)state;
    byte_mutations = 0;
    for (unsigned seed = 0; seed < 1000; seed++) {
        size_t room = 1 + random_below(&numbers, MOST), size = garbage(one, room), own = byte_mutations;
        size_t written = LLVMFuzzerCustomMutator(one, size, room, seed);
        if (own == byte_mutations)
            assert_canonical(&program_targets[3], one, written, room);
    }
    assert_in_range(byte_mutations, 200, 300);
}

static void libfuzzer_gets_a_mutant_for_each_cross_it_offers(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 1200; seed++) {
        size_t n = garbage(one, MOST), m = garbage(two, MOST), room = 1 + random_below(&numbers, MOST);
        size_t written = LLVMFuzzerCustomCrossOver(one, n, two, m, out, room, seed);
        assert_canonical(&program_targets[3], out, written, room);
    }
}

static void afl_gets_mutants_within_its_limit(void **state)
{
    uint8_t *to = NULL;
    (void)state;
    void *afl = afl_custom_init(NULL, 7), *same = afl_custom_init(NULL, 7);
    assert_non_null(afl);
    for (int round = 0; round < 1000; round++) {
        size_t n = garbage(one, MOST), m = garbage(two, MOST), room = 1 + random_below(&numbers, round % 2 ? MOST : 1 << 20);
        size_t written = afl_custom_fuzz(afl, one, n, &to, round % 3 ? two : NULL, round % 3 ? m : 0, room);
        assert_non_null(to);
        assert_canonical(&program_targets[3], to, written, room);
        uint8_t *to2;
        assert_int_equal(afl_custom_fuzz(same, one, n, &to2, round % 3 ? two : NULL, round % 3 ? m : 0, room), written);
        assert_memory_equal(to, to2, written);
    }
    afl_custom_deinit(afl);
    afl_custom_deinit(same);
}

/* ---- what comes of the corpus runs clean */

static void visit(const char *path, const uint8_t *bytes, size_t size)
{
    static const execute_options options;
    for (size_t t = 0; t < PROGRAM_TARGETS; t++) {
        char folder[32];
        snprintf(folder, sizeof folder, "/%s/", program_targets[t].name);
        if (strstr(path, folder) == NULL)
            continue;
        for (uint64_t seed = 0; seed < 20; seed++) {
            size_t n = mutate_bytes(&program_targets[t], bytes, size, one, MOST, out, sizeof out, seed);
            program_decode(&program_targets[t], out, n, &after);
            execute_program(&after, &options);
        }
    }
}

static void mutants_of_the_corpus_run_clean(void **state)
{
    (void)state;
    garbage(one, MOST);
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
        cmocka_unit_test(whatever_goes_in_comes_out_canonical_and_fits),
        cmocka_unit_test(no_room_at_all_is_harmless),
        cmocka_unit_test(a_full_program_stays_within_its_bounds),
        cmocka_unit_test(the_seed_alone_decides),
        cmocka_unit_test(seeds_differ_in_what_comes_out),
        cmocka_unit_test(an_input_is_seldom_handed_back_as_it_was),
        cmocka_unit_test(each_mutation_happens_and_does_what_its_name_says),
        cmocka_unit_test(nothing_to_do_changes_nothing),
        cmocka_unit_test(sizes_come_to_each_edge_that_an_op_can_look_up),
        cmocka_unit_test(new_ops_mostly_use_registers_that_hold_something),
        cmocka_unit_test(a_cross_keeps_ops_of_both),
        cmocka_unit_test(another_input_comes_into_most_mutants),
        cmocka_unit_test(a_spliced_run_finds_what_it_made_itself),
        cmocka_unit_test(crossing_with_nothing_gives_the_other),
        cmocka_unit_test(text_is_mutated_as_the_program_that_it_is),
        cmocka_unit_test(libfuzzer_gets_mutants_within_its_limit_and_some_of_its_own),
        cmocka_unit_test(libfuzzer_gets_a_mutant_for_each_cross_it_offers),
        cmocka_unit_test(afl_gets_mutants_within_its_limit),
        cmocka_unit_test(mutants_of_the_corpus_run_clean),
    };
    corpus = argc > 1 ? argv[1] : "corpus";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
