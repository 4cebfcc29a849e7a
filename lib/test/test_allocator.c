/* Unit tests of lib/src/allocator.c: where slices are cut, when a buf is let go, reserve, shrink.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

enum { SLICES = 1000 };

static const size_t sizes[] = {50, 1000};
static const size_t reserves[] = {0, 10, 100};

static void init_checks_its_arguments(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 0, 0, 0);
    iobuf_allocator a;
    assert_status(iobuf_allocator_init(NULL, pool, 0), IOBUF_EINVAL);
    assert_status(iobuf_allocator_init(&a, NULL, 0), IOBUF_EINVAL);
    close_pool(pool, &b);
}

static void an_allocator_takes_no_buf_before_it_needs_one(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 0, 0, 0);
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, pool, 10));
    assert_bufs(pool, 0, 0, 0);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

/* What the Go package's test of Alloc checks. */
static void a_thousand_slices_expand_by_their_reserve_and_no_further(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t j = 0; j < COUNT_OF(reserves); j++) {
            const size_t size = sizes[i], reserve = reserves[j];
            test_backing b = {0};
            iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
            iobuf_allocator a;
            assert_ok(iobuf_allocator_init(&a, pool, reserve));
            for (size_t n = 0; n < SLICES; n++) {
                iobuf_slice s;
                assert_ok(iobuf_alloc(&a, size, &s));
                assert_size(iobuf_slice_size(&s), size);
                assert_size(iobuf_slice_headroom(&s), reserve);
                assert_false(iobuf_slice_expand_front(&s, reserve + 1));
                assert_size(iobuf_slice_size(&s), size);
                assert_true(iobuf_slice_expand_front(&s, reserve));
                assert_size(iobuf_slice_size(&s), size + reserve);
                pattern_fill(&s, n);
                iobuf_slice_release(&s);
            }
            iobuf_allocator_release(&a);
            assert_size(stats_of(pool).bufs_in_use, 0);
            close_pool(pool, &b);
        }
}

/* What the Go package's test of Copy checks, with all slices live at once. */
static void a_thousand_copies_hold_their_bytes(void **state)
{
    (void)state;
    static iobuf_slice slices[SLICES];
    static uint8_t bytes[1000];
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t j = 0; j < COUNT_OF(reserves); j++) {
            const size_t size = sizes[i], reserve = reserves[j];
            test_backing b = {0};
            iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
            iobuf_allocator a;
            assert_ok(iobuf_allocator_init(&a, pool, reserve));
            for (size_t n = 0; n < SLICES; n++) {
                iobuf_slice borrowed = iobuf_slice_borrow(bytes, size);
                pattern_fill(&borrowed, n);
                assert_ok(iobuf_copy(&a, bytes, size, &slices[n]));
            }
            memset(bytes, 0, sizeof bytes);
            for (size_t n = 0; n < SLICES; n++) {
                assert_true(pattern_holds(&slices[n], n));
                assert_false(iobuf_slice_expand_front(&slices[n], reserve + 1));
                assert_true(iobuf_slice_expand_front(&slices[n], reserve));
                if (reserve) /* as far as it goes, and no neighbour is touched */
                    memset(iobuf_slice_data(&slices[n]), 0xff, reserve);
            }
            for (size_t n = 0; n < SLICES; n++) {
                iobuf_slice_truncate_front(&slices[n], reserve);
                assert_true(pattern_holds(&slices[n], n));
                iobuf_slice_release(&slices[n]);
            }
            iobuf_allocator_release(&a);
            assert_size(stats_of(pool).bufs_in_use, 0);
            close_pool(pool, &b);
        }
}

static void as_many_bufs_are_taken_as_the_go_package_takes(void **state)
{
    (void)state;
    static iobuf_slice slices[SLICES];
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t j = 0; j < COUNT_OF(reserves); j++) {
            const size_t each = sizes[i] + reserves[j], per_buf = 4096 / each;
            test_backing b = {0};
            iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
            iobuf_allocator a;
            assert_ok(iobuf_allocator_init(&a, pool, reserves[j]));
            for (size_t n = 0; n < SLICES; n++)
                assert_ok(iobuf_alloc(&a, sizes[i], &slices[n]));
            assert_size(stats_of(pool).bufs_allocated, (SLICES + per_buf - 1) / per_buf);
            for (size_t n = 0; n < SLICES; n++)
                iobuf_slice_release(&slices[n]);
            iobuf_allocator_release(&a);
            close_pool(pool, &b);
        }
}

