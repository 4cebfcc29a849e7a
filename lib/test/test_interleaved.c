/* Windows between two instructions, too small for luck, held open by the hooks of hooked.h. */
#include "../src/internal.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* A thread that a hook may hold: it says so once, at the first access to `where`, and waits until it may go on. */
typedef struct held {
    const void *where; /* NULL: no longer */
    bool at_store, waits;
    sem_t there, go;
} held;

static _Thread_local held *mine;

static void stop_at(const void *p, bool store)
{
    held *h = mine;
    if (h == NULL || h->where != p || h->at_store != store)
        return;
    h->where = NULL;
    sem_post(&h->there);
    while (h->waits && sem_wait(&h->go) != 0)
        continue;
}

void hook_load(const void *p)
{
    stop_at(p, false);
}

void hook_store(const void *p)
{
    stop_at(p, true);
}

static void await(sem_t *s)
{
    while (sem_wait(s) != 0)
        continue;
}

static void held_init(held *h, const void *where, bool at_store, bool waits)
{
    *h = (held){.where = where, .at_store = at_store, .waits = waits};
    sem_init(&h->there, 0, 0);
    sem_init(&h->go, 0, 0);
}

static _Atomic int blocks; /* of the backing, out */

static void *allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    void *memory = NULL;
    blocks += posix_memalign(&memory, alignment, size) == 0;
    return memory;
}

static void deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    blocks--;
    free(memory);
}

static iobuf_pool *pool;
static iobuf_slice first, second;
static held owner, other, closer;
static sem_t cut;

static void *own(void *unused)
{
    iobuf_allocator a;
    iobuf_allocator_init(&a, pool, 0);
    iobuf_alloc(&a, 10, &first);
    iobuf_alloc(&a, 10, &second);
    iobuf_allocator_release(&a);
    sem_post(&cut);
    await(&owner.go);
    mine = &owner;
    iobuf_slice_release(&first);
    return unused;
}

static void *release_the_other(void *unused)
{
    mine = &other;
    iobuf_slice_release(&second);
    return unused;
}

static void *close_the_pool(void *unused)
{
    mine = &closer;
    iobuf_pool_close(pool);
    return unused;
}

static iobuf_pool_options options_of(size_t max_bytes)
{
    return (iobuf_pool_options){.backing = {allocate, deallocate, NULL}, .max_bytes = max_bytes};
}

static struct iobuf_buf *buf_of(const iobuf_slice *s)
{
#if IOBUF_CHECKED && SIZE_MAX > UINT32_MAX
    return (struct iobuf_buf *)((uintptr_t)s->buf_ & UINT64_C(0xffffffffffff)); /* the handle's tag is above */
#else
    return s->buf_;
#endif
}

/* Starts a thread that cuts both slices and releases the first, and holds it before it counts, behind both looks at owner_. */
static void hold_the_owner(pthread_t *thread)
{
    sem_init(&cut, 0, 0);
    held_init(&owner, NULL, true, true);
    pthread_create(thread, NULL, own, NULL);
    await(&cut);
    owner.where = &buf_of(&second)->local_;
    sem_post(&owner.go);
    await(&owner.there); /* before the mark */
    owner.where = &buf_of(&second)->local_;
    sem_post(&owner.go);
    await(&owner.there);
}

/* The owner has looked at owner_ and is about to count. Another thread revokes, finds a reference that is not its own, and is about
 * to drop the last but one. Close waits for the owner. What the other thread found is then no longer so. */
static void a_closed_pool_gives_back_what_a_late_release_leaves(void **state)
{
    (void)state;
    if (!fence_heavy_available()) /* an emulator, say: nobody counts without atomics, and there is no such window */
        return;
    iobuf_pool_options options = options_of(0);
    assert_int_equal(iobuf_pool_create(&options, &pool), IOBUF_OK);
    pthread_t a, b, c;
    hold_the_owner(&a);
    struct iobuf_buf *buf = buf_of(&second);
    held_init(&other, &buf->taken_, false, true);
    held_init(&closer, &buf->local_, false, false);
    pthread_create(&b, NULL, release_the_other, NULL);
    await(&other.there);
    pthread_create(&c, NULL, close_the_pool, NULL);
    await(&closer.there);
    sem_post(&owner.go);
    pthread_join(a, NULL);
    pthread_join(c, NULL);
    sem_post(&other.go);
    pthread_join(b, NULL);
    assert_int_equal(blocks, 0);
}

