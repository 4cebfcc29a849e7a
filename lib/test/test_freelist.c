/* Unit tests of lib/src/freelist.c through the public calls: pools of many sizes, against a list that is searched in full.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "support.h"

#define MOST 400

/* A buf as the model knows it. */
typedef struct model_buf {
    iobuf_slice slice; /* live while in use */
    uint8_t *memory;
    size_t size;
    size_t freed; /* when, if not in use */
    bool in_use;
} model_buf;

typedef struct model {
    model_buf bufs[MOST];
    size_t count;
    size_t clock;
} model;

/* The smallest free buf of at least `size` bytes, the last freed of that size; else NULL. */
static model_buf *best_fit(model *m, size_t size)
{
    model_buf *best = NULL;
    for (size_t i = 0; i < m->count; i++) {
        model_buf *b = &m->bufs[i];
        if (b->in_use || b->size < size)
            continue;
        if (!best || b->size < best->size || (b->size == best->size && b->freed > best->freed))
            best = b;
    }
    return best;
}

static size_t round_up(size_t size, size_t min_size)
{
    return (size < 1 ? 1 : (size + min_size - 1) / min_size) * min_size;
}

/* Takes a buf for `size` bytes and checks that it is the model's choice. False if the model is full and has none. */
static bool take_one(iobuf_pool *pool, model *m, size_t min_size, size_t size)
{
    model_buf *want = best_fit(m, round_up(size, min_size));
    if (!want && m->count == MOST)
        return false;
    iobuf_slice s = lone_slice(pool, size);
    if (want) {
        assert_size(iobuf_slice_buf_size(&s), want->size);
        assert_ptr_equal(iobuf_slice_data(&s), want->memory);
    } else {
        assert_size(iobuf_slice_buf_size(&s), round_up(size, min_size));
        want = &m->bufs[m->count++];
        want->memory = iobuf_slice_data(&s);
        want->size = round_up(size, min_size);
    }
    want->slice = s;
    want->in_use = true;
    return true;
}

static void free_one(model *m, size_t i)
{
    iobuf_slice_release(&m->bufs[i].slice);
    m->bufs[i].in_use = false;
    m->bufs[i].freed = ++m->clock;
}

static void follow_the_model(size_t min_size, uint32_t seed, size_t (*size_of)(uint32_t *random))
{
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, min_size, 0, SIZE_MAX);
    model *m = (model *)calloc(1, sizeof *m);
    uint32_t random = seed;
    assert_non_null(m);
    for (size_t step = 0; step < 6000; step++) {
        if (next_random(&random) % 2)
            (void)take_one(pool, m, min_size, size_of(&random));
        else if (m->count) {
            size_t i = next_random(&random) % m->count;
            if (m->bufs[i].in_use)
                free_one(m, i);
        }
    }
    size_t in_use = 0, bytes = 0, cached = 0;
    for (size_t i = 0; i < m->count; i++) {
        in_use += m->bufs[i].in_use;
        bytes += m->bufs[i].in_use ? m->bufs[i].size : 0;
        cached += m->bufs[i].in_use ? 0 : m->bufs[i].size;
    }
    assert_bufs(pool, m->count, in_use, m->count - in_use);
    assert_size(stats_of(pool).bytes_in_use, bytes);
    assert_size(stats_of(pool).bytes_cached, cached);
    for (size_t i = 0; i < m->count; i++)
        if (m->bufs[i].in_use)
            free_one(m, i);
    free(m);
    close_pool(pool, &b);
}

static size_t any_size_up_to_20000(uint32_t *random)
{
    return next_random(random) % 20000;
}

static size_t around_a_power_of_two(uint32_t *random)
{
    size_t power = (size_t)1 << (next_random(random) % 17);
    return power - 1 + next_random(random) % 3;
}

static size_t one_of_five_sizes(uint32_t *random)
{
    static const size_t sizes[] = {1, 100, 4096, 5000, 9000};
    return sizes[next_random(random) % COUNT_OF(sizes)];
}

static void every_choice_is_the_best_fit_with_bufs_of_many_sizes(void **state)
{
    (void)state;
    follow_the_model(64, 1, any_size_up_to_20000);
}

static void every_choice_is_the_best_fit_with_bufs_of_a_byte_s_difference(void **state)
{
    (void)state;
    follow_the_model(1, 2, around_a_power_of_two);
}

static void every_choice_is_the_best_fit_with_bufs_of_few_sizes(void **state)
{
    (void)state;
    follow_the_model(4096, 3, one_of_five_sizes);
}

static void every_choice_is_the_best_fit_with_an_odd_min_size(void **state)
{
    (void)state;
    follow_the_model(37, 4, any_size_up_to_20000);
}

