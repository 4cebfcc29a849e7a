/* What several threads may do at once, and one after the other: each test is bounded by its number of rounds, none by time.
 *
 * The checks that matter come after the threads are joined: every reference accounted for, the backing with everything back.
 * ThreadSanitizer judges the rest. Under Valgrind a tenth of the rounds, and with
 * IOBUF_TEST_SCALE=n in the environment an n-th: see scaled().
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <sched.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static void start(pthread_t *thread, void *(*work)(void *), void *argument)
{
    assert_int_equal(pthread_create(thread, NULL, work, argument), 0);
}

static void join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void on_other_thread(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    start(&thread, work, argument);
    join(thread);
}

/* ---- a queue of slices from thread to thread ---- */

enum { QUEUE_ROOM = 256 };

typedef struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    iobuf_slice slices[QUEUE_ROOM];
    size_t first, count;
    bool finished;
} queue;

static void queue_init(queue *q)
{
    memset(q, 0, sizeof *q);
    assert_int_equal(pthread_mutex_init(&q->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&q->changed, NULL), 0);
}

static void queue_destroy(queue *q)
{
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
}

static void queue_put(queue *q, iobuf_slice s)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == QUEUE_ROOM)
        pthread_cond_wait(&q->changed, &q->lock);
    q->slices[(q->first + q->count++) % QUEUE_ROOM] = s;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void queue_finish(queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->finished = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static bool queue_take(queue *q, iobuf_slice *s)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->finished)
        pthread_cond_wait(&q->changed, &q->lock);
    bool taken = q->count > 0;
    if (taken) {
        *s = q->slices[q->first];
        q->first = (q->first + 1) % QUEUE_ROOM;
        q->count--;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return taken;
}

/* ---- one buf after the other, each released by an other thread ---- */

enum { ROAMING_BUF = 20000, ROAMING_BUFS = 4, ROAMING_MOST = 512 };

typedef struct batch {
    iobuf_slice slices[ROAMING_MOST];
    size_t count;
} batch;

static void *release_batch(void *argument)
{
    batch *t = (batch *)argument;
    while (t->count > 0)
        iobuf_slice_release(&t->slices[--t->count]);
    return NULL;
}

/* Where bufs come from another thread, the allocator looks ahead; it still cuts one slice right behind the other, to the last one
 * that fits. The sizes are those of `sizes` in turn. */
static void fill_roaming_bufs(const size_t *sizes, size_t size_count, size_t reserve)
{
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, ROAMING_BUF, 0, 0);
    iobuf_allocator a;
    static batch full;
    iobuf_slice s;
    size_t turn = 0;
    assert_ok(iobuf_allocator_init(&a, pool, reserve));
    assert_ok(iobuf_alloc(&a, sizes[turn++ % size_count], &s));
    for (size_t i = 0; i < ROAMING_BUFS; i++) {
        const uint8_t *start = iobuf_slice_data(&s) - reserve, *next;
        full.count = 0;
        do {
            next = iobuf_slice_data(&s) + iobuf_slice_size(&s);
            assert_true(full.count < ROAMING_MOST);
            pattern_fill(&s, full.count);
            full.slices[full.count++] = s;
            assert_ok(iobuf_alloc(&a, sizes[turn++ % size_count], &s));
        } while (iobuf_slice_data(&s) == next + reserve);
        const size_t used = (size_t)(next - start);
        assert_true(used <= ROAMING_BUF && used + reserve + iobuf_slice_size(&s) > ROAMING_BUF);
        for (size_t j = 0; j < full.count; j++)
            assert_true(pattern_holds(&full.slices[j], j));
        on_other_thread(release_batch, &full);
    }
    iobuf_slice_release(&s);
    iobuf_allocator_release(&a);
    assert_bufs(pool, 2, 0, 2);
    close_pool(pool, &b);
}

static void bufs_from_other_threads_are_used_to_their_end(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 255, 256, 300, 1000, 1024, 2048, 7000, 12000, 20000};
    static const size_t mixed[] = {700, 90, 0, 3000, 256, 10, 5000, 300};
    static const size_t reserves[] = {0, 8, 300};
    for (size_t i = 0; i < COUNT_OF(reserves); i++) {
        for (size_t j = 0; j < COUNT_OF(sizes); j++)
            if (sizes[j] + reserves[i] <= ROAMING_BUF)
                fill_roaming_bufs(&sizes[j], 1, reserves[i]);
        fill_roaming_bufs(mixed, COUNT_OF(mixed), reserves[i]);
    }
}

/* ---- many threads on one pool ---- */

enum { THREADS = 100, BUFS = 100, SLICES = 100 };

static const char hello[] = "Hello world";

static void *hello_world(void *argument)
{
    iobuf_pool *pool = (iobuf_pool *)argument;
    const size_t bufs = scaled(BUFS);
    iobuf_slice slices[SLICES];
    for (size_t i = 0; i < bufs; i++) {
        iobuf_allocator a;
        thread_require(iobuf_allocator_init(&a, pool, 0) == IOBUF_OK);
        for (size_t j = 0; j < SLICES; j++)
            thread_require(iobuf_copy(&a, hello, sizeof hello - 1, &slices[j]) == IOBUF_OK);
        iobuf_allocator_release(&a);
        for (size_t j = 0; j < SLICES; j++) {
            thread_require(iobuf_slice_size(&slices[j]) == sizeof hello - 1);
            thread_require(memcmp(iobuf_slice_data(&slices[j]), hello, sizeof hello - 1) == 0);
            iobuf_slice_release(&slices[j]);
        }
    }
    return NULL;
}

/* What the Go package's test of its pool under load does. */
static void a_hundred_threads_share_a_pool(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        start(&threads[i], hello_world, pool);
    for (size_t i = 0; i < THREADS; i++)
        join(threads[i]);
    iobuf_pool_stats stats = stats_of(pool);
    assert_size(stats.bufs_in_use, 0);
    assert_true(stats.bufs_allocated <= THREADS);
    assert_size(stats.bufs_cached, stats.bufs_allocated);
    close_pool(pool, &b);
}

