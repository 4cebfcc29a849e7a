/* Unit tests of lib/src/buf.c: references keep a buf until the last of them goes, on whichever thread; foreign memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

/* Runs `work` on a thread of its own and waits for it. */
static void on_other_thread(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

typedef struct batch {
    iobuf_slice *slices;
    size_t count;
} batch;

static void *release_batch(void *argument)
{
    batch *work = (batch *)argument;
    for (size_t i = 0; i < work->count; i++)
        iobuf_slice_release(&work->slices[i]);
    return NULL;
}

static void release_elsewhere(iobuf_slice *slices, size_t count)
{
    batch work = {slices, count};
    on_other_thread(release_batch, &work);
}

static iobuf_pool *pool_with_slices(test_backing *b, iobuf_allocator *a, iobuf_slice *slices, size_t count)
{
    iobuf_pool *pool = make_pool(b, 4096, 0, 0);
    assert_ok(iobuf_allocator_init(a, pool, 0));
    for (size_t i = 0; i < count; i++) {
        assert_ok(iobuf_alloc(a, 100, &slices[i]));
        pattern_fill(&slices[i], i);
    }
    return pool;
}

/* ---- references ---- */

/* What the Go package's test of its bufs checks, in every order. */
static void references_keep_a_buf_until_its_last_slice(void **state)
{
    (void)state;
    static const size_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < 6; i++) {
        test_backing b = {0};
        iobuf_allocator a;
        iobuf_slice s[3];
        iobuf_pool *pool = pool_with_slices(&b, &a, s, 3);
        iobuf_allocator_release(&a);
        for (size_t j = 0; j < 3; j++) {
            assert_bufs(pool, 1, 1, 0);
            for (size_t k = j; k < 3; k++)
                assert_true(pattern_holds(&s[orders[i][k]], orders[i][k]));
            iobuf_slice_release(&s[orders[i][j]]);
        }
        assert_bufs(pool, 1, 0, 1);
        close_pool(pool, &b);
    }
}

static void the_allocator_is_one_of_the_references(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[2];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 2);
    iobuf_slice_release(&s[0]);
    iobuf_slice_release(&s[1]);
    assert_bufs(pool, 1, 1, 0);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void a_buf_that_was_let_go_for_the_next_waits_for_its_slices(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[60]; /* 40 to a buf */
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 60);
    assert_bufs(pool, 2, 2, 0);
    for (size_t i = 0; i < 39; i++)
        iobuf_slice_release(&s[i]);
    assert_bufs(pool, 2, 2, 0);
    assert_true(pattern_holds(&s[39], 39));
    iobuf_slice_release(&s[39]);
    assert_bufs(pool, 2, 1, 1);
    for (size_t i = 40; i < 60; i++)
        iobuf_slice_release(&s[i]);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_buf_carries_a_hundred_thousand_references(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice first;
    iobuf_pool *pool = pool_with_slices(&b, &a, &first, 1);
    iobuf_slice *shares = (iobuf_slice *)malloc(COUNT * sizeof *shares);
    assert_non_null(shares);
    iobuf_allocator_release(&a);
    for (size_t i = 0; i < COUNT; i++)
        assert_ok(iobuf_slice_share(&first, i % 100, 1, &shares[i]));
    iobuf_slice_release(&first);
    for (size_t i = 0; i < COUNT; i++) {
        if (iobuf_slice_data(&shares[i])[0] != pattern_byte(0, i % 100))
            fail_msg("share %zu has other bytes", i);
        if (i == COUNT - 1)
            assert_bufs(pool, 1, 1, 0);
        iobuf_slice_release(&shares[i]);
    }
    assert_bufs(pool, 1, 0, 1);
    free(shares);
    close_pool(pool, &b);
}

/* ---- other threads ---- */

static void slices_are_released_from_an_other_thread(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[10];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 10);
    iobuf_allocator_release(&a);
    release_elsewhere(s, 10);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void the_last_slice_is_released_here_or_there(void **state)
{
    (void)state;
    for (size_t here_first = 0; here_first < 2; here_first++)
        for (size_t there = 1; there < 10; there++) {
            test_backing b = {0};
            iobuf_allocator a;
            iobuf_slice s[10];
            iobuf_pool *pool = pool_with_slices(&b, &a, s, 10);
            iobuf_allocator_release(&a);
            if (!here_first)
                release_elsewhere(s, there);
            for (size_t i = there; i < 10; i++)
                iobuf_slice_release(&s[i]);
            if (here_first) {
                assert_bufs(pool, 1, 1, 0);
                release_elsewhere(s, there);
            }
            assert_bufs(pool, 1, 0, 1);
            close_pool(pool, &b);
        }
}

