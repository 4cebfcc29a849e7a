/* The scheduler's memory model, by litmus tests: what C11 permits is found among all schedules, what it forbids is in none of them.
 * Names as in the literature: Alglave, Maranget, Tautschnig: "Herding cats", 2014; Lahav and others: "Repairing Sequential
 * Consistency in C/C++11", 2017. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "../interleave/explore.h"

#include <stdlib.h>
#include <string.h>

#define PREEMPTIONS 6 /* more than there are steps where it matters */

static _Alignas(8) uint64_t x, y, z;
static int r1, r2, r3, r4;

typedef struct litmus {
    unsigned threads;
    void (*thread[THREADS_MOST])(void);
    bool (*outcome)(void);
} litmus;

static const litmus *current;
static chooser *choose;
static void *choice;

static void run_thread(unsigned me)
{
    current->thread[me]();
}

static void run_all(void *unused)
{
    (void)unused;
    x = y = z = 0;
    r1 = r2 = r3 = r4 = -1;
    scheduler_threads(current->threads, run_thread, choose, choice);
    if (current->outcome())
        scheduler_fail("seen");
}

static unsigned stale_most;

static outcome run(const void *what, chooser *choose_, void *context)
{
    current = what;
    choose = choose_;
    choice = context;
    return scheduler_run(run_all, NULL, stale_most);
}

static bool is_seen(const litmus *l, unsigned stale)
{
    stale_most = stale;
    const explored e = explore_runs(run, l, stale, PREEMPTIONS, UINT64_MAX);
    if (e.failed)
        assert_string_equal(scheduler_failure(), "seen");
    return e.failed;
}

#define LITMUS_2(a, b, o) (&(litmus){2, {a, b}, o})
#define LITMUS_3(a, b, c, o) (&(litmus){3, {a, b, c}, o})
#define LITMUS_4(a, b, c, d, o) (&(litmus){4, {a, b, c, d}, o})
#define assert_seen(l) assert_true(is_seen(l, 4))
#define assert_never(l) assert_false(is_seen(l, 4))

/* ---- message passing ---- */

#define WRITES(name, first, second)                                                                                                \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        atomic_set(&x, 1, first);                                                                                                  \
        atomic_set(&y, 1, second);                                                                                                 \
    }
#define READS(name, first, second)                                                                                                 \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        r1 = (int)atomic_get(&y, first);                                                                                           \
        r2 = (int)atomic_get(&x, second);                                                                                          \
    }
WRITES(writes_relaxed, RELAXED, RELAXED)
WRITES(writes_release, RELAXED, RELEASE)
READS(reads_relaxed, RELAXED, RELAXED)
READS(reads_acquire, ACQUIRE, RELAXED)

static bool flag_without_data(void)
{
    return r1 == 1 && r2 == 0;
}

static void message_passing(void **state)
{
    (void)state;
    assert_never(LITMUS_2(writes_release, reads_acquire, flag_without_data));
    assert_seen(LITMUS_2(writes_release, reads_relaxed, flag_without_data));
    assert_seen(LITMUS_2(writes_relaxed, reads_acquire, flag_without_data));
    assert_seen(LITMUS_2(writes_relaxed, reads_relaxed, flag_without_data));
}