/* ---- hand-over ---- */

typedef struct pipeline {
    queue q;
    iobuf_pool *pool;
    size_t rounds;
} pipeline;

static void *produce(void *argument)
{
    pipeline *p = (pipeline *)argument;
    iobuf_allocator a;
    thread_require(iobuf_allocator_init(&a, p->pool, 8) == IOBUF_OK);
    for (size_t i = 0; i < p->rounds; i++) {
        iobuf_slice s;
        thread_require(iobuf_alloc(&a, 8 + i % 200, &s) == IOBUF_OK);
        memset(iobuf_slice_data(&s), (int)(i & 0xff), iobuf_slice_size(&s));
        memcpy(iobuf_slice_data(&s), &i, sizeof i);
        if (i % 3 == 0) { /* some come in two parts */
            iobuf_slice tail;
            thread_require(iobuf_slice_split(&s, 8, &tail) == IOBUF_OK);
            queue_put(&p->q, s);
            queue_put(&p->q, tail);
        } else if (i % 7 == 0) { /* and some are released at once */
            iobuf_slice_release(&s);
        } else {
            queue_put(&p->q, s);
        }
    }
    iobuf_allocator_release(&a);
    queue_finish(&p->q);
    return NULL;
}

static void *consume(void *argument)
{
    pipeline *p = (pipeline *)argument;
    iobuf_slice s;
    for (size_t i = 0; i < p->rounds; i++) {
        size_t got;
        if (i % 3 != 0 && i % 7 == 0)
            continue;
        thread_require(queue_take(&p->q, &s));
        memcpy(&got, iobuf_slice_data(&s), sizeof got);
        thread_require(got == i);
        if (i % 3 == 0) {
            iobuf_slice tail;
            thread_require(iobuf_slice_size(&s) == 8);
            thread_require(queue_take(&p->q, &tail));
            iobuf_slice pair[2] = {s, tail};
            thread_require(iobuf_coalesce(pair, 2, SIZE_MAX) == 1);
            s = pair[0];
        }
        thread_require(iobuf_slice_size(&s) == 8 + i % 200);
        for (size_t j = sizeof got; j < iobuf_slice_size(&s); j++)
            thread_require(iobuf_slice_data(&s)[j] == (i & 0xff));
        thread_require(iobuf_slice_expand_front(&s, 8));
        memset(iobuf_slice_data(&s), 0xee, 8);
        iobuf_slice_release(&s);
    }
    thread_require(!queue_take(&p->q, &s));
    return NULL;
}

static void one_thread_allocates_and_an_other_releases(void **state)
{
    (void)state;
    test_backing b = {0};
    static pipeline p;
    pthread_t threads[2];
    queue_init(&p.q);
    p.pool = make_pool(&b, 4096, 0, 0);
    p.rounds = scaled(40000);
    start(&threads[0], produce, &p);
    start(&threads[1], consume, &p);
    join(threads[0]);
    join(threads[1]);
    assert_size(stats_of(p.pool).bufs_in_use, 0);
    /* What is queued, what is in hand and what is current, with room to spare: bufs do come back while it runs. */
    assert_true(stats_of(p.pool).bufs_allocated < 200);
    queue_destroy(&p.q);
    close_pool(p.pool, &b);
}

/* In a ring: everyone allocates, and releases what its neighbour allocated. */
enum { RING = 6 };

typedef struct ring_seat {
    queue in;
    queue *out;
    iobuf_pool *pool;
    size_t rounds;
} ring_seat;

static void *sit_in_the_ring(void *argument)
{
    ring_seat *seat = (ring_seat *)argument;
    iobuf_allocator a;
    thread_require(iobuf_allocator_init(&a, seat->pool, 0) == IOBUF_OK);
    for (size_t i = 0; i < seat->rounds; i++) {
        iobuf_slice s;
        thread_require(iobuf_alloc(&a, 1 + i % 500, &s) == IOBUF_OK);
        memset(iobuf_slice_data(&s), 0x5a, iobuf_slice_size(&s));
        queue_put(seat->out, s);
        thread_require(queue_take(&seat->in, &s));
        thread_require(iobuf_slice_data(&s)[iobuf_slice_size(&s) - 1] == 0x5a);
        iobuf_slice_release(&s);
    }
    iobuf_allocator_release(&a);
    return NULL;
}

static void everyone_releases_what_a_neighbour_allocated(void **state)
{
    (void)state;
    test_backing b = {0};
    static ring_seat seats[RING];
    pthread_t threads[RING];
    iobuf_pool *pool = make_pool(&b, 1024, 0, 0);
    for (size_t i = 0; i < RING; i++) {
        queue_init(&seats[i].in);
        seats[i].out = &seats[(i + 1) % RING].in;
        seats[i].pool = pool;
        seats[i].rounds = scaled(3000);
    }
    for (size_t i = 0; i < RING; i++)
        start(&threads[i], sit_in_the_ring, &seats[i]);
    for (size_t i = 0; i < RING; i++)
        join(threads[i]);
    assert_size(stats_of(pool).bufs_in_use, 0);
    for (size_t i = 0; i < RING; i++)
        queue_destroy(&seats[i].in);
    close_pool(pool, &b);
}

/* ---- many threads, one buf ---- */

enum { SHARERS = 8 };

typedef struct share_work {
    iobuf_slice slices[20];
    pthread_barrier_t *together;
} share_work;

static void *release_together(void *argument)
{
    share_work *work = (share_work *)argument;
    pthread_barrier_wait(work->together);
    for (size_t i = 0; i < COUNT_OF(work->slices); i++)
        iobuf_slice_release(&work->slices[i]);
    return NULL;
}

