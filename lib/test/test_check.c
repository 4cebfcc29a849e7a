/* Unit tests of lib/src/check.c: in a checked build each misuse ends with one line that names it, and free memory is watched.
 *
 * Each misuse runs in a child of its own, whose last words are compared. What a memory checker sees (AddressSanitizer,
 * MemorySanitizer, Valgrind) is compared with its report; in a checked build without one the library's byte pattern tells.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if !defined(RUNNING_ON_VALGRIND)
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_COUNT_ERRORS 0
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#elif __has_feature(memory_sanitizer)
#define WITH_MSAN 1
#elif __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#endif
#if !defined(WITH_ASAN)
#define WITH_ASAN 0
#endif
#if !defined(WITH_MSAN)
#define WITH_MSAN 0
#endif
#if !defined(WITH_TSAN)
#define WITH_TSAN 0
#endif

/* ---- a child and its last words ---- */

typedef struct ending {
    int status;
    char words[65536];
} ending;

static void run_in_child(void (*act)(void), ending *e)
{
    int ends[2];
    size_t size = 0;
    ssize_t n;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        close(ends[0]);
        act();
        fprintf(stderr, "it went on\n");
        _exit(VALGRIND_COUNT_ERRORS != 0); /* Valgrind itself speaks on the first standard error, not on ours */
    }
    close(ends[1]);
    while ((n = read(ends[0], e->words + size, sizeof e->words - 1 - size)) > 0)
        size += (size_t)n;
    e->words[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &e->status, 0), child);
}

/* The message; under a sanitizer, behind it the calls that led to it, the first of which is in this file. */
static void assert_message(const ending *e, const char *message)
{
    size_t size = strlen(message);
    if (strncmp(e->words, message, size) != 0 || (e->words[size] != '\0' && strncmp(e->words + size, "    at ", 7) != 0))
        assert_string_equal(e->words, message);
#if WITH_ASAN || WITH_MSAN || WITH_TSAN
    const char *end = strchr(e->words + size, '\n'), *file = strstr(e->words + size, "test_check.c:");
    assert_true(end != NULL && file != NULL && file < end);
#else
    assert_string_equal(e->words, message);
#endif
    assert_int_equal(WIFSIGNALED(e->status) ? WTERMSIG(e->status) : 0, SIGABRT);
}

/* ---- misuses with a message ---- */

typedef struct scene {
    test_backing b;
    iobuf_pool *pool;
    iobuf_allocator a;
    iobuf_slice s, other;
} scene;

/* Two slices of one buf, so that it lives on when one is gone. */
static scene *set_scene(void)
{
    static scene x;
    iobuf_pool_options options = {256, 0, 0, backing_of(&x.b)};
    thread_require(iobuf_pool_create(&options, &x.pool) == IOBUF_OK);
    thread_require(iobuf_allocator_init(&x.a, x.pool, 8) == IOBUF_OK);
    thread_require(iobuf_copy(&x.a, "0123456789", 10, &x.s) == IOBUF_OK);
    thread_require(iobuf_copy(&x.a, "abcdefghij", 10, &x.other) == IOBUF_OK);
    return &x;
}

/* A copy of a handle whose original has been released. */
static iobuf_slice stale_copy(scene *x)
{
    iobuf_slice copy = x->s;
    iobuf_slice_release(&x->s);
    return copy;
}

static void release_twice_through_a_copy(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    iobuf_slice_release(&copy);
}

static void release_twice_after_the_place_was_cut_again(void)
{
    scene *x = set_scene();
    iobuf_slice copy = x->other, again;
    thread_require(iobuf_allocator_shrink(&x->a, &x->other, 0) == IOBUF_OK);
    iobuf_slice_release(&x->other);
    thread_require(iobuf_alloc(&x->a, 2, &again) == IOBUF_OK);
    iobuf_slice_release(&copy);
}

static void release_twice_after_many_others(void)
{
    scene *x = set_scene();
    iobuf_slice copy = stale_copy(x), s;
    for (int i = 0; i < 300; i++) {
        thread_require(iobuf_slice_share(&x->other, 0, 1, &s) == IOBUF_OK);
        iobuf_slice_release(&s);
    }
    iobuf_slice_release(&copy);
}

