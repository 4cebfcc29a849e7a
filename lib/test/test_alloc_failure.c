/* The k-th allocation fails, for every k, once and from then on: the call says so, nothing has changed, nothing is leaked, and
 * once there is memory again the same call succeeds.
 *
 * The linker puts the functions at the end of this file in the place of the C library's allocation, for what the library does not
 * take from the backing. realloc, from which checked builds have their tables, is left alone: without them they end.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

/* ---- the C library's memory, failing ---- */

static struct {
    size_t calls;
    size_t fail_at; /* the call, from 1, that fails; 0: none */
    bool ever_after;
    bool counting;
    size_t failures;
} heap;

static bool heap_fails(void)
{
    if (!heap.counting)
        return false;
    heap.calls++;
    if (heap.fail_at == 0 || heap.calls < heap.fail_at || (heap.calls > heap.fail_at && !heap.ever_after))
        return false;
    heap.failures++;
    return true;
}

/* ---- the driver ---- */

/* What one run of a scenario has. */
typedef struct run {
    test_backing b;
    iobuf_pool *pool;
    size_t failed;         /* calls that said IOBUF_ENOMEM */
    bool cache_may_shrink; /* free bufs are given up for the limit before the backing is asked */
} run;

/* Memory is there again, for the rest of the run. */
static void memory_returns(run *r)
{
    atomic_store(&r->b.fail_at, 0);
}

/* Calls until it does not fail: at first it may say IOBUF_ENOMEM, and then has changed nothing. The second time too, if
 * allocations fail ever after; then memory returns. */
#define must_pass(r, call, unchanged)                                                                                              \
    do {                                                                                                                           \
        iobuf_pool_stats before_ = (r)->pool ? stats_of((r)->pool) : (iobuf_pool_stats){0};                                        \
        const size_t refused_ = atomic_load(&(r)->b.failures);                                                                     \
        int status_ = (call);                                                                                                      \
        for (int tries_ = 0; status_ == IOBUF_ENOMEM && tries_ < 2; tries_++) {                                                    \
            assert_true(atomic_load(&(r)->b.failures) > refused_);                                                                 \
            (r)->failed++;                                                                                                         \
            if ((r)->pool) {                                                                                                       \
                iobuf_pool_stats after_ = stats_of((r)->pool);                                                                     \
                if ((r)->cache_may_shrink && after_.bufs_cached < before_.bufs_cached) {                                           \
                    before_.bufs_cached = after_.bufs_cached;                                                                      \
                    before_.bytes_cached = after_.bytes_cached;                                                                    \
                }                                                                                                                  \
                assert_same_stats(&after_, &before_);                                                                              \
            }                                                                                                                      \
            assert_true(unchanged);                                                                                                \
            if (tries_ == 1)                                                                                                       \
                memory_returns(r);                                                                                                 \
            status_ = (call);                                                                                                      \
        }                                                                                                                          \
        check_status(status_, IOBUF_OK, #call, __FILE__, __LINE__);                                                                \
    } while (0)

/* Runs the scenario with the k-th allocation failing, until it has fewer than k. */
static void fail_each(void (*scenario)(run *))
{
    for (int ever_after = 0; ever_after < 2; ever_after++) {
        size_t k = 0, failed;
        do {
            run r;
            memset(&r, 0, sizeof r);
            k++;
            atomic_store(&r.b.fail_at, k);
            atomic_store(&r.b.fail_ever_after, ever_after);
            scenario(&r);
            assert_nothing_left(&r.b);
            failed = r.failed;
            if (k > 500)
                fail_msg("still failing at the %zuth allocation", k);
        } while (failed > 0);
        assert_true(k > 2); /* some did fail */
    }
}

static void open_pool(run *r, size_t min_size, size_t max_bytes, size_t max_cached_bytes)
{
    iobuf_pool_options options = {min_size, max_bytes, max_cached_bytes, backing_of(&r->b)};
    iobuf_pool *pool = NULL;
    must_pass(r, iobuf_pool_create(&options, &pool), pool == NULL);
    r->pool = pool;
}

static void shut_pool(run *r)
{
    assert_size(stats_of(r->pool).bufs_in_use, 0);
    iobuf_pool_close(r->pool);
    r->pool = NULL;
}

/* ---- scenarios ---- */

static bool all_hold(const iobuf_slice *slices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!pattern_holds(&slices[i], i))
            return false;
    return true;
}