static void the_last_of_many_racing_releases_gives_the_buf_back(void **state)
{
    (void)state;
    static share_work work[SHARERS];
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, SHARERS), 0);
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 65536, 0, 0);
    for (size_t round = 0; round < scaled(100); round++) {
        pthread_t threads[SHARERS];
        iobuf_allocator a;
        assert_ok(iobuf_allocator_init(&a, pool, 0));
        for (size_t i = 0; i < SHARERS * 20; i++)
            assert_ok(iobuf_alloc(&a, 100, &work[i % SHARERS].slices[i / SHARERS]));
        /* Released before, between or after the others. */
        if (round % 3 == 0)
            iobuf_allocator_release(&a);
        for (size_t i = 0; i < SHARERS; i++) {
            work[i].together = &together;
            start(&threads[i], release_together, &work[i]);
        }
        if (round % 3 == 1)
            iobuf_allocator_release(&a);
        for (size_t i = 0; i < SHARERS; i++)
            join(threads[i]);
        if (round % 3 == 2) {
            assert_bufs(pool, 1, 1, 0);
            iobuf_allocator_release(&a);
        }
        assert_bufs(pool, 1, 0, 1);
    }
    pthread_barrier_destroy(&together);
    close_pool(pool, &b);
}

/* The owner releases its own while others release theirs: the two ways of counting meet. */
static void the_owner_and_others_release_at_once(void **state)
{
    (void)state;
    static share_work work[2];
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, 2), 0);
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    for (size_t round = 0; round < scaled(500); round++) {
        pthread_t other;
        iobuf_allocator a;
        assert_ok(iobuf_allocator_init(&a, pool, 0));
        for (size_t i = 0; i < 40; i++)
            assert_ok(iobuf_alloc(&a, 50, &work[i % 2].slices[i / 2]));
        iobuf_allocator_release(&a);
        work[0].together = work[1].together = &together;
        start(&other, release_together, &work[1]);
        release_together(&work[0]);
        join(other);
        assert_size(stats_of(pool).bufs_in_use, 0);
        assert_bufs(pool, 1, 0, 1);
    }
    pthread_barrier_destroy(&together);
    close_pool(pool, &b);
}

static void count_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    atomic_fetch_add((atomic_size_t *)context, 1);
}

static void wrapped_memory_is_freed_once_by_racing_releases(void **state)
{
    (void)state;
    static share_work work[SHARERS];
    static char bytes[1000];
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, SHARERS), 0);
    for (size_t round = 0; round < scaled(100); round++) {
        pthread_t threads[SHARERS];
        atomic_size_t freed = 0;
        iobuf_slice s;
        assert_ok(iobuf_slice_wrap(bytes, sizeof bytes, count_free, &freed, &s));
        for (size_t i = 0; i < SHARERS * 20; i++)
            assert_ok(iobuf_slice_share(&s, i, 100, &work[i % SHARERS].slices[i / SHARERS]));
        iobuf_slice_release(&s);
        assert_size(atomic_load(&freed), 0);
        for (size_t i = 0; i < SHARERS; i++) {
            work[i].together = &together;
            start(&threads[i], release_together, &work[i]);
        }
        for (size_t i = 0; i < SHARERS; i++)
            join(threads[i]);
        assert_size(atomic_load(&freed), 1);
    }
    pthread_barrier_destroy(&together);
}

/* A claim that succeeds is exclusive: what the others wrote before their release is visible, and nobody else writes. */
typedef struct claim_work {
    iobuf_slice slices[20];
    pthread_barrier_t *together;
} claim_work;

static void *write_and_release(void *argument)
{
    claim_work *work = (claim_work *)argument;
    pthread_barrier_wait(work->together);
    for (size_t i = 0; i < 20; i++) {
        memset(iobuf_slice_data(&work->slices[i]), 0xaa, iobuf_slice_size(&work->slices[i]));
        iobuf_slice_release(&work->slices[i]);
    }
    return NULL;
}

static void a_claim_that_succeeds_is_sure(void **state)
{
    (void)state;
    static claim_work work[3];
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, 4), 0);
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 8192, 0, 0);
    for (size_t round = 0; round < scaled(200); round++) {
        pthread_t threads[3];
        iobuf_allocator a;
        iobuf_slice last;
        assert_ok(iobuf_allocator_init(&a, pool, 0));
        for (size_t i = 0; i < 60; i++)
            assert_ok(iobuf_alloc(&a, 100, &work[i % 3].slices[i / 3]));
        assert_ok(iobuf_alloc(&a, 100, &last));
        if (round % 2)
            iobuf_allocator_release(&a);
        for (size_t i = 0; i < 3; i++) {
            work[i].together = &together;
            start(&threads[i], write_and_release, &work[i]);
        }
        pthread_barrier_wait(&together);
        bool claimed = false;
        for (size_t tries = 0; tries < 1000 && !claimed; tries++)
            claimed = iobuf_slice_claim_prefix(&last);
        if (claimed) { /* all of it, while the others are perhaps not joined yet */
            assert_true(iobuf_slice_expand_front(&last, 6000));
            memset(iobuf_slice_data(&last), 0xbb, 6100);
        }
        for (size_t i = 0; i < 3; i++)
            join(threads[i]);
        if (!claimed)
            assert_true(iobuf_slice_claim_prefix(&last));
        iobuf_slice_release(&last);
        iobuf_allocator_release(&a);
        assert_size(stats_of(pool).bufs_in_use, 0);
    }
    pthread_barrier_destroy(&together);
    close_pool(pool, &b);
}

/* ---- allocators and readers that move, threads that end ---- */

typedef struct relay {
    pthread_mutex_t lock;
    iobuf_allocator a;
    iobuf_slice slices[400];
    size_t count;
    size_t runners, each;
} relay;

