/* Unit tests of lib/src/slice.c: the free prefix, and who may have it; share, split, compact.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

/* A pool with one allocator, as most of these tests want it. */
typedef struct fixture {
    test_backing b;
    iobuf_pool *pool;
    iobuf_allocator a;
} fixture;

static void begin(fixture *f, size_t min_size, size_t reserve)
{
    memset(f, 0, sizeof *f);
    f->pool = make_pool(&f->b, min_size, 0, 0);
    assert_ok(iobuf_allocator_init(&f->a, f->pool, reserve));
}

/* Nothing may be left in use once the allocator is released. */
static void end(fixture *f)
{
    iobuf_allocator_release(&f->a);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

static iobuf_slice cut(fixture *f, const char *text)
{
    iobuf_slice s;
    assert_ok(iobuf_copy(&f->a, text, strlen(text), &s));
    return s;
}

/* A second slice that holds the buf, so that nothing but the test ends its life. */
static iobuf_slice share_all(iobuf_slice *s)
{
    iobuf_slice out;
    assert_ok(iobuf_slice_share(s, 0, iobuf_slice_size(s), &out));
    return out;
}

static void assert_empty_handle(const iobuf_slice *s)
{
    assert_null(iobuf_slice_data(s));
    assert_size(iobuf_slice_size(s), 0);
    assert_size(iobuf_slice_headroom(s), 0);
    assert_size(iobuf_slice_buf_size(s), 0);
}

/* ---- empty and borrowed ---- */

static void a_slice_is_at_most_32_bytes_on_64_bit_platforms(void **state)
{
    (void)state;
    if (sizeof(void *) == 8)
        assert_true(sizeof(iobuf_slice) <= 32);
}

static void count_free(void *bytes, size_t size, void *context)
{
    assert_null(bytes);
    assert_size(size, 0);
    ++*(int *)context;
}

static void wrapped_nothing_at_null_is_a_valid_slice(void **state)
{
    (void)state;
    int freed = 0;
    iobuf_slice s, tail, other;
    assert_ok(iobuf_slice_wrap(NULL, 0, count_free, &freed, &s));
    assert_ok(iobuf_slice_split(&s, 0, &tail));
    assert_ok(iobuf_slice_share(&s, 0, 0, &other));
    iobuf_slice_truncate_back(&s, 1);
    iobuf_slice_release_previous(&tail, &s);
    iobuf_slice_release_previous(&tail, &other);
    assert_true(iobuf_slice_claim_prefix(&tail));
    iobuf_slice_free_entire_prefix(&tail);
    assert_size(iobuf_slice_headroom(&tail), 0);
    assert_int_equal(freed, 0);
    iobuf_slice_release(&tail);
    assert_int_equal(freed, 1);
}

static void a_zeroed_slice_is_a_valid_empty_one(void **state)
{
    (void)state;
    iobuf_slice s, tail;
    memset(&s, 0, sizeof s);
    assert_empty_handle(&s);
    assert_false(iobuf_slice_expand_front(&s, 1));
    assert_true(iobuf_slice_expand_front(&s, 0));
    assert_false(iobuf_slice_claim_prefix(&s));
    iobuf_slice_truncate_front(&s, 5);
    iobuf_slice_truncate_back(&s, 5);
    iobuf_slice_free_entire_prefix(&s);
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_size(iobuf_slice_size(&s), 0);
    assert_ok(iobuf_slice_split(&s, 0, &tail));
    assert_size(iobuf_slice_size(&tail), 0);
    iobuf_slice_release(&tail);
    iobuf_slice_release(&s);
    assert_empty_handle(&s);
}

static void a_released_slice_is_empty_and_released_again_harmlessly(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 8);
    iobuf_slice s = cut(&f, "abc"), other = cut(&f, "def");
    iobuf_slice_release(&s);
    assert_empty_handle(&s);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&f.a);
    assert_bufs(f.pool, 1, 1, 0);
    assert_text(&other, "def");
    iobuf_slice_release(&other);
    end(&f);
}

static void a_borrowed_slice_refers_to_the_caller_s_bytes(void **state)
{
    (void)state;
    char bytes[] = "borrowed";
    iobuf_slice s = iobuf_slice_borrow(bytes, 8);
    assert_ptr_equal(iobuf_slice_data(&s), bytes);
    assert_text(&s, "borrowed");
    assert_size(iobuf_slice_buf_size(&s), 0);
    bytes[0] = 'B';
    assert_text(&s, "Borrowed");
    iobuf_slice_release(&s);
    assert_empty_handle(&s);
    assert_string_equal(bytes, "Borrowed");
}

static void a_borrowed_slice_never_expands(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    iobuf_slice s = iobuf_slice_borrow(bytes + 2, 8);
    assert_false(iobuf_slice_expand_front(&s, 1));
    iobuf_slice_truncate_front(&s, 3);
    assert_text(&s, "56789");
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_false(iobuf_slice_expand_front(&s, 1));
    iobuf_slice_free_entire_prefix(&s);
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_false(iobuf_slice_claim_prefix(&s));
    iobuf_slice_truncate_back(&s, 2);
    assert_text(&s, "567");
    iobuf_slice_release(&s);
}