/* Bufs one by one, all live, more than one batch of whatever the pool keeps of its own for them. */
static void many_live_bufs(run *r)
{
    enum { COUNT = 100 };
    static iobuf_slice slices[COUNT];
    open_pool(r, 64, 0, 0);
    iobuf_allocator a;
    assert_ok(iobuf_allocator_init(&a, r->pool, 4));
    for (size_t i = 0; i < COUNT; i++) {
        slices[i] = iobuf_slice_borrow(&slices[i], 5);
        must_pass(r, iobuf_alloc(&a, 40 + i, &slices[i]),
                  iobuf_slice_data(&slices[i]) == (uint8_t *)&slices[i] && iobuf_slice_size(&slices[i]) == 5 &&
                      all_hold(slices, i));
        pattern_fill(&slices[i], i);
    }
    assert_true(all_hold(slices, COUNT));
    for (size_t i = 0; i < COUNT; i++)
        iobuf_slice_release(&slices[i]);
    iobuf_allocator_release(&a);
    shut_pool(r);
}

/* The current buf is full: it is still there when there is no other, and what fits it still fits. */
static void an_allocator_keeps_its_buf(run *r)
{
    open_pool(r, 100, 0, 1);
    iobuf_allocator a;
    iobuf_slice one = iobuf_slice_borrow(r, 1), two = one, three = one;
    assert_ok(iobuf_allocator_init(&a, r->pool, 10));
    must_pass(r, iobuf_copy(&a, "one", 3, &one), iobuf_slice_data(&one) == (uint8_t *)r);
    uint8_t *data = iobuf_slice_data(&one);
    must_pass(r, iobuf_alloc(&a, 200, &two), iobuf_slice_data(&two) == (uint8_t *)r && memcmp(data, "one", 3) == 0);
    must_pass(r, iobuf_copy(&a, data, 3, &three), memcmp(data, "one", 3) == 0);
    assert_text(&three, "one");
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    iobuf_slice_release(&three);
    iobuf_allocator_release(&a);
    shut_pool(r);
}

/* Takes, frees, trims and takes again, so that failures meet each state of the cache. */
static void take_and_trim(run *r)
{
    open_pool(r, 64, 0, 1000);
    for (size_t i = 0; i < 30; i++) {
        iobuf_allocator a;
        iobuf_slice s[3];
        assert_ok(iobuf_allocator_init(&a, r->pool, 0));
        for (size_t j = 0; j < 3; j++) {
            s[j] = iobuf_slice_borrow(r, 1);
            must_pass(r, iobuf_alloc(&a, 64 * (1 + (i + j) % 5), &s[j]), iobuf_slice_data(&s[j]) == (uint8_t *)r);
            pattern_fill(&s[j], i);
        }
        iobuf_allocator_release(&a);
        for (size_t j = 0; j < 3; j++)
            iobuf_slice_release(&s[j]);
        if (i % 3 == 2)
            (void)iobuf_pool_trim(r->pool, 100);
    }
    shut_pool(r);
}

/* A reader whose messages outgrow its buf: what has arrived is not lost. */
static void reader_keeps_what_arrived(run *r)
{
    static uint8_t stream[3000];
    for (size_t i = 0; i < sizeof stream; i++)
        stream[i] = pattern_byte(7, i);
    open_pool(r, 32, 0, 1);
    source in = {.bytes = stream, .size = sizeof stream, .most = 11};
    iobuf_reader reader;
    iobuf_slice held[60];
    size_t count = 0;
    assert_ok(iobuf_reader_init(&reader, r->pool, source_read, &in));
    for (size_t at = 0, size = 1; at + size <= sizeof stream; at += size, size++) {
        iobuf_slice s = iobuf_slice_borrow(r, 1);
        size_t buffered = iobuf_reader_buffered(&reader);
        if (size % 5 == 0) {
            const uint8_t *bytes = stream;
            size_t seen = 0;
            must_pass(r, iobuf_reader_peek(&reader, size, &bytes, &seen),
                      iobuf_reader_buffered(&reader) == buffered && bytes == stream && seen == 0);
            assert_memory_equal(bytes, stream + at, seen);
            buffered = seen;
        }
        must_pass(r, iobuf_reader_read(&reader, size, &s),
                  iobuf_reader_buffered(&reader) >= buffered && iobuf_slice_data(&s) == (uint8_t *)r);
        assert_bytes(&s, stream + at, size);
        if (size % 2 && count < COUNT_OF(held))
            held[count++] = s;
        else
            iobuf_slice_release(&s);
    }
    while (count)
        iobuf_slice_release(&held[--count]);
    iobuf_reader_close(&reader);
    shut_pool(r);
}