/* Leaves the first buf of the pool without a slice, and nobody has noticed: the owner is about to count when another thread revokes
 * and drops what is then the last but one. */
static void leave_a_buf_behind(const iobuf_pool_options *options)
{
    assert_int_equal(iobuf_pool_create(options, &pool), IOBUF_OK);
    pthread_t a, b;
    hold_the_owner(&a);
    held_init(&other, NULL, false, false);
    pthread_create(&b, NULL, release_the_other, NULL);
    pthread_join(b, NULL);
    sem_post(&owner.go);
    pthread_join(a, NULL);
}

static void close_and_count(void)
{
    iobuf_pool_close(pool);
    assert_int_equal(blocks, 0);
}

static void close_finds_a_buf_left_behind(void **state)
{
    (void)state;
    if (!fence_heavy_available())
        return;
    iobuf_pool_options options = options_of(0);
    leave_a_buf_behind(&options);
    close_and_count();
}

/* Behind close, who revokes waits for the owner: nobody will look again. */
static void a_release_behind_close_waits_for_the_owner(void **state)
{
    (void)state;
    if (!fence_heavy_available())
        return;
    iobuf_pool_options options = options_of(0);
    assert_int_equal(iobuf_pool_create(&options, &pool), IOBUF_OK);
    pthread_t a, b;
    hold_the_owner(&a);
    iobuf_pool_close(pool);
    struct iobuf_buf *buf = buf_of(&second);
    held_init(&other, &buf->local_, false, true);
    pthread_create(&b, NULL, release_the_other, NULL);
    for (int looks = 0; looks < 2; looks++) { /* not once, to go on with what it saw */
        await(&other.there);
        other.where = &buf->local_;
        sem_post(&other.go);
    }
    await(&other.there);
    other.where = NULL;
    sem_post(&owner.go);
    pthread_join(a, NULL);
    sem_post(&other.go);
    pthread_join(b, NULL);
    assert_int_equal(blocks, 0);
}

static void counters_find_a_buf_left_behind(void **state)
{
    (void)state;
    if (!fence_heavy_available())
        return;
    iobuf_pool_options options = options_of(0);
    leave_a_buf_behind(&options);
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(pool, &stats);
    assert_int_equal(stats.bufs_in_use, 0);
    assert_int_equal(stats.bufs_cached, 1);
    close_and_count();
}

static void trim_finds_a_buf_left_behind(void **state)
{
    (void)state;
    if (!fence_heavy_available())
        return;
    iobuf_pool_options options = options_of(0);
    leave_a_buf_behind(&options);
    assert_int_equal(iobuf_pool_trim(pool, 0), 4096);
    close_and_count();
}

static void alloc_and_release(size_t size)
{
    iobuf_allocator a;
    iobuf_slice s;
    assert_int_equal(iobuf_allocator_init(&a, pool, 0), IOBUF_OK);
    assert_int_equal(iobuf_alloc(&a, size, &s), IOBUF_OK);
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
}

/* Without a limit, at a limit that only that buf is within, and at one that it must make room under. */
static void alloc_finds_a_buf_left_behind(void **state)
{
    (void)state;
    static const struct {
        size_t max_bytes, size, allocated;
    } cases[] = {{0, 10, 1}, {4096, 10, 1}, {8192, 8192, 2}};
    if (!fence_heavy_available())
        return;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        iobuf_pool_options options = options_of(cases[i].max_bytes);
        leave_a_buf_behind(&options);
        alloc_and_release(cases[i].size);
        iobuf_pool_stats stats;
        iobuf_pool_stats_get(pool, &stats);
        assert_int_equal(stats.bufs_allocated, cases[i].allocated);
        assert_int_equal(stats.bufs_in_use, 0);
        close_and_count();
    }
}

/* ---- a buf that another thread adopts ---- */

static iobuf_slice shared[6];

static void *release_the_first(void *unused)
{
    iobuf_slice_release(&shared[0]);
    return unused;
}