static void a_borrowed_slice_may_be_empty(void **state)
{
    (void)state;
    iobuf_slice s = iobuf_slice_borrow(NULL, 0);
    assert_empty_handle(&s);
    iobuf_slice_truncate_front(&s, 1);
    iobuf_slice_release(&s);
}

static void sharing_a_borrowed_slice_borrows_again(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    iobuf_slice s = iobuf_slice_borrow(bytes, 10), part;
    assert_ok(iobuf_slice_share(&s, 2, 5, &part));
    assert_text(&part, "23456");
    assert_ptr_equal(iobuf_slice_data(&part), bytes + 2);
    assert_size(iobuf_slice_buf_size(&part), 0);
    assert_text(&s, "0123456789");
    iobuf_slice_release(&s);
    assert_text(&part, "23456");
    iobuf_slice_release(&part);
}

static void splitting_a_borrowed_slice_borrows_twice(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    iobuf_slice s = iobuf_slice_borrow(bytes, 10), tail;
    assert_ok(iobuf_slice_split(&s, 4, &tail));
    assert_text(&s, "0123");
    assert_text(&tail, "456789");
    assert_size(iobuf_slice_buf_size(&tail), 0);
    assert_false(iobuf_slice_expand_front(&tail, 1));
    iobuf_slice_release(&s);
    iobuf_slice_release(&tail);
}

/* ---- truncate and expand ---- */

/* What the Go package's test of ExpandFront checks. */
static void expand_8_truncate_11_expand_3_and_no_10_more(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 8);
    iobuf_slice s = cut(&f, "0123456789");
    assert_true(iobuf_slice_expand_front(&s, 8));
    assert_size(iobuf_slice_size(&s), 18);
    memcpy(iobuf_slice_data(&s), "abcdefgh", 8);
    assert_text(&s, "abcdefgh0123456789");
    iobuf_slice_truncate_front(&s, 11);
    assert_text(&s, "3456789");
    assert_true(iobuf_slice_expand_front(&s, 3));
    assert_text(&s, "0123456789");
    assert_false(iobuf_slice_expand_front(&s, 10));
    assert_text(&s, "0123456789");
    assert_true(iobuf_slice_expand_front(&s, 8));
    assert_text(&s, "abcdefgh0123456789");
    iobuf_slice_release(&s);
    end(&f);
}

static void expand_that_fails_changes_nothing(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 5);
    iobuf_slice s = cut(&f, "abc");
    uint8_t *data = iobuf_slice_data(&s);
    assert_false(iobuf_slice_expand_front(&s, 6));
    assert_false(iobuf_slice_expand_front(&s, SIZE_MAX));
    assert_ptr_equal(iobuf_slice_data(&s), data);
    assert_size(iobuf_slice_headroom(&s), 5);
    assert_text(&s, "abc");
    iobuf_slice_release(&s);
    end(&f);
}

static void headroom_counts_down_as_the_front_expands(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 10);
    iobuf_slice s = cut(&f, "abc");
    for (size_t left = 10; left > 0; left--) {
        assert_size(iobuf_slice_headroom(&s), left);
        assert_true(iobuf_slice_expand_front(&s, 1));
        assert_size(iobuf_slice_size(&s), 3 + 10 - left + 1);
    }
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_false(iobuf_slice_expand_front(&s, 1));
    assert_true(iobuf_slice_expand_front(&s, 0));
    iobuf_slice_release(&s);
    end(&f);
}

static void truncating_more_than_the_size_takes_all_of_it(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 4);
    iobuf_slice front = cut(&f, "abc"), back = cut(&f, "def");
    iobuf_slice_truncate_front(&front, 4);
    assert_size(iobuf_slice_size(&front), 0);
    assert_size(iobuf_slice_headroom(&front), 7);
    iobuf_slice_truncate_back(&back, SIZE_MAX);
    assert_size(iobuf_slice_size(&back), 0);
    assert_size(iobuf_slice_headroom(&back), 4);
    assert_true(iobuf_slice_expand_front(&front, 3));
    assert_text(&front, "abc");
    iobuf_slice_release(&front);
    iobuf_slice_release(&back);
    end(&f);
}

static void what_is_cut_off_the_end_is_out_of_reach(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "abcdef"), next = cut(&f, "ghi");
    iobuf_slice_truncate_back(&s, 2);
    assert_text(&s, "abcd");
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_size(iobuf_slice_headroom(&next), 0);
    assert_text(&next, "ghi");
    iobuf_slice_release(&s);
    iobuf_slice_release(&next);
    end(&f);
}

static void truncating_by_nothing_changes_nothing(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 3);
    iobuf_slice s = cut(&f, "abc");
    iobuf_slice_truncate_front(&s, 0);
    iobuf_slice_truncate_back(&s, 0);
    assert_text(&s, "abc");
    assert_size(iobuf_slice_headroom(&s), 3);
    iobuf_slice_release(&s);
    end(&f);
}