static void *run_the_relay(void *argument)
{
    relay *r = (relay *)argument;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->each; i++) {
        iobuf_slice *s = &r->slices[r->count];
        thread_require(iobuf_alloc(&r->a, 50, s) == IOBUF_OK);
        pattern_fill(s, r->count);
        r->count++;
    }
    /* Every second one of what is there goes again, whoever allocated it. */
    for (size_t i = r->count % 2; i < r->count; i += 2) {
        thread_require(iobuf_slice_data(&r->slices[i]) == NULL || pattern_holds(&r->slices[i], i));
        iobuf_slice_release(&r->slices[i]);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void relay_begin(relay *r, iobuf_pool *pool)
{
    memset(r, 0, sizeof *r);
    r->runners = 20;
    r->each = 15;
    assert_int_equal(pthread_mutex_init(&r->lock, NULL), 0);
    assert_ok(iobuf_allocator_init(&r->a, pool, 0));
}

static void relay_end(relay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        assert_true(iobuf_slice_data(&r->slices[i]) == NULL || pattern_holds(&r->slices[i], i));
        iobuf_slice_release(&r->slices[i]);
    }
    iobuf_allocator_release(&r->a);
    pthread_mutex_destroy(&r->lock);
}

static void an_allocator_is_handed_on_by_joining(void **state)
{
    (void)state;
    test_backing b = {0};
    static relay r;
    iobuf_pool *pool = make_pool(&b, 1000, 0, 0);
    relay_begin(&r, pool);
    for (size_t i = 0; i < r.runners; i++)
        on_other_thread(run_the_relay, &r);
    assert_size(r.count, 300);
    relay_end(&r);
    assert_size(stats_of(pool).bufs_in_use, 0);
    close_pool(pool, &b);
}

static void an_allocator_is_handed_on_under_a_lock(void **state)
{
    (void)state;
    for (size_t round = 0; round < scaled(20); round++) {
        test_backing b = {0};
        static relay r;
        pthread_t threads[20];
        iobuf_pool *pool = make_pool(&b, 1000, 0, 0);
        relay_begin(&r, pool);
        for (size_t i = 0; i < r.runners; i++)
            start(&threads[i], run_the_relay, &r);
        for (size_t i = 0; i < r.runners; i++)
            join(threads[i]);
        relay_end(&r);
        assert_size(stats_of(pool).bufs_in_use, 0);
        close_pool(pool, &b);
    }
}

/* Both threads of the exchange alternate: the buf's owner and the allocator's user differ every other time. */
static void *alloc_one_there(void *argument)
{
    relay *r = (relay *)argument;
    thread_require(iobuf_alloc(&r->a, 50, &r->slices[r->count]) == IOBUF_OK);
    pattern_fill(&r->slices[r->count], r->count);
    r->count++;
    return NULL;
}

static void an_allocator_goes_to_and_fro(void **state)
{
    (void)state;
    test_backing b = {0};
    static relay r;
    iobuf_pool *pool = make_pool(&b, 500, 0, 0);
    relay_begin(&r, pool);
    for (size_t i = 0; i < 100; i++) {
        alloc_one_there(&r);
        on_other_thread(alloc_one_there, &r);
        if (i % 3 == 0)
            iobuf_slice_release(&r.slices[r.count - 2]);
    }
    assert_size(stats_of(pool).bufs_allocated, 20);
    relay_end(&r);
    assert_size(stats_of(pool).bufs_in_use, 0);
    close_pool(pool, &b);
}

static void *release_allocator_there(void *argument)
{
    iobuf_allocator_release((iobuf_allocator *)argument);
    return NULL;
}

static void an_allocator_is_released_on_an_other_thread(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 4096, 0, 0);
    for (size_t left = 0; left < 3; left++) {
        iobuf_allocator a;
        iobuf_slice s[2];
        assert_ok(iobuf_allocator_init(&a, pool, 0));
        assert_ok(iobuf_copy(&a, "one", 3, &s[0]));
        assert_ok(iobuf_copy(&a, "two", 3, &s[1]));
        for (size_t i = left; i < 2; i++)
            iobuf_slice_release(&s[i]);
        on_other_thread(release_allocator_there, &a);
        assert_bufs(pool, 1, left ? 1 : 0, left ? 0 : 1);
        for (size_t i = 0; i < left; i++)
            iobuf_slice_release(&s[i]);
        assert_bufs(pool, 1, 0, 1);
    }
    close_pool(pool, &b);
}

typedef struct moved_reader {
    iobuf_reader r;
    source in;
    iobuf_slice slices[64];
    size_t count;
} moved_reader;

static void *read_some_there(void *argument)
{
    moved_reader *m = (moved_reader *)argument;
    for (size_t i = 0; i < 4; i++)
        thread_require(iobuf_reader_read(&m->r, 25, &m->slices[m->count++]) == IOBUF_OK);
    return NULL;
}

static void a_reader_is_handed_from_thread_to_thread(void **state)
{
    (void)state;
    test_backing b = {0};
    static moved_reader m;
    static uint8_t stream[64 * 25];
    for (size_t i = 0; i < sizeof stream; i++)
        stream[i] = pattern_byte(3, i);
    memset(&m, 0, sizeof m);
    m.in.bytes = stream;
    m.in.size = sizeof stream;
    m.in.most = 37;
    iobuf_pool *pool = make_pool(&b, 64, 0, 0);
    assert_ok(iobuf_reader_init(&m.r, pool, source_read, &m.in));
    for (size_t i = 0; i < 16; i++) {
        on_other_thread(read_some_there, &m);
        if (i % 2)
            iobuf_slice_release(&m.slices[m.count - 2]);
    }
    for (size_t i = 0; i < 64; i++) {
        if (iobuf_slice_size(&m.slices[i]) != 0)
            assert_bytes(&m.slices[i], stream + i * 25, 25);
        iobuf_slice_release(&m.slices[i]);
    }
    iobuf_reader_close(&m.r);
    assert_size(stats_of(pool).bufs_in_use, 0);
    close_pool(pool, &b);
}

typedef struct legacy {
    iobuf_pool *pool;
    iobuf_allocator *keep; /* not NULL: the allocator outlives its thread as well */
    iobuf_slice slices[30];
} legacy;

static void *leave_slices_behind(void *argument)
{
    legacy *l = (legacy *)argument;
    iobuf_allocator own, *a = l->keep ? l->keep : &own;
    thread_require(iobuf_allocator_init(a, l->pool, 0) == IOBUF_OK);
    for (size_t i = 0; i < 30; i++) {
        thread_require(iobuf_alloc(a, 100, &l->slices[i]) == IOBUF_OK);
        pattern_fill(&l->slices[i], i);
    }
    if (!l->keep)
        iobuf_allocator_release(a);
    return NULL;
}