static void slices_lie_one_behind_the_other(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    for (size_t j = 0; j < COUNT_OF(reserves); j++) {
        iobuf_allocator a;
        iobuf_slice s[10];
        assert_ok(iobuf_allocator_init(&a, pool, reserves[j]));
        for (size_t n = 0; n < 10; n++)
            assert_ok(iobuf_alloc(&a, 20 * n, &s[n]));
        for (size_t n = 1; n < 10; n++)
            assert_ptr_equal(iobuf_slice_data(&s[n]), iobuf_slice_data(&s[n - 1]) + iobuf_slice_size(&s[n - 1]) + reserves[j]);
        for (size_t n = 0; n < 10; n++)
            iobuf_slice_release(&s[n]);
        iobuf_allocator_release(&a);
    }
    close_pool(pool, &b);
}

static void a_released_allocator_hands_out_nothing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a;
    iobuf_slice s = iobuf_slice_borrow(&b, 1);
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    iobuf_allocator_release(&a);
    assert_status(iobuf_alloc(&a, 1, &s), IOBUF_ECLOSED);
    assert_status(iobuf_alloc(&a, 0, &s), IOBUF_ECLOSED);
    assert_status(iobuf_copy(&a, "a", 1, &s), IOBUF_ECLOSED);
    assert_ptr_equal(iobuf_slice_data(&s), &b);
    assert_bufs(pool, 0, 0, 0);
    close_pool(pool, &b);
}

static void an_allocator_with_a_buf_hands_out_nothing_once_released(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a;
    iobuf_slice s, other = iobuf_slice_borrow(&b, 1);
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_copy(&a, "abc", 3, &s));
    iobuf_allocator_release(&a);
    iobuf_allocator_release(&a); /* twice is harmless */
    assert_status(iobuf_alloc(&a, 1, &other), IOBUF_ECLOSED);
    assert_bufs(pool, 1, 1, 0);
    assert_text(&s, "abc");
    iobuf_slice_release(&s);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void size_0_is_a_slice_of_its_own(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 6));
    assert_ok(iobuf_alloc(&a, 0, &s));
    assert_bufs(pool, 1, 1, 0);
    assert_size(iobuf_slice_size(&s), 0);
    assert_non_null(iobuf_slice_data(&s));
    assert_size(iobuf_slice_headroom(&s), 6);
    assert_size(iobuf_slice_buf_size(&s), 4096);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 1, 1, 0); /* it holds the buf */
    assert_true(iobuf_slice_expand_front(&s, 6));
    pattern_fill(&s, 1);
    iobuf_slice_release(&s);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void copy_of_nothing_needs_no_bytes(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a;
    iobuf_slice s, other = iobuf_slice_borrow(&b, 1);
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_copy(&a, NULL, 0, &s));
    assert_size(iobuf_slice_size(&s), 0);
    assert_status(iobuf_copy(&a, NULL, 1, &other), IOBUF_EINVAL);
    assert_ptr_equal(iobuf_slice_data(&other), &b);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void the_last_byte_of_a_buf_is_used(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice one, two, three;
    assert_ok(iobuf_allocator_init(&a, pool, 5));
    assert_ok(iobuf_alloc(&a, 45, &one));
    assert_ok(iobuf_alloc(&a, 45, &two));
    assert_bufs(pool, 1, 1, 0);
    assert_ok(iobuf_alloc(&a, 0, &three)); /* its reserve does not fit */
    assert_bufs(pool, 2, 2, 0);
    pattern_fill(&one, 1);
    pattern_fill(&two, 2);
    assert_true(pattern_holds(&one, 1));
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    iobuf_slice_release(&three);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_reserve_alone_fits_the_last_bytes_of_a_buf(void **state)
{
    (void)state;
    const size_t ends[] = {5, 0};
    for (size_t i = 0; i < 2; i++) {
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, 100, 0, 0);
        iobuf_allocator a;
        iobuf_slice one, two;
        assert_ok(iobuf_allocator_init(&a, pool, ends[i]));
        assert_ok(iobuf_alloc(&a, 100 - 2 * ends[i], &one));
        assert_ok(iobuf_alloc(&a, 0, &two));
        assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + iobuf_slice_size(&one) + ends[i]);
        assert_bufs(pool, 1, 1, 0);
        iobuf_slice_release(&one);
        iobuf_slice_release(&two);
        iobuf_allocator_release(&a);
        close_pool(pool, &b);
    }
}