/* ---- release_previous ---- */

static void release_previous_adds_an_adjacent_slice_to_the_free_prefix(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice_release_previous(&two, &one);
    assert_empty_handle(&one);
    assert_size(iobuf_slice_headroom(&two), 3);
    assert_text(&two, "defg");
    assert_true(iobuf_slice_expand_front(&two, 3));
    assert_size(iobuf_slice_size(&two), 7);
    iobuf_slice_release(&two);
    end(&f);
}

static void release_previous_adds_the_free_prefix_of_the_previous(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 10);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg"), three = cut(&f, "h");
    iobuf_slice_release_previous(&two, &one);
    assert_size(iobuf_slice_headroom(&two), 10 + 3 + 10);
    iobuf_slice_release_previous(&three, &two);
    assert_size(iobuf_slice_headroom(&three), 10 + 3 + 10 + 4 + 10);
    assert_true(iobuf_slice_expand_front(&three, 37));
    assert_false(iobuf_slice_expand_front(&three, 1));
    iobuf_slice_release(&three);
    end(&f);
}

static void release_previous_keeps_the_buf_for_the_one_that_remains(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_allocator_release(&f.a);
    iobuf_slice_release_previous(&two, &one);
    assert_bufs(f.pool, 1, 1, 0);
    iobuf_slice_release(&two);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f);
}

static void release_previous_only_releases_what_is_not_adjacent(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), gap = cut(&f, "-"), two = cut(&f, "defg");
    iobuf_slice_release_previous(&two, &one);
    assert_empty_handle(&one);
    assert_size(iobuf_slice_headroom(&two), 0);
    iobuf_slice_release(&gap);
    iobuf_slice_release(&two);
    end(&f);
}

static void release_previous_only_releases_what_was_truncated_at_its_end(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice_truncate_back(&one, 1);
    iobuf_slice_release_previous(&two, &one);
    assert_empty_handle(&one);
    assert_size(iobuf_slice_headroom(&two), 0);
    iobuf_slice_release(&two);
    end(&f);
}

static void release_previous_only_releases_what_comes_after(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice_release_previous(&one, &two);
    assert_empty_handle(&two);
    assert_size(iobuf_slice_headroom(&one), 0);
    assert_text(&one, "abc");
    iobuf_slice_release(&one);
    end(&f);
}

static void release_previous_only_releases_a_slice_of_an_other_buf(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 64, 0);
    iobuf_slice one = lone_slice(f.pool, 64), two = lone_slice(f.pool, 64);
    /* Whichever lies first in memory. */
    iobuf_slice *first = iobuf_slice_data(&one) < iobuf_slice_data(&two) ? &one : &two;
    iobuf_slice *second = first == &one ? &two : &one;
    iobuf_slice_release_previous(second, first);
    assert_empty_handle(first);
    assert_size(iobuf_slice_headroom(second), 0);
    assert_bufs(f.pool, 2, 1, 1);
    iobuf_slice_release(second);
    end(&f);
}

static void release_previous_takes_empty_and_borrowed_slices(void **state)
{
    (void)state;
    fixture f;
    char bytes[] = "0123456789";
    begin(&f, 4096, 2);
    iobuf_slice empty = iobuf_slice_borrow(NULL, 0);
    iobuf_slice low = iobuf_slice_borrow(bytes, 5), high = iobuf_slice_borrow(bytes + 5, 5);
    iobuf_slice s = cut(&f, "abc");
    iobuf_slice_release_previous(&s, &empty);
    assert_size(iobuf_slice_headroom(&s), 2);
    iobuf_slice_release_previous(&high, &low);
    assert_empty_handle(&low);
    assert_size(iobuf_slice_headroom(&high), 0);
    iobuf_slice_release_previous(&s, &high);
    assert_size(iobuf_slice_headroom(&s), 2);
    iobuf_slice_release_previous(&empty, &s);
    assert_empty_handle(&s);
    assert_size(iobuf_slice_headroom(&empty), 0);
    end(&f);
}

static void release_previous_never_gives_away_shared_bytes(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice other = share_all(&one);
    iobuf_slice_release_previous(&two, &one);
    assert_empty_handle(&one);
    assert_size(iobuf_slice_headroom(&two), 0);
    assert_text(&other, "abc");
    iobuf_slice_release(&two);
    iobuf_slice_release(&other);
    end(&f);
}

static void release_previous_never_gives_away_a_share(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice other = share_all(&one);
    iobuf_slice_release_previous(&two, &other);
    assert_empty_handle(&other);
    assert_size(iobuf_slice_headroom(&two), 0);
    assert_text(&one, "abc");
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

/* ---- the whole prefix ---- */

static void free_entire_prefix_reaches_to_the_start_of_the_buf(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 7);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    uint8_t *start = iobuf_slice_data(&one) - 7;
    iobuf_slice_release(&one);
    iobuf_slice_free_entire_prefix(&two);
    assert_size(iobuf_slice_headroom(&two), 7 + 3 + 7);
    assert_true(iobuf_slice_expand_front(&two, 17));
    assert_ptr_equal(iobuf_slice_data(&two), start);
    iobuf_slice_release(&two);
    end(&f);
}

