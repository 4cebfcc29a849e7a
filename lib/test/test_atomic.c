/* Unit tests of lib/src/atomic.c and atomic.h: the asymmetric fence, and the lock.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "../src/atomic.h"

#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static void run_threads(void *(*work)(void *), size_t count)
{
    pthread_t threads[4];
    assert_true(count <= COUNT_OF(threads));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---- the fence ---- */

/* Each side writes its own flag, fences, and reads the other's. Whatever the machine reorders, not both may read 0. */
static struct {
    size_t rounds;
    _Alignas(64) uint32_t light_wrote;
    _Alignas(64) uint32_t heavy_wrote;
    _Alignas(64) uint32_t light_read;
    _Alignas(64) uint32_t light_turn; /* the round that this side has begun */
    _Alignas(64) uint32_t light_end;  /* ... and ended */
} fences;

static void wait_for(const uint32_t *count, uint32_t value)
{
    for (unsigned tries = 0; iobuf_load_(count, ACQUIRE) != value; tries++)
        if (tries % 64 == 63)
            thread_yield();
}

static void *light_side(void *unused)
{
    for (uint32_t round = 1; round <= fences.rounds; round++) {
        wait_for(&fences.light_turn, round);
        iobuf_store_(&fences.light_wrote, round, RELAXED);
        iobuf_fence_light_();
        iobuf_store_(&fences.light_read, iobuf_load_(&fences.heavy_wrote, RELAXED), RELAXED);
        iobuf_store_(&fences.light_end, round, RELEASE);
    }
    return unused;
}

/* Rounds in which neither saw the other. */
static size_t rounds_unseen(size_t rounds)
{
    pthread_t thread;
    size_t unseen = 0;
    memset(&fences, 0, sizeof fences);
    fences.rounds = rounds;
    thread_require(pthread_create(&thread, NULL, light_side, NULL) == 0);
    for (uint32_t round = 1; round <= rounds; round++) {
        iobuf_store_(&fences.light_turn, round, RELEASE);
        for (uint32_t i = 0; i < round % 1024; i++) /* the two sides meet at another distance each time */
            iobuf_fence_light_();
        iobuf_store_(&fences.heavy_wrote, round, RELAXED);
        fence_heavy();
        uint32_t seen = iobuf_load_(&fences.light_wrote, RELAXED);
        wait_for(&fences.light_end, round);
        unseen += seen != round && iobuf_load_(&fences.light_read, RELAXED) != round;
    }
    thread_require(pthread_join(thread, NULL) == 0);
    return unseen;
}

static void the_heavy_fence_orders_the_light_side_too(void **state)
{
    (void)state;
    if (fence_heavy_available())
        assert_size(rounds_unseen(scaled(200000)), 0);
    fence_heavy(); /* does no harm where there is none */
}

static void the_fence_is_there_or_not_for_good(void **state)
{
    (void)state;
    const bool available = fence_heavy_available();
    for (int i = 0; i < 3; i++) {
        fence_heavy();
        assert_int_equal(fence_heavy_available(), available);
    }
}

static bool expected;

static void *use_the_fence(void *unused)
{
    for (size_t i = scaled(200); i > 0; i--) {
        thread_require(fence_heavy_available() == expected);
        fence_heavy();
    }
    return unused;
}

static void any_thread_may_fence(void **state)
{
    (void)state;
    expected = fence_heavy_available();
    run_threads(use_the_fence, 4);
}

static void a_forked_child_has_the_fence(void **state)
{
    (void)state;
    int status;
    expected = fence_heavy_available();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)use_the_fence(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- the lock ---- */

static struct {
    lock lock;
    size_t inside, count; /* not atomic: the lock is what keeps threads apart */
} guarded;

static void *count_under_the_lock(void *unused)
{
    for (size_t i = scaled(20000); i > 0; i--) {
        lock_acquire(&guarded.lock);
        thread_require(guarded.inside++ == 0);
        guarded.count++;
        if (i % 64 == 0)
            thread_yield(); /* so that the others come to the lock */
        guarded.inside--;
        lock_release(&guarded.lock);
    }
    return unused;
}

static void the_lock_lets_one_thread_in(void **state)
{
    (void)state;
    lock_init(&guarded.lock);
    run_threads(count_under_the_lock, 4);
    lock_destroy(&guarded.lock);
    assert_size(guarded.count, 4 * scaled(20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fence_is_there_or_not_for_good),
        cmocka_unit_test(the_heavy_fence_orders_the_light_side_too),
        cmocka_unit_test(any_thread_may_fence),
        cmocka_unit_test(a_forked_child_has_the_fence),
        cmocka_unit_test(the_lock_lets_one_thread_in),
    };
    return cmocka_run_group_tests_name("atomic", tests, NULL, NULL);
}
