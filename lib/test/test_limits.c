/* Every size, and every sum of sizes, at its limits: none wraps, in a 32-bit build neither.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

#define MOST ((size_t)PTRDIFF_MAX)

typedef struct fixture {
    test_backing b;
    iobuf_pool *pool;
    iobuf_allocator a;
} fixture;

static void begin(fixture *f, size_t min_size, size_t max_bytes, size_t reserve)
{
    memset(f, 0, sizeof *f);
    f->pool = make_pool(&f->b, min_size, max_bytes, 0);
    assert_ok(iobuf_allocator_init(&f->a, f->pool, reserve));
}

static void end(fixture *f)
{
    iobuf_allocator_release(&f->a);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

static void count_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    ++*(int *)context;
}

/* ---- pool ---- */

static void min_size_above_ptrdiff_max_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {MOST + 1, MOST + 2, SIZE_MAX - 1, SIZE_MAX};
    test_backing b = {0};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        iobuf_pool_options options = {sizes[i], 0, 0, backing_of(&b)};
        iobuf_pool *pool = (iobuf_pool *)(void *)&b;
        assert_status(iobuf_pool_create(&options, &pool), IOBUF_EOVERFLOW);
        assert_ptr_equal(pool, &b);
    }
    assert_nothing_left(&b);
}

static void a_min_size_of_ptrdiff_max_asks_the_backing_for_so_much(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, MOST, 0, 0);
    assert_status(iobuf_alloc(&f.a, 1, &s), IOBUF_ENOMEM);
    assert_status(iobuf_alloc(&f.a, MOST, &s), IOBUF_ENOMEM);
    assert_bufs(f.pool, 0, 0, 0);
    end(&f);
}

static void rounding_up_to_min_size_never_wraps(void **state)
{
    (void)state;
    /* Sizes that are no multiple of min_size, whose next multiple is above PTRDIFF_MAX or even SIZE_MAX. */
    const size_t cases[][2] = {{4096, MOST},         {4096, MOST - 4094}, {MOST - 1, MOST},     {MOST / 2 + 1, MOST},
                               {MOST / 2 + 2, MOST}, {3, MOST},           {MOST - 5, MOST - 3}, {1000003, MOST}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (MOST % cases[i][0] == 0)
            continue; /* 3 divides one of 2^31 - 1 and 2^63 - 1 */
        fixture f;
        iobuf_slice s = iobuf_slice_borrow(&f, 1);
        begin(&f, cases[i][0], 0, 0);
        assert_status(iobuf_alloc(&f.a, cases[i][1], &s), IOBUF_EOVERFLOW);
        assert_ptr_equal(iobuf_slice_data(&s), &f);
        assert_bufs(f.pool, 0, 0, 0);
        end(&f);
    }
}

static void the_largest_multiple_of_min_size_is_asked_for(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, 0, 0);
    assert_status(iobuf_alloc(&f.a, MOST - 4095, &s), IOBUF_ENOMEM);
    end(&f);
    begin(&f, 1, 0, 0);
    assert_status(iobuf_alloc(&f.a, MOST, &s), IOBUF_ENOMEM);
    end(&f);
}

static void max_bytes_at_its_limits_does_not_wrap(void **state)
{
    (void)state;
    const size_t limits[] = {MOST, MOST + 1, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        fixture f;
        iobuf_slice s, held;
        begin(&f, 4096, limits[i], 0);
        held = lone_slice(f.pool, 8192);
        iobuf_slice cached = lone_slice(f.pool, 4096);
        iobuf_slice_release(&cached);
        /* 8192 in use and nearly PTRDIFF_MAX. The cached one must not be forgotten in the sum either. */
        assert_status(iobuf_alloc(&f.a, MOST - 4095, &s), limits[i] <= MOST + 1 ? IOBUF_ELIMIT : IOBUF_ENOMEM);
        assert_size(stats_of(f.pool).bytes_in_use, 8192);
        iobuf_slice_release(&held);
        end(&f);
    }
}