static void a_slice_one_byte_too_long_is_cut_off_a_new_buf(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice one, two;
    assert_ok(iobuf_allocator_init(&a, pool, 5));
    assert_ok(iobuf_alloc(&a, 45, &one));
    assert_ok(iobuf_alloc(&a, 46, &two));
    assert_bufs(pool, 2, 2, 0);
    iobuf_slice_release(&one);
    assert_bufs(pool, 2, 1, 1);
    iobuf_slice_release(&two);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_slice_larger_than_min_size_has_a_buf_that_fits(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 10));
    assert_ok(iobuf_alloc(&a, 290, &s));
    assert_size(iobuf_slice_buf_size(&s), 300);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    assert_ok(iobuf_allocator_init(&a, pool, 10));
    assert_ok(iobuf_alloc(&a, 291, &s));
    assert_size(iobuf_slice_buf_size(&s), 400);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

/* ---- the buf is used again ---- */

static void a_buf_without_slices_is_used_again_from_its_start(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 60, &s));
    uint8_t *start = iobuf_slice_data(&s);
    iobuf_slice_release(&s);
    for (int i = 0; i < 100; i++) {
        assert_ok(iobuf_alloc(&a, 100, &s));
        assert_ptr_equal(iobuf_slice_data(&s), start);
        pattern_fill(&s, 1);
        iobuf_slice_release(&s);
    }
    assert_bufs(pool, 1, 1, 0);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_closed_pool_s_buf_is_used_again_too(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 60, &s));
    iobuf_slice_release(&s);
    iobuf_pool_close(pool);
    assert_ok(iobuf_alloc(&a, 100, &s));
    iobuf_slice_release(&s);
    assert_status(iobuf_alloc(&a, 101, &s), IOBUF_ECLOSED);
    iobuf_allocator_release(&a);
    assert_nothing_left(&b);
}

static void the_rest_of_a_closed_pool_s_buf_can_still_be_cut(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice one, two, three;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 60, &one));
    iobuf_pool_close(pool);
    assert_ok(iobuf_alloc(&a, 40, &two));
    assert_status(iobuf_alloc(&a, 1, &three), IOBUF_ECLOSED);
    iobuf_slice_release(&one);
    iobuf_allocator_release(&a);
    iobuf_slice_release(&two);
    assert_nothing_left(&b);
}

static void a_buf_with_one_slice_left_is_not_used_again(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice one, two, three;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 60, &one));
    assert_ok(iobuf_alloc(&a, 30, &two));
    pattern_fill(&two, 2);
    iobuf_slice_release(&one);
    assert_ok(iobuf_alloc(&a, 60, &three));
    pattern_fill(&three, 3);
    assert_bufs(pool, 2, 2, 0);
    assert_true(pattern_holds(&two, 2));
    iobuf_slice_release(&two);
    assert_bufs(pool, 2, 1, 1);
    iobuf_slice_release(&three);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void a_buf_too_small_to_be_used_again_goes_back(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 60, &s));
    iobuf_slice_release(&s);
    assert_ok(iobuf_alloc(&a, 101, &s));
    assert_size(iobuf_slice_buf_size(&s), 200);
    assert_bufs(pool, 2, 1, 1);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void the_new_buf_is_taken_before_the_old_one_goes(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 250, 0);
    iobuf_allocator a;
    iobuf_slice s, other;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 100, &s));
    iobuf_slice_release(&s);
    /* 100 are held until the 200 are there, and the limit is 250. */
    assert_status(iobuf_alloc(&a, 200, &other), IOBUF_ELIMIT);
    assert_bufs(pool, 1, 1, 0);
    assert_ok(iobuf_alloc(&a, 100, &s));
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void an_alloc_that_fails_leaves_the_rest_of_the_buf(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 100, 0);
    iobuf_allocator a;
    iobuf_slice one, two, other = iobuf_slice_borrow(&b, 2);
    assert_ok(iobuf_allocator_init(&a, pool, 3));
    assert_ok(iobuf_copy(&a, "one", 3, &one));
    const iobuf_pool_stats before = stats_of(pool);
    assert_status(iobuf_alloc(&a, 92, &other), IOBUF_ELIMIT);
    assert_status(iobuf_copy(&a, &b, 92, &other), IOBUF_ELIMIT);
    const iobuf_pool_stats after = stats_of(pool);
    assert_same_stats(&after, &before);
    assert_ptr_equal(iobuf_slice_data(&other), &b);
    assert_ok(iobuf_alloc(&a, 91, &two));
    assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + 3 + 3);
    assert_text(&one, "one");
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void allocators_of_one_pool_do_not_meet(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a[2];
    iobuf_slice s[2][50];
    assert_ok(iobuf_allocator_init(&a[0], pool, 1));
    assert_ok(iobuf_allocator_init(&a[1], pool, 2));
    for (size_t n = 0; n < 50; n++)
        for (size_t i = 0; i < 2; i++) {
            assert_ok(iobuf_alloc(&a[i], 100, &s[i][n]));
            pattern_fill(&s[i][n], 2 * n + i);
        }
    for (size_t n = 0; n < 50; n++)
        for (size_t i = 0; i < 2; i++) {
            assert_true(pattern_holds(&s[i][n], 2 * n + i));
            iobuf_slice_release(&s[i][n]);
        }
    iobuf_allocator_release(&a[0]);
    iobuf_allocator_release(&a[1]);
    assert_size(stats_of(pool).bufs_in_use, 0);
    close_pool(pool, &b);
}