static void release_twice_with_the_pool_closed(void)
{
    scene *x = set_scene();
    iobuf_slice copy = stale_copy(x);
    iobuf_pool_close(x->pool);
    iobuf_slice_release(&copy);
}

/* A pool of which everything lies where everything of the pool before it lay. */
typedef struct same_place {
    _Alignas(64) uint8_t bytes[65536];
    size_t used, live;
} same_place;

static void *take_place(void *context, size_t size, size_t alignment)
{
    same_place *p = (same_place *)context;
    p->used = ((p->live++ == 0 ? 0 : p->used) + alignment - 1) & ~(alignment - 1);
    thread_require(size <= sizeof p->bytes - p->used);
    p->used += size;
    return p->bytes + p->used - size;
}

static void leave_place(void *context, void *memory, size_t size)
{
    (void)memory;
    (void)size;
    ((same_place *)context)->live--;
}

static iobuf_pool *pool_with_a_slice(same_place *p, iobuf_slice *s)
{
    iobuf_pool_options options = {256, 0, 0, {take_place, leave_place, p}};
    iobuf_pool *pool;
    iobuf_allocator a;
    thread_require(iobuf_pool_create(&options, &pool) == IOBUF_OK);
    thread_require(iobuf_allocator_init(&a, pool, 0) == IOBUF_OK);
    thread_require(iobuf_alloc(&a, 10, s) == IOBUF_OK);
    iobuf_allocator_release(&a);
    return pool;
}

static void release_twice_with_the_pool_gone(void)
{
    static same_place p;
    iobuf_slice s;
    iobuf_pool *pool = pool_with_a_slice(&p, &s);
    iobuf_slice copy = s;
    iobuf_slice_release(&s);
    iobuf_pool_close(pool);
    thread_require(p.live == 0);
    memset(p.bytes, 0x5a, sizeof p.bytes);
    iobuf_slice_release(&copy);
}

static void release_twice_with_another_pool_in_the_place(void)
{
    static same_place p;
    iobuf_slice s, now;
    iobuf_pool *pool = pool_with_a_slice(&p, &s);
    iobuf_slice copy = s;
    iobuf_slice_release(&s);
    iobuf_pool_close(pool);
    (void)pool_with_a_slice(&p, &now);
    thread_require(now.data_ == copy.data_);
    iobuf_slice_release(&copy);
}

static void *release_there(void *argument)
{
    iobuf_slice_release((iobuf_slice *)argument);
    return NULL;
}

static void release_twice_on_two_threads(void)
{
    scene *x = set_scene();
    iobuf_slice copy = x->s;
    pthread_t thread;
    thread_require(pthread_create(&thread, NULL, release_there, &copy) == 0);
    thread_require(pthread_join(thread, NULL) == 0);
    iobuf_slice_release(&x->s);
}

static void headroom_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    (void)iobuf_slice_headroom(&copy);
}

static void buf_size_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    (void)iobuf_slice_buf_size(&copy);
}

static void release_previous_with_a_released_slice(void)
{
    scene *x = set_scene();
    iobuf_slice copy = stale_copy(x);
    iobuf_slice_release_previous(&x->other, &copy);
}

static void release_previous_of_a_released_slice(void)
{
    scene *x = set_scene();
    iobuf_slice copy = stale_copy(x);
    iobuf_slice_release_previous(&copy, &x->other);
}

static void truncate_front_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    iobuf_slice_truncate_front(&copy, 1);
}

static void truncate_back_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    iobuf_slice_truncate_back(&copy, 1);
}

static void expand_front_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    (void)iobuf_slice_expand_front(&copy, 1);
}

static void free_entire_prefix_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    iobuf_slice_free_entire_prefix(&copy);
}

static void claim_prefix_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    (void)iobuf_slice_claim_prefix(&copy);
}

static void share_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene()), out;
    (void)iobuf_slice_share(&copy, 0, 1, &out);
}

static void split_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene()), out;
    (void)iobuf_slice_split(&copy, 1, &out);
}

static void compact_of_a_released_slice(void)
{
    scene *x = set_scene();
    iobuf_slice copy = stale_copy(x);
    (void)iobuf_slice_compact(&copy, &x->a);
}

