/* The minimiser on a library that, for slices of some sizes, errs, aborts, crashes or hangs in iobuf_slice_claim_prefix: the linker
 * puts the function below in its place. */
#include "../minimise/minimise.h"

#include <iobuf/iobuf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ERRS_IN_A_LARGE_BUF = 100, ERRS, ABORTS, CRASHES, HANGS, ERRS_SECOND, HIDES_FAULTS };

bool __real_iobuf_slice_claim_prefix(iobuf_slice *s);
bool __wrap_iobuf_slice_claim_prefix(iobuf_slice *s);
int __real_iobuf_pool_create(const iobuf_pool_options *create, iobuf_pool **pool);
int __wrap_iobuf_pool_create(const iobuf_pool_options *create, iobuf_pool **pool);

bool __wrap_iobuf_slice_claim_prefix(iobuf_slice *s)
{
    static unsigned seconds;
    volatile int *nowhere = NULL;
    switch (iobuf_slice_size(s)) {
    case ERRS:
        return !__real_iobuf_slice_claim_prefix(s);
    case ABORTS:
        abort();
    case CRASHES:
        return *nowhere != 0;
    case HANGS:
        for (;;)
            pause();
    case ERRS_SECOND: /* stays behind in a process: what has run before must not count */
        return __real_iobuf_slice_claim_prefix(s) ^ (++seconds % 2 == 0);
    case ERRS_IN_A_LARGE_BUF:
        return __real_iobuf_slice_claim_prefix(s) ^ (iobuf_slice_buf_size(s) > ERRS_IN_A_LARGE_BUF);
    default:
        return __real_iobuf_slice_claim_prefix(s);
    }
}

int __wrap_iobuf_pool_create(const iobuf_pool_options *create, iobuf_pool **pool)
{
    const int status = __real_iobuf_pool_create(create, pool);
    return status == IOBUF_ENOMEM && create && create->min_size == HIDES_FAULTS ? IOBUF_EINVAL : status;
}

/* What the failing ops need, among what they do not. %d: the size of the slice. */
static const char noisy[] = "iobuf-program 1 slice\n"
                            "p2 = pool_create 256 0 0\n"
                            "p1 = pool_create 64 4096 0\n"
                            "a3 = allocator_init p1 16\n"
                            "a5 = allocator_init p2 0\n"
                            "s9 = alloc a3 40\n"
                            "s4 = copy a5 %d\n"
                            "s5 = share s4 3 7\n"
                            "release s9\n"
                            "s11 = copy a3 12\n"
                            "release s5\n"
                            "coalesce s3..s12 500\n"
                            "truncate_front s11 4\n"
                            "claim_prefix s4\n"
                            "release s4\n"
                            "s4 = alloc a3 1\n";

static void exit_at_once(void)
{
    _exit(1);
}

static const execute_options options = {true, true, NULL, NULL, exit_at_once};

static void parse(const char *format, int size, program *p)
{
    static char text[2048];
    unsigned line;
    const char *error;
    snprintf(text, sizeof text, format, size);
    assert_true(program_parse(text, strlen(text), p, &line, &error));
}

/* A crash is to end the child: cmocka's handler would go on there with the next test. */
static void begin(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL);
    judge_begin(&options);
}

/* As the simplest program of any ops that fails in any way. */
static void minimise_any(const char *format, int size, program *p, verdict *v)
{
    parse(format, size, p);
    p->target = program_target_find("all");
    begin();
    judge(p, true, v);
    assert_true(v->check[0]);
    shrink(p, v, true);
    judge(p, true, v);
    judge_end();
}

/* Minimises the program, judges what is left again, and each of its ops dropped. */
static void minimise(const char *format, int size, program *p, verdict *v)
{
    static program less;
    verdict left;
    parse(format, size, p);
    begin();
    judge(p, true, v);
    assert_true(v->check[0]);
    shrink(p, v, false);
    judge(p, true, &left);
    assert_true(verdict_same(&left, v));
    for (size_t i = 0; i < p->count; i++) {
        less = *p;
        memmove(&less.ops[i], &less.ops[i + 1], (p->count - i - 1) * sizeof less.ops[0]);
        less.count--;
        judge(&less, true, &left);
        assert_false(verdict_same(&left, v));
    }
    judge_end();
}