static void *adopt_and_release_all_but_one(void *unused)
{
    mine = &owner;
    iobuf_slice_release(&shared[0]);
    for (size_t i = 2; i < 6; i++)
        iobuf_slice_release(&shared[i]);
    return unused;
}

static void *release_the_one(void *unused)
{
    mine = &other;
    iobuf_slice_release(&shared[1]);
    return unused;
}

/* A thread has found a buf that has but one count, of which it is about to drop a reference. Meanwhile another adopts the buf, and
 * releases the rest: as the owner it takes no notice of what is dropped elsewhere, which therefore has to notice itself. */
static void a_release_during_an_adoption_is_not_overlooked(void **state)
{
    (void)state;
    if (!fence_heavy_available())
        return;
    iobuf_pool_options options = options_of(0);
    iobuf_allocator a;
    iobuf_pool_stats stats;
    pthread_t threads[2];
    assert_int_equal(iobuf_pool_create(&options, &pool), IOBUF_OK);
    for (size_t count = 1; count <= 6; count += 5) { /* first let the pool see that others release */
        assert_int_equal(iobuf_allocator_init(&a, pool, 0), IOBUF_OK);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(iobuf_alloc(&a, 10, &shared[i]), IOBUF_OK);
        iobuf_allocator_release(&a);
        if (count == 1) {
            pthread_create(&threads[0], NULL, release_the_first, NULL);
            pthread_join(threads[0], NULL);
        }
    }
    struct buf *buf = buf_from(buf_of(&shared[0]));
    held_init(&owner, &buf->head.owner_, true, true);
    held_init(&other, &buf->shared, true, true);
    pthread_create(&threads[0], NULL, adopt_and_release_all_but_one, NULL);
    await(&owner.there);
    pthread_create(&threads[1], NULL, release_the_one, NULL);
    await(&other.there);
    sem_post(&owner.go);
    pthread_join(threads[0], NULL);
    sem_post(&other.go);
    pthread_join(threads[1], NULL);
    iobuf_pool_stats_get(pool, &stats);
    assert_int_equal(stats.bufs_in_use, 0);
    close_and_count();
}

/* ---- the lock ---- */

static biased_lock biased;
static sem_t entered;

/* Often enough to become its owner, if that may be. */
static void take_in_a_row(void)
{
    for (int i = 0; i < 1000; i++) {
        biased_acquire(&biased);
        biased_release(&biased);
    }
}

static void *take_as_the_owner(void *unused)
{
    take_in_a_row();
    owner.where = &biased.busy;
    mine = &owner;
    biased_acquire(&biased);
    sem_post(&entered);
    biased_release(&biased);
    return unused;
}

/* The owner has seen that it is, and is about to say that it is within. Meanwhile another thread takes the lock, again and again,
 * and is within when the first goes on: that one sees that it is too late, and must not undo what the other says. */
static void an_owner_of_old_leaves_the_lock_to_the_next(void **state)
{
    (void)state;
    if (!fence_heavy_available()) /* then nobody becomes owner */
        return;
    pthread_t thread;
    struct timespec deadline;
    biased_init(&biased, true);
    sem_init(&entered, 0, 0);
    held_init(&owner, NULL, true, true);
    pthread_create(&thread, NULL, take_as_the_owner, NULL);
    await(&owner.there);
    take_in_a_row();
    biased_acquire(&biased);
    sem_post(&owner.go);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec++;
    const int waited = sem_timedwait(&entered, &deadline); /* in vain, however long */
    biased_release(&biased);
    pthread_join(thread, NULL);
    assert_int_equal(waited, -1);
    take_in_a_row();
    assert_int_equal(biased.owner, iobuf_self_()); /* now that the first is known to be out of it */
    lock_destroy(&biased.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_pool_gives_back_what_a_late_release_leaves),
        cmocka_unit_test(close_finds_a_buf_left_behind),
        cmocka_unit_test(a_release_behind_close_waits_for_the_owner),
        cmocka_unit_test(counters_find_a_buf_left_behind),
        cmocka_unit_test(trim_finds_a_buf_left_behind),
        cmocka_unit_test(alloc_finds_a_buf_left_behind),
        cmocka_unit_test(a_release_during_an_adoption_is_not_overlooked),
        cmocka_unit_test(an_owner_of_old_leaves_the_lock_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