static void shrink_of_a_released_slice(void)
{
    scene *x = set_scene();
    iobuf_slice copy = x->other;
    iobuf_slice_release(&x->other);
    (void)iobuf_allocator_shrink(&x->a, &copy, 1);
}

static void coalesce_of_a_released_slice(void)
{
    scene *x = set_scene();
    iobuf_slice both[2] = {x->other, stale_copy(x)};
    (void)iobuf_coalesce(both, 2, 100);
}

static void iovec_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    struct iovec iov[1];
    (void)iobuf_slices_to_iovec(&copy, 1, iov, 1);
}

static void writev_of_a_released_slice(void)
{
    iobuf_slice copy = stale_copy(set_scene());
    size_t count = 1;
    (void)iobuf_writev(2, &copy, &count, NULL);
}

static void a_copy_used_after_coalesce(void)
{
    scene *x = set_scene();
    thread_require(iobuf_slice_expand_front(&x->other, 8));
    iobuf_slice both[2] = {x->s, x->other}, copy = x->other;
    thread_require(iobuf_coalesce(both, 2, 100) == 1);
    iobuf_slice_release(&copy);
}

static void a_null_slice(void)
{
    iobuf_slice_release(NULL);
}

static void a_handle_that_is_none(void)
{
    static uint64_t zeros[64];
    scene *x = set_scene();
    iobuf_slice forged = x->s;
    forged.buf_ = (struct iobuf_buf *)(void *)zeros;
    iobuf_slice_release(&forged);
}

static void a_handle_that_points_nowhere(void)
{
    scene *x = set_scene();
    iobuf_slice forged = x->s;
    memset(&forged.buf_, 0x5a, sizeof forged.buf_);
    iobuf_slice_release(&forged);
}

static void a_slice_that_reaches_beyond_its_buf(void)
{
    scene *x = set_scene();
    x->s.size_ = 250;
    iobuf_slice_release(&x->s);
}

static void a_slice_that_begins_before_its_buf(void)
{
    scene *x = set_scene();
    x->s.data_ -= 9;
    iobuf_slice_truncate_back(&x->s, 1);
}

static void a_prefix_that_begins_before_its_buf(void)
{
    scene *x = set_scene();
    x->s.headroom_ = 9;
    (void)iobuf_slice_expand_front(&x->s, 9);
}

static void bytes_at_null(void)
{
    iobuf_slice s = iobuf_slice_borrow(NULL, 5);
    iobuf_slice_truncate_front(&s, 1);
}

static void ignore_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    (void)context;
}

static void release_twice_what_was_wrapped_and_shared(void)
{
    static char bytes[10];
    iobuf_slice s, part;
    thread_require(iobuf_slice_wrap(bytes, 10, ignore_free, NULL, &s) == IOBUF_OK);
    thread_require(iobuf_slice_share(&s, 0, 5, &part) == IOBUF_OK);
    iobuf_slice copy = s;
    iobuf_slice_release(&s);
    iobuf_slice_release(&copy);
}

static void release_twice_what_was_wrapped(void)
{
    static char bytes[10];
    iobuf_slice s;
    thread_require(iobuf_slice_wrap(bytes, 10, ignore_free, NULL, &s) == IOBUF_OK);
    iobuf_slice copy = s;
    iobuf_slice_release(&s);
    iobuf_slice_release(&copy);
}

/* An allocator or reader is entered a second time, by another thread, from the callback that it is in. */
static iobuf_allocator shared_allocator;
static iobuf_reader shared_reader;

static void *alloc_there(void *argument)
{
    iobuf_slice s;
    (void)argument;
    (void)iobuf_alloc(&shared_allocator, 1, &s);
    return NULL;
}

static void *read_there(void *argument)
{
    iobuf_slice s;
    (void)argument;
    (void)iobuf_reader_read(&shared_reader, 1, &s);
    return NULL;
}

static void meanwhile(void *(*act)(void *))
{
    pthread_t thread;
    thread_require(pthread_create(&thread, NULL, act, NULL) == 0);
    thread_require(pthread_join(thread, NULL) == 0);
}

