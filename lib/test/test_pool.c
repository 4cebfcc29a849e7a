/* Unit tests of lib/src/pool.c: which buf a request gets, what is counted, kept and given back, limits, close.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

#define MIB ((size_t)1 << 20)

/* ---- sizes ---- */

static void a_pool_without_options_has_bufs_of_4096_bytes(void **state)
{
    (void)state;
    iobuf_pool *pool;
    assert_ok(iobuf_pool_create(NULL, &pool));
    iobuf_slice s = lone_slice(pool, 1);
    assert_size(iobuf_slice_buf_size(&s), 4096);
    assert_size(stats_of(pool).bytes_in_use, 4096);
    iobuf_slice_release(&s);
    iobuf_pool_close(pool);
}

static void options_that_are_all_zero_are_the_default(void **state)
{
    (void)state;
    iobuf_pool_options options;
    memset(&options, 0, sizeof options);
    iobuf_pool *pool;
    assert_ok(iobuf_pool_create(&options, &pool));
    iobuf_slice s = lone_slice(pool, 4097);
    assert_size(iobuf_slice_buf_size(&s), 8192);
    iobuf_slice_release(&s);
    assert_bufs(pool, 1, 0, 1);
    iobuf_pool_close(pool);
}

static void a_new_buf_is_the_smallest_multiple_of_min_size_that_fits(void **state)
{
    (void)state;
    static const struct {
        size_t min_size, request, buf;
    } cases[] = {
        {1, 0, 1},         {1, 1, 1},          {1, 2, 2},          {1, 1000, 1000},      {10, 0, 10},
        {10, 9, 10},       {10, 10, 10},       {10, 11, 20},       {10, 95, 100},        {1000, 5001, 6000},
        {4096, 0, 4096},   {4096, 4096, 4096}, {4096, 4097, 8192}, {4096, 65536, 65536}, {0, 12289, 16384},
        {65536, 1, 65536}, {7, 50, 56},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, cases[i].min_size, 0, 0);
        iobuf_slice s = lone_slice(pool, cases[i].request);
        assert_size(iobuf_slice_buf_size(&s), cases[i].buf);
        assert_size(stats_of(pool).bytes_in_use, cases[i].buf);
        iobuf_slice_release(&s);
        assert_size(stats_of(pool).bytes_cached, cases[i].buf);
        close_pool(pool, &b);
    }
}

static void every_byte_of_a_buf_can_be_written(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 63, 64, 65, 4096, 10007};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, sizes[i], 0, 0);
        iobuf_slice s = lone_slice(pool, sizes[i]);
        pattern_fill(&s, i);
        assert_true(pattern_holds(&s, i));
        iobuf_slice_release(&s);
        close_pool(pool, &b);
    }
}

static void bufs_are_aligned_to_64_bytes(void **state)
{
    (void)state;
    const size_t min_sizes[] = {1, 7, 100, 4096};
    for (size_t i = 0; i < COUNT_OF(min_sizes); i++) {
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, min_sizes[i], 0, 0);
        iobuf_slice slices[20];
        for (size_t j = 0; j < COUNT_OF(slices); j++) {
            slices[j] = lone_slice(pool, j * 13);
            assert_size((size_t)((uintptr_t)iobuf_slice_data(&slices[j]) % 64), 0);
        }
        for (size_t j = 0; j < COUNT_OF(slices); j++)
            iobuf_slice_release(&slices[j]);
        close_pool(pool, &b);
    }
}

/* ---- arguments ---- */

static void create_refuses_a_null_pool(void **state)
{
    (void)state;
    assert_status(iobuf_pool_create(NULL, NULL), IOBUF_EINVAL);
}

static void create_refuses_one_backing_function_without_the_other(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *const before = (iobuf_pool *)(void *)&b;
    iobuf_pool *pool = before;
    iobuf_pool_options options = {0, 0, 0, backing_of(&b)};
    options.backing.allocate = NULL;
    assert_status(iobuf_pool_create(&options, &pool), IOBUF_EINVAL);
    options.backing = backing_of(&b);
    options.backing.deallocate = NULL;
    assert_status(iobuf_pool_create(&options, &pool), IOBUF_EINVAL);
    assert_ptr_equal(pool, before);
    assert_size(atomic_load(&b.calls), 0);
}