static void free_entire_prefix_asks_nobody(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_slice_free_entire_prefix(&two);
    assert_size(iobuf_slice_headroom(&two), 3);
    iobuf_slice_free_entire_prefix(&one);
    assert_size(iobuf_slice_headroom(&one), 0);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void claim_prefix_takes_what_released_slices_left(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 5);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg"), three = cut(&f, "hij");
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    assert_true(iobuf_slice_claim_prefix(&three));
    assert_size(iobuf_slice_headroom(&three), 5 + 3 + 5 + 4 + 5);
    assert_text(&three, "hij");
    iobuf_slice_release(&three);
    end(&f);
}

static void claim_prefix_is_refused_while_an_other_slice_lives(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 5);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    assert_false(iobuf_slice_claim_prefix(&two));
    assert_false(iobuf_slice_claim_prefix(&one));
    assert_size(iobuf_slice_headroom(&two), 5);
    assert_text(&two, "defg");
    iobuf_slice_release(&two); /* one behind it counts as well */
    assert_true(iobuf_slice_claim_prefix(&one));
    assert_size(iobuf_slice_headroom(&one), 5);
    iobuf_slice_release(&one);
    end(&f);
}

static void claim_prefix_does_not_need_the_allocator(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abc"), two = cut(&f, "defg");
    iobuf_allocator_release(&f.a);
    assert_false(iobuf_slice_claim_prefix(&two));
    iobuf_slice_release(&one);
    assert_true(iobuf_slice_claim_prefix(&two));
    assert_size(iobuf_slice_headroom(&two), 3);
    iobuf_slice_release(&two);
    end(&f);
}

/* Shrink may have moved the allocator back to in front of a slice of size 0, which lives where nothing is cut yet. */
static void claim_prefix_behind_the_allocator(fixture *f, iobuf_slice *given_back, iobuf_slice *empty)
{
    assert_ok(iobuf_allocator_shrink(&f->a, given_back, 0));
    iobuf_slice_release(given_back);
    assert_false(iobuf_slice_claim_prefix(empty));
    assert_size(iobuf_slice_headroom(empty), 0);
    iobuf_slice next = cut(f, "precious");
    assert_false(iobuf_slice_expand_front(empty, 1));
    iobuf_slice_release(&next);
    iobuf_allocator_release(&f->a); /* from here on nobody cuts from the buf */
    assert_true(iobuf_slice_claim_prefix(empty));
    assert_size(iobuf_slice_headroom(empty), 10);
    iobuf_slice_release(empty);
    end(f);
}

static void claim_prefix_does_not_take_what_shrink_gave_back(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice empty;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "0123456789");
    assert_ok(iobuf_slice_split(&s, 10, &empty));
    claim_prefix_behind_the_allocator(&f, &s, &empty);
    begin(&f, 4096, 0);
    s = cut(&f, "0123456789");
    assert_ok(iobuf_alloc(&f.a, 0, &empty));
    claim_prefix_behind_the_allocator(&f, &s, &empty);
}

static void claim_prefix_takes_shared_bytes_back_once_the_share_is_gone(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "abcdef");
    iobuf_slice other = share_all(&s);
    iobuf_slice_truncate_front(&s, 3);
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_false(iobuf_slice_claim_prefix(&s));
    iobuf_slice_release(&other);
    assert_true(iobuf_slice_claim_prefix(&s));
    assert_size(iobuf_slice_headroom(&s), 3);
    assert_true(iobuf_slice_expand_front(&s, 3));
    assert_text(&s, "abcdef");
    iobuf_slice_release(&s);
    end(&f);
}

/* ---- share ---- */

static void a_share_shows_the_same_bytes(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 4);
    iobuf_slice s = cut(&f, "0123456789"), part;
    assert_ok(iobuf_slice_share(&s, 3, 4, &part));
    assert_text(&part, "3456");
    assert_ptr_equal(iobuf_slice_data(&part), iobuf_slice_data(&s) + 3);
    assert_size(iobuf_slice_headroom(&part), 0);
    assert_size(iobuf_slice_buf_size(&part), 4096);
    assert_text(&s, "0123456789");
    assert_size(iobuf_slice_headroom(&s), 4);
    iobuf_slice_data(&s)[3] = 'x';
    assert_text(&part, "x456");
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_share_keeps_the_buf(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "0123456789"), part;
    assert_ok(iobuf_slice_share(&s, 3, 4, &part));
    iobuf_allocator_release(&f.a);
    iobuf_slice_release(&s);
    assert_bufs(f.pool, 1, 1, 0);
    assert_text(&part, "3456");
    iobuf_slice_release(&part);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f);
}