static void writes_fenced(void)
{
    atomic_set(&x, 1, RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    atomic_set(&y, 1, RELAXED);
}

static void reads_fenced(void)
{
    r1 = (int)atomic_get(&y, RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    r2 = (int)atomic_get(&x, RELAXED);
}

static void fences_pass_messages(void **state)
{
    (void)state;
    assert_never(LITMUS_2(writes_fenced, reads_fenced, flag_without_data));
    assert_never(LITMUS_2(writes_fenced, reads_acquire, flag_without_data));
    assert_never(LITMUS_2(writes_release, reads_fenced, flag_without_data));
    assert_seen(LITMUS_2(writes_fenced, reads_relaxed, flag_without_data));
    assert_seen(LITMUS_2(writes_relaxed, reads_fenced, flag_without_data));
}

/* WRC: what is passed on by who has it from another. */
static void writes_x(void)
{
    atomic_set(&x, 1, RELAXED);
}

static void passes_on_release(void)
{
    r3 = (int)atomic_get(&x, RELAXED);
    atomic_set(&y, 1, RELEASE);
}

static void passes_on_relaxed(void)
{
    r3 = (int)atomic_get(&x, RELAXED);
    atomic_set(&y, 1, RELAXED);
}

static bool passed_without_data(void)
{
    return r3 == 1 && r1 == 1 && r2 == 0;
}

static void messages_are_passed_on(void **state)
{
    (void)state;
    assert_never(LITMUS_3(writes_x, passes_on_release, reads_acquire, passed_without_data));
    assert_seen(LITMUS_3(writes_x, passes_on_relaxed, reads_acquire, passed_without_data));
    assert_seen(LITMUS_3(writes_x, passes_on_release, reads_relaxed, passed_without_data));
}

static void writes_behind_the_release(void)
{
    atomic_set(&y, 1, RELEASE);
    atomic_set(&x, 1, RELAXED);
    atomic_set(&z, 1, RELAXED);
}

static void reads_from_behind(void)
{
    r3 = (int)atomic_get(&z, RELAXED);
    reads_acquire();
}

static void what_comes_behind_a_release_is_not_released(void **state)
{
    (void)state;
    assert_seen(LITMUS_2(writes_behind_the_release, reads_from_behind, passed_without_data));
}

/* ---- release sequences ---- */

static void writes_again_relaxed(void)
{
    writes_release();
    atomic_set(&y, 2, RELAXED);
}

static void counts_relaxed(void)
{
    if (atomic_add(&y, 1, RELAXED) == 1)
        r3 = 1;
}

static void counts_release(void)
{
    if (atomic_add(&y, 1, RELEASE) == 1)
        r3 = 1;
}

static void stores_between(void)
{
    if (atomic_get(&y, RELAXED) == 1)
        atomic_set(&y, 2, RELAXED);
}

static bool second_without_data(void)
{
    return r1 == 2 && r2 == 0;
}

static bool second_with_data(void)
{
    return r1 == 2 && r2 == 1;
}

static bool first_is_found_though_it_is_not_the_latest(void)
{
    return r3 == 1 && r1 == 1;
}

static bool first_without_data(void)
{
    return r3 == 1 && flag_without_data();
}

static void release_sequences(void **state)
{
    (void)state;
    assert_never(LITMUS_2(writes_again_relaxed, reads_acquire, second_without_data));
    assert_never(LITMUS_3(writes_release, counts_relaxed, reads_acquire, second_without_data));
    assert_seen(LITMUS_3(writes_release, counts_relaxed, reads_acquire, second_with_data));
    assert_seen(LITMUS_3(writes_release, counts_relaxed, reads_acquire, first_is_found_though_it_is_not_the_latest));
    assert_never(LITMUS_3(writes_release, counts_relaxed, reads_acquire, first_without_data));
    assert_never(LITMUS_3(writes_release, counts_release, reads_acquire, second_without_data));
    assert_seen(LITMUS_3(writes_release, stores_between, reads_acquire, second_without_data));
}

/* ---- store buffering ---- */

#define BUFFERS(name, mine, other, r, store, between, load)                                                                        \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        atomic_set(&(mine), 1, store);                                                                                             \
        between;                                                                                                                   \
        (r) = (int)atomic_get(&(other), load);                                                                                     \
    }
#define HEAVY scheduler_fence_heavy(__func__)
BUFFERS(buffers_x, x, y, r1, RELAXED, (void)0, RELAXED)
BUFFERS(buffers_y, y, x, r2, RELAXED, (void)0, RELAXED)
BUFFERS(buffers_x_release, x, y, r1, RELEASE, (void)0, ACQUIRE)
BUFFERS(buffers_y_release, y, x, r2, RELEASE, (void)0, ACQUIRE)
BUFFERS(buffers_x_in_order, x, y, r1, SEQ_CST, (void)0, SEQ_CST)
BUFFERS(buffers_y_in_order, y, x, r2, SEQ_CST, (void)0, SEQ_CST)
BUFFERS(buffers_y_loads_acquire, y, x, r2, SEQ_CST, (void)0, ACQUIRE)
BUFFERS(buffers_y_stores_release, y, x, r2, RELEASE, (void)0, SEQ_CST)
BUFFERS(buffers_x_fenced, x, y, r1, RELAXED, __atomic_thread_fence(__ATOMIC_SEQ_CST), RELAXED)
BUFFERS(buffers_y_fenced, y, x, r2, RELAXED, __atomic_thread_fence(__ATOMIC_SEQ_CST), RELAXED)
BUFFERS(buffers_y_half_fenced, y, x, r2, RELAXED, __atomic_thread_fence(__ATOMIC_ACQ_REL), RELAXED)
BUFFERS(buffers_x_light, x, y, r1, RELAXED, iobuf_fence_light_(), RELAXED)
BUFFERS(buffers_y_light, y, x, r2, RELAXED, iobuf_fence_light_(), RELAXED)
BUFFERS(buffers_y_heavy, y, x, r2, RELAXED, HEAVY, RELAXED)
BUFFERS(changes_x, x, y, r1, RELAXED, (void)atomic_swap(&x, 2, ACQ_REL), RELAXED)
BUFFERS(changes_y, y, x, r2, RELAXED, (void)atomic_swap(&y, 2, ACQ_REL), RELAXED)

static bool neither_sees_the_other(void)
{
    return r1 == 0 && r2 == 0;
}

static void store_buffering(void **state)
{
    (void)state;
    assert_seen(LITMUS_2(buffers_x, buffers_y, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_release, buffers_y_release, neither_sees_the_other));
    assert_seen(LITMUS_2(changes_x, changes_y, neither_sees_the_other));
    assert_never(LITMUS_2(buffers_x_in_order, buffers_y_in_order, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_in_order, buffers_y_loads_acquire, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_in_order, buffers_y_stores_release, neither_sees_the_other));
}

static void sequentially_consistent_fences(void **state)
{
    (void)state;
    assert_never(LITMUS_2(buffers_x_fenced, buffers_y_fenced, neither_sees_the_other));
    assert_never(LITMUS_2(buffers_x_fenced, buffers_y_in_order, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_fenced, buffers_y_half_fenced, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_fenced, buffers_y, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_fenced, buffers_y_loads_acquire, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_fenced, buffers_y_stores_release, neither_sees_the_other));
}

/* membarrier(2): one side pays for both. */
static void asymmetric_fences(void **state)
{
    (void)state;
    assert_never(LITMUS_2(buffers_x_light, buffers_y_heavy, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_light, buffers_y_light, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x_light, buffers_y_fenced, neither_sees_the_other));
    assert_seen(LITMUS_2(buffers_x, buffers_y_heavy, neither_sees_the_other)); /* a compiler may turn it round */
    assert_never(LITMUS_2(buffers_x_fenced, buffers_y_heavy, neither_sees_the_other));
}

static void reads_x_acquire(void)
{
    r3 = (int)atomic_get(&x, ACQUIRE);
}

static bool a_third_sees_it_and_neither_the_other(void)
{
    return r1 == 0 && r2 == 0 && r3 == 1;
}

static void asymmetric_fences_of_three(void **state)
{
    (void)state;
    assert_never(LITMUS_3(buffers_x_light, buffers_y_heavy, reads_x_acquire, a_third_sees_it_and_neither_the_other));
    assert_seen(LITMUS_3(buffers_x_light, buffers_y_fenced, reads_x_acquire, a_third_sees_it_and_neither_the_other));
}

/* ---- coherence ---- */

static void writes_1_and_2(void)
{
    atomic_set(&x, 1, RELAXED);
    atomic_set(&x, 2, RELAXED);
}

static void reads_x_three_times(void)
{
    r1 = (int)atomic_get(&x, RELAXED);
    r2 = (int)atomic_get(&x, RELAXED);
    r3 = (int)atomic_get(&x, RELAXED);
}

static bool goes_back(void)
{
    return r1 > r2 || r2 > r3;
}

static bool each_value_is_read(void)
{
    return r1 == 0 && r2 == 1 && r3 == 2;
}

static void writes_3(void)
{
    atomic_set(&x, 3, RELAXED);
}

static void writes_4(void)
{
    atomic_set(&x, 4, RELAXED);
}

static void reads_x_twice(void)
{
    r1 = (int)atomic_get(&x, RELAXED);
    r2 = (int)atomic_get(&x, RELAXED);
}

static void reads_x_twice_as_well(void)
{
    r3 = (int)atomic_get(&x, RELAXED);
    r4 = (int)atomic_get(&x, RELAXED);
}

static bool threads_disagree_on_the_order(void)
{
    return r1 == 3 && r2 == 4 && r3 == 4 && r4 == 3;
}

static void writes_5_and_reads(void)
{
    atomic_set(&x, 5, RELAXED);
    r1 = (int)atomic_get(&x, RELAXED);
}

static bool own_store_is_not_seen(void)
{
    return r1 == 0;
}

static bool older_behind_what_another_has_read(void)
{
    return r3 == 2 && r1 == 1 && r2 < 2;
}

static void coherence_holds(void **state)
{
    (void)state;
    assert_never(LITMUS_2(writes_1_and_2, reads_x_three_times, goes_back));
    assert_seen(LITMUS_2(writes_1_and_2, reads_x_three_times, each_value_is_read));
    assert_never(LITMUS_4(writes_3, writes_4, reads_x_twice, reads_x_twice_as_well, threads_disagree_on_the_order));
    assert_never(LITMUS_2(writes_3, writes_5_and_reads, own_store_is_not_seen));
    assert_never(LITMUS_3(writes_1_and_2, passes_on_release, reads_acquire, older_behind_what_another_has_read));
    assert_seen(LITMUS_3(writes_1_and_2, passes_on_relaxed, reads_acquire, older_behind_what_another_has_read));
}

/* ---- the order of stores ---- */

#define STORES(name, first, a, second, b, order)                                                                                   \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        atomic_set(&(first), a, order);                                                                                            \
        atomic_set(&(second), b, order);                                                                                           \
    }