static void a_thousand_sizes_are_each_found_again(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 16, 0, SIZE_MAX);
    static iobuf_slice slices[COUNT];
    static uint8_t *memory[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        slices[i] = lone_slice(pool, 16 * (i + 1));
        memory[i] = iobuf_slice_data(&slices[i]);
    }
    for (size_t i = 0; i < COUNT; i++) /* 7 and 1000 have no common factor: every one, in a scattered order */
        iobuf_slice_release(&slices[i * 7 % COUNT]);
    for (size_t i = COUNT; i-- > 0;) {
        slices[i] = lone_slice(pool, 16 * (i + 1) - 5);
        assert_ptr_equal(iobuf_slice_data(&slices[i]), memory[i]);
    }
    assert_bufs(pool, COUNT, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++)
        iobuf_slice_release(&slices[i]);
    close_pool(pool, &b);
}

static void the_only_larger_buf_is_found_however_large(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 1, 0, SIZE_MAX);
    iobuf_slice s = lone_slice(pool, (size_t)1 << 24);
    iobuf_slice_release(&s);
    for (size_t size = 1; size <= (size_t)1 << 24; size *= 2) {
        s = lone_slice(pool, size);
        assert_size(iobuf_slice_buf_size(&s), (size_t)1 << 24);
        iobuf_slice_release(&s);
    }
    assert_bufs(pool, 1, 0, 1);
    close_pool(pool, &b);
}

/* Sizes and counts under both limits at once, against sums over the same list. Which of several equal bufs is given up is the
 * pool's affair, so memory is not compared. */
static void limits_evict_and_keep_as_the_model_does(void **state)
{
    (void)state;
    enum { MIN = 32, MAX_BYTES = 12000, MAX_CACHED = 5000 };
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, MIN, MAX_BYTES, MAX_CACHED);
    size_t cached[MOST], cached_count = 0, cached_bytes = 0, in_use_bytes = 0;
    iobuf_slice live[MOST];
    size_t live_count = 0;
    uint32_t random = 5;
    iobuf_allocator a;
    for (size_t step = 0; step < 8000; step++) {
        uint32_t dice = next_random(&random) % 100;
        if (dice < 52 && live_count < MOST) {
            size_t size = next_random(&random) % 1500, need = round_up(size, MIN), best = MOST;
            for (size_t i = 0; i < cached_count; i++)
                if (cached[i] >= need && (best == MOST || cached[i] < cached[best]))
                    best = i;
            assert_ok(iobuf_allocator_init(&a, pool, 0));
            if (best == MOST && in_use_bytes + need > MAX_BYTES) {
                assert_status(iobuf_alloc(&a, size, &live[live_count]), IOBUF_ELIMIT);
            } else {
                size_t got = need;
                if (best != MOST) {
                    got = cached[best];
                    cached_bytes -= got;
                    cached[best] = cached[--cached_count];
                } else {
                    while (in_use_bytes + cached_bytes + need > MAX_BYTES) {
                        size_t largest = 0;
                        for (size_t i = 1; i < cached_count; i++)
                            if (cached[i] > cached[largest])
                                largest = i;
                        cached_bytes -= cached[largest];
                        cached[largest] = cached[--cached_count];
                    }
                }
                in_use_bytes += got;
                assert_ok(iobuf_alloc(&a, size, &live[live_count]));
                assert_size(iobuf_slice_buf_size(&live[live_count]), got);
                live_count++;
            }
            iobuf_allocator_release(&a);
        } else if (dice < 98 && live_count) {
            size_t i = next_random(&random) % live_count;
            size_t size = iobuf_slice_buf_size(&live[i]);
            iobuf_slice_release(&live[i]);
            live[i] = live[--live_count];
            in_use_bytes -= size;
            if (cached_bytes + size <= MAX_CACHED) {
                cached[cached_count++] = size;
                cached_bytes += size;
            }
        } else {
            size_t keep = next_random(&random) % MAX_CACHED, freed = 0;
            while (cached_bytes > keep) {
                size_t largest = 0;
                for (size_t i = 1; i < cached_count; i++)
                    if (cached[i] > cached[largest])
                        largest = i;
                freed += cached[largest];
                cached_bytes -= cached[largest];
                cached[largest] = cached[--cached_count];
            }
            assert_size(iobuf_pool_trim(pool, keep), freed);
        }
        iobuf_pool_stats stats = stats_of(pool);
        assert_size(stats.bytes_in_use, in_use_bytes);
        assert_size(stats.bytes_cached, cached_bytes);
        assert_size(stats.bufs_in_use, live_count);
        assert_size(stats.bufs_cached, cached_count);
        assert_true(stats.bytes_peak <= MAX_BYTES);
    }
    while (live_count)
        iobuf_slice_release(&live[--live_count]);
    close_pool(pool, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_is_the_best_fit_with_bufs_of_many_sizes),
        cmocka_unit_test(every_choice_is_the_best_fit_with_bufs_of_a_byte_s_difference),
        cmocka_unit_test(every_choice_is_the_best_fit_with_bufs_of_few_sizes),
        cmocka_unit_test(every_choice_is_the_best_fit_with_an_odd_min_size),
        cmocka_unit_test(a_thousand_sizes_are_each_found_again),
        cmocka_unit_test(the_only_larger_buf_is_found_however_large),
        cmocka_unit_test(limits_evict_and_keep_as_the_model_does),
    };
    return cmocka_run_group_tests_name("freelist", tests, NULL, NULL);
}
