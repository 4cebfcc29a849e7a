/* Unit tests of lib/src/coalesce.c: neighbours become one, and nothing else does.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

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

static void end(fixture *f, iobuf_slice *slices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        iobuf_slice_release(&slices[i]);
    iobuf_allocator_release(&f->a);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

static void cut_all(fixture *f, iobuf_slice *slices, size_t count, const char *const *texts)
{
    for (size_t i = 0; i < count; i++)
        assert_ok(iobuf_copy(&f->a, texts[i], strlen(texts[i]), &slices[i]));
}

static const char *const words[] = {"abc", "de", "fghi", "j"};

/* What the Go package's test of Coalesce checks. */
static void a_thousand_kilobytes_coalesce_to_250_slices_of_4096(void **state)
{
    (void)state;
    enum { COUNT = 1000, SIZE = 1024, WHOLE = 4096 };
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 65536, 0, 0);
    iobuf_allocator a;
    static iobuf_slice slices[COUNT];
    uint8_t bytes[SIZE];
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    for (size_t i = 0; i < COUNT; i++) {
        memset(bytes, (int)(i & 0xff), SIZE);
        assert_ok(iobuf_copy(&a, bytes, SIZE, &slices[i]));
    }
    iobuf_allocator_release(&a);
    size_t count = iobuf_coalesce(slices, COUNT, WHOLE);
    assert_size(count, COUNT * SIZE / WHOLE);
    for (size_t i = 0; i < count; i++) {
        assert_size(iobuf_slice_size(&slices[i]), WHOLE);
        for (size_t j = 0; j < WHOLE; j++)
            if (iobuf_slice_data(&slices[i])[j] != (uint8_t)((i * 4 + j / SIZE) & 0xff))
                fail_msg("slice %zu, byte %zu: %u", i, j, iobuf_slice_data(&slices[i])[j]);
    }
    for (size_t i = 0; i < count; i++)
        iobuf_slice_release(&slices[i]);
    assert_size(stats_of(pool).bufs_in_use, 0);
    close_pool(pool, &b);
}

static void coalesce_joins_neighbours(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 4096), 1);
    assert_text(&s[0], "abcdefghij");
    end(&f, s, 1);
}

static void coalesce_empties_the_entries_behind(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 5), 2);
    for (size_t i = 2; i < 4; i++) {
        assert_null(iobuf_slice_data(&s[i]));
        assert_size(iobuf_slice_size(&s[i]), 0);
        assert_size(iobuf_slice_buf_size(&s[i]), 0);
    }
    end(&f, s, 4); /* releasing the empty ones too is harmless */
}

static void coalesce_stops_at_max_size(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 4), 4);
    assert_text(&s[0], "abc");
    assert_text(&s[1], "de");
    assert_text(&s[2], "fghi");
    assert_text(&s[3], "j");
    end(&f, s, 4);
}

static void coalesce_reaches_max_size_exactly(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 5), 2);
    assert_text(&s[0], "abcde");
    assert_text(&s[1], "fghij");
    end(&f, s, 2);
}

static void coalesce_goes_from_left_to_right(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 9), 2);
    assert_text(&s[0], "abcdefghi");
    assert_text(&s[1], "j");
    end(&f, s, 2);
}

static void coalesce_keeps_slices_larger_than_max_size(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, 0), 4);
    assert_text(&s[2], "fghi");
    end(&f, s, 4);
}

static void coalesce_with_size_max_has_no_limit(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    assert_size(iobuf_coalesce(s, 4, SIZE_MAX), 1);
    assert_text(&s[0], "abcdefghij");
    end(&f, s, 1);
}

static void coalesce_of_none_and_of_one(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[1];
    begin(&f, 0);
    assert_size(iobuf_coalesce(NULL, 0, 4096), 0);
    cut_all(&f, s, 1, words);
    assert_size(iobuf_coalesce(s, 0, 4096), 0);
    assert_text(&s[0], "abc");
    assert_size(iobuf_coalesce(s, 1, 4096), 1);
    assert_text(&s[0], "abc");
    end(&f, s, 1);
}

static void coalesce_leaves_the_wrong_order(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[2], swap;
    begin(&f, 0);
    cut_all(&f, s, 2, words);
    swap = s[0];
    s[0] = s[1];
    s[1] = swap;
    assert_size(iobuf_coalesce(s, 2, 4096), 2);
    assert_text(&s[0], "de");
    assert_text(&s[1], "abc");
    end(&f, s, 2);
}