static void max_bytes_of_one_allows_nothing(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 2, 1, 0);
    assert_status(iobuf_alloc(&f.a, 0, &s), IOBUF_ELIMIT);
    assert_status(iobuf_alloc(&f.a, MOST - 1, &s), IOBUF_ELIMIT);
    end(&f);
}

static void overflow_comes_before_the_limit_and_closed_before_overflow(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, 4096, 0);
    assert_status(iobuf_alloc(&f.a, MOST, &s), IOBUF_EOVERFLOW);
    assert_status(iobuf_alloc(&f.a, MOST - 4095, &s), IOBUF_ELIMIT);
    iobuf_pool_close(f.pool);
    assert_status(iobuf_alloc(&f.a, MOST - 4095, &s), IOBUF_ECLOSED);
    iobuf_allocator_release(&f.a);
    assert_nothing_left(&f.b);
}

static void the_c_library_s_memory_runs_out_too(void **state)
{
    (void)state;
    iobuf_pool *pool;
    iobuf_allocator a;
    iobuf_slice s;
    if (sizeof(void *) == 4)
        skip(); /* a 32-bit process may well get so much */
    assert_ok(iobuf_pool_create(NULL, &pool));
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_status(iobuf_alloc(&a, MOST / 2, &s), IOBUF_ENOMEM);
    assert_ok(iobuf_alloc(&a, 1, &s));
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    iobuf_pool_close(pool);
}

/* ---- allocator ---- */

static void reserve_and_size_never_wrap(void **state)
{
    (void)state;
    const size_t reserves[] = {0, 1, 10, 4096, MOST - 1, MOST, MOST + 1, SIZE_MAX - 1, SIZE_MAX};
    const size_t sizes[] = {0, 1, 10, 4096, MOST - 1, MOST, MOST + 1, SIZE_MAX - 4096, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(reserves); i++)
        for (size_t j = 0; j < COUNT_OF(sizes); j++) {
            const size_t reserve = reserves[i], size = sizes[j];
            const bool too_large = reserve > MOST || size > MOST - reserve;
            const bool fits_a_buf = !too_large && reserve + size <= 8192;
            fixture f;
            iobuf_slice s = iobuf_slice_borrow(&f, 1);
            begin(&f, 1, 0, reserve);
            f.b.largest = 65536;
            const int status = too_large ? IOBUF_EOVERFLOW : fits_a_buf ? IOBUF_OK : IOBUF_ENOMEM;
            assert_status(iobuf_alloc(&f.a, size, &s), status);
            if (fits_a_buf) {
                assert_size(iobuf_slice_size(&s), size);
                assert_size(iobuf_slice_headroom(&s), reserve);
                iobuf_slice_release(&s);
            } else {
                assert_ptr_equal(iobuf_slice_data(&s), &f);
                assert_status(iobuf_copy(&f.a, &f, size, &s), status);
                assert_ptr_equal(iobuf_slice_data(&s), &f);
            }
            end(&f);
        }
}

static void a_size_that_overflows_leaves_the_current_buf(void **state)
{
    (void)state;
    const size_t sizes[] = {MOST - 9, MOST, MOST + 1, SIZE_MAX - 10, SIZE_MAX - 9, SIZE_MAX};
    fixture f;
    iobuf_slice one, two, s = iobuf_slice_borrow(&f, 1);
    begin(&f, 4096, 0, 10);
    assert_ok(iobuf_copy(&f.a, "one", 3, &one));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_status(iobuf_alloc(&f.a, sizes[i], &s), IOBUF_EOVERFLOW);
        assert_status(iobuf_copy(&f.a, &f, sizes[i], &s), IOBUF_EOVERFLOW);
    }
    assert_ptr_equal(iobuf_slice_data(&s), &f);
    assert_ok(iobuf_copy(&f.a, "two", 3, &two));
    assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + 13);
    assert_bufs(f.pool, 1, 1, 0);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void shrink_takes_no_size_above_the_slice_s(void **state)
{
    (void)state;
    const size_t sizes[] = {11, MOST, MOST + 1, SIZE_MAX};
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, 0, 0);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_status(iobuf_allocator_shrink(&f.a, &s, sizes[i]), IOBUF_EINVAL);
    assert_text(&s, "0123456789");
    iobuf_slice_release(&s);
    end(&f);
}