static void *allocate_and_meet(void *context, size_t size, size_t alignment)
{
    void *memory = NULL;
    bool *armed = (bool *)context;
    if (*armed)
        meanwhile(alloc_there);
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void an_allocator_used_by_two_threads_at_once(void)
{
    bool armed = false;
    iobuf_pool_options options = {0, 0, 0, {allocate_and_meet, deallocate, &armed}};
    iobuf_pool *pool;
    iobuf_slice s;
    thread_require(iobuf_pool_create(&options, &pool) == IOBUF_OK);
    thread_require(iobuf_allocator_init(&shared_allocator, pool, 0) == IOBUF_OK);
    armed = true;
    (void)iobuf_alloc(&shared_allocator, 1, &s);
}

static ssize_t read_and_meet(void *context, void *into, size_t room, int *error)
{
    (void)context;
    (void)into;
    (void)room;
    (void)error;
    meanwhile(read_there);
    return 0;
}

static void a_reader_used_by_two_threads_at_once(void)
{
    iobuf_pool *pool;
    iobuf_slice s;
    thread_require(iobuf_pool_create(NULL, &pool) == IOBUF_OK);
    thread_require(iobuf_reader_init(&shared_reader, pool, read_and_meet, NULL) == IOBUF_OK);
    (void)iobuf_reader_read(&shared_reader, 1, &s);
}

#define STALE "stale handle: the slice was released before, perhaps through a copy"
#define GONE "stale handle: its buf is gone; the slice was released before"
#define BEYOND "invalid slice: reaches beyond its buf"
#define TWO_THREADS "used by two threads at once"

typedef struct misuse {
    const char *name;
    void (*act)(void);
    const char *words;
    bool kept; /* the bytes keep their contents, so MemorySanitizer has nothing to report */
} misuse;

#define MISUSE(act, call, what)                                                                                                    \
    {                                                                                                                              \
#act "_is_named", act, "iobuf: " call ": " what "\n", false                                                                \
    }

static misuse misuses[] = {
    MISUSE(release_twice_through_a_copy, "iobuf_slice_release", STALE),
    MISUSE(release_twice_after_the_place_was_cut_again, "iobuf_slice_release", STALE),
    MISUSE(release_twice_after_many_others, "iobuf_slice_release", STALE),
    MISUSE(release_twice_with_the_pool_closed, "iobuf_slice_release", STALE),
    MISUSE(release_twice_with_the_pool_gone, "iobuf_slice_release", GONE),
    MISUSE(release_twice_with_another_pool_in_the_place, "iobuf_slice_release", STALE),
    MISUSE(release_twice_on_two_threads, "iobuf_slice_release", STALE),
    MISUSE(release_twice_what_was_wrapped, "iobuf_slice_release", GONE),
    MISUSE(release_twice_what_was_wrapped_and_shared, "iobuf_slice_release", STALE),
    MISUSE(headroom_of_a_released_slice, "iobuf_slice_headroom", STALE),
    MISUSE(buf_size_of_a_released_slice, "iobuf_slice_buf_size", STALE),
    MISUSE(release_previous_with_a_released_slice, "iobuf_slice_release_previous", STALE),
    MISUSE(release_previous_of_a_released_slice, "iobuf_slice_release_previous", STALE),
    MISUSE(truncate_front_of_a_released_slice, "iobuf_slice_truncate_front", STALE),
    MISUSE(truncate_back_of_a_released_slice, "iobuf_slice_truncate_back", STALE),
    MISUSE(expand_front_of_a_released_slice, "iobuf_slice_expand_front", STALE),
    MISUSE(free_entire_prefix_of_a_released_slice, "iobuf_slice_free_entire_prefix", STALE),
    MISUSE(claim_prefix_of_a_released_slice, "iobuf_slice_claim_prefix", STALE),
    MISUSE(share_of_a_released_slice, "iobuf_slice_share", STALE),
    MISUSE(split_of_a_released_slice, "iobuf_slice_split", STALE),
    MISUSE(compact_of_a_released_slice, "iobuf_slice_compact", STALE),
    MISUSE(shrink_of_a_released_slice, "iobuf_allocator_shrink", STALE),
    MISUSE(coalesce_of_a_released_slice, "iobuf_coalesce", STALE),
    MISUSE(iovec_of_a_released_slice, "iobuf_slices_to_iovec", STALE),
    MISUSE(writev_of_a_released_slice, "iobuf_slices_to_iovec", STALE),
    MISUSE(a_copy_used_after_coalesce, "iobuf_slice_release", STALE),
    MISUSE(a_null_slice, "iobuf_slice_release", "slice is NULL"),
    MISUSE(a_handle_that_is_none, "iobuf_slice_release", "foreign handle: no buf of this library"),
    MISUSE(a_handle_that_points_nowhere, "iobuf_slice_release", "foreign handle: no buf of this library"),
    MISUSE(a_slice_that_reaches_beyond_its_buf, "iobuf_slice_release", BEYOND),
    MISUSE(a_slice_that_begins_before_its_buf, "iobuf_slice_truncate_back", BEYOND),
    MISUSE(a_prefix_that_begins_before_its_buf, "iobuf_slice_expand_front", BEYOND),
    MISUSE(bytes_at_null, "iobuf_slice_truncate_front", "invalid slice: bytes at NULL"),
    MISUSE(an_allocator_used_by_two_threads_at_once, "iobuf_alloc", TWO_THREADS),
    MISUSE(a_reader_used_by_two_threads_at_once, "iobuf_reader_read", TWO_THREADS),
};

static void misuse_is_named(void **state)
{
    const misuse *m = (const misuse *)*state;
    static ending e;
    if (!IOBUF_CHECKED)
        skip();
    run_in_child(m->act, &e);
    assert_message(&e, m->words);
}

/* ---- memory that nobody may touch ---- */

static volatile uint8_t sink;

/* MemorySanitizer reports a read only where something depends on it. */
static void look_at(const uint8_t *byte)
{
    if (*byte == 7)
        sink = 1;
}

static void read_a_released_slice(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_release(&x->s);
    look_at(&data[3]);
}

static void write_a_released_slice(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_release(&x->s);
    data[3] = 1;
}

static void write_past_the_newest_slice(void)
{
    scene *x = set_scene();
    iobuf_slice_data(&x->other)[10] = 1;
}

static void write_past_a_shrunk_slice(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->other);
    thread_require(iobuf_allocator_shrink(&x->a, &x->other, 4) == IOBUF_OK);
    data[4] = 1;
}