static void coalesce_leaves_a_gap(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    iobuf_slice_release(&s[1]);
    s[1] = s[2];
    s[2] = s[3];
    assert_size(iobuf_coalesce(s, 3, 4096), 2);
    assert_text(&s[0], "abc");
    assert_text(&s[1], "fghij");
    end(&f, s, 2);
}

static void coalesce_leaves_what_was_truncated_between(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    iobuf_slice_truncate_front(&s[1], 1);
    iobuf_slice_truncate_back(&s[2], 1);
    assert_size(iobuf_coalesce(s, 4, 4096), 3);
    assert_text(&s[0], "abc");
    assert_text(&s[1], "efgh");
    assert_text(&s[2], "j");
    end(&f, s, 3);
}

static void slices_with_a_reserve_join_once_expanded_by_it(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[2];
    begin(&f, 4);
    cut_all(&f, s, 2, words);
    assert_size(iobuf_coalesce(s, 2, 4096), 2);
    assert_true(iobuf_slice_expand_front(&s[1], 3));
    assert_size(iobuf_coalesce(s, 2, 4096), 2);
    assert_true(iobuf_slice_expand_front(&s[1], 1));
    memcpy(iobuf_slice_data(&s[1]), "1234", 4);
    assert_size(iobuf_coalesce(s, 2, 4096), 1);
    assert_text(&s[0], "abc1234de");
    end(&f, s, 1);
}

static void the_joined_slice_has_the_first_one_s_free_prefix(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[2];
    begin(&f, 4);
    cut_all(&f, s, 2, words);
    assert_true(iobuf_slice_expand_front(&s[1], 4));
    assert_size(iobuf_coalesce(s, 2, 4096), 1);
    assert_size(iobuf_slice_headroom(&s[0]), 4);
    iobuf_slice_truncate_front(&s[0], 9);
    assert_size(iobuf_slice_headroom(&s[0]), 13);
    end(&f, s, 1);
}

static void coalesce_leaves_borrowed_neighbours(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    iobuf_slice s[2] = {iobuf_slice_borrow(bytes, 5), iobuf_slice_borrow(bytes + 5, 5)};
    assert_size(iobuf_coalesce(s, 2, 4096), 2);
    assert_text(&s[0], "01234");
    assert_text(&s[1], "56789");
}

static void coalesce_leaves_empty_handles(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 2, words);
    s[3] = s[1];
    s[1] = s[2] = iobuf_slice_borrow(NULL, 0);
    assert_size(iobuf_coalesce(s, 4, 4096), 4);
    assert_text(&s[0], "abc");
    assert_text(&s[3], "de");
    end(&f, s, 4);
}

static void ignore_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    ++*(int *)context;
}

static void coalesce_leaves_neighbours_of_different_bufs(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    int freed = 0;
    iobuf_slice s[2];
    assert_ok(iobuf_slice_wrap(bytes, 5, ignore_free, &freed, &s[0]));
    assert_ok(iobuf_slice_wrap(bytes + 5, 5, ignore_free, &freed, &s[1]));
    assert_size(iobuf_coalesce(s, 2, 4096), 2);
    assert_text(&s[0], "01234");
    iobuf_slice_release(&s[0]);
    assert_int_equal(freed, 1);
    iobuf_slice_release(&s[1]);
    assert_int_equal(freed, 2);
}

static void coalesce_joins_what_was_split(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    int freed = 0;
    iobuf_slice s[3];
    assert_ok(iobuf_slice_wrap(bytes, 10, ignore_free, &freed, &s[0]));
    assert_ok(iobuf_slice_split(&s[0], 3, &s[1]));
    assert_ok(iobuf_slice_split(&s[1], 3, &s[2]));
    assert_size(iobuf_coalesce(s, 3, 4096), 1);
    assert_text(&s[0], "0123456789");
    assert_int_equal(freed, 0);
    iobuf_slice_release(&s[0]);
    assert_int_equal(freed, 1);
}

static void a_joined_slice_is_one_reference(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    iobuf_allocator_release(&f.a);
    assert_size(iobuf_coalesce(s, 4, 4096), 1);
    assert_bufs(f.pool, 1, 1, 0);
    iobuf_slice_release(&s[0]);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f, s, 0);
}

static void joining_takes_only_the_joined_references(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[4];
    begin(&f, 0);
    cut_all(&f, s, 4, words);
    iobuf_allocator_release(&f.a);
    assert_size(iobuf_coalesce(s, 3, 4096), 1);
    iobuf_slice_release(&s[0]);
    assert_bufs(f.pool, 1, 1, 0);
    assert_text(&s[3], "j");
    iobuf_slice_release(&s[3]);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f, s, 0);
}