static void create_leaves_its_output_alone_without_memory(void **state)
{
    (void)state;
    test_backing b = {.fail_at = 1, .fail_ever_after = true};
    iobuf_pool *const before = (iobuf_pool *)(void *)&b;
    iobuf_pool *pool = before;
    iobuf_pool_options options = {0, 0, 0, backing_of(&b)};
    assert_status(iobuf_pool_create(&options, &pool), IOBUF_ENOMEM);
    assert_ptr_equal(pool, before);
    assert_nothing_left(&b);
}

static void closing_null_is_harmless(void **state)
{
    (void)state;
    iobuf_pool_close(NULL);
}

/* ---- reuse and counts ---- */

static void a_new_pool_has_no_bufs(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    const iobuf_pool_stats none = {0};
    const iobuf_pool_stats stats = stats_of(pool);
    assert_same_stats(&stats, &none);
    close_pool(pool, &b);
}

/* What the Go package's test of its pool checks. */
static void a_freed_buf_is_reused_and_the_counts_are_right(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 1024, 0, 0);
    iobuf_slice first = lone_slice(pool, 1000);
    assert_bufs(pool, 1, 1, 0);
    iobuf_slice second = lone_slice(pool, 1000);
    assert_bufs(pool, 2, 2, 0);
    uint8_t *memory = iobuf_slice_data(&first);
    iobuf_slice_release(&first);
    assert_bufs(pool, 2, 1, 1);
    first = lone_slice(pool, 1000);
    assert_ptr_equal(iobuf_slice_data(&first), memory);
    assert_bufs(pool, 2, 2, 0);
    iobuf_slice_release(&first);
    iobuf_slice_release(&second);
    assert_bufs(pool, 2, 0, 2);
    close_pool(pool, &b);
}

static void a_freed_buf_serves_an_other_allocator(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 512, 0, 0);
    for (size_t i = 0; i < 100; i++) {
        iobuf_slice s = lone_slice(pool, 1 + i * 5);
        iobuf_slice_release(&s);
    }
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

static void the_last_freed_of_equal_size_is_taken_first(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 256, 0, 0);
    iobuf_slice slices[5];
    uint8_t *memory[5];
    const size_t order[5] = {3, 0, 4, 1, 2};
    for (size_t i = 0; i < 5; i++) {
        slices[i] = lone_slice(pool, 256);
        memory[i] = iobuf_slice_data(&slices[i]);
    }
    for (size_t i = 0; i < 5; i++)
        iobuf_slice_release(&slices[order[i]]);
    for (size_t i = 0; i < 5; i++) {
        slices[i] = lone_slice(pool, 256);
        assert_ptr_equal(iobuf_slice_data(&slices[i]), memory[order[4 - i]]);
    }
    for (size_t i = 0; i < 5; i++)
        iobuf_slice_release(&slices[i]);
    close_pool(pool, &b);
}

static void the_smallest_free_buf_that_fits_is_taken(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice small = lone_slice(pool, 100), large = lone_slice(pool, 900), medium = lone_slice(pool, 300);
    uint8_t *medium_memory = iobuf_slice_data(&medium);
    iobuf_slice_release(&medium);
    iobuf_slice_release(&large);
    iobuf_slice_release(&small);
    iobuf_slice s = lone_slice(pool, 150);
    assert_ptr_equal(iobuf_slice_data(&s), medium_memory);
    assert_size(iobuf_slice_buf_size(&s), 300);
    iobuf_slice_release(&s);
    assert_bufs(pool, 3, 0, 3);
    close_pool(pool, &b);
}

static void no_free_buf_that_is_too_small_is_taken(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice s = lone_slice(pool, 300);
    iobuf_slice_release(&s);
    s = lone_slice(pool, 301);
    assert_size(iobuf_slice_buf_size(&s), 400);
    assert_bufs(pool, 2, 1, 1);
    iobuf_slice_release(&s);
    close_pool(pool, &b);
}