static void write_in_front_of_a_slice(void)
{
    scene *x = set_scene();
    iobuf_slice_data(&x->s)[-1] = 1;
}

static void read_what_was_truncated_in_front(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_truncate_front(&x->s, 8); /* AddressSanitizer sees whole words of 8 bytes */
    look_at(&data[3]);
}

static void read_what_was_truncated_at_the_back(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_truncate_back(&x->s, 8);
    look_at(&data[9]);
}

static void read_own_bytes_truncated_at_the_back(void)
{
    scene *x = set_scene();
    iobuf_slice part;
    uint8_t *data = iobuf_slice_data(&x->s);
    thread_require(iobuf_slice_share(&x->s, 9, 1, &part) == IOBUF_OK);
    iobuf_slice_truncate_back(&x->s, 10);
    look_at(iobuf_slice_data(&part)); /* still a slice's */
    look_at(&data[3]);
}

static void read_a_buf_that_is_free(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_truncate_front(&x->s, 10); /* kept, as long as there is a slice */
    iobuf_slice_release(&x->s);
    iobuf_slice_release(&x->other);
    iobuf_allocator_release(&x->a);
    look_at(&data[3]);
}

static void read_a_buf_that_began_again(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_truncate_front(&x->s, 10);
    iobuf_slice_release(&x->s);
    iobuf_slice_release(&x->other);
    thread_require(iobuf_alloc(&x->a, 240, &s) == IOBUF_OK);
    iobuf_slice_release(&s);
    look_at(&data[3]);
}

static void write_to_a_buf_that_is_free(void)
{
    scene *x = set_scene();
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_release(&x->s);
    iobuf_slice_release(&x->other);
    iobuf_allocator_release(&x->a);
    data[3] = 1;
}

