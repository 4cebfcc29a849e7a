/* What scripts/suite/test/test_trace.py builds with iobuf_traced and records: `calls` does every call that is recorded, and some
 * that are not, in a known order; the others do much, and end as their name says.
 *
 *   test_traced calls|exchange|leave|kill|fork
 */
#define _GNU_SOURCE 1 /* F_SETPIPE_SZ */
#include <iobuf/iobuf.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESERVE = 16, THREADS = 4, ROUNDS = 20000, HELD = 64 };

static iobuf_pool *pool;

static void need(bool fine, const char *what)
{
    if (fine)
        return;
    (void)fprintf(stderr, "test_traced: not as expected: %s\n", what);
    _exit(9);
}
#define NEED(condition) need(condition, #condition)

static void changes(iobuf_allocator *a)
{
    iobuf_slice one;
    iobuf_slice two;
    iobuf_slice three;
    iobuf_slice empty;
    NEED(iobuf_alloc(a, 100, &one) == IOBUF_OK);
    NEED(iobuf_copy(a, "............................................................", 50, &two) == IOBUF_OK);
    iobuf_slice_truncate_front(&one, 10);
    NEED(iobuf_slice_expand_front(&one, RESERVE + 10));
    NEED(!iobuf_slice_expand_front(&one, 1));
    iobuf_slice_truncate_back(&two, 20);
    iobuf_slice_truncate_back(&two, 0);
    NEED(iobuf_alloc(a, 200, &three) == IOBUF_OK);
    NEED(iobuf_allocator_shrink(a, &three, 150) == IOBUF_OK);
    NEED(iobuf_allocator_shrink(a, &two, 1) == IOBUF_EINVAL);
    iobuf_slice_release_previous(&two, &one);
    NEED(iobuf_slice_expand_front(&two, 100 + RESERVE + RESERVE));
    iobuf_slice_release(&two);
    iobuf_slice_truncate_front(&three, 1000);
    iobuf_slice_release(&three);
    iobuf_slice_release(&three);
    NEED(iobuf_alloc(a, 0, &empty) == IOBUF_OK);
    iobuf_slice_release(&empty);
}

static void shares(iobuf_allocator *a)
{
    iobuf_slice whole;
    iobuf_slice part;
    iobuf_slice tail;
    NEED(iobuf_alloc(a, 500, &whole) == IOBUF_OK);
    NEED(iobuf_slice_share(&whole, 100, 300, &part) == IOBUF_OK);
    iobuf_slice_truncate_front(&whole, 50); /* there are two: not told */
    iobuf_slice_release(&whole);
    iobuf_slice_truncate_back(&part, 30);
    const iobuf_slice moved = part;
    part = moved;
    iobuf_slice_release(&part);

    NEED(iobuf_alloc(a, 500, &whole) == IOBUF_OK);
    NEED(iobuf_slice_split(&whole, 200, &tail) == IOBUF_OK);
    iobuf_slice_release(&whole);
    iobuf_slice_release(&tail);

    iobuf_slice both[2];
    NEED(iobuf_alloc(a, 500, &both[0]) == IOBUF_OK);
    NEED(iobuf_slice_split(&both[0], 200, &both[1]) == IOBUF_OK);
    NEED(iobuf_coalesce(both, 2, SIZE_MAX) == 1); /* one again: nothing was coalesced */
    iobuf_slice_truncate_back(&both[0], 400);
    iobuf_slice_release(&both[0]);
}