/* Only in a 32-bit build: rounds of cutting, shrinking to nothing and releasing move nothing on but the counts, which are set here
 * to what some hundred million of them leave. */
static void a_buf_whose_counts_are_full_is_left(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 64, 0, 0);
    iobuf_allocator a;
    iobuf_slice s;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    assert_ok(iobuf_alloc(&a, 1, &s));
    if (sizeof(size_t) == 4 && a.buf_->owner_ != 0) {
        a.buf_->taken_ = (size_t)PTRDIFF_MAX / 4;
        a.buf_->local_ = -2 * (intptr_t)(a.buf_->taken_ - 1);
    }
    assert_ok(iobuf_allocator_shrink(&a, &s, 0));
    iobuf_slice_release(&s);
    assert_ok(iobuf_alloc(&a, 1, &s));
    assert_true(a.buf_->taken_ <= 2);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

static void compact_does_not_wrap_with_a_huge_reserve(void **state)
{
    (void)state;
    const size_t reserves[] = {MOST, MOST + 1, SIZE_MAX - 99, SIZE_MAX - 100, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(reserves); i++) {
        fixture f;
        begin(&f, 4096, 0, reserves[i]);
        iobuf_slice s = lone_slice(f.pool, 4096);
        uint8_t *data = iobuf_slice_data(&s);
        iobuf_slice_truncate_back(&s, 3996);
        assert_ok(iobuf_slice_compact(&s, &f.a)); /* more than half, so nothing happens */
        assert_ptr_equal(iobuf_slice_data(&s), data);
        iobuf_slice_release(&s);
        end(&f);
    }
}

/* ---- slice ---- */

static void wrap_takes_up_to_ptrdiff_max(void **state)
{
    (void)state;
    const size_t sizes[] = {MOST + 1, SIZE_MAX - 1, SIZE_MAX};
    int freed = 0;
    iobuf_slice s = iobuf_slice_borrow(&freed, 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_status(iobuf_slice_wrap(&freed, sizes[i], count_free, &freed, &s), IOBUF_EOVERFLOW);
        assert_ptr_equal(iobuf_slice_data(&s), &freed);
    }
    assert_int_equal(freed, 0);
}

/* Memory that is never touched: an address and a size are all that these calls may use. */
static void every_cut_works_at_ptrdiff_max(void **state)
{
    (void)state;
    uint8_t *const bytes = (uint8_t *)(uintptr_t)4096;
    int freed = 0;
    iobuf_slice s, tail;
    assert_ok(iobuf_slice_wrap(bytes, MOST, count_free, &freed, &s));
    assert_size(iobuf_slice_buf_size(&s), MOST);
    iobuf_slice_truncate_front(&s, MOST - 3);
    assert_size(iobuf_slice_size(&s), 3);
    assert_size(iobuf_slice_headroom(&s), MOST - 3);
    assert_false(iobuf_slice_expand_front(&s, MOST - 2));
    assert_false(iobuf_slice_expand_front(&s, SIZE_MAX));
    assert_true(iobuf_slice_expand_front(&s, MOST - 3));
    assert_size(iobuf_slice_size(&s), MOST);
    assert_ptr_equal(iobuf_slice_data(&s), bytes);
    assert_status(iobuf_slice_split(&s, MOST + 1, &tail), IOBUF_EINVAL);
    assert_ok(iobuf_slice_split(&s, MOST - 1, &tail));
    assert_size(iobuf_slice_size(&tail), 1);
    iobuf_slice_release_previous(&tail, &s);
    assert_size(iobuf_slice_headroom(&tail), MOST - 1);
    iobuf_slice_truncate_back(&tail, SIZE_MAX);
    iobuf_slice_truncate_front(&tail, SIZE_MAX);
    assert_size(iobuf_slice_size(&tail), 0);
    assert_true(iobuf_slice_claim_prefix(&tail));
    assert_size(iobuf_slice_headroom(&tail), MOST - 1);
    assert_int_equal(freed, 0);
    iobuf_slice_release(&tail);
    assert_int_equal(freed, 1);
}