STORES(stores_x_y, x, 1, y, 2, RELAXED)
STORES(stores_y_x, y, 1, x, 2, RELAXED)
STORES(stores_x_y_release, x, 1, y, 2, RELEASE)
STORES(stores_y_x_release, y, 1, x, 2, RELEASE)
STORES(stores_x_y_in_order, x, 1, y, 2, SEQ_CST)
STORES(stores_y_x_in_order, y, 1, x, 2, SEQ_CST)

static bool both_first_stores_are_last(void)
{
    return x == 1 && y == 1;
}

static void stores_2_and_a_flag(void)
{
    atomic_set(&x, 2, RELAXED);
    atomic_set(&y, 1, RELEASE);
}

static void stores_1_behind_the_flag(void)
{
    r1 = (int)atomic_get(&y, ACQUIRE);
    atomic_set(&x, 1, RELAXED);
}

static void stores_1_behind_the_flag_relaxed(void)
{
    r1 = (int)atomic_get(&y, RELAXED);
    atomic_set(&x, 1, RELAXED);
}

static bool flag_and_yet_2_is_last(void)
{
    return r1 == 1 && x == 2;
}

static void stores_in_another_order(void **state)
{
    (void)state;
    assert_seen(LITMUS_2(stores_x_y, stores_y_x, both_first_stores_are_last));                 /* 2+2W */
    assert_seen(LITMUS_2(stores_x_y_release, stores_y_x_release, both_first_stores_are_last)); /* no hardware does this */
    assert_never(LITMUS_2(stores_x_y_in_order, stores_y_x_in_order, both_first_stores_are_last));
    assert_never(LITMUS_2(stores_2_and_a_flag, stores_1_behind_the_flag, flag_and_yet_2_is_last)); /* S */
    assert_seen(LITMUS_2(stores_2_and_a_flag, stores_1_behind_the_flag_relaxed, flag_and_yet_2_is_last));
}