/* ---- shrink ---- */

typedef struct fixture {
    test_backing b;
    iobuf_pool *pool;
    iobuf_allocator a;
} fixture;

static void begin(fixture *f, size_t reserve)
{
    memset(f, 0, sizeof *f);
    f->pool = make_pool(&f->b, 4096, 0, 0);
    assert_ok(iobuf_allocator_init(&f->a, f->pool, reserve));
}

static void end(fixture *f)
{
    iobuf_allocator_release(&f->a);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

static void the_next_slice_is_cut_where_the_shrunk_one_ends(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice one, two;
    begin(&f, 4);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &one));
    assert_ok(iobuf_allocator_shrink(&f.a, &one, 6));
    assert_text(&one, "012345");
    assert_size(iobuf_slice_headroom(&one), 4);
    assert_ok(iobuf_copy(&f.a, "abc", 3, &two));
    assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + 6 + 4);
    assert_text(&one, "012345");
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void shrinking_makes_room_in_the_buf(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[64];
    begin(&f, 0);
    for (size_t i = 0; i < 64; i++) { /* 64 reads into 1000 bytes of room, each of which brought 64 */
        assert_ok(iobuf_alloc(&f.a, i < 48 ? 1000 : 64, &s[i]));
        assert_ok(iobuf_allocator_shrink(&f.a, &s[i], 64));
        pattern_fill(&s[i], i);
    }
    assert_bufs(f.pool, 1, 1, 0);
    for (size_t i = 0; i < 64; i++) {
        assert_true(pattern_holds(&s[i], i));
        iobuf_slice_release(&s[i]);
    }
    end(&f);
}

static void a_slice_may_be_shrunk_to_nothing_and_to_itself(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice one, two;
    begin(&f, 4);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &one));
    assert_ok(iobuf_allocator_shrink(&f.a, &one, 10));
    assert_text(&one, "0123456789");
    assert_ok(iobuf_allocator_shrink(&f.a, &one, 0));
    assert_size(iobuf_slice_size(&one), 0);
    assert_ok(iobuf_copy(&f.a, "abc", 3, &two));
    assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + 4);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void shrink_refuses_to_grow(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 0);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    assert_status(iobuf_allocator_shrink(&f.a, &s, 11), IOBUF_EINVAL);
    assert_text(&s, "0123456789");
    iobuf_slice_release(&s);
    end(&f);
}

static void only_the_newest_slice_is_shrunk(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice one, two, three;
    begin(&f, 0);
    assert_ok(iobuf_copy(&f.a, "abc", 3, &one));
    assert_ok(iobuf_copy(&f.a, "defg", 4, &two));
    assert_status(iobuf_allocator_shrink(&f.a, &one, 1), IOBUF_EINVAL);
    assert_text(&one, "abc");
    iobuf_slice_truncate_back(&two, 1); /* now it ends before the next slice would begin */
    assert_status(iobuf_allocator_shrink(&f.a, &two, 1), IOBUF_EINVAL);
    assert_text(&two, "def");
    assert_ok(iobuf_copy(&f.a, "h", 1, &three));
    assert_ptr_equal(iobuf_slice_data(&three), iobuf_slice_data(&one) + 7);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    iobuf_slice_release(&three);
    end(&f);
}

static void only_a_slice_of_this_allocator_s_buf_is_shrunk(void **state)
{
    (void)state;
    fixture f;
    iobuf_allocator other;
    iobuf_slice s, old, borrowed = iobuf_slice_borrow(&f, 4), empty = iobuf_slice_borrow(NULL, 0);
    begin(&f, 0);
    assert_ok(iobuf_allocator_init(&other, f.pool, 0));
    assert_ok(iobuf_copy(&other, "abc", 3, &s));
    assert_status(iobuf_allocator_shrink(&f.a, &s, 1), IOBUF_EINVAL); /* f.a has no buf yet */
    assert_ok(iobuf_alloc(&f.a, 4096, &old));
    assert_status(iobuf_allocator_shrink(&f.a, &s, 1), IOBUF_EINVAL);
    assert_status(iobuf_allocator_shrink(&f.a, &borrowed, 1), IOBUF_EINVAL);
    assert_status(iobuf_allocator_shrink(&f.a, &empty, 0), IOBUF_EINVAL);
    iobuf_allocator_release(&f.a);
    assert_status(iobuf_allocator_shrink(&f.a, &old, 1), IOBUF_EINVAL);
    assert_size(iobuf_slice_size(&old), 4096);
    assert_text(&s, "abc");
    iobuf_slice_release(&s);
    iobuf_slice_release(&old);
    iobuf_allocator_release(&other);
    end(&f);
}