static void read_behind_what_a_reader_got(void)
{
    scene *x = set_scene();
    source in = {.bytes = (const uint8_t *)"abc", .size = 3};
    iobuf_reader r;
    const uint8_t *bytes;
    size_t size;
    thread_require(iobuf_reader_init(&r, x->pool, source_read, &in) == IOBUF_OK);
    thread_require(iobuf_reader_peek(&r, 3, &bytes, &size) == IOBUF_OK && size == 3);
    look_at(&bytes[3]);
}

/* Every one is reported by AddressSanitizer and by Valgrind, where it happens; the reads by MemorySanitizer too. */
static misuse touches[] = {
    {"reading_a_released_slice_is_reported", read_a_released_slice, "READ", false},
    {"writing_a_released_slice_is_reported", write_a_released_slice, "WRITE", false},
    {"writing_past_the_newest_slice_is_reported", write_past_the_newest_slice, "WRITE", false},
    {"writing_past_a_shrunk_slice_is_reported", write_past_a_shrunk_slice, "WRITE", false},
    {"writing_in_front_of_a_slice_is_reported", write_in_front_of_a_slice, "WRITE", false},
    {"reading_what_was_truncated_in_front_is_reported", read_what_was_truncated_in_front, "READ", true},
    {"reading_what_was_truncated_at_the_back_is_reported", read_what_was_truncated_at_the_back, "READ", false},
    {"reading_own_bytes_truncated_at_the_back_is_reported", read_own_bytes_truncated_at_the_back, "READ", false},
    {"reading_a_free_buf_is_reported", read_a_buf_that_is_free, "READ", false},
    {"reading_a_buf_that_began_again_is_reported", read_a_buf_that_began_again, "READ", false},
    {"writing_to_a_free_buf_is_reported", write_to_a_buf_that_is_free, "WRITE", false},
    {"reading_behind_what_a_reader_got_is_reported", read_behind_what_a_reader_got, "READ", false},
};

static void touch_is_reported(void **state)
{
    const misuse *m = (const misuse *)*state;
    static ending e;
    if (!IOBUF_CHECKED || (!WITH_ASAN && !RUNNING_ON_VALGRIND && (!WITH_MSAN || m->kept || strcmp(m->words, "READ") != 0)))
        skip();
    run_in_child(m->act, &e);
    assert_true(WIFSIGNALED(e.status) || WEXITSTATUS(e.status) != 0);
    if (WITH_ASAN) {
        assert_non_null(strstr(e.words, "AddressSanitizer: use-after-poison"));
        assert_non_null(strstr(e.words, m->words));
    }
    if (WITH_MSAN)
        assert_non_null(strstr(e.words, "MemorySanitizer: use-of-uninitialized-value"));
}

static void use_what_was_never_written(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    thread_require(iobuf_alloc(&x->a, 4, &s) == IOBUF_OK);
    if (iobuf_slice_data(&s)[2] == 7)
        sink = 1;
}

static void use_what_an_earlier_slice_wrote(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    iobuf_slice_release(&x->s);
    iobuf_slice_release(&x->other);
    thread_require(iobuf_alloc(&x->a, 240, &s) == IOBUF_OK); /* from the start of the buf again */
    if (iobuf_slice_data(&s)[2] == 7)
        sink = 1;
}

static misuse unwritten[] = {
    {"using_what_was_never_written_is_reported", use_what_was_never_written, "", false},
    {"using_what_an_earlier_slice_wrote_is_reported", use_what_an_earlier_slice_wrote, "", false},
};

static void use_is_reported(void **state)
{
    const misuse *m = (const misuse *)*state;
    static ending e;
    if (!IOBUF_CHECKED || (!WITH_MSAN && !RUNNING_ON_VALGRIND))
        skip();
    run_in_child(m->act, &e);
    assert_true(WIFSIGNALED(e.status) || WEXITSTATUS(e.status) != 0);
    if (WITH_MSAN)
        assert_non_null(strstr(e.words, "MemorySanitizer: use-of-uninitialized-value"));
}

/* ---- the pattern, without any tool ---- */

static void write_past_a_slice_and_alloc(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    iobuf_slice_data(&x->other)[10] = 1;
    (void)iobuf_alloc(&x->a, 4, &s);
}