/* ---- independent reads ---- */

#define READS_BOTH(name, first, a, second, b, order)                                                                               \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        (a) = (int)atomic_get(&(first), order);                                                                                    \
        (b) = (int)atomic_get(&(second), order);                                                                                   \
    }
READS_BOTH(reads_x_y, x, r1, y, r2, ACQUIRE)
READS_BOTH(reads_y_x, y, r3, x, r4, ACQUIRE)
READS_BOTH(reads_x_y_in_order, x, r1, y, r2, SEQ_CST)
READS_BOTH(reads_y_x_in_order, y, r3, x, r4, SEQ_CST)

static void writes_x_in_order(void)
{
    atomic_set(&x, 1, SEQ_CST);
}

static void writes_y_in_order(void)
{
    atomic_set(&y, 1, SEQ_CST);
}

static bool each_sees_another_first(void)
{
    return r1 == 1 && r2 == 0 && r3 == 1 && r4 == 0;
}

static void independent_reads(void **state)
{
    (void)state;
    assert_seen(LITMUS_4(writes_x_in_order, writes_y_in_order, reads_x_y, reads_y_x, each_sees_another_first)); /* IRIW */
    assert_never(LITMUS_4(writes_x_in_order, writes_y_in_order, reads_x_y_in_order, reads_y_x_in_order, each_sees_another_first));
}

/* ---- read-modify-writes ---- */

static void adds_1(void)
{
    r1 = (int)atomic_add(&x, 1, RELAXED);
}

static void adds_1_as_well(void)
{
    r2 = (int)atomic_add(&x, 1, RELAXED);
}