/* A slice that cannot be moved stays where it is. */
static void compact_moves_or_stays(run *r)
{
    open_pool(r, 128, 0, 1);
    iobuf_allocator a, large;
    assert_ok(iobuf_allocator_init(&a, r->pool, 8));
    for (size_t i = 0; i < 10; i++) {
        iobuf_slice s = iobuf_slice_borrow(r, 1);
        assert_ok(iobuf_allocator_init(&large, r->pool, 0));
        must_pass(r, iobuf_alloc(&large, 4096, &s), iobuf_slice_data(&s) == (uint8_t *)r);
        iobuf_allocator_release(&large);
        iobuf_slice_truncate_back(&s, 4096 - 100);
        pattern_fill(&s, i);
        uint8_t *data = iobuf_slice_data(&s);
        must_pass(r, iobuf_slice_compact(&s, &a),
                  iobuf_slice_data(&s) == data && iobuf_slice_size(&s) == 100 && pattern_holds(&s, i));
        assert_size(iobuf_slice_buf_size(&s), 128);
        assert_true(pattern_holds(&s, i));
        iobuf_slice_release(&s);
    }
    iobuf_allocator_release(&a);
    shut_pool(r);
}

/* Free bufs are given up for a new one that then cannot be had. */
static void a_limit_is_reached(run *r)
{
    open_pool(r, 64, 1024, 0);
    r->cache_may_shrink = true;
    for (size_t i = 0; i < 8; i++) {
        iobuf_slice held[2];
        iobuf_allocator a;
        assert_ok(iobuf_allocator_init(&a, r->pool, 0));
        held[0] = held[1] = iobuf_slice_borrow(r, 1);
        must_pass(r, iobuf_alloc(&a, 64 * (3 + i), &held[0]), iobuf_slice_data(&held[0]) == (uint8_t *)r);
        must_pass(r, iobuf_alloc(&a, 64 * 3, &held[1]), iobuf_slice_data(&held[1]) == (uint8_t *)r);
        iobuf_slice_release(&held[0]);
        iobuf_slice_release(&held[1]);
        iobuf_allocator_release(&a);
    }
    shut_pool(r);
}

/* The pool is closed while a slice and an allocator are left, with allocations failing throughout. */
static void close_needs_no_memory(run *r)
{
    open_pool(r, 64, 0, 0);
    iobuf_allocator a;
    iobuf_slice s = iobuf_slice_borrow(r, 1), other;
    assert_ok(iobuf_allocator_init(&a, r->pool, 0));
    must_pass(r, iobuf_alloc(&a, 64, &s), iobuf_slice_data(&s) == (uint8_t *)r);
    pattern_fill(&s, 1);
    iobuf_pool_close(r->pool);
    r->pool = NULL;
    assert_status(iobuf_alloc(&a, 65, &other), IOBUF_ECLOSED);
    assert_true(pattern_holds(&s, 1));
    iobuf_allocator_release(&a);
    iobuf_slice_release(&s);
}

static void every_alloc_may_fail(void **state)
{
    (void)state;
    fail_each(many_live_bufs);
}

static void an_alloc_that_fails_keeps_the_current_buf(void **state)
{
    (void)state;
    fail_each(an_allocator_keeps_its_buf);
}

static void every_alloc_may_fail_around_a_cache(void **state)
{
    (void)state;
    fail_each(take_and_trim);
}

static void every_read_may_fail(void **state)
{
    (void)state;
    fail_each(reader_keeps_what_arrived);
}

static void every_compact_may_fail(void **state)
{
    (void)state;
    fail_each(compact_moves_or_stays);
}

static void every_alloc_may_fail_at_a_limit(void **state)
{
    (void)state;
    fail_each(a_limit_is_reached);
}

static void closing_takes_no_memory(void **state)
{
    (void)state;
    fail_each(close_needs_no_memory);
}

static void count_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    ++*(int *)context;
}