static void coalesce_does_not_wrap_at_ptrdiff_max(void **state)
{
    (void)state;
    uint8_t *const bytes = (uint8_t *)(uintptr_t)4096;
    const struct {
        size_t max_size, count;
    } cases[] = {{MOST, 1}, {MOST - 1, 2}, {MOST + 1, 1}, {SIZE_MAX, 1}, {0, 2}, {1, 2}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int freed = 0;
        iobuf_slice s[2];
        assert_ok(iobuf_slice_wrap(bytes, MOST, count_free, &freed, &s[0]));
        assert_ok(iobuf_slice_split(&s[0], MOST - 5, &s[1]));
        assert_size(iobuf_coalesce(s, 2, cases[i].max_size), cases[i].count);
        assert_size(iobuf_slice_size(&s[0]), cases[i].count == 1 ? MOST : MOST - 5);
        iobuf_slice_release(&s[0]);
        iobuf_slice_release(&s[1]);
        assert_int_equal(freed, 1);
    }
}

static void the_range_of_a_share_never_wraps(void **state)
{
    (void)state;
    const size_t edges[] = {0, 1, 9, 10, 11, MOST, MOST + 1, SIZE_MAX - 9, SIZE_MAX - 1, SIZE_MAX};
    fixture f;
    iobuf_slice s, part;
    begin(&f, 4096, 0, 0);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    for (size_t i = 0; i < COUNT_OF(edges); i++)
        for (size_t j = 0; j < COUNT_OF(edges); j++) {
            const bool within = edges[i] <= 10 && edges[j] <= 10 - edges[i];
            part = iobuf_slice_borrow(NULL, 0);
            assert_status(iobuf_slice_share(&s, edges[i], edges[j], &part), within ? IOBUF_OK : IOBUF_EINVAL);
            iobuf_slice_release(&part);
        }
    iobuf_slice_release(&s);
    end(&f);
}

static void truncating_by_size_max_takes_all(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice one, two;
    begin(&f, 4096, 0, 7);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &one));
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &two));
    iobuf_slice_truncate_front(&one, SIZE_MAX);
    iobuf_slice_truncate_back(&two, SIZE_MAX);
    assert_size(iobuf_slice_headroom(&one), 17);
    assert_size(iobuf_slice_headroom(&two), 7);
    assert_size(iobuf_slice_size(&one) + iobuf_slice_size(&two), 0);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void no_front_expands_by_more_than_its_prefix(void **state)
{
    (void)state;
    const size_t sizes[] = {8, MOST, MOST + 1, SIZE_MAX - 7, SIZE_MAX};
    fixture f;
    iobuf_slice s, part;
    begin(&f, 4096, 0, 7);
    assert_ok(iobuf_copy(&f.a, "0123456789", 10, &s));
    for (int shared = 0; shared < 2; shared++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++)
            assert_false(iobuf_slice_expand_front(&s, sizes[i]));
        assert_size(iobuf_slice_headroom(&s), 7);
        assert_text(&s, "0123456789");
        if (!shared)
            assert_ok(iobuf_slice_share(&s, 0, 10, &part));
    }
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_borrowed_slice_may_be_of_any_size(void **state)
{
    (void)state;
    uint8_t *const bytes = (uint8_t *)(uintptr_t)4096;
    iobuf_slice s = iobuf_slice_borrow(bytes, MOST), tail;
    assert_ok(iobuf_slice_split(&s, MOST - 1, &tail));
    assert_size(iobuf_slice_size(&tail), 1);
    iobuf_slice_truncate_front(&s, MOST);
    assert_size(iobuf_slice_size(&s), 0);
    struct iovec iov[1];
    assert_size(iobuf_slices_to_iovec(&tail, 1, iov, SIZE_MAX), 1);
}