static void a_share_of_a_share_is_one_more_reference(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "0123456789"), part, piece;
    assert_ok(iobuf_slice_share(&s, 2, 6, &part));
    assert_ok(iobuf_slice_share(&part, 1, 2, &piece));
    iobuf_allocator_release(&f.a);
    iobuf_slice_release(&s);
    iobuf_slice_release(&part);
    assert_bufs(f.pool, 1, 1, 0);
    assert_text(&piece, "34");
    iobuf_slice_release(&piece);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f);
}

static void sharing_out_of_range_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 4);
    iobuf_slice s = cut(&f, "0123456789"), out = iobuf_slice_borrow(&f, 3);
    const size_t ranges[][2] = {{11, 0}, {10, 1}, {0, 11}, {5, 6}, {1, SIZE_MAX}, {SIZE_MAX, 1}, {SIZE_MAX, 2}};
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        assert_status(iobuf_slice_share(&s, ranges[i][0], ranges[i][1], &out), IOBUF_EINVAL);
        assert_ptr_equal(iobuf_slice_data(&out), &f);
    }
    iobuf_slice_truncate_front(&s, 10); /* all of it is its own still */
    assert_size(iobuf_slice_headroom(&s), 14);
    iobuf_slice_release(&s);
    end(&f);
}

static void nothing_can_be_shared_of_an_empty_handle(void **state)
{
    (void)state;
    iobuf_slice s = iobuf_slice_borrow(NULL, 0), out = iobuf_slice_borrow(&s, 1);
    assert_status(iobuf_slice_share(&s, 0, 1, &out), IOBUF_EINVAL);
    assert_ptr_equal(iobuf_slice_data(&out), &s);
    assert_ok(iobuf_slice_share(&s, 0, 0, &out));
    assert_size(iobuf_slice_size(&out), 0);
    iobuf_slice_release(&out);
}

static void bytes_in_front_of_a_share_still_join_the_prefix(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 2);
    iobuf_slice s = cut(&f, "0123456789"), part;
    assert_ok(iobuf_slice_share(&s, 4, 3, &part));
    iobuf_slice_truncate_front(&s, 4);
    assert_size(iobuf_slice_headroom(&s), 6);
    assert_true(iobuf_slice_expand_front(&s, 6));
    assert_size(iobuf_slice_size(&s), 12);
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void cutting_into_shared_bytes_empties_the_prefix(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 2);
    iobuf_slice s = cut(&f, "0123456789"), part;
    assert_ok(iobuf_slice_share(&s, 4, 3, &part));
    iobuf_slice_truncate_front(&s, 5);
    assert_text(&s, "56789");
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_false(iobuf_slice_expand_front(&s, 1));
    iobuf_slice_truncate_front(&s, 4); /* behind the shared ones, but no longer certainly its own */
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_text(&s, "9");
    assert_text(&part, "456");
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void cutting_a_share_never_makes_a_prefix(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 2);
    iobuf_slice s = cut(&f, "0123456789"), part;
    assert_ok(iobuf_slice_share(&s, 4, 6, &part));
    iobuf_slice_truncate_front(&part, 2);
    assert_size(iobuf_slice_headroom(&part), 0);
    assert_false(iobuf_slice_expand_front(&part, 1));
    iobuf_slice_truncate_front(&part, 100);
    assert_size(iobuf_slice_headroom(&part), 0);
    assert_text(&s, "0123456789");
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void bytes_taken_from_the_prefix_after_a_share_are_its_own(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 8);
    iobuf_slice s = cut(&f, "0123456789");
    iobuf_slice part = share_all(&s);
    assert_true(iobuf_slice_expand_front(&s, 5));
    iobuf_slice_truncate_front(&s, 5);
    assert_size(iobuf_slice_headroom(&s), 8);
    assert_true(iobuf_slice_expand_front(&s, 8));
    iobuf_slice_truncate_front(&s, 7);
    assert_size(iobuf_slice_headroom(&s), 7);
    iobuf_slice_truncate_front(&s, 2); /* one of its own, one shared */
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_text(&s, "123456789");
    iobuf_slice_release(&part);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_second_share_further_back_does_not_win_bytes_back(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "0123456789"), front, back;
    assert_ok(iobuf_slice_share(&s, 2, 2, &front));
    assert_ok(iobuf_slice_share(&s, 8, 2, &back));
    iobuf_slice_truncate_front(&s, 2);
    assert_size(iobuf_slice_headroom(&s), 2);
    iobuf_slice_truncate_front(&s, 1);
    assert_size(iobuf_slice_headroom(&s), 0);
    iobuf_slice_release(&front);
    iobuf_slice_release(&back);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_second_share_further_front_takes_bytes_away(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice s = cut(&f, "0123456789"), front, back;
    assert_ok(iobuf_slice_share(&s, 8, 2, &back));
    assert_ok(iobuf_slice_share(&s, 2, 2, &front));
    iobuf_slice_truncate_front(&s, 3);
    assert_size(iobuf_slice_headroom(&s), 0);
    assert_text(&front, "23");
    iobuf_slice_release(&front);
    iobuf_slice_release(&back);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_shared_byte_is_never_the_prefix_of_the_slice_behind(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 0);
    iobuf_slice one = cut(&f, "abcdef"), two = cut(&f, "ghi"), part;
    assert_ok(iobuf_slice_share(&one, 4, 2, &part));
    iobuf_slice_release_previous(&two, &one);
    assert_size(iobuf_slice_headroom(&two), 0);
    assert_text(&part, "ef");
    iobuf_slice_release(&part);
    iobuf_slice_release(&two);
    end(&f);
}