static void write_to_a_free_buf_and_take_it(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    uint8_t *data = iobuf_slice_data(&x->s);
    iobuf_slice_release(&x->s);
    iobuf_slice_release(&x->other);
    iobuf_allocator_release(&x->a);
    data[3] = 1;
    thread_require(iobuf_allocator_init(&x->a, x->pool, 0) == IOBUF_OK);
    (void)iobuf_alloc(&x->a, 4, &s);
}

static void write_past_a_slice_and_go_on_in_another_buf(void)
{
    scene *x = set_scene();
    iobuf_slice s;
    iobuf_slice_data(&x->other)[100] = 1;
    (void)iobuf_alloc(&x->a, 240, &s);
}

static void write_past_a_slice_and_end(void)
{
    scene *x = set_scene();
    iobuf_slice_data(&x->other)[219] = 1; /* the last byte of the buf */
    iobuf_allocator_release(&x->a);
}

#define BEHIND "bytes that no slice has were written to, behind a slice's end"

static misuse traces[] = {
    MISUSE(write_past_a_slice_and_alloc, "checked build", BEHIND),
    MISUSE(write_past_a_slice_and_go_on_in_another_buf, "checked build", BEHIND),
    MISUSE(write_past_a_slice_and_end, "checked build", BEHIND),
    MISUSE(write_to_a_free_buf_and_take_it, "checked build", "a free buf was written to: a slice was used after its release"),
};

static void trace_is_named(void **state)
{
    const misuse *m = (const misuse *)*state;
    static ending e;
    if (!IOBUF_CHECKED || WITH_ASAN || WITH_MSAN || RUNNING_ON_VALGRIND)
        skip();
    run_in_child(m->act, &e);
    assert_message(&e, m->words);
}

/* ---- what is no misuse ---- */

static void use_everything_rightly(void)
{
    scene *x = set_scene();
    iobuf_slice part, tail, moved = x->s;
    thread_require(iobuf_slice_expand_front(&moved, 8));
    memset(iobuf_slice_data(&moved), 1, 18);
    iobuf_slice_truncate_front(&moved, 10);
    thread_require(iobuf_slice_expand_front(&moved, 10));
    look_at(iobuf_slice_data(&moved) + 9);
    thread_require(iobuf_slice_share(&moved, 2, 5, &part) == IOBUF_OK);
    thread_require(iobuf_slice_split(&moved, 9, &tail) == IOBUF_OK);
    iobuf_slice_truncate_back(&moved, 7); /* what is cut off is all shared */
    look_at(iobuf_slice_data(&part) + 4);
    iobuf_slice_release(&moved);
    look_at(iobuf_slice_data(&part) + 4);
    iobuf_slice_release_previous(&x->other, &tail);
    iobuf_slice_release(&part);
    thread_require(iobuf_slice_claim_prefix(&x->other));
    thread_require(iobuf_slice_expand_front(&x->other, 20));
    memset(iobuf_slice_data(&x->other), 2, 30);
    iobuf_slice_release(&x->other);
    iobuf_allocator_release(&x->a);
    iobuf_pool_close(x->pool);
    thread_require(atomic_load(&x->b.live) == 0);
}

static void right_use_says_nothing(void **state)
{
    (void)state;
    static ending e;
    run_in_child(use_everything_rightly, &e);
    assert_string_equal(e.words, "it went on\n");
    assert_int_equal(e.status, 0);
}

int main(void)
{
    static struct CMUnitTest tests[COUNT_OF(misuses) + COUNT_OF(touches) + COUNT_OF(unwritten) + COUNT_OF(traces) + 1];
    static const struct {
        misuse *list;
        size_t count;
        CMUnitTestFunction run;
    } groups[] = {
        {misuses, COUNT_OF(misuses), misuse_is_named},
        {touches, COUNT_OF(touches), touch_is_reported},
        {unwritten, COUNT_OF(unwritten), use_is_reported},
        {traces, COUNT_OF(traces), trace_is_named},
    };
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(groups); i++)
        for (size_t j = 0; j < groups[i].count; j++)
            tests[count++] = (struct CMUnitTest){groups[i].list[j].name, groups[i].run, NULL, NULL, &groups[i].list[j]};
    tests[count] = (struct CMUnitTest)cmocka_unit_test(right_use_says_nothing);
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