static void a_slice_that_shares_bytes_is_not_shrunk(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s, part, next;
    begin(&f, 0);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    assert_ok(iobuf_slice_share(&s, 5, 5, &part));
    assert_status(iobuf_allocator_shrink(&f.a, &s, 2), IOBUF_EINVAL);
    assert_status(iobuf_allocator_shrink(&f.a, &part, 2), IOBUF_EINVAL);
    assert_ok(iobuf_copy(&f.a, "abc", 3, &next));
    assert_text(&s, "0123456789");
    assert_text(&part, "56789");
    iobuf_slice_release(&s);
    iobuf_slice_release(&part);
    iobuf_slice_release(&next);
    end(&f);
}

static void a_slice_expanded_in_front_is_shrunk_at_its_end(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s, next;
    begin(&f, 3);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    assert_true(iobuf_slice_expand_front(&s, 3));
    memcpy(iobuf_slice_data(&s), "abc", 3);
    assert_ok(iobuf_allocator_shrink(&f.a, &s, 5));
    assert_ok(iobuf_copy(&f.a, "x", 1, &next));
    assert_ptr_equal(iobuf_slice_data(&next), iobuf_slice_data(&s) + 5 + 3);
    assert_text(&s, "abc01");
    iobuf_slice_release(&s);
    iobuf_slice_release(&next);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_checks_its_arguments),
        cmocka_unit_test(an_allocator_takes_no_buf_before_it_needs_one),
        cmocka_unit_test(a_thousand_slices_expand_by_their_reserve_and_no_further),
        cmocka_unit_test(a_thousand_copies_hold_their_bytes),
        cmocka_unit_test(as_many_bufs_are_taken_as_the_go_package_takes),
        cmocka_unit_test(slices_lie_one_behind_the_other),
        cmocka_unit_test(a_released_allocator_hands_out_nothing),
        cmocka_unit_test(an_allocator_with_a_buf_hands_out_nothing_once_released),
        cmocka_unit_test(size_0_is_a_slice_of_its_own),
        cmocka_unit_test(copy_of_nothing_needs_no_bytes),
        cmocka_unit_test(the_last_byte_of_a_buf_is_used),
        cmocka_unit_test(a_reserve_alone_fits_the_last_bytes_of_a_buf),
        cmocka_unit_test(a_slice_one_byte_too_long_is_cut_off_a_new_buf),
        cmocka_unit_test(a_slice_larger_than_min_size_has_a_buf_that_fits),
        cmocka_unit_test(a_buf_without_slices_is_used_again_from_its_start),
        cmocka_unit_test(a_closed_pool_s_buf_is_used_again_too),
        cmocka_unit_test(the_rest_of_a_closed_pool_s_buf_can_still_be_cut),
        cmocka_unit_test(a_buf_with_one_slice_left_is_not_used_again),
        cmocka_unit_test(a_buf_too_small_to_be_used_again_goes_back),
        cmocka_unit_test(the_new_buf_is_taken_before_the_old_one_goes),
        cmocka_unit_test(an_alloc_that_fails_leaves_the_rest_of_the_buf),
        cmocka_unit_test(allocators_of_one_pool_do_not_meet),
        cmocka_unit_test(the_next_slice_is_cut_where_the_shrunk_one_ends),
        cmocka_unit_test(shrinking_makes_room_in_the_buf),
        cmocka_unit_test(a_slice_may_be_shrunk_to_nothing_and_to_itself),
        cmocka_unit_test(shrink_refuses_to_grow),
        cmocka_unit_test(only_the_newest_slice_is_shrunk),
        cmocka_unit_test(only_a_slice_of_this_allocator_s_buf_is_shrunk),
        cmocka_unit_test(a_slice_that_shares_bytes_is_not_shrunk),
        cmocka_unit_test(a_slice_expanded_in_front_is_shrunk_at_its_end),
    };
    return cmocka_run_group_tests_name("allocator", tests, NULL, NULL);
}