/* ---- split ---- */

static void split_makes_two_adjacent_slices(void **state)
{
    (void)state;
    for (size_t at = 0; at <= 10; at++) {
        fixture f;
        begin(&f, 4096, 6);
        iobuf_slice s = cut(&f, "0123456789"), tail;
        uint8_t *data = iobuf_slice_data(&s);
        assert_ok(iobuf_slice_split(&s, at, &tail));
        assert_bytes(&s, "0123456789", at);
        assert_text(&tail, &"0123456789"[at]);
        assert_ptr_equal(iobuf_slice_data(&s), data);
        assert_size(iobuf_slice_headroom(&s), 6);
        assert_size(iobuf_slice_headroom(&tail), 0);
        assert_false(iobuf_slice_expand_front(&tail, 1));
        iobuf_slice_release(&s);
        assert_text(&tail, &"0123456789"[at]);
        iobuf_slice_release(&tail);
        end(&f);
    }
}

static void splitting_behind_the_end_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 6);
    iobuf_slice s = cut(&f, "0123456789"), tail = iobuf_slice_borrow(&f, 2);
    assert_status(iobuf_slice_split(&s, 11, &tail), IOBUF_EINVAL);
    assert_status(iobuf_slice_split(&s, SIZE_MAX, &tail), IOBUF_EINVAL);
    assert_text(&s, "0123456789");
    assert_ptr_equal(iobuf_slice_data(&tail), &f);
    iobuf_slice_release(&s);
    end(&f);
}

static void both_halves_of_a_split_keep_the_buf(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        fixture f;
        begin(&f, 4096, 0);
        iobuf_slice s = cut(&f, "0123456789"), tail;
        assert_ok(iobuf_slice_split(&s, 5, &tail));
        iobuf_allocator_release(&f.a);
        iobuf_slice_release(first ? &tail : &s);
        assert_bufs(f.pool, 1, 1, 0);
        assert_text(first ? &s : &tail, first ? "01234" : "56789");
        iobuf_slice_release(first ? &s : &tail);
        assert_bufs(f.pool, 1, 0, 1);
        end(&f);
    }
}

static void what_a_split_half_cuts_off_joins_its_own_prefix(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 6);
    iobuf_slice s = cut(&f, "0123456789"), tail;
    assert_ok(iobuf_slice_split(&s, 4, &tail));
    iobuf_slice_truncate_front(&tail, 2);
    assert_size(iobuf_slice_headroom(&tail), 2);
    iobuf_slice_truncate_front(&s, 3);
    assert_size(iobuf_slice_headroom(&s), 9);
    assert_true(iobuf_slice_expand_front(&tail, 2));
    assert_text(&tail, "456789");
    iobuf_slice_release(&s);
    iobuf_slice_release(&tail);
    end(&f);
}

static void the_tail_of_a_split_takes_the_head_s_bytes_back(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 6);
    iobuf_slice s = cut(&f, "0123456789"), tail;
    assert_ok(iobuf_slice_split(&s, 4, &tail));
    iobuf_slice_release_previous(&tail, &s);
    assert_size(iobuf_slice_headroom(&tail), 10);
    assert_true(iobuf_slice_expand_front(&tail, 4));
    assert_size(iobuf_slice_size(&tail), 10);
    iobuf_slice_release(&tail);
    end(&f);
}

static void a_split_of_shared_bytes_stays_shared(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, 6);
    iobuf_slice s = cut(&f, "0123456789"), part, tail;
    assert_ok(iobuf_slice_share(&s, 6, 2, &part));
    assert_ok(iobuf_slice_split(&s, 3, &tail));
    iobuf_slice_truncate_front(&tail, 3); /* 3, 4, 5 are its own */
    assert_size(iobuf_slice_headroom(&tail), 3);
    iobuf_slice_truncate_front(&tail, 1);
    assert_size(iobuf_slice_headroom(&tail), 0);
    assert_text(&part, "67");
    iobuf_slice_release(&s);
    iobuf_slice_release(&part);
    iobuf_slice_release(&tail);
    end(&f);
}

/* ---- compact ---- */