static void size_0_slices_in_one_place_join(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[3];
    begin(&f, 0);
    assert_ok(iobuf_alloc(&f.a, 0, &s[0]));
    assert_ok(iobuf_alloc(&f.a, 0, &s[1]));
    assert_ok(iobuf_copy(&f.a, "abc", 3, &s[2]));
    assert_size(iobuf_coalesce(s, 3, 4096), 1);
    assert_text(&s[0], "abc");
    end(&f, s, 1);
}

static void bytes_that_were_shared_stay_shared_when_joined(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[2], part;
    begin(&f, 0);
    cut_all(&f, s, 2, words); /* "abc", "de" */
    assert_ok(iobuf_slice_share(&s[1], 0, 2, &part));
    assert_size(iobuf_coalesce(s, 2, 4096), 1);
    iobuf_slice_truncate_front(&s[0], 3);
    assert_size(iobuf_slice_headroom(&s[0]), 3);
    iobuf_slice_truncate_front(&s[0], 1);
    assert_size(iobuf_slice_headroom(&s[0]), 0);
    assert_text(&part, "de");
    iobuf_slice_release(&part);
    end(&f, s, 1);
}

static void own_bytes_behind_shared_ones_are_no_prefix(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[2], part;
    begin(&f, 0);
    cut_all(&f, s, 2, words);
    assert_ok(iobuf_slice_share(&s[0], 1, 1, &part));
    assert_size(iobuf_coalesce(s, 2, 4096), 1);
    iobuf_slice_truncate_front(&s[0], 1);
    assert_size(iobuf_slice_headroom(&s[0]), 1);
    iobuf_slice_truncate_front(&s[0], 3);
    assert_size(iobuf_slice_headroom(&s[0]), 0);
    assert_text(&s[0], "e");
    iobuf_slice_release(&part);
    end(&f, s, 1);
}

static void two_shares_side_by_side_join(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[1], parts[2];
    begin(&f, 0);
    cut_all(&f, s, 1, &words[2]); /* "fghi" */
    assert_ok(iobuf_slice_share(&s[0], 0, 2, &parts[0]));
    assert_ok(iobuf_slice_share(&s[0], 2, 2, &parts[1]));
    assert_size(iobuf_coalesce(parts, 2, 4096), 1);
    assert_text(&parts[0], "fghi");
    iobuf_slice_truncate_front(&parts[0], 1);
    assert_size(iobuf_slice_headroom(&parts[0]), 0);
    iobuf_slice_release(&parts[0]);
    assert_text(&s[0], "fghi");
    end(&f, s, 1);
}

static void ignore_nothing(void *bytes, size_t size, void *context)
{
    (void)context;
    assert_null(bytes);
    assert_size(size, 0);
}

static void slices_of_wrapped_nothing_join(void **state)
{
    (void)state;
    iobuf_slice s[2];
    assert_ok(iobuf_slice_wrap(NULL, 0, ignore_nothing, NULL, &s[0]));
    assert_ok(iobuf_slice_split(&s[0], 0, &s[1]));
    assert_size(iobuf_coalesce(s, 2, 10), 1);
    assert_null(iobuf_slice_data(&s[0]));
    iobuf_slice_release(&s[0]);
}

/* One of the few slices that each place of a small array can have: from one of two bufs, and cut off in front or behind. */
enum { KINDS = 12, PLACES = 3 };
static void cut_kind(fixture *f, unsigned kind, iobuf_slice *out)
{
    assert_ok(iobuf_alloc(&f[kind % 2].a, 2, out));
    memset(iobuf_slice_data(out), 'a' + (int)kind, 2);
    if (kind / 6 == 1)
        iobuf_slice_truncate_front(out, 1);
    iobuf_slice_truncate_back(out, 2 - kind / 2 % 3);
}

/* What coalescing is, said naively: where two neighbours touch in one buf and are small enough together, they are one. */
static size_t join_by_hand(iobuf_slice *s, const unsigned *kinds, size_t count, size_t max_size)
{
    unsigned buf[PLACES];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        iobuf_slice *last = kept == 0 ? NULL : &s[kept - 1];
        if (last != NULL && buf[kept - 1] == kinds[i] % 2 && iobuf_slice_data(last) + iobuf_slice_size(last) == iobuf_slice_data(&s[i]) &&
            iobuf_slice_size(last) + iobuf_slice_size(&s[i]) <= max_size) {
            *last = iobuf_slice_borrow(iobuf_slice_data(last), iobuf_slice_size(last) + iobuf_slice_size(&s[i]));
        } else {
            buf[kept] = kinds[i] % 2;
            s[kept++] = iobuf_slice_borrow(iobuf_slice_data(&s[i]), iobuf_slice_size(&s[i]));
        }
    }
    return kept;
}