#if SIZE_MAX > UINT32_MAX
/* Prefixes, and what is a slice's own, above 4 GiB: whatever is packed must stay right, or be on the safe side. */
static void prefixes_above_4_gib_are_exact_or_safe(void **state)
{
    (void)state;
    const size_t gib = (size_t)1 << 30;
    uint8_t *const bytes = (uint8_t *)(uintptr_t)4096;
    for (size_t off = 1; off < 16; off++) {
        int freed = 0;
        iobuf_slice s, part;
        assert_ok(iobuf_slice_wrap(bytes, 16 * gib, count_free, &freed, &s));
        iobuf_slice_truncate_front(&s, 5 * gib + 1);
        assert_size(iobuf_slice_headroom(&s), 5 * gib + 1);
        assert_true(iobuf_slice_expand_front(&s, 5 * gib + 1));
        /* The bytes from `off` GiB on are shared from here on, so no prefix may ever reach into them. */
        assert_ok(iobuf_slice_share(&s, off * gib, gib / 2, &part));
        for (size_t cut = 1; cut < 16; cut++) {
            iobuf_slice_truncate_front(&s, gib);
            size_t at = cut * gib, room = iobuf_slice_headroom(&s);
            assert_ptr_equal(iobuf_slice_data(&s), bytes + at);
            assert_size(iobuf_slice_size(&s), 16 * gib - at);
            assert_true(room <= at);
            if (at > off * gib)
                assert_true(room <= at - off * gib - gib / 2);
            if (at <= off * gib && at <= gib)
                assert_size(room, at);
        }
        iobuf_slice_release(&part);
        iobuf_slice_release(&s);
        assert_int_equal(freed, 1);
    }
}
#endif

/* ---- reader ---- */

static void a_read_above_ptrdiff_max_is_refused_before_reading(void **state)
{
    (void)state;
    const size_t sizes[] = {MOST, MOST + 1, SIZE_MAX};
    fixture f;
    source in = {.bytes = (const uint8_t *)"abc", .size = 3};
    iobuf_reader r;
    iobuf_slice s = iobuf_slice_borrow(&f, 1);
    begin(&f, 4096, 0, 0);
    assert_ok(iobuf_reader_init(&r, f.pool, source_read, &in));
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_status(iobuf_reader_read(&r, sizes[i], &s), IOBUF_EOVERFLOW);
    assert_status(iobuf_reader_read(&r, MOST - 4095, &s), IOBUF_ENOMEM);
    assert_ptr_equal(iobuf_slice_data(&s), &f);
    assert_size(in.calls, 0);
    iobuf_reader_close(&r);
    end(&f);
}

static void a_read_that_overflows_loses_no_buffered_bytes(void **state)
{
    (void)state;
    fixture f;
    source in = {.bytes = (const uint8_t *)"abcdef", .size = 6};
    iobuf_reader r;
    iobuf_slice s;
    begin(&f, 4096, 0, 0);
    assert_ok(iobuf_reader_init(&r, f.pool, source_read, &in));
    assert_ok(iobuf_reader_read(&r, 2, &s));
    iobuf_slice_release(&s);
    assert_status(iobuf_reader_read(&r, MOST, &s), IOBUF_EOVERFLOW);
    assert_status(iobuf_reader_read(&r, SIZE_MAX, &s), IOBUF_EOVERFLOW);
    assert_status(iobuf_reader_read(&r, SIZE_MAX - 4, &s), IOBUF_EOVERFLOW);
    assert_ok(iobuf_reader_read(&r, 4, &s));
    assert_text(&s, "cdef");
    iobuf_slice_release(&s);
    iobuf_reader_close(&r);
    end(&f);
}