static void slices_outlive_the_thread_that_allocated_them(void **state)
{
    (void)state;
    test_backing b = {0};
    static legacy l;
    memset(&l, 0, sizeof l);
    l.pool = make_pool(&b, 1000, 0, 0);
    on_other_thread(leave_slices_behind, &l);
    assert_bufs(l.pool, 3, 3, 0);
    for (size_t i = 0; i < 30; i++) {
        assert_true(pattern_holds(&l.slices[i], i));
        iobuf_slice_release(&l.slices[i]);
        assert_size(stats_of(l.pool).bufs_in_use, 3 - (i + 1) / 10);
    }
    close_pool(l.pool, &b);
}

static void an_allocator_outlives_the_thread_that_used_it(void **state)
{
    (void)state;
    test_backing b = {0};
    static legacy l;
    iobuf_allocator a;
    iobuf_slice more;
    memset(&l, 0, sizeof l);
    l.keep = &a;
    l.pool = make_pool(&b, 1000, 0, 0);
    on_other_thread(leave_slices_behind, &l);
    for (size_t i = 0; i < 30; i++)
        iobuf_slice_release(&l.slices[i]);
    assert_bufs(l.pool, 3, 1, 2);
    assert_ok(iobuf_alloc(&a, 1000, &more)); /* its full buf, from the start again */
    assert_bufs(l.pool, 3, 1, 2);
    iobuf_slice_release(&more);
    iobuf_allocator_release(&a);
    assert_bufs(l.pool, 3, 0, 3);
    close_pool(l.pool, &b);
}

/* ---- an owner that does nothing more ---- */

typedef struct idle_owner {
    legacy l;
    iobuf_allocator a;
    pthread_barrier_t ready, done;
    bool release;
} idle_owner;

static void *own_and_idle(void *argument)
{
    idle_owner *o = (idle_owner *)argument;
    o->l.keep = &o->a;
    leave_slices_behind(&o->l);
    if (o->release)
        iobuf_allocator_release(&o->a);
    pthread_barrier_wait(&o->ready);
    pthread_barrier_wait(&o->done); /* alive, and not in the library */
    iobuf_allocator_release(&o->a);
    return NULL;
}

static void bufs_come_back_without_their_idle_owner(void **state)
{
    (void)state;
    for (int release = 0; release < 2; release++) {
        test_backing b = {0};
        static idle_owner o;
        pthread_t owner;
        memset(&o, 0, sizeof o);
        o.release = release;
        o.l.pool = make_pool(&b, 1000, 0, 0);
        assert_int_equal(pthread_barrier_init(&o.ready, NULL, 2), 0);
        assert_int_equal(pthread_barrier_init(&o.done, NULL, 2), 0);
        start(&owner, own_and_idle, &o);
        pthread_barrier_wait(&o.ready);
        const size_t before = atomic_load(&b.live_bytes);
        for (size_t i = 0; i < 30; i++)
            iobuf_slice_release(&o.l.slices[i]);
        /* All but the one that its allocator still cuts from. */
        assert_bufs(o.l.pool, 3, release ? 0 : 1, release ? 3 : 2);
        assert_size(iobuf_pool_trim(o.l.pool, 0), release ? 3000 : 2000);
        assert_size(before - atomic_load(&b.live_bytes), release ? 3000 : 2000);
        if (release) { /* and close needs it as little */
            iobuf_pool_close(o.l.pool);
            assert_nothing_left(&b);
        }
        pthread_barrier_wait(&o.done);
        join(owner);
        if (!release)
            close_pool(o.l.pool, &b);
        pthread_barrier_destroy(&o.ready);
        pthread_barrier_destroy(&o.done);
    }
}

/* The owner has released its own share of each buf first, so that only others' references are left. */
static void *own_some_and_idle(void *argument)
{
    idle_owner *o = (idle_owner *)argument;
    o->l.keep = &o->a;
    leave_slices_behind(&o->l);
    for (size_t i = 0; i < 30; i += 2)
        iobuf_slice_release(&o->l.slices[i]);
    iobuf_allocator_release(&o->a);
    pthread_barrier_wait(&o->ready);
    for (size_t i = 5; i < 30; i += 10) /* while others release theirs */
        iobuf_slice_release(&o->l.slices[i]);
    pthread_barrier_wait(&o->done);
    return NULL;
}

static void bufs_come_back_when_owner_and_others_end_together(void **state)
{
    (void)state;
    for (size_t round = 0; round < scaled(200); round++) {
        test_backing b = {0};
        static idle_owner o;
        pthread_t owner;
        memset(&o, 0, sizeof o);
        o.l.pool = make_pool(&b, 1000, 0, 0);
        assert_int_equal(pthread_barrier_init(&o.ready, NULL, 2), 0);
        assert_int_equal(pthread_barrier_init(&o.done, NULL, 2), 0);
        start(&owner, own_some_and_idle, &o);
        pthread_barrier_wait(&o.ready);
        for (size_t i = 1; i < 30; i += 2)
            if (i % 10 != 5)
                iobuf_slice_release(&o.l.slices[i]);
        pthread_barrier_wait(&o.done);
        assert_bufs(o.l.pool, 3, 0, 3);
        close_pool(o.l.pool, &b);
        join(owner);
        pthread_barrier_destroy(&o.ready);
        pthread_barrier_destroy(&o.done);
    }
}