static void the_peak_is_the_most_ever_held(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice one = lone_slice(pool, 100), two = lone_slice(pool, 200);
    assert_size(stats_of(pool).bytes_peak, 300);
    iobuf_slice_release(&two);
    assert_size(stats_of(pool).bytes_peak, 300);
    assert_size(iobuf_pool_trim(pool, 0), 200);
    iobuf_slice three = lone_slice(pool, 100);
    assert_size(stats_of(pool).bytes_peak, 300);
    iobuf_slice four = lone_slice(pool, 200);
    assert_size(stats_of(pool).bytes_peak, 400);
    iobuf_slice_release(&one);
    iobuf_slice_release(&three);
    iobuf_slice_release(&four);
    assert_size(stats_of(pool).bytes_peak, 400);
    close_pool(pool, &b);
}

static void the_peak_counts_free_bufs_too(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice one = lone_slice(pool, 100);
    iobuf_slice_release(&one);
    iobuf_slice two = lone_slice(pool, 200);
    assert_size(stats_of(pool).bytes_peak, 300);
    iobuf_slice_release(&two);
    close_pool(pool, &b);
}

static void an_allocator_holds_its_buf_without_any_slice(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_bufs(pool, 0, 0, 0);
    assert_ok(iobuf_alloc(&a, 10, &s));
    iobuf_slice_release(&s);
    assert_bufs(pool, 1, 1, 0);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

/* ---- limits ---- */

static void a_request_above_max_bytes_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 300, 0);
    iobuf_slice held = lone_slice(pool, 200);
    iobuf_slice untouched = iobuf_slice_borrow(&b, 7);
    const iobuf_pool_stats before = stats_of(pool);
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_status(iobuf_alloc(&a, 101, &untouched), IOBUF_ELIMIT);
    const iobuf_pool_stats after = stats_of(pool);
    assert_same_stats(&after, &before);
    assert_ptr_equal(iobuf_slice_data(&untouched), &b);
    assert_size(iobuf_slice_size(&untouched), 7);
    iobuf_allocator_release(&a);
    iobuf_slice_release(&held);
    close_pool(pool, &b);
}

static void max_bytes_can_be_used_to_the_last_byte(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 300, 0);
    iobuf_slice one = lone_slice(pool, 200), two = lone_slice(pool, 100);
    assert_size(stats_of(pool).bytes_in_use, 300);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    close_pool(pool, &b);
}

static void a_buf_larger_than_max_bytes_is_never_made(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 4095, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_status(iobuf_alloc(&a, 1, &s), IOBUF_ELIMIT);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 0, 0, 0);
    close_pool(pool, &b);
}

static void a_request_may_pass_again_once_bufs_are_back(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 200, 0);
    iobuf_slice one = lone_slice(pool, 200), two;
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_status(iobuf_alloc(&a, 50, &two), IOBUF_ELIMIT);
    iobuf_slice_release(&one);
    assert_ok(iobuf_alloc(&a, 50, &two));
    iobuf_slice_release(&two);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void free_bufs_are_given_up_largest_first_for_max_bytes(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 1000, 0);
    iobuf_slice s100 = lone_slice(pool, 100), s200 = lone_slice(pool, 200), s300 = lone_slice(pool, 300);
    iobuf_slice_release(&s300);
    iobuf_slice_release(&s100);
    iobuf_slice_release(&s200);
    assert_size(stats_of(pool).bytes_cached, 600);
    /* 500 more fit once the 300 are gone; the others stay. */
    iobuf_slice s500 = lone_slice(pool, 500);
    assert_bufs(pool, 4, 1, 2);
    assert_size(stats_of(pool).bytes_cached, 300);
    /* The small ones are there to be taken. */
    s100 = lone_slice(pool, 100);
    s200 = lone_slice(pool, 200);
    assert_bufs(pool, 4, 3, 0);
    iobuf_slice_release(&s100);
    iobuf_slice_release(&s200);
    iobuf_slice_release(&s500);
    close_pool(pool, &b);
}

static void no_free_buf_is_given_up_for_a_request_that_is_refused(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 1000, 0);
    iobuf_slice held = lone_slice(pool, 600), cached = lone_slice(pool, 300);
    iobuf_slice_release(&cached);
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_status(iobuf_alloc(&a, 500, &cached), IOBUF_ELIMIT);
    assert_bufs(pool, 2, 1, 1);
    iobuf_allocator_release(&a);
    iobuf_slice_release(&held);
    close_pool(pool, &b);
}