static void coalesces(iobuf_allocator *dense)
{
    iobuf_slice s[4];
    for (int at = 0; at < 3; at++)
        NEED(iobuf_alloc(dense, 300, &s[at]) == IOBUF_OK);
    NEED(iobuf_coalesce(s, 3, SIZE_MAX) == 1);
    iobuf_slice_truncate_front(&s[0], 350);
    iobuf_slice_release(&s[0]);

    for (int at = 0; at < 4; at++)
        NEED(iobuf_alloc(dense, 100, &s[at]) == IOBUF_OK);
    NEED(iobuf_coalesce(s, 4, 250) == 2);
    NEED(iobuf_coalesce(s, 2, SIZE_MAX) == 1);
    NEED(iobuf_slice_split(&s[0], 150, &s[1]) == IOBUF_OK);
    iobuf_slice_release(&s[1]); /* what is in it alone */
    iobuf_slice_release(&s[0]);

    /* Neighbours whose numbers do not follow each other. */
    NEED(iobuf_alloc(dense, 100, &s[0]) == IOBUF_OK);
    NEED(iobuf_alloc(dense, 100, &s[2]) == IOBUF_OK);
    NEED(iobuf_allocator_shrink(dense, &s[2], 0) == IOBUF_OK);
    iobuf_slice_release(&s[2]);
    NEED(iobuf_alloc(dense, 100, &s[1]) == IOBUF_OK);
    NEED(iobuf_coalesce(s, 2, SIZE_MAX) == 1);
    iobuf_slice_release(&s[0]);
}

static ssize_t source(void *left, void *into, size_t room, int *error)
{
    const size_t size = *(size_t *)left < room ? *(size_t *)left : room;
    (void)error;
    memset(into, '.', size);
    *(size_t *)left -= size;
    return (ssize_t)size;
}

static void reads(void)
{
    iobuf_reader r;
    iobuf_slice s[2];
    const uint8_t *bytes = NULL;
    size_t size = 500;
    size_t seen = 0;
    NEED(iobuf_reader_init(&r, pool, source, &size) == IOBUF_OK);
    NEED(iobuf_reader_read(&r, 64, &s[0]) == IOBUF_OK);
    NEED(iobuf_reader_peek(&r, 1, &bytes, &seen) == IOBUF_OK && seen == 436);
    NEED(iobuf_reader_read_some(&r, 1000, &s[1]) == IOBUF_OK);
    NEED(iobuf_coalesce(s, 2, SIZE_MAX) == 1);
    NEED(iobuf_reader_read(&r, 1, &s[1]) == IOBUF_EOF);
    iobuf_slice_release(&s[0]);
    iobuf_reader_close(&r);
}