/* The proof of iobuf_coalesce is not whole: lib/proof/unproved.json. So it meets every array of three such slices, cut in this order and in the other. */
static void every_small_array_coalesces_as_by_hand(void **state)
{
    (void)state;
    fixture f[2];
    begin(&f[0], 0);
    begin(&f[1], 0);
    size_t tried = 0;
    for (unsigned program = 0; program < 2 * KINDS * KINDS * KINDS; program++) {
        for (size_t limit = 0; limit <= 2 * PLACES; limit++, tried++) {
            const size_t max_size = limit < 2 * PLACES ? limit : SIZE_MAX;
            const unsigned kinds[PLACES] = {program % KINDS, program / KINDS % KINDS, program / KINDS / KINDS % KINDS};
            const bool backwards = program >= KINDS * KINDS * KINDS;
            iobuf_slice slices[PLACES], expected[PLACES];
            for (size_t i = 0; i < PLACES; i++) {
                const size_t at = backwards ? PLACES - 1 - i : i;
                cut_kind(f, kinds[at], &slices[at]);
            }
            memcpy(expected, slices, sizeof expected);
            size_t count = iobuf_coalesce(slices, PLACES, max_size), wanted = join_by_hand(expected, kinds, PLACES, max_size);
            if (count != wanted)
                fail_msg("program %u, at most %zu: %zu slices, not %zu", program, max_size, count, wanted);
            for (size_t i = 0; i < PLACES; i++) {
                const uint8_t *data = i < count ? iobuf_slice_data(&expected[i]) : NULL;
                size_t size = i < count ? iobuf_slice_size(&expected[i]) : 0;
                if (iobuf_slice_data(&slices[i]) != data || iobuf_slice_size(&slices[i]) != size)
                    fail_msg("program %u, at most %zu: slice %zu has %zu bytes, not %zu", program, max_size, i,
                             iobuf_slice_size(&slices[i]), size);
                iobuf_slice_release(&slices[i]);
            }
        }
    }
    assert_size(tried, 24192);
    end(&f[0], NULL, 0);
    end(&f[1], NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_kilobytes_coalesce_to_250_slices_of_4096),
        cmocka_unit_test(coalesce_joins_neighbours),
        cmocka_unit_test(coalesce_empties_the_entries_behind),
        cmocka_unit_test(coalesce_stops_at_max_size),
        cmocka_unit_test(coalesce_reaches_max_size_exactly),
        cmocka_unit_test(coalesce_goes_from_left_to_right),
        cmocka_unit_test(coalesce_keeps_slices_larger_than_max_size),
        cmocka_unit_test(coalesce_with_size_max_has_no_limit),
        cmocka_unit_test(coalesce_of_none_and_of_one),
        cmocka_unit_test(coalesce_leaves_the_wrong_order),
        cmocka_unit_test(coalesce_leaves_a_gap),
        cmocka_unit_test(coalesce_leaves_what_was_truncated_between),
        cmocka_unit_test(slices_with_a_reserve_join_once_expanded_by_it),
        cmocka_unit_test(the_joined_slice_has_the_first_one_s_free_prefix),
        cmocka_unit_test(coalesce_leaves_borrowed_neighbours),
        cmocka_unit_test(coalesce_leaves_empty_handles),
        cmocka_unit_test(coalesce_leaves_neighbours_of_different_bufs),
        cmocka_unit_test(coalesce_joins_what_was_split),
        cmocka_unit_test(a_joined_slice_is_one_reference),
        cmocka_unit_test(joining_takes_only_the_joined_references),
        cmocka_unit_test(size_0_slices_in_one_place_join),
        cmocka_unit_test(bytes_that_were_shared_stay_shared_when_joined),
        cmocka_unit_test(own_bytes_behind_shared_ones_are_no_prefix),
        cmocka_unit_test(two_shares_side_by_side_join),
        cmocka_unit_test(slices_of_wrapped_nothing_join),
        cmocka_unit_test(every_small_array_coalesces_as_by_hand),
    };
    return cmocka_run_group_tests_name("coalesce", tests, NULL, NULL);
}