static void read_some_takes_any_maximum(void **state)
{
    (void)state;
    const size_t sizes[] = {6, MOST, MOST + 1, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        fixture f;
        source in = {.bytes = (const uint8_t *)"abcdef", .size = 6};
        iobuf_reader r;
        iobuf_slice s;
        begin(&f, 4096, 0, 0);
        assert_ok(iobuf_reader_init(&r, f.pool, source_read, &in));
        assert_ok(iobuf_reader_read_some(&r, sizes[i], &s));
        assert_text(&s, "abcdef");
        iobuf_slice_release(&s);
        iobuf_reader_close(&r);
        end(&f);
    }
}

static void peek_of_more_than_ptrdiff_max_changes_nothing(void **state)
{
    (void)state;
    fixture f;
    source in = {.bytes = (const uint8_t *)"abcdef", .size = 6};
    iobuf_reader r;
    const uint8_t *bytes = NULL;
    size_t size = 77;
    begin(&f, 4096, 0, 0);
    assert_ok(iobuf_reader_init(&r, f.pool, source_read, &in));
    assert_status(iobuf_reader_peek(&r, MOST + 1, &bytes, &size), IOBUF_EOVERFLOW);
    assert_status(iobuf_reader_peek(&r, SIZE_MAX, &bytes, &size), IOBUF_EOVERFLOW);
    assert_size(size, 77);
    assert_null(bytes);
    assert_size(in.calls, 0);
    iobuf_reader_close(&r);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(min_size_above_ptrdiff_max_is_refused),
        cmocka_unit_test(a_min_size_of_ptrdiff_max_asks_the_backing_for_so_much),
        cmocka_unit_test(rounding_up_to_min_size_never_wraps),
        cmocka_unit_test(the_largest_multiple_of_min_size_is_asked_for),
        cmocka_unit_test(max_bytes_at_its_limits_does_not_wrap),
        cmocka_unit_test(max_bytes_of_one_allows_nothing),
        cmocka_unit_test(overflow_comes_before_the_limit_and_closed_before_overflow),
        cmocka_unit_test(the_c_library_s_memory_runs_out_too),
        cmocka_unit_test(reserve_and_size_never_wrap),
        cmocka_unit_test(a_size_that_overflows_leaves_the_current_buf),
        cmocka_unit_test(shrink_takes_no_size_above_the_slice_s),
        cmocka_unit_test(a_buf_whose_counts_are_full_is_left),
        cmocka_unit_test(compact_does_not_wrap_with_a_huge_reserve),
        cmocka_unit_test(wrap_takes_up_to_ptrdiff_max),
        cmocka_unit_test(every_cut_works_at_ptrdiff_max),
        cmocka_unit_test(coalesce_does_not_wrap_at_ptrdiff_max),
        cmocka_unit_test(the_range_of_a_share_never_wraps),
        cmocka_unit_test(truncating_by_size_max_takes_all),
        cmocka_unit_test(no_front_expands_by_more_than_its_prefix),
        cmocka_unit_test(a_borrowed_slice_may_be_of_any_size),
#if SIZE_MAX > UINT32_MAX
        cmocka_unit_test(prefixes_above_4_gib_are_exact_or_safe),
#endif
        cmocka_unit_test(a_read_above_ptrdiff_max_is_refused_before_reading),
        cmocka_unit_test(a_read_that_overflows_loses_no_buffered_bytes),
        cmocka_unit_test(read_some_takes_any_maximum),
        cmocka_unit_test(peek_of_more_than_ptrdiff_max_changes_nothing),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