static void writes(iobuf_allocator *dense)
{
    iobuf_slice s[3];
    size_t count = 3;
    size_t written = 0;
    int ends[2];
    NEED(pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    NEED(iobuf_alloc(dense, 3000, &s[0]) == IOBUF_OK);
    NEED(iobuf_alloc(dense, 3000, &s[1]) == IOBUF_OK);
    NEED(iobuf_alloc(dense, 10, &s[2]) == IOBUF_OK);
    for (int at = 0; at < 3; at++)
        memset(iobuf_slice_data(&s[at]), '.', iobuf_slice_size(&s[at]));
    NEED(iobuf_writev(ends[1], s, &count, &written) == IOBUF_OK);
    NEED(written == 4096 && count == 2 && iobuf_slice_size(&s[0]) == 1904);
    NEED(iobuf_writev(ends[1], s, &count, &written) == IOBUF_EAGAIN);
    for (int at = 0; at < 2; at++)
        iobuf_slice_release(&s[at]);
    NEED(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void compacts(iobuf_allocator *a)
{
    iobuf_allocator other;
    iobuf_slice s;
    NEED(iobuf_allocator_init(&other, pool, 0) == IOBUF_OK && iobuf_alloc(&other, 70, &s) == IOBUF_OK);
    NEED(iobuf_slice_compact(&s, a) == IOBUF_OK); /* the allocator holds it: nothing */
    iobuf_allocator_release(&other);
    NEED(iobuf_slice_compact(&s, a) == IOBUF_OK);
    iobuf_slice_release(&s);
}

static void freed(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    *(int *)context += 1;
}

static void is_not_recorded(void)
{
    static char bytes[1000];
    int count = 0;
    iobuf_slice s;
    iobuf_slice tail;
    iobuf_slice lent = iobuf_slice_borrow(bytes, sizeof bytes);
    NEED(iobuf_slice_wrap(bytes, sizeof bytes, freed, &count, &s) == IOBUF_OK);
    NEED(iobuf_slice_split(&s, 300, &tail) == IOBUF_OK);
    iobuf_slice_truncate_front(&tail, 100);
    iobuf_slice_release(&tail);
    iobuf_slice_release(&s);
    iobuf_slice_truncate_front(&lent, 100);
    iobuf_slice_release(&lent);
    NEED(count == 1);
}

static iobuf_slice given[4];

static void *other_thread(void *nothing)
{
    iobuf_allocator a;
    iobuf_slice_truncate_front(&given[0], 10);
    NEED(iobuf_slice_expand_front(&given[0], 5));
    iobuf_slice_release(&given[0]);
    iobuf_slice_release(&given[1]);
    iobuf_slice_release(&given[2]);
    NEED(iobuf_allocator_init(&a, pool, 8) == IOBUF_OK && iobuf_alloc(&a, 900, &given[3]) == IOBUF_OK);
    iobuf_allocator_release(&a);
    return nothing;
}

static void hands_over(iobuf_allocator *a)
{
    pthread_t thread;
    iobuf_slice shared;
    NEED(iobuf_alloc(a, 200, &given[0]) == IOBUF_OK);
    NEED(iobuf_alloc(a, 201, &given[1]) == IOBUF_OK);
    NEED(iobuf_alloc(a, 202, &shared) == IOBUF_OK);
    NEED(iobuf_slice_share(&shared, 0, 202, &given[2]) == IOBUF_OK);
    iobuf_slice_release(&shared);
    NEED(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    iobuf_slice_release(&given[3]);
}

static void calls(void)
{
    iobuf_allocator spaced;
    iobuf_allocator dense;
    NEED(iobuf_allocator_init(&spaced, pool, RESERVE) == IOBUF_OK && iobuf_allocator_init(&dense, pool, 0) == IOBUF_OK);
    changes(&spaced);
    shares(&spaced);
    coalesces(&dense);
    reads();
    writes(&dense);
    compacts(&spaced);
    is_not_recorded();
    hands_over(&spaced);
    iobuf_allocator_release(&spaced);
    iobuf_allocator_release(&dense);
}

/* Threads do what chance says to slices that they leave to each other. In `leave`, one thread alone, never with two
 * handles of one buffer for long, so that the trace has to know how many bytes there are. */

static bool alone;

static struct {
    pthread_mutex_t mutex;
    iobuf_slice slice;
} places[HELD];

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static void swap(iobuf_slice *slice, size_t at)
{
    (void)pthread_mutex_lock(&places[at].mutex);
    const iobuf_slice there = places[at].slice;
    places[at].slice = *slice;
    *slice = there;
    (void)pthread_mutex_unlock(&places[at].mutex);
}

static void change(iobuf_allocator *a, iobuf_slice *mine, uint64_t *state)
{
    iobuf_slice other = iobuf_slice_borrow(NULL, 0);
    const size_t size = iobuf_slice_size(mine);
    const size_t some = (size_t)draw(state) % (size + 1);
    iobuf_slice run[8];
    size_t count = 0;
    switch (draw(state) % 9) {
    case 0:
        iobuf_slice_truncate_front(mine, some);
        break;
    case 1:
        iobuf_slice_truncate_back(mine, some);
        break;
    case 2:
        (void)iobuf_slice_expand_front(mine, some % (iobuf_slice_headroom(mine) + 1));
        break;
    case 3:
        NEED(iobuf_slice_split(mine, some, &other) == IOBUF_OK);
        if (alone)
            iobuf_slice_release(draw(state) % 2 == 0 ? mine : &other);
        break;
    case 4:
        NEED(iobuf_slice_share(mine, some, (size - some) / 2, &other) == IOBUF_OK);
        if (alone)
            iobuf_slice_release(draw(state) % 2 == 0 ? mine : &other);
        break;
    case 5:
        NEED(iobuf_slice_compact(mine, a) == IOBUF_OK);
        break;
    case 6:
        iobuf_slice_release(mine);
        break;
    case 7:
        count = 2 + (size_t)draw(state) % 7;
        for (size_t at = 0; at < count; at++)
            NEED(iobuf_alloc(a, 1 + (size_t)draw(state) % 900, &run[at]) == IOBUF_OK);
        count = iobuf_coalesce(run, count, 2000);
        for (size_t at = 1; at < count; at++)
            iobuf_slice_release_previous(&run[at], &run[at - 1]);
        other = run[count - 1];
        break;
    default:
        NEED(iobuf_alloc(a, (size_t)draw(state) % 3000, &other) == IOBUF_OK);
    }
    swap(&other, (size_t)draw(state) % HELD);
    iobuf_slice_release(&other);
}

static void *exchange_some(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed;
    iobuf_allocator a;
    iobuf_slice mine = iobuf_slice_borrow(NULL, 0);
    NEED(iobuf_allocator_init(&a, pool, state % 2 == 0 ? 0 : RESERVE) == IOBUF_OK);
    for (int round = 0; round < ROUNDS; round++) {
        swap(&mine, (size_t)draw(&state) % HELD);
        change(&a, &mine, &state);
        if (round % 16 == 0)
            (void)sched_yield(); /* so that slices wander */
    }
    iobuf_slice_release(&mine);
    iobuf_allocator_release(&a);
    return NULL;
}

static void exchange(void)
{
    pthread_t threads[THREADS];
    for (size_t at = 0; at < HELD; at++) {
        NEED(pthread_mutex_init(&places[at].mutex, NULL) == 0);
        places[at].slice = iobuf_slice_borrow(NULL, 0);
    }
    for (size_t at = 0; at < THREADS; at++)
        NEED(pthread_create(&threads[at], NULL, exchange_some, (void *)(at + 1000)) == 0); /* NOLINT: a number */
    for (size_t at = 0; at < THREADS; at++)
        NEED(pthread_join(threads[at], NULL) == 0);
    for (size_t at = 0; at < HELD; at++)
        iobuf_slice_release(&places[at].slice);
}

/* Says how many bytes are left, and leaves them. */
static void leave(void)
{
    size_t bytes = 0;
    alone = true;
    (void)exchange_some((void *)(uintptr_t)77); /* NOLINT: a number */
    for (size_t at = 0; at < HELD; at++)
        bytes += iobuf_slice_size(&places[at].slice);
    (void)printf("%zu\n", bytes);
    (void)fflush(stdout);
    _exit(0);
}

static void allocate(int count, size_t size)
{
    iobuf_allocator a;
    iobuf_slice s;
    NEED(iobuf_allocator_init(&a, pool, 0) == IOBUF_OK);
    for (int at = 0; at < count; at++) {
        NEED(iobuf_alloc(&a, size, &s) == IOBUF_OK);
        iobuf_slice_release(&s);
    }
    iobuf_allocator_release(&a);
}

int main(int argc, char **argv)
{
    const char *const what = argc > 1 ? argv[1] : "";
    NEED(iobuf_pool_create(NULL, &pool) == IOBUF_OK);
    if (strcmp(what, "calls") == 0)
        calls();
    if (strcmp(what, "exchange") == 0)
        exchange();
    if (strcmp(what, "leave") == 0)
        leave();
    if (strcmp(what, "kill") == 0 || strcmp(what, "fork") == 0)
        allocate(100000, 1000);
    if (strcmp(what, "kill") == 0)
        (void)raise(SIGKILL);
    const pid_t child = strcmp(what, "fork") == 0 ? fork() : 0;
    if (strcmp(what, "fork") == 0 && child == 0) {
        allocate(50, 2000);
        _exit(0);
    }
    if (child > 0)
        NEED(waitpid(child, NULL, 0) == child);
    iobuf_pool_close(pool);
    return 0;
}