static void expect_ops(const program *p, size_t count, const program_kind *kinds)
{
    if (p->count != count)
        program_print(p, p->count, stderr);
    assert_int_equal(p->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(p->ops[i].kind, kinds[i]);
}

static const program_kind needed[] = {OP_borrow, OP_claim_prefix};

static void failing_check_keeps_its_name_and_op(void **state)
{
    static program p;
    verdict v;
    (void)state;
    minimise(noisy, ERRS, &p, &v);
    assert_string_equal(v.check, "result_equals");
    assert_int_equal(v.kind, OP_claim_prefix);
    expect_ops(&p, 2, needed);
    assert_int_equal(p.ops[0].size[0].value, ERRS); /* nothing smaller fails */
    assert_int_equal(p.ops[0].result, 0);
    assert_int_equal(p.ops[1].reg[0], 0);
}

static void abort_is_survived(void **state)
{
    static program p;
    verdict v;
    (void)state;
    minimise(noisy, ABORTS, &p, &v);
    expect_ops(&p, 2, needed);
}

static void crash_is_survived(void **state)
{
    static program p;
    verdict v;
    (void)state;
    minimise(noisy, CRASHES, &p, &v);
    expect_ops(&p, 2, needed);
}

static void hang_is_survived_and_says_where(void **state)
{
    static const char few[] = "iobuf-program 1 slice\np0 = pool_create 0 0 0\na0 = allocator_init p0 0\ns0 = alloc a0 %d\n"
                              "fill s0\nclaim_prefix s0\n";
    static program p;
    verdict v;
    (void)state;
    parse(few, HANGS, &p);
    begin();
    judge(&p, true, &v);
    judge_end();
    assert_string_equal(v.check, "program_ends");
    assert_int_equal(v.kind, OP_claim_prefix);
    assert_int_equal(v.ran, 5);
}

static void clean_program_has_no_verdict(void **state)
{
    static program p;
    verdict v;
    (void)state;
    parse(noisy, 5, &p);
    begin();
    judge(&p, true, &v);
    judge(&p, false, &v);
    assert_string_equal(v.check, "");
    const judge_counts counts = judge_end();
    assert_int_equal(counts.runs, 2);
    assert_int_equal(counts.processes, 1);
}

static void any_failure_will_do_if_it_is_asked_for(void **state)
{
    static program p;
    verdict v;
    (void)state;
    minimise_any(noisy, CRASHES, &p, &v);
    expect_ops(&p, 2, needed);
    assert_string_equal(v.check, "result_equals"); /* that of a smaller slice */
    assert_int_equal(p.ops[0].size[0].value, ERRS);
}

static void allocator_takes_a_readers_place_where_any_failure_will_do(void **state)
{
    static const char reads[] =
        "iobuf-program 1 reader\np0 = pool_create 0 0 0\nr1 = reader_init p0\npeek r1 9\nsource_give r1 500\n"
        "s3 = read r1 %d\nsource_end r1\nclaim_prefix s3\nreader_close r1\n";
    static const program_kind read[] = {OP_pool_create, OP_reader_init, OP_read, OP_claim_prefix};
    static const program_kind allocated[] = {OP_pool_create, OP_allocator_init, OP_alloc, OP_claim_prefix};
    static program p;
    verdict v;
    (void)state;
    minimise(reads, ERRS_IN_A_LARGE_BUF, &p, &v);
    expect_ops(&p, 4, read);
    minimise_any(reads, ERRS_IN_A_LARGE_BUF, &p, &v);
    expect_ops(&p, 4, allocated);
}

/* The second call in a process errs: both calls must be in the program, though after any run the first would do. */
static void state_of_earlier_runs_does_not_count(void **state)
{
    static const char twice[] = "iobuf-program 1 slice\np0 = pool_create 0 0 0\na0 = allocator_init p0 0\ns0 = alloc a0 %d\n"
                                "fill s0\nclaim_prefix s0\nfill s0\nclaim_prefix s0\n";
    static program p;
    verdict v;
    (void)state;
    minimise(twice, ERRS_SECOND, &p, &v);
    assert_int_equal(p.count, 3);
}

/* `thread 2` runs the two ops behind it: when one goes, what follows must not come in. */
static void turn_of_a_thread_shrinks_with_its_ops(void **state)
{
    static const char turned[] = "iobuf-program 1 all\np0 = pool_create 0 0 0\na0 = allocator_init p0 0\nthread 2\n"
                                 "s1 = alloc a0 3\ns0 = alloc a0 %d\nrelease s1\nclaim_prefix s0\n";
    static program p;
    verdict v;
    (void)state;
    minimise(turned, ERRS, &p, &v);
    expect_ops(&p, 2, needed);
}

static void fault_moves_to_what_it_strikes(void **state)
{
    static const char faulty[] = "iobuf-program 1 slice\nfail_alloc 4 always\np0 = pool_create 64 0 0\na0 = allocator_init p0 0\n"
                                 "s1 = alloc a0 60\np1 = pool_create %d 0 0\n";
    static const program_kind fault_and_pool[] = {OP_fail_alloc, OP_pool_create};
    static program p;
    verdict v;
    (void)state;
    minimise(faulty, HIDES_FAULTS, &p, &v);
    assert_string_equal(v.check, "status_equals");
    expect_ops(&p, 2, fault_and_pool);
    assert_int_equal(p.ops[0].size[0].value, 0);
    assert_int_equal(p.ops[0].choice, MODE_ONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_check_keeps_its_name_and_op),
        cmocka_unit_test(abort_is_survived),
        cmocka_unit_test(crash_is_survived),
        cmocka_unit_test(hang_is_survived_and_says_where),
        cmocka_unit_test(clean_program_has_no_verdict),
        cmocka_unit_test(any_failure_will_do_if_it_is_asked_for),
        cmocka_unit_test(allocator_takes_a_readers_place_where_any_failure_will_do),
        cmocka_unit_test(state_of_earlier_runs_does_not_count),
        cmocka_unit_test(turn_of_a_thread_shrinks_with_its_ops),
        cmocka_unit_test(fault_moves_to_what_it_strikes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