static void a_free_buf_is_taken_though_the_limit_is_reached(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 400, 0);
    iobuf_slice one = lone_slice(pool, 200), two = lone_slice(pool, 200);
    iobuf_slice_release(&two);
    two = lone_slice(pool, 50);
    assert_size(iobuf_slice_buf_size(&two), 200);
    assert_bufs(pool, 2, 2, 0);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    close_pool(pool, &b);
}

/* ---- cache ---- */

static void max_cached_bytes_1_keeps_nothing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 1);
    iobuf_slice s = lone_slice(pool, 1);
    iobuf_slice_release(&s);
    assert_bufs(pool, 1, 0, 0);
    s = lone_slice(pool, 1);
    assert_bufs(pool, 2, 1, 0);
    iobuf_slice_release(&s);
    close_pool(pool, &b);
}

static void a_buf_is_kept_as_far_as_max_cached_bytes_has_room(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 500);
    iobuf_slice s300 = lone_slice(pool, 300), s100 = lone_slice(pool, 100), s200 = lone_slice(pool, 200);
    iobuf_slice_release(&s300);
    iobuf_slice_release(&s100);
    iobuf_slice_release(&s200); /* 400 + 200 are too many */
    assert_bufs(pool, 3, 0, 2);
    assert_size(stats_of(pool).bytes_cached, 400);
    close_pool(pool, &b);
}

static void max_cached_bytes_can_be_filled_to_the_last_byte(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 500);
    iobuf_slice s300 = lone_slice(pool, 300), s200 = lone_slice(pool, 200);
    iobuf_slice_release(&s300);
    iobuf_slice_release(&s200);
    assert_size(stats_of(pool).bytes_cached, 500);
    close_pool(pool, &b);
}

static void sixty_four_mebibytes_are_kept_by_default(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, MIB, 0, 0);
    iobuf_slice slices[66];
    for (size_t i = 0; i < COUNT_OF(slices); i++)
        slices[i] = lone_slice(pool, 1);
    for (size_t i = 0; i < COUNT_OF(slices); i++)
        iobuf_slice_release(&slices[i]);
    assert_bufs(pool, 66, 0, 64);
    assert_size(stats_of(pool).bytes_cached, 64 * MIB);
    close_pool(pool, &b);
}

static void max_cached_bytes_size_max_keeps_all(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, MIB, 0, SIZE_MAX);
    iobuf_slice slices[66];
    for (size_t i = 0; i < COUNT_OF(slices); i++)
        slices[i] = lone_slice(pool, 1);
    for (size_t i = 0; i < COUNT_OF(slices); i++)
        iobuf_slice_release(&slices[i]);
    assert_bufs(pool, 66, 0, 66);
    close_pool(pool, &b);
}

/* ---- trim ---- */

static void trim_gives_the_largest_back_first(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice s100 = lone_slice(pool, 100), s200 = lone_slice(pool, 200), s400 = lone_slice(pool, 400);
    iobuf_slice_release(&s200);
    iobuf_slice_release(&s400);
    iobuf_slice_release(&s100);
    assert_size(iobuf_pool_trim(pool, 699), 400);
    assert_bufs(pool, 3, 0, 2);
    assert_size(iobuf_pool_trim(pool, 100), 200);
    assert_size(stats_of(pool).bytes_cached, 100);
    assert_size(iobuf_pool_trim(pool, 99), 100);
    assert_bufs(pool, 3, 0, 0);
    close_pool(pool, &b);
}

static void trim_keeps_what_it_is_told_to_keep(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    iobuf_slice s = lone_slice(pool, 300);
    iobuf_slice_release(&s);
    assert_size(iobuf_pool_trim(pool, 300), 0);
    assert_size(iobuf_pool_trim(pool, SIZE_MAX), 0);
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

/* What a buf was described by is used again, so that nothing but bufs comes and goes. */
static void trim_loses_no_descriptor(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 100, 0, 0);
    size_t blocks = 0;
    for (size_t round = 0; round < 40; round++) {
        iobuf_slice s[3];
        for (size_t i = 0; i < COUNT_OF(s); i++)
            s[i] = lone_slice(pool, 100);
        for (size_t i = 0; i < COUNT_OF(s); i++) {
            iobuf_slice_release(&s[i]);
            assert_size(iobuf_pool_trim(pool, 0), 100);
        }
        if (round == 0)
            blocks = atomic_load(&b.live);
        assert_size(atomic_load(&b.live), blocks);
    }
    close_pool(pool, &b);
}