static bool one_is_lost(void)
{
    return x != 2 || r1 == r2;
}

static void swaps_1_for_2(void)
{
    uint64_t found = 1;
    r1 = atomic_cas(&x, &found, 2, RELAXED);
    r2 = (int)found;
}

static void swaps_0_for_5(void)
{
    uint64_t found = 0;
    r2 = atomic_cas(&x, &found, 5, RELAXED);
}

static bool both_change_0(void)
{
    return r1 == 0 && r2 == 1;
}

static bool fails_by_what_it_expected(void)
{
    return r1 == 0 && r2 == 1;
}

static void writes_1(void)
{
    atomic_set(&x, 1, RELAXED);
    atomic_set(&y, 1, RELEASE);
}

static void swaps_behind_the_flag(void)
{
    if (atomic_get(&y, RELAXED) == 1)
        swaps_1_for_2();
}

static void swaps_behind_the_flag_acquired(void)
{
    if (atomic_get(&y, ACQUIRE) == 1)
        swaps_1_for_2();
}

static bool finds_what_was_before(void)
{
    return r1 == 0 && r2 == 0;
}

static void adds_2_to_what_it_finds(void)
{
    uint64_t found = atomic_get(&x, RELAXED);
    while (!atomic_cas(&x, &found, found + 2, RELAXED))
        ;
}

static void stores_8(void)
{
    atomic_set(&x, 8, RELAXED);
}

static bool something_came_between(void)
{
    return x != 10 && x != 8;
}

static bool it_went_in_front(void)
{
    return x == 8;
}

static void changes_are_indivisible(void **state)
{
    (void)state;
    assert_never(LITMUS_2(adds_1, adds_1_as_well, one_is_lost));
    assert_never(LITMUS_2(adds_1, swaps_0_for_5, both_change_0));
    assert_never(LITMUS_2(writes_1, swaps_1_for_2, fails_by_what_it_expected));
    assert_seen(LITMUS_2(writes_1, swaps_behind_the_flag, finds_what_was_before));
    assert_never(LITMUS_2(writes_1, swaps_behind_the_flag_acquired, finds_what_was_before));
    assert_never(LITMUS_2(adds_2_to_what_it_finds, stores_8, something_came_between));
    assert_seen(LITMUS_2(adds_2_to_what_it_finds, stores_8, it_went_in_front));
}

/* ---- what is left out, and bounds ---- */

#define LOADS_THEN_STORES(name, from, to, r)                                                                                       \
    static void name(void)                                                                                                         \
    {                                                                                                                              \
        (r) = (int)atomic_get(&(from), RELAXED);                                                                                   \
        atomic_set(&(to), 1, RELAXED);                                                                                             \
    }
LOADS_THEN_STORES(loads_x, x, y, r1)
LOADS_THEN_STORES(loads_y, y, x, r2)

static bool each_reads_what_the_other_stores_next(void)
{
    return r1 == 1 && r2 == 1;
}

/* C11 permits it. Who makes the scheduler do it changes this, and fuzz/README.md. */
static void load_buffering_is_left_out(void **state)
{
    (void)state;
    assert_never(LITMUS_2(loads_x, loads_y, each_reads_what_the_other_stores_next));
}

static void nothing_is_stale_beyond_the_bound(void **state)
{
    (void)state;
    assert_false(is_seen(LITMUS_2(buffers_x, buffers_y, neither_sees_the_other), 0));
    assert_true(is_seen(LITMUS_2(buffers_x, buffers_y, neither_sees_the_other), 1));
    assert_false(is_seen(LITMUS_4(writes_x_in_order, writes_y_in_order, reads_x_y, reads_y_x, each_sees_another_first), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_passing),
        cmocka_unit_test(fences_pass_messages),
        cmocka_unit_test(messages_are_passed_on),
        cmocka_unit_test(what_comes_behind_a_release_is_not_released),
        cmocka_unit_test(release_sequences),
        cmocka_unit_test(store_buffering),
        cmocka_unit_test(sequentially_consistent_fences),
        cmocka_unit_test(asymmetric_fences),
        cmocka_unit_test(asymmetric_fences_of_three),
        cmocka_unit_test(coherence_holds),
        cmocka_unit_test(stores_in_another_order),
        cmocka_unit_test(independent_reads),
        cmocka_unit_test(changes_are_indivisible),
        cmocka_unit_test(load_buffering_is_left_out),
        cmocka_unit_test(nothing_is_stale_beyond_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