/* As above, but the pool is closed meanwhile: what is left must find its way to the backing alone. */
static void a_closed_pool_empties_when_owner_and_others_end_together(void **state)
{
    (void)state;
    for (size_t round = 0; round < scaled(200); round++) {
        test_backing b = {0};
        static idle_owner o;
        pthread_t owner;
        memset(&o, 0, sizeof o);
        o.l.pool = make_pool(&b, 1000, 0, 0);
        assert_int_equal(pthread_barrier_init(&o.ready, NULL, 2), 0);
        assert_int_equal(pthread_barrier_init(&o.done, NULL, 2), 0);
        start(&owner, own_some_and_idle, &o);
        pthread_barrier_wait(&o.ready);
        for (size_t i = 1; i < 30; i += 2) {
            if (i == 1 + 2 * (round % 15))
                iobuf_pool_close(o.l.pool);
            if (i % 10 != 5)
                iobuf_slice_release(&o.l.slices[i]);
        }
        pthread_barrier_wait(&o.done);
        assert_nothing_left(&b);
        join(owner);
        pthread_barrier_destroy(&o.ready);
        pthread_barrier_destroy(&o.done);
    }
}

/* Two threads meet at the last two releases as closely as they can, very often: the owner's and another's. Neither may take the
 * other's for the last one for good. In turn the pool stays open, is closed behind both releases, or before them. */
typedef struct meeting {
    iobuf_slice theirs;
    atomic_size_t offered, ready, done; /* the round that has come so far */
    size_t rounds;
} meeting;

/* One of two runs at a time under Valgrind, and perhaps on one processor: let the other one on. */
static void wait_for(atomic_size_t *value, size_t round)
{
    for (size_t spins = 0; atomic_load_explicit(value, memory_order_acquire) < round; spins++)
        if (spins % 256 == 255)
            sched_yield();
}

static void delay(size_t steps)
{
    for (volatile size_t i = 0; i < steps; i++)
        ;
}

static void *meet(void *argument)
{
    meeting *m = (meeting *)argument;
    for (size_t round = 1; round <= m->rounds; round++) {
        wait_for(&m->offered, round);
        atomic_store_explicit(&m->ready, round, memory_order_release);
        delay(round % 37); /* now earlier, now later than the owner */
        iobuf_slice_release(&m->theirs);
        atomic_store_explicit(&m->done, round, memory_order_release);
    }
    return NULL;
}

static void the_last_two_releases_meet(void **state)
{
    (void)state;
    static meeting m;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 256, 0, 0);
    pthread_t other;
    memset(&m, 0, sizeof m);
    m.rounds = scaled(IOBUF_CHECKED ? 30000 : 100000); /* sanitizers take their time */
    start(&other, meet, &m);
    for (size_t round = 1; round <= m.rounds; round++) {
        const size_t when = round % 8;
        iobuf_allocator a;
        iobuf_slice ours;
        assert_ok(iobuf_allocator_init(&a, pool, 0));
        assert_ok(iobuf_alloc(&a, 64, &ours));
        assert_ok(iobuf_alloc(&a, 64, &m.theirs));
        iobuf_allocator_release(&a);
        if (when == 0)
            iobuf_pool_close(pool);
        atomic_store_explicit(&m.offered, round, memory_order_release);
        wait_for(&m.ready, round);
        delay(round % 41);
        iobuf_slice_release(&ours);
        wait_for(&m.done, round);
        if (when == 1)
            iobuf_pool_close(pool);
        if (when > 1) {
            assert_bufs(pool, stats_of(pool).bufs_allocated, 0, stats_of(pool).bufs_allocated);
        } else {
            assert_nothing_left(&b);
            pool = make_pool(&b, 256, 0, 0);
        }
    }
    join(other);
    close_pool(pool, &b);
}

/* ---- threads that come and go ---- */

typedef struct baton {
    iobuf_pool *pool;
    iobuf_slice in, out;
    size_t round;
} baton;

static void *pass_the_baton(void *argument)
{
    baton *t = (baton *)argument;
    iobuf_allocator a;
    iobuf_slice s[3];
    thread_require(iobuf_allocator_init(&a, t->pool, 0) == IOBUF_OK);
    for (size_t i = 0; i < 3; i++) {
        thread_require(iobuf_alloc(&a, 300, &s[i]) == IOBUF_OK);
        pattern_fill(&s[i], t->round);
    }
    if (t->round > 0)
        thread_require(pattern_holds(&t->in, t->round - 1));
    iobuf_slice_release(&t->in); /* of a thread that has ended */
    t->out = s[t->round % 3];
    iobuf_slice_release(&s[(t->round + 1) % 3]);
    iobuf_slice_release(&s[(t->round + 2) % 3]);
    iobuf_allocator_release(&a);
    return NULL;
}

static void a_hundred_thousand_threads_come_and_go(void **state)
{
    (void)state;
    test_backing b = {0};
    baton t = {.pool = make_pool(&b, 1000, 0, 0)};
    const size_t rounds = scaled(100000); /* one after the other: many are given the identity of one before */
    for (t.round = 0; t.round < rounds; t.round++) {
        on_other_thread(pass_the_baton, &t);
        t.in = t.out;
        assert_size(stats_of(t.pool).bufs_in_use, 1);
    }
    iobuf_slice_release(&t.in);
    assert_size(stats_of(t.pool).bufs_in_use, 0);
    assert_true(stats_of(t.pool).bufs_allocated <= 2);
    close_pool(t.pool, &b);
}

/* ---- close, at any moment ---- */

static void *hold_on(void *argument)
{
    share_work *work = (share_work *)argument;
    pthread_barrier_wait(work->together); /* the pool is open */
    pthread_barrier_wait(work->together); /* the pool is closed */
    for (size_t i = 0; i < 20; i++) {
        thread_require(pattern_holds(&work->slices[i], i));
        iobuf_slice_release(&work->slices[i]);
    }
    return NULL;
}

static void a_pool_is_closed_while_others_hold_slices(void **state)
{
    (void)state;
    static share_work work[4];
    pthread_barrier_t together;
    pthread_t threads[4];
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 1000, 0, 0);
    iobuf_allocator a;
    assert_int_equal(pthread_barrier_init(&together, NULL, 5), 0);
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    for (size_t i = 0; i < 80; i++) {
        assert_ok(iobuf_alloc(&a, 100, &work[i % 4].slices[i / 4]));
        pattern_fill(&work[i % 4].slices[i / 4], i / 4);
    }
    for (size_t i = 0; i < 4; i++) {
        work[i].together = &together;
        start(&threads[i], hold_on, &work[i]);
    }
    pthread_barrier_wait(&together);
    iobuf_pool_close(pool);
    pthread_barrier_wait(&together);
    iobuf_allocator_release(&a);
    for (size_t i = 0; i < 4; i++)
        join(threads[i]);
    assert_nothing_left(&b);
    pthread_barrier_destroy(&together);
}