static void compact_moves_a_small_slice_out_of_a_large_buf(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 1024, 16);
    iobuf_slice s = lone_slice(f.pool, 64 * 1024);
    iobuf_slice_truncate_back(&s, 64 * 1024 - 100);
    pattern_fill(&s, 3);
    assert_ok(iobuf_slice_compact(&s, &f.a));
    assert_size(iobuf_slice_buf_size(&s), 1024);
    assert_size(iobuf_slice_size(&s), 100);
    assert_true(pattern_holds(&s, 3));
    assert_size(iobuf_slice_headroom(&s), 16);
    assert_bufs(f.pool, 2, 1, 1);
    iobuf_slice_release(&s);
    end(&f);
}

static void compact_moves_at_half_of_the_buf_and_not_above(void **state)
{
    (void)state;
    const size_t sizes[] = {1024 - 24, 1024 - 23};
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        begin(&f, 512, 24);
        iobuf_slice s = lone_slice(f.pool, 2048);
        uint8_t *data = iobuf_slice_data(&s);
        iobuf_slice_truncate_back(&s, 2048 - sizes[i]);
        pattern_fill(&s, i);
        assert_ok(iobuf_slice_compact(&s, &f.a));
        assert_size(iobuf_slice_buf_size(&s), i == 0 ? 1024 : 2048);
        assert_int_equal(iobuf_slice_data(&s) == data, i == 1);
        assert_true(pattern_holds(&s, i));
        iobuf_slice_release(&s);
        end(&f);
    }
}

static void compact_leaves_a_slice_that_is_not_alone(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 512, 0);
    iobuf_slice s = lone_slice(f.pool, 4096), tail;
    assert_ok(iobuf_slice_split(&s, 10, &tail));
    uint8_t *data = iobuf_slice_data(&s);
    assert_ok(iobuf_slice_compact(&s, &f.a));
    assert_ptr_equal(iobuf_slice_data(&s), data);
    iobuf_slice_release(&tail);
    assert_ok(iobuf_slice_compact(&s, &f.a));
    assert_size(iobuf_slice_buf_size(&s), 512);
    iobuf_slice_release(&s);
    end(&f);
}

static void compact_leaves_a_slice_whose_buf_an_allocator_holds(void **state)
{
    (void)state;
    fixture f;
    iobuf_allocator holder;
    begin(&f, 4096, 0);
    assert_ok(iobuf_allocator_init(&holder, f.pool, 0));
    iobuf_slice s, own = cut(&f, "own");
    assert_ok(iobuf_copy(&holder, "held", 4, &s));
    uint8_t *data = iobuf_slice_data(&s), *own_data = iobuf_slice_data(&own);
    assert_ok(iobuf_slice_compact(&s, &f.a));
    assert_ptr_equal(iobuf_slice_data(&s), data);
    assert_ok(iobuf_slice_compact(&own, &f.a));
    assert_ptr_equal(iobuf_slice_data(&own), own_data);
    iobuf_slice_release(&own);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&holder);
    end(&f);
}

static void compact_leaves_a_slice_whose_buf_a_reader_holds(void **state)
{
    (void)state;
    fixture f;
    source in = {.bytes = (const uint8_t *)"abcdef", .size = 6};
    iobuf_reader r;
    iobuf_slice s;
    begin(&f, 4096, 0);
    assert_ok(iobuf_reader_init(&r, f.pool, source_read, &in));
    assert_ok(iobuf_reader_read(&r, 3, &s));
    uint8_t *data = iobuf_slice_data(&s);
    assert_ok(iobuf_slice_compact(&s, &f.a));
    assert_ptr_equal(iobuf_slice_data(&s), data);
    iobuf_slice_release(&s);
    assert_ok(iobuf_reader_read(&r, 3, &s));
    assert_text(&s, "def");
    iobuf_slice_release(&s);
    iobuf_reader_close(&r);
    end(&f);
}

static void compact_leaves_borrowed_and_empty_slices(void **state)
{
    (void)state;
    fixture f;
    char bytes[] = "0123456789";
    begin(&f, 4096, 0);
    iobuf_slice borrowed = iobuf_slice_borrow(bytes, 10), empty = iobuf_slice_borrow(NULL, 0);
    assert_ok(iobuf_slice_compact(&borrowed, &f.a));
    assert_ptr_equal(iobuf_slice_data(&borrowed), bytes);
    assert_ok(iobuf_slice_compact(&empty, &f.a));
    assert_empty_handle(&empty);
    iobuf_slice_release(&borrowed);
    end(&f);
}