static void every_wrap_may_fail_and_frees_nothing(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    for (int ever_after = 0; ever_after < 2; ever_after++) {
        bool failed = true;
        for (size_t k = 1; failed; k++) {
            int freed = 0;
            iobuf_slice s = iobuf_slice_borrow(&freed, 1);
            memset(&heap, 0, sizeof heap);
            heap.fail_at = k;
            heap.ever_after = ever_after;
            heap.counting = true;
            int status = iobuf_slice_wrap(bytes, 10, count_free, &freed, &s);
            heap.counting = false;
            failed = heap.failures > 0;
            assert_status(status, failed ? IOBUF_ENOMEM : IOBUF_OK);
            assert_int_equal(freed, 0);
            assert_ptr_equal(iobuf_slice_data(&s), failed ? (void *)&freed : (void *)bytes);
            iobuf_slice_release(&s);
            assert_int_equal(freed, failed ? 0 : 1);
            assert_true(!failed || k < 10);
            if (k == 1)
                assert_true(failed);
        }
    }
}

static void a_default_pool_may_fail_too(void **state)
{
    (void)state;
    for (int ever_after = 0; ever_after < 2; ever_after++) {
        bool failed = true;
        for (size_t k = 1; failed; k++) {
            iobuf_pool *pool = NULL;
            iobuf_allocator a;
            iobuf_slice s = iobuf_slice_borrow(&a, 1);
            memset(&heap, 0, sizeof heap);
            heap.fail_at = k;
            heap.ever_after = ever_after;
            heap.counting = true;
            int status = iobuf_pool_create(NULL, &pool);
            if (status == IOBUF_OK) {
                assert_ok(iobuf_allocator_init(&a, pool, 0));
                status = iobuf_alloc(&a, 10, &s);
                heap.counting = false;
                if (status == IOBUF_ENOMEM) {
                    assert_ptr_equal(iobuf_slice_data(&s), &a);
                    assert_ok(iobuf_alloc(&a, 10, &s));
                }
                iobuf_slice_release(&s);
                iobuf_allocator_release(&a);
                iobuf_pool_close(pool);
            }
            heap.counting = false;
            failed = heap.failures > 0;
            assert_status(status, failed ? IOBUF_ENOMEM : IOBUF_OK);
            assert_true(!failed || k < 10);
        }
    }
}

static void a_slice_s_own_calls_take_no_memory(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    iobuf_allocator a;
    iobuf_slice s[8];
    assert_ok(iobuf_allocator_init(&a, pool, 16));
    for (size_t i = 0; i < 4; i++)
        assert_ok(iobuf_copy(&a, "0123456789", 10, &s[i]));
    const size_t calls = atomic_load(&b.calls);
    atomic_store(&b.fail_at, calls + 1);
    atomic_store(&b.fail_ever_after, true);
    memset(&heap, 0, sizeof heap);
    heap.counting = true;
    int shared = iobuf_slice_share(&s[0], 2, 4, &s[4]), split = iobuf_slice_split(&s[1], 5, &s[5]);
    bool expanded = iobuf_slice_expand_front(&s[2], 16);
    iobuf_slice_truncate_front(&s[2], 20);
    iobuf_slice_truncate_back(&s[3], 2);
    iobuf_slice_release_previous(&s[3], &s[2]);
    int copied = iobuf_copy(&a, "0123456789", 10, &s[6]), shrunk = iobuf_allocator_shrink(&a, &s[6], 5);
    s[2] = s[5];
    s[5] = iobuf_slice_borrow(NULL, 0);
    size_t count = iobuf_coalesce(&s[1], 2, 100);
    for (size_t i = 0; i < 7; i++)
        iobuf_slice_release(&s[i]);
    heap.counting = false;
    assert_ok(shared);
    assert_ok(split);
    assert_true(expanded);
    assert_ok(copied);
    assert_ok(shrunk);
    assert_size(count, 1);
    assert_size(heap.calls, 0);
    assert_size(atomic_load(&b.calls), calls);
    iobuf_allocator_release(&a);
    close_pool(pool, &b);
}

/* ---- in the place of the C library's functions ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    return heap_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return heap_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return heap_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    return heap_fails() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_alloc_may_fail),
        cmocka_unit_test(an_alloc_that_fails_keeps_the_current_buf),
        cmocka_unit_test(every_alloc_may_fail_around_a_cache),
        cmocka_unit_test(every_read_may_fail),
        cmocka_unit_test(every_compact_may_fail),
        cmocka_unit_test(every_alloc_may_fail_at_a_limit),
        cmocka_unit_test(closing_takes_no_memory),
        cmocka_unit_test(every_wrap_may_fail_and_frees_nothing),
        cmocka_unit_test(a_default_pool_may_fail_too),
        cmocka_unit_test(a_slice_s_own_calls_take_no_memory),
    };
    return cmocka_run_group_tests_name("alloc_failure", tests, NULL, NULL);
}