static void the_allocator_is_released_after_slices_went_elsewhere(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[10];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 10);
    release_elsewhere(s, 10);
    assert_bufs(pool, 1, 1, 0);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void a_buf_whose_slices_went_elsewhere_is_used_again(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[40];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 40);
    for (int round = 0; round < 5; round++) {
        uint8_t *start = iobuf_slice_data(&s[0]);
        release_elsewhere(s, 40);
        for (size_t i = 0; i < 40; i++) {
            assert_ok(iobuf_alloc(&a, 100, &s[i]));
            pattern_fill(&s[i], i);
        }
        assert_ptr_equal(iobuf_slice_data(&s[0]), start);
        assert_bufs(pool, 1, 1, 0);
    }
    for (size_t i = 0; i < 40; i++)
        iobuf_slice_release(&s[i]);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_slice_released_elsewhere_alone_does_not_free_the_rest(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[40], more;
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 40);
    release_elsewhere(s, 20);
    assert_ok(iobuf_alloc(&a, 100, &more)); /* the first buf is full, and 20 slices of it live */
    pattern_fill(&more, 99);
    assert_bufs(pool, 2, 2, 0);
    for (size_t i = 20; i < 40; i++)
        assert_true(pattern_holds(&s[i], i));
    release_elsewhere(&s[20], 19);
    assert_bufs(pool, 2, 2, 0);
    iobuf_slice_release(&s[39]);
    assert_bufs(pool, 2, 1, 1);
    iobuf_slice_release(&more);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void shares_live_on_other_threads(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s, shares[8];
    iobuf_pool *pool = pool_with_slices(&b, &a, &s, 1);
    for (size_t i = 0; i < 8; i++)
        assert_ok(iobuf_slice_share(&s, 10 * i, 10, &shares[i]));
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    release_elsewhere(shares, 7);
    assert_bufs(pool, 1, 1, 0);
    for (size_t j = 0; j < 10; j++)
        assert_int_equal(iobuf_slice_data(&shares[7])[j], pattern_byte(0, 70 + j));
    release_elsewhere(&shares[7], 1);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void slices_of_a_closed_pool_are_released_elsewhere(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[100];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 100);
    iobuf_pool_close(pool);
    iobuf_allocator_release(&a);
    for (size_t i = 0; i < 100; i++)
        assert_true(pattern_holds(&s[i], i));
    release_elsewhere(s, 99);
    assert_true(atomic_load(&b.live) > 0);
    assert_true(pattern_holds(&s[99], 99));
    release_elsewhere(&s[99], 1);
    assert_nothing_left(&b);
}

static void claim_prefix_sees_releases_on_other_threads(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[10];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 10);
    release_elsewhere(s, 8);
    assert_false(iobuf_slice_claim_prefix(&s[9]));
    release_elsewhere(&s[8], 1);
    assert_true(iobuf_slice_claim_prefix(&s[9]));
    assert_size(iobuf_slice_headroom(&s[9]), 900);
    assert_true(pattern_holds(&s[9], 9));
    iobuf_slice_release(&s[9]);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void *claim_there(void *argument)
{
    iobuf_slice *s = (iobuf_slice *)argument;
    thread_require(iobuf_slice_claim_prefix(s));
    thread_require(iobuf_slice_headroom(s) == 900);
    iobuf_slice_release(s);
    return NULL;
}

static void claim_prefix_works_on_a_thread_that_is_not_the_owner(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_allocator a;
    iobuf_slice s[10];
    iobuf_pool *pool = pool_with_slices(&b, &a, s, 10);
    iobuf_allocator_release(&a);
    for (size_t i = 0; i < 9; i++)
        iobuf_slice_release(&s[i]);
    on_other_thread(claim_there, &s[9]);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

/* ---- foreign memory ---- */

typedef struct foreign {
    char bytes[16];
    int freed;
    void *got_bytes;
    size_t got_size;
    pthread_t thread;
} foreign;

static void free_foreign(void *bytes, size_t size, void *context)
{
    foreign *f = (foreign *)context;
    f->freed++;
    f->got_bytes = bytes;
    f->got_size = size;
    f->thread = pthread_self();
}

static foreign foreign_text(void)
{
    foreign f;
    memset(&f, 0, sizeof f);
    memcpy(f.bytes, "0123456789", 10);
    return f;
}

static void wrapped_memory_is_freed_once_with_its_slice(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s;
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s));
    assert_text(&s, "0123456789");
    assert_ptr_equal(iobuf_slice_data(&s), f.bytes);
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_size(iobuf_slice_buf_size(&s), 10);
    assert_int_equal(f.freed, 0);
    iobuf_slice_release(&s);
    assert_int_equal(f.freed, 1);
    assert_ptr_equal(f.got_bytes, f.bytes);
    assert_size(f.got_size, 10);
    iobuf_slice_release(&s);
    assert_int_equal(f.freed, 1);
}

static void wrapped_memory_is_freed_after_the_last_reference(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s, part, tail;
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s));
    assert_ok(iobuf_slice_share(&s, 2, 4, &part));
    assert_ok(iobuf_slice_split(&s, 5, &tail));
    iobuf_slice_release(&s);
    iobuf_slice_release(&tail);
    assert_int_equal(f.freed, 0);
    assert_text(&part, "2345");
    assert_size(iobuf_slice_buf_size(&part), 10);
    iobuf_slice_release(&part);
    assert_int_equal(f.freed, 1);
}