typedef struct busy {
    iobuf_pool *pool;
    iobuf_allocator a;
    iobuf_reader r;
    source in;
    pthread_barrier_t *together;
    queue *give, *get;
    size_t rounds, refused;
} busy;

static bool ok_or_closed(busy *w, int status)
{
    thread_require(status == IOBUF_OK || status == IOBUF_ECLOSED);
    w->refused += status != IOBUF_OK;
    return status == IOBUF_OK;
}

/* Allocates, reads, and exchanges slices with a neighbour, whatever becomes of the pool. */
static void *keep_busy(void *argument)
{
    busy *w = (busy *)argument;
    iobuf_slice live[32] = {{0}};
    pthread_barrier_wait(w->together);
    for (size_t i = 0; i < w->rounds; i++) {
        iobuf_slice *s = &live[i % 32];
        iobuf_slice_release(s);
        if (i % 5 == 4) {
            if (ok_or_closed(w, iobuf_reader_read(&w->r, 60, s)))
                thread_require(iobuf_slice_data(s)[59] == 'x');
        } else if (ok_or_closed(w, iobuf_alloc(&w->a, 100 + i % 300, s))) {
            memset(iobuf_slice_data(s), 'y', iobuf_slice_size(s));
        }
        if (i % 3 == 0) { /* an empty one as well, so that nobody waits for ever */
            queue_put(w->give, *s);
            thread_require(queue_take(w->get, s));
        }
    }
    iobuf_allocator_release(&w->a);
    for (size_t i = 0; i < 32; i++)
        iobuf_slice_release(&live[i]);
    iobuf_reader_close(&w->r);
    return NULL;
}

static void a_pool_is_closed_in_the_middle_of_everything(void **state)
{
    (void)state;
    enum { BUSY = 4 };
    static char stream[60 * 1000];
    memset(stream, 'x', sizeof stream);
    for (size_t round = 0; round < scaled(40); round++) {
        static queue queues[BUSY];
        busy w[BUSY];
        pthread_t threads[BUSY];
        pthread_barrier_t together;
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, 1000, 0, 3000);
        assert_int_equal(pthread_barrier_init(&together, NULL, BUSY + 1), 0);
        memset(w, 0, sizeof w);
        for (size_t i = 0; i < BUSY; i++)
            queue_init(&queues[i]);
        for (size_t i = 0; i < BUSY; i++) {
            w[i].pool = pool;
            w[i].together = &together;
            w[i].give = &queues[i];
            w[i].get = &queues[(i + 1) % BUSY];
            w[i].rounds = 300;
            w[i].in.bytes = (const uint8_t *)stream;
            w[i].in.size = sizeof stream;
            assert_ok(iobuf_allocator_init(&w[i].a, pool, 0));
            assert_ok(iobuf_reader_init(&w[i].r, pool, source_read, &w[i].in));
            start(&threads[i], keep_busy, &w[i]);
        }
        pthread_barrier_wait(&together);
        for (size_t i = 0; i < round; i++) /* a little later each time */
            (void)stats_of(pool);
        iobuf_pool_close(pool);
        for (size_t i = 0; i < BUSY; i++)
            join(threads[i]);
        assert_nothing_left(&b);
        for (size_t i = 0; i < BUSY; i++)
            queue_destroy(&queues[i]);
        pthread_barrier_destroy(&together);
    }
}

/* ---- limits, trim and counters under load ---- */

typedef struct crowd {
    iobuf_pool *pool;
    size_t rounds, limit;
    pthread_barrier_t *together;
} crowd;

static void *take_what_is_there(void *argument)
{
    crowd *c = (crowd *)argument;
    uint32_t random = (uint32_t)(uintptr_t)argument;
    iobuf_slice live[8] = {{0}};
    pthread_barrier_wait(c->together);
    for (size_t i = 0; i < c->rounds; i++) {
        iobuf_allocator a;
        iobuf_slice *s = &live[i % 8];
        iobuf_slice_release(s);
        thread_require(iobuf_allocator_init(&a, c->pool, 0) == IOBUF_OK);
        int status = iobuf_alloc(&a, 1 + next_random(&random) % 2000, s);
        thread_require(status == IOBUF_OK || status == IOBUF_ELIMIT);
        if (status == IOBUF_OK)
            memset(iobuf_slice_data(s), 1, iobuf_slice_size(s));
        iobuf_allocator_release(&a);
    }
    for (size_t i = 0; i < 8; i++)
        iobuf_slice_release(&live[i]);
    return NULL;
}

static void *trim_and_look(void *argument)
{
    crowd *c = (crowd *)argument;
    pthread_barrier_wait(c->together);
    for (size_t i = 0; i < c->rounds; i++) {
        iobuf_pool_stats stats;
        iobuf_pool_stats_get(c->pool, &stats);
        thread_require(stats.bytes_in_use + stats.bytes_cached <= c->limit);
        thread_require(stats.bytes_peak <= c->limit);
        thread_require(stats.bufs_in_use + stats.bufs_cached <= stats.bufs_allocated);
        thread_require((stats.bufs_cached == 0) == (stats.bytes_cached == 0));
        thread_require(iobuf_pool_trim(c->pool, c->limit / 4) <= c->limit);
    }
    return NULL;
}