static void compact_that_fails_leaves_the_slice_where_it_is(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 512, 4096, 0);
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    iobuf_slice s = lone_slice(pool, 4096);
    iobuf_slice_truncate_back(&s, 4096 - 50);
    pattern_fill(&s, 9);
    uint8_t *data = iobuf_slice_data(&s);
    assert_status(iobuf_slice_compact(&s, &a), IOBUF_ELIMIT);
    assert_ptr_equal(iobuf_slice_data(&s), data);
    assert_true(pattern_holds(&s, 9));
    iobuf_pool_close(pool);
    assert_status(iobuf_slice_compact(&s, &a), IOBUF_ECLOSED);
    assert_true(pattern_holds(&s, 9));
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    assert_nothing_left(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_at_most_32_bytes_on_64_bit_platforms),
        cmocka_unit_test(wrapped_nothing_at_null_is_a_valid_slice),
        cmocka_unit_test(a_zeroed_slice_is_a_valid_empty_one),
        cmocka_unit_test(a_released_slice_is_empty_and_released_again_harmlessly),
        cmocka_unit_test(a_borrowed_slice_refers_to_the_caller_s_bytes),
        cmocka_unit_test(a_borrowed_slice_never_expands),
        cmocka_unit_test(a_borrowed_slice_may_be_empty),
        cmocka_unit_test(sharing_a_borrowed_slice_borrows_again),
        cmocka_unit_test(splitting_a_borrowed_slice_borrows_twice),
        cmocka_unit_test(expand_8_truncate_11_expand_3_and_no_10_more),
        cmocka_unit_test(expand_that_fails_changes_nothing),
        cmocka_unit_test(headroom_counts_down_as_the_front_expands),
        cmocka_unit_test(truncating_more_than_the_size_takes_all_of_it),
        cmocka_unit_test(what_is_cut_off_the_end_is_out_of_reach),
        cmocka_unit_test(truncating_by_nothing_changes_nothing),
        cmocka_unit_test(release_previous_adds_an_adjacent_slice_to_the_free_prefix),
        cmocka_unit_test(release_previous_adds_the_free_prefix_of_the_previous),
        cmocka_unit_test(release_previous_keeps_the_buf_for_the_one_that_remains),
        cmocka_unit_test(release_previous_only_releases_what_is_not_adjacent),
        cmocka_unit_test(release_previous_only_releases_what_was_truncated_at_its_end),
        cmocka_unit_test(release_previous_only_releases_what_comes_after),
        cmocka_unit_test(release_previous_only_releases_a_slice_of_an_other_buf),
        cmocka_unit_test(release_previous_takes_empty_and_borrowed_slices),
        cmocka_unit_test(release_previous_never_gives_away_shared_bytes),
        cmocka_unit_test(release_previous_never_gives_away_a_share),
        cmocka_unit_test(free_entire_prefix_reaches_to_the_start_of_the_buf),
        cmocka_unit_test(free_entire_prefix_asks_nobody),
        cmocka_unit_test(claim_prefix_takes_what_released_slices_left),
        cmocka_unit_test(claim_prefix_is_refused_while_an_other_slice_lives),
        cmocka_unit_test(claim_prefix_does_not_need_the_allocator),
        cmocka_unit_test(claim_prefix_does_not_take_what_shrink_gave_back),
        cmocka_unit_test(claim_prefix_takes_shared_bytes_back_once_the_share_is_gone),
        cmocka_unit_test(a_share_shows_the_same_bytes),
        cmocka_unit_test(a_share_keeps_the_buf),
        cmocka_unit_test(a_share_of_a_share_is_one_more_reference),
        cmocka_unit_test(sharing_out_of_range_is_refused_and_nothing_changes),
        cmocka_unit_test(nothing_can_be_shared_of_an_empty_handle),
        cmocka_unit_test(bytes_in_front_of_a_share_still_join_the_prefix),
        cmocka_unit_test(cutting_into_shared_bytes_empties_the_prefix),
        cmocka_unit_test(cutting_a_share_never_makes_a_prefix),
        cmocka_unit_test(bytes_taken_from_the_prefix_after_a_share_are_its_own),
        cmocka_unit_test(a_second_share_further_back_does_not_win_bytes_back),
        cmocka_unit_test(a_second_share_further_front_takes_bytes_away),
        cmocka_unit_test(a_shared_byte_is_never_the_prefix_of_the_slice_behind),
        cmocka_unit_test(split_makes_two_adjacent_slices),
        cmocka_unit_test(splitting_behind_the_end_is_refused_and_nothing_changes),
        cmocka_unit_test(both_halves_of_a_split_keep_the_buf),
        cmocka_unit_test(what_a_split_half_cuts_off_joins_its_own_prefix),
        cmocka_unit_test(the_tail_of_a_split_takes_the_head_s_bytes_back),
        cmocka_unit_test(a_split_of_shared_bytes_stays_shared),
        cmocka_unit_test(compact_moves_a_small_slice_out_of_a_large_buf),
        cmocka_unit_test(compact_moves_at_half_of_the_buf_and_not_above),
        cmocka_unit_test(compact_leaves_a_slice_that_is_not_alone),
        cmocka_unit_test(compact_leaves_a_slice_whose_buf_an_allocator_holds),
        cmocka_unit_test(compact_leaves_a_slice_whose_buf_a_reader_holds),
        cmocka_unit_test(compact_leaves_borrowed_and_empty_slices),
        cmocka_unit_test(compact_that_fails_leaves_the_slice_where_it_is),
    };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