static void trim_reaches_the_backing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_slice slices[10];
    for (size_t i = 0; i < 10; i++)
        slices[i] = lone_slice(pool, 1);
    for (size_t i = 0; i < 10; i++)
        iobuf_slice_release(&slices[i]);
    const size_t before = atomic_load(&b.live_bytes);
    assert_size(iobuf_pool_trim(pool, 0), 10 * 4096);
    assert_true(before - atomic_load(&b.live_bytes) >= 10 * 4096);
    close_pool(pool, &b);
}

static void trim_leaves_bufs_in_use_alone(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_slice s = lone_slice(pool, 100);
    pattern_fill(&s, 1);
    assert_size(iobuf_pool_trim(pool, 0), 0);
    assert_bufs(pool, 1, 1, 0);
    assert_true(pattern_holds(&s, 1));
    iobuf_slice_release(&s);
    close_pool(pool, &b);
}

static void a_trimmed_pool_takes_new_bufs(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    for (size_t i = 1; i <= 50; i++) {
        iobuf_slice s = lone_slice(pool, 4000);
        pattern_fill(&s, i);
        iobuf_slice_release(&s);
        assert_size(iobuf_pool_trim(pool, 0), 4096);
        assert_bufs(pool, i, 0, 0);
    }
    close_pool(pool, &b);
}

/* ---- close ---- */

static void a_closed_pool_hands_out_nothing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_slice s = iobuf_slice_borrow(&b, 3);
    iobuf_allocator a;
    iobuf_reader r;
    source in = {.bytes = (const uint8_t *)"abc", .size = 3};
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_reader_init(&r, pool, source_read, &in));
    iobuf_pool_close(pool);
    assert_status(iobuf_alloc(&a, 1, &s), IOBUF_ECLOSED);
    assert_status(iobuf_alloc(&a, 0, &s), IOBUF_ECLOSED);
    assert_status(iobuf_copy(&a, "x", 1, &s), IOBUF_ECLOSED);
    assert_status(iobuf_reader_read(&r, 1, &s), IOBUF_ECLOSED);
    assert_ptr_equal(iobuf_slice_data(&s), &b);
    iobuf_allocator_release(&a);
    iobuf_reader_close(&r);
    assert_nothing_left(&b);
}

static void free_bufs_go_at_once_when_a_pool_is_closed(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_slice held = lone_slice(pool, 1), free_one = lone_slice(pool, 100 * 4096);
    iobuf_slice_release(&free_one);
    iobuf_pool_close(pool);
    assert_true(atomic_load(&b.live_bytes) < 100 * 4096);
    iobuf_slice_release(&held);
    assert_nothing_left(&b);
}

static void bufs_in_use_go_with_their_last_slice_after_close(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_slice big = lone_slice(pool, 100 * 4096), small = lone_slice(pool, 1);
    iobuf_pool_close(pool);
    pattern_fill(&big, 1);
    assert_true(pattern_holds(&big, 1));
    iobuf_slice_release(&big);
    assert_true(atomic_load(&b.live_bytes) < 100 * 4096);
    assert_true(atomic_load(&b.live) > 0);
    iobuf_slice_release(&small);
    assert_nothing_left(&b);
}

static void the_pool_s_memory_goes_with_its_last_allocator(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator one, two;
    assert_ok(iobuf_allocator_init(&one, pool, 0));
    assert_ok(iobuf_allocator_init(&two, pool, 0));
    iobuf_pool_close(pool);
    iobuf_allocator_release(&one);
    assert_true(atomic_load(&b.live) > 0);
    iobuf_allocator_release(&two);
    assert_nothing_left(&b);
}

static void the_pool_s_memory_goes_with_its_last_reader(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    source in = {.bytes = (const uint8_t *)"abc", .size = 3};
    iobuf_reader r;
    iobuf_slice s;
    assert_ok(iobuf_reader_init(&r, pool, source_read, &in));
    assert_ok(iobuf_reader_read(&r, 2, &s));
    iobuf_pool_close(pool);
    iobuf_reader_close(&r);
    assert_true(atomic_load(&b.live) > 0);
    iobuf_slice_release(&s);
    assert_nothing_left(&b);
}