static void the_limit_holds_under_load(void **state)
{
    (void)state;
    pthread_t threads[6];
    pthread_barrier_t together;
    test_backing b = {0};
    crowd c = {make_pool(&b, 256, 16384, 8192), scaled(2000), 16384, &together}, look = c;
    look.rounds = scaled(1000);
    assert_int_equal(pthread_barrier_init(&together, NULL, 6), 0);
    for (size_t i = 0; i < 5; i++)
        start(&threads[i], take_what_is_there, &c);
    start(&threads[5], trim_and_look, &look);
    for (size_t i = 0; i < 6; i++)
        join(threads[i]);
    assert_size(stats_of(c.pool).bufs_in_use, 0);
    assert_true(stats_of(c.pool).bytes_cached <= 8192);
    pthread_barrier_destroy(&together);
    close_pool(c.pool, &b);
}

static void *open_and_close(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < scaled(200); i++) {
        iobuf_pool *pool;
        iobuf_allocator a;
        iobuf_slice s;
        thread_require(iobuf_pool_create(NULL, &pool) == IOBUF_OK);
        thread_require(iobuf_allocator_init(&a, pool, 0) == IOBUF_OK);
        thread_require(iobuf_alloc(&a, 100, &s) == IOBUF_OK);
        memset(iobuf_slice_data(&s), 1, 100);
        iobuf_pool_close(pool);
        iobuf_allocator_release(&a);
        iobuf_slice_release(&s);
    }
    return NULL;
}

static void pools_open_and_close_on_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        start(&threads[i], open_and_close, NULL);
    for (size_t i = 0; i < 4; i++)
        join(threads[i]);
}

/* ---- fork ---- */

/* Without exec: the child has its own copy of everything, and the thread that forked is the only one in it. */
static void a_forked_child_goes_on_with_its_copy(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 1000, 0, 0);
    iobuf_allocator a;
    iobuf_slice s[20], more;
    assert_ok(iobuf_allocator_init(&a, pool, 0));
    for (size_t i = 0; i < 20; i++) {
        assert_ok(iobuf_alloc(&a, 100, &s[i]));
        pattern_fill(&s[i], i);
    }
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    for (size_t i = 0; i < 20; i++) {
        thread_require(pattern_holds(&s[i], i));
        iobuf_slice_release(&s[i]);
    }
    thread_require(iobuf_alloc(&a, 1000, &more) == IOBUF_OK);
    iobuf_slice_release(&more);
    iobuf_allocator_release(&a);
    thread_require(stats_of(pool).bufs_in_use == 0);
    iobuf_pool_close(pool);
    thread_require(atomic_load(&b.live) == 0);
    if (child == 0)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

typedef struct bystander {
    iobuf_pool *pool;
    iobuf_slice s[4];
    sem_t ready, go;
} bystander;

static void *own_and_stand_by(void *argument)
{
    bystander *t = (bystander *)argument;
    iobuf_allocator a;
    thread_require(iobuf_allocator_init(&a, t->pool, 0) == IOBUF_OK);
    for (size_t i = 0; i < 4; i++)
        thread_require(iobuf_alloc(&a, 600, &t->s[i]) == IOBUF_OK);
    iobuf_slice_release(&t->s[0]); /* a count of the owner's own */
    iobuf_allocator_release(&a);
    sem_post(&t->ready);
    while (sem_wait(&t->go) != 0)
        continue;
    return NULL;
}

/* The other thread is outside the library at that moment, and does not exist in the child. */
static void a_forked_child_releases_what_other_threads_own(void **state)
{
    (void)state;
    test_backing b = {0};
    bystander t = {.pool = make_pool(&b, 1000, 0, 0)};
    pthread_t thread;
    sem_init(&t.ready, 0, 0);
    sem_init(&t.go, 0, 0);
    start(&thread, own_and_stand_by, &t);
    while (sem_wait(&t.ready) != 0)
        continue;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0) {
        sem_post(&t.go);
        join(thread);
    }
    for (size_t i = 1; i < 4; i++)
        iobuf_slice_release(&t.s[i]);
    thread_require(stats_of(t.pool).bufs_in_use == 0);
    thread_require(iobuf_pool_trim(t.pool, 0) == 4000);
    iobuf_pool_close(t.pool);
    thread_require(atomic_load(&b.live) == 0);
    if (child == 0)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bufs_from_other_threads_are_used_to_their_end),
        cmocka_unit_test(a_hundred_threads_share_a_pool),
        cmocka_unit_test(one_thread_allocates_and_an_other_releases),
        cmocka_unit_test(everyone_releases_what_a_neighbour_allocated),
        cmocka_unit_test(the_last_of_many_racing_releases_gives_the_buf_back),
        cmocka_unit_test(the_owner_and_others_release_at_once),
        cmocka_unit_test(wrapped_memory_is_freed_once_by_racing_releases),
        cmocka_unit_test(a_claim_that_succeeds_is_sure),
        cmocka_unit_test(an_allocator_is_handed_on_by_joining),
        cmocka_unit_test(an_allocator_is_handed_on_under_a_lock),
        cmocka_unit_test(an_allocator_goes_to_and_fro),
        cmocka_unit_test(an_allocator_is_released_on_an_other_thread),
        cmocka_unit_test(a_reader_is_handed_from_thread_to_thread),
        cmocka_unit_test(slices_outlive_the_thread_that_allocated_them),
        cmocka_unit_test(an_allocator_outlives_the_thread_that_used_it),
        cmocka_unit_test(bufs_come_back_without_their_idle_owner),
        cmocka_unit_test(bufs_come_back_when_owner_and_others_end_together),
        cmocka_unit_test(a_closed_pool_empties_when_owner_and_others_end_together),
        cmocka_unit_test(the_last_two_releases_meet),
        cmocka_unit_test(a_hundred_thousand_threads_come_and_go),
        cmocka_unit_test(a_pool_is_closed_while_others_hold_slices),
        cmocka_unit_test(a_pool_is_closed_in_the_middle_of_everything),
        cmocka_unit_test(the_limit_holds_under_load),
        cmocka_unit_test(pools_open_and_close_on_many_threads),
        cmocka_unit_test(a_forked_child_goes_on_with_its_copy),
        cmocka_unit_test(a_forked_child_releases_what_other_threads_own),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