static void wrapped_memory_is_freed_whole_though_truncated(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s;
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s));
    iobuf_slice_truncate_front(&s, 3);
    iobuf_slice_truncate_back(&s, 3);
    assert_text(&s, "3456");
    assert_size(iobuf_slice_headroom(&s), 3);
    assert_true(iobuf_slice_expand_front(&s, 3));
    assert_false(iobuf_slice_expand_front(&s, 1));
    assert_text(&s, "0123456");
    iobuf_slice_release(&s);
    assert_ptr_equal(f.got_bytes, f.bytes);
    assert_size(f.got_size, 10);
}

static void wrapped_memory_has_a_prefix_to_claim(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s, tail;
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s));
    assert_ok(iobuf_slice_split(&s, 6, &tail));
    assert_false(iobuf_slice_claim_prefix(&tail));
    iobuf_slice_release(&s);
    assert_true(iobuf_slice_claim_prefix(&tail));
    assert_size(iobuf_slice_headroom(&tail), 6);
    iobuf_slice_truncate_front(&tail, 1);
    iobuf_slice_free_entire_prefix(&tail);
    assert_size(iobuf_slice_headroom(&tail), 7);
    iobuf_slice_release(&tail);
    assert_int_equal(f.freed, 1);
}

static void nothing_can_be_wrapped(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s;
    assert_ok(iobuf_slice_wrap(NULL, 0, free_foreign, &f, &s));
    assert_size(iobuf_slice_size(&s), 0);
    iobuf_slice_release(&s);
    assert_int_equal(f.freed, 1);
    assert_size(f.got_size, 0);
    assert_null(f.got_bytes);
}

static void wrap_checks_its_arguments_and_frees_nothing(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s = iobuf_slice_borrow(&f, 1);
    assert_status(iobuf_slice_wrap(f.bytes, 10, NULL, &f, &s), IOBUF_EINVAL);
    assert_status(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, NULL), IOBUF_EINVAL);
    assert_status(iobuf_slice_wrap(NULL, 1, free_foreign, &f, &s), IOBUF_EINVAL);
    assert_ptr_equal(iobuf_slice_data(&s), &f);
    assert_int_equal(f.freed, 0);
}

static void wrapped_memory_is_freed_on_the_thread_that_releases(void **state)
{
    (void)state;
    foreign f = foreign_text();
    iobuf_slice s[2];
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s[0]));
    assert_ok(iobuf_slice_share(&s[0], 0, 10, &s[1]));
    iobuf_slice_release(&s[0]);
    release_elsewhere(&s[1], 1);
    assert_int_equal(f.freed, 1);
    assert_false(pthread_equal(f.thread, pthread_self()));
}

static void compact_moves_wrapped_memory_too(void **state)
{
    (void)state;
    foreign f = foreign_text();
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 64, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 1));
    assert_ok(iobuf_slice_wrap(f.bytes, 10, free_foreign, &f, &s));
    assert_ok(iobuf_slice_compact(&s, &a)); /* too large a part of it */
    assert_int_equal(f.freed, 0);
    iobuf_slice_truncate_front(&s, 6);
    assert_ok(iobuf_slice_compact(&s, &a));
    assert_int_equal(f.freed, 1);
    assert_text(&s, "6789");
    assert_size(iobuf_slice_buf_size(&s), 64);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_keep_a_buf_until_its_last_slice),
        cmocka_unit_test(the_allocator_is_one_of_the_references),
        cmocka_unit_test(a_buf_that_was_let_go_for_the_next_waits_for_its_slices),
        cmocka_unit_test(a_buf_carries_a_hundred_thousand_references),
        cmocka_unit_test(slices_are_released_from_an_other_thread),
        cmocka_unit_test(the_last_slice_is_released_here_or_there),
        cmocka_unit_test(the_allocator_is_released_after_slices_went_elsewhere),
        cmocka_unit_test(a_buf_whose_slices_went_elsewhere_is_used_again),
        cmocka_unit_test(a_slice_released_elsewhere_alone_does_not_free_the_rest),
        cmocka_unit_test(shares_live_on_other_threads),
        cmocka_unit_test(slices_of_a_closed_pool_are_released_elsewhere),
        cmocka_unit_test(claim_prefix_sees_releases_on_other_threads),
        cmocka_unit_test(claim_prefix_works_on_a_thread_that_is_not_the_owner),
        cmocka_unit_test(wrapped_memory_is_freed_once_with_its_slice),
        cmocka_unit_test(wrapped_memory_is_freed_after_the_last_reference),
        cmocka_unit_test(wrapped_memory_is_freed_whole_though_truncated),
        cmocka_unit_test(wrapped_memory_has_a_prefix_to_claim),
        cmocka_unit_test(nothing_can_be_wrapped),
        cmocka_unit_test(wrap_checks_its_arguments_and_frees_nothing),
        cmocka_unit_test(wrapped_memory_is_freed_on_the_thread_that_releases),
        cmocka_unit_test(compact_moves_wrapped_memory_too),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