static void pools_are_independent(void **state)
{
    (void)state;
    test_backing b1 = {0}, b2 = {0};
    iobuf_pool *one = make_pool(&b1, 100, 0, 0), *two = make_pool(&b2, 200, 0, 0);
    iobuf_slice s1 = lone_slice(one, 1), s2 = lone_slice(two, 1);
    iobuf_slice_release(&s1);
    assert_bufs(one, 1, 0, 1);
    assert_bufs(two, 1, 1, 0);
    close_pool(one, &b1);
    pattern_fill(&s2, 2);
    iobuf_slice_release(&s2);
    assert_bufs(two, 1, 0, 1);
    close_pool(two, &b2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_without_options_has_bufs_of_4096_bytes),
        cmocka_unit_test(options_that_are_all_zero_are_the_default),
        cmocka_unit_test(a_new_buf_is_the_smallest_multiple_of_min_size_that_fits),
        cmocka_unit_test(every_byte_of_a_buf_can_be_written),
        cmocka_unit_test(bufs_are_aligned_to_64_bytes),
        cmocka_unit_test(create_refuses_a_null_pool),
        cmocka_unit_test(create_refuses_one_backing_function_without_the_other),
        cmocka_unit_test(create_leaves_its_output_alone_without_memory),
        cmocka_unit_test(closing_null_is_harmless),
        cmocka_unit_test(a_new_pool_has_no_bufs),
        cmocka_unit_test(a_freed_buf_is_reused_and_the_counts_are_right),
        cmocka_unit_test(a_freed_buf_serves_an_other_allocator),
        cmocka_unit_test(the_last_freed_of_equal_size_is_taken_first),
        cmocka_unit_test(the_smallest_free_buf_that_fits_is_taken),
        cmocka_unit_test(no_free_buf_that_is_too_small_is_taken),
        cmocka_unit_test(the_peak_is_the_most_ever_held),
        cmocka_unit_test(the_peak_counts_free_bufs_too),
        cmocka_unit_test(an_allocator_holds_its_buf_without_any_slice),
        cmocka_unit_test(a_request_above_max_bytes_is_refused_and_nothing_changes),
        cmocka_unit_test(max_bytes_can_be_used_to_the_last_byte),
        cmocka_unit_test(a_buf_larger_than_max_bytes_is_never_made),
        cmocka_unit_test(a_request_may_pass_again_once_bufs_are_back),
        cmocka_unit_test(free_bufs_are_given_up_largest_first_for_max_bytes),
        cmocka_unit_test(no_free_buf_is_given_up_for_a_request_that_is_refused),
        cmocka_unit_test(a_free_buf_is_taken_though_the_limit_is_reached),
        cmocka_unit_test(max_cached_bytes_1_keeps_nothing),
        cmocka_unit_test(a_buf_is_kept_as_far_as_max_cached_bytes_has_room),
        cmocka_unit_test(max_cached_bytes_can_be_filled_to_the_last_byte),
        cmocka_unit_test(sixty_four_mebibytes_are_kept_by_default),
        cmocka_unit_test(max_cached_bytes_size_max_keeps_all),
        cmocka_unit_test(trim_gives_the_largest_back_first),
        cmocka_unit_test(trim_keeps_what_it_is_told_to_keep),
        cmocka_unit_test(trim_loses_no_descriptor),
        cmocka_unit_test(trim_reaches_the_backing),
        cmocka_unit_test(trim_leaves_bufs_in_use_alone),
        cmocka_unit_test(a_trimmed_pool_takes_new_bufs),
        cmocka_unit_test(a_closed_pool_hands_out_nothing),
        cmocka_unit_test(free_bufs_go_at_once_when_a_pool_is_closed),
        cmocka_unit_test(bufs_in_use_go_with_their_last_slice_after_close),
        cmocka_unit_test(the_pool_s_memory_goes_with_its_last_allocator),
        cmocka_unit_test(the_pool_s_memory_goes_with_its_last_reader),
        cmocka_unit_test(pools_are_independent),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
