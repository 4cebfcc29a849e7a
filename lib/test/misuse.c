/* Every misuse that a checked build promises to report, one for each word: `misuse WORD` makes the mistake in the line marked with
 * that word, and goes on to where a build without a memory checker notices. misuse.sh knows what is to be said, and where.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <iobuf/iobuf.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Two slices of one buf of 256 bytes; 8 bytes that are nobody's are in front of each, and all behind the second. */
static iobuf_pool *pool;
static iobuf_allocator allocator;
static iobuf_slice first, newest;

static void require(bool true_)
{
    if (!true_) {
        fprintf(stderr, "misuse: could not get so far\n");
        exit(3);
    }
}

static void set_scene(void)
{
    iobuf_pool_options options = {.min_size = 256};
    require(iobuf_pool_create(&options, &pool) == IOBUF_OK);
    require(iobuf_allocator_init(&allocator, pool, 8) == IOBUF_OK);
    require(iobuf_copy(&allocator, "0123456789abcdef", 16, &first) == IOBUF_OK);
    require(iobuf_copy(&allocator, "0123456789abcdef", 16, &newest) == IOBUF_OK);
}

/* Gives up all that set_scene took. */
static void end_scene(void)
{
    iobuf_slice_release(&first);
    iobuf_slice_release(&newest);
    iobuf_allocator_release(&allocator);
    iobuf_pool_close(pool);
}

static volatile uint8_t sink;

/* ---- a slice is used after its release ---- */

static void use_after_release(void)
{
    iobuf_slice copy = first;
    iobuf_slice_release(&first);
    iobuf_slice_truncate_front(&copy, 4); /* misuse: use_after_release */
}

static void read_after_release(void)
{
    const uint8_t *bytes = iobuf_slice_data(&first);
    iobuf_slice_release(&first);
    sink = bytes[3]; /* misuse: read_after_release */
}

static void write_after_release(void)
{
    iobuf_slice s;
    uint8_t *bytes = iobuf_slice_data(&first);
    iobuf_slice_release(&first);
    iobuf_slice_release(&newest);
    iobuf_allocator_release(&allocator); /* and so the buf is free */
    bytes[3] = 1;                        /* misuse: write_after_release */
    require(iobuf_allocator_init(&allocator, pool, 0) == IOBUF_OK);
    (void)iobuf_alloc(&allocator, 16, &s); /* which the same buf is taken for */
}

/* ---- and released once more ---- */

static void double_release(void)
{
    iobuf_slice copy = first;
    iobuf_slice_release(&first);
    iobuf_slice_release(&copy); /* misuse: double_release */
}

/* ---- bytes are written to that no slice has ---- */

static void write_past_slice(void)
{
    iobuf_slice s;
    iobuf_slice_data(&newest)[16] = 1; /* misuse: write_past_slice */
    (void)iobuf_alloc(&allocator, 16, &s);
}

static void write_past_inner_slice(void)
{
    iobuf_slice_data(&first)[16] = 1; /* misuse: write_past_inner_slice */
}

static void write_unallocated_tail(void)
{
    iobuf_slice s;
    iobuf_slice_data(&newest)[150] = 1;     /* misuse: write_unallocated_tail */
    (void)iobuf_alloc(&allocator, 250, &s); /* which the next buf is taken for */
}

static void write_unallocated_tail_and_end(void)
{
    iobuf_slice_data(&newest)[150] = 1; /* misuse: write_unallocated_tail_and_end */
    iobuf_allocator_release(&allocator);
}

/* ---- the pool is closed, and all its bufs are gone ---- */

static void use_after_close(void)
{
    iobuf_slice copy = first;
    end_scene();
    (void)iobuf_slice_headroom(&copy); /* misuse: use_after_close */
}

static void double_release_after_close(void)
{
    iobuf_slice copy = first;
    end_scene();
    set_scene();                /* where the first pool was, another may be now */
    iobuf_slice_release(&copy); /* misuse: double_release_after_close */
}

static void read_after_close(void)
{
    const uint8_t *bytes = iobuf_slice_data(&first);
    end_scene();
    sink = bytes[3]; /* misuse: read_after_close */
}

/* ---- two threads at once: the second comes while the first is within a callback ---- */

static iobuf_reader reader;

static void *alloc_there(void *argument)
{
    iobuf_slice s;
    (void)iobuf_alloc(&allocator, 16, &s); /* misuse: allocator_on_two_threads */
    return argument;
}

static void *release_there(void *argument)
{
    iobuf_allocator_release(&allocator); /* misuse: allocator_released_meanwhile */
    return argument;
}

static void *read_there(void *argument)
{
    iobuf_slice s;
    (void)iobuf_reader_read(&reader, 1, &s); /* misuse: reader_on_two_threads */
    return argument;
}

static void meanwhile(void *(*act)(void *))
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, act, NULL) == 0);
    require(pthread_join(thread, NULL) == 0);
}

static void *(*meanwhile_act)(void *); /* as memory is asked for */

static void *allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    void *memory;
    if (meanwhile_act != NULL)
        meanwhile(meanwhile_act);
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void alloc_while(void *(*act)(void *))
{
    iobuf_pool_options options = {.backing = {allocate, deallocate, NULL}};
    iobuf_slice s;
    end_scene();
    require(iobuf_pool_create(&options, &pool) == IOBUF_OK);
    require(iobuf_allocator_init(&allocator, pool, 0) == IOBUF_OK);
    meanwhile_act = act;
    (void)iobuf_alloc(&allocator, 16, &s);
}

static void allocator_on_two_threads(void)
{
    alloc_while(alloc_there);
}

static void allocator_released_meanwhile(void)
{
    alloc_while(release_there);
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

static void reader_on_two_threads(void)
{
    iobuf_slice s;
    require(iobuf_reader_init(&reader, pool, read_and_meet, NULL) == IOBUF_OK);
    (void)iobuf_reader_read(&reader, 1, &s);
}

/* ---- handles that are none ---- */

static void foreign_handle(void)
{
    iobuf_slice forged = first;
    memset(&forged.buf_, 0x5a, sizeof forged.buf_);
    iobuf_slice_release(&forged); /* misuse: foreign_handle */
}

static void invalid_slice(void)
{
    first.size_ = 1000;
    iobuf_slice_truncate_back(&first, 1); /* misuse: invalid_slice */
}

/* ---- no misuse: what is to pass, and what callgrind counts ---- */

static ssize_t give(void *context, void *into, size_t room, int *error)
{
    size_t size = room < 100 ? room : 100;
    memset(into, 1, size);
    *error = 0;
    return *(bool *)context ? (ssize_t)size : 0;
}

static void ignore_free(void *bytes, size_t size, void *context)
{
    (void)bytes;
    (void)size;
    (void)context;
}

static void cut_and_join(void)
{
    iobuf_slice s, part, both[2];
    size_t count;
    require(iobuf_alloc(&allocator, 40, &s) == IOBUF_OK);
    require(iobuf_allocator_shrink(&allocator, &s, 36) == IOBUF_OK);
    memset(iobuf_slice_data(&s), 2, 36);
    require(iobuf_slice_expand_front(&s, 8));
    iobuf_slice_truncate_front(&s, 4);
    require(iobuf_slice_share(&s, 4, 8, &part) == IOBUF_OK);
    iobuf_slice_release(&part);
    require(iobuf_slice_split(&s, 20, &both[1]) == IOBUF_OK);
    both[0] = s;
    count = iobuf_coalesce(both, 2, 100);
    require(count == 1);
    iobuf_slice_truncate_back(&both[0], 4);
    (void)iobuf_slice_claim_prefix(&both[0]);
    require(iobuf_slice_compact(&both[0], &allocator) == IOBUF_OK);
    require(iobuf_copy(&allocator, "abc", 3, &both[1]) == IOBUF_OK);
    iobuf_slice_release_previous(&both[1], &both[0]);
    (void)(iobuf_slice_headroom(&both[1]) + iobuf_slice_buf_size(&both[1]));
    iobuf_slice_release(&both[1]);
}

static void no_misuse(void)
{
    static uint8_t bytes[8];
    bool more = true;
    iobuf_slice s;
    iobuf_pool_stats stats;
    require(iobuf_reader_init(&reader, pool, give, &more) == IOBUF_OK);
    for (int i = 0; i < 1000; i++) {
        cut_and_join();
        require(iobuf_reader_read(&reader, 33, &s) == IOBUF_OK);
        iobuf_slice_release(&s);
        require(iobuf_slice_wrap(bytes, sizeof bytes, ignore_free, NULL, &s) == IOBUF_OK);
        iobuf_slice_release(&s);
        iobuf_pool_stats_get(pool, &stats);
    }
    iobuf_reader_close(&reader);
    require(iobuf_slice_size(&newest) == 16 && memcmp(iobuf_slice_data(&newest), "0123456789abcdef", 16) == 0);
    end_scene();
}

static const struct {
    const char *word;
    void (*act)(void);
} misuses[] = {
#define MISUSE(word)                                                                                                               \
    {                                                                                                                              \
#word, word                                                                                                                \
    }
    MISUSE(use_after_release),
    MISUSE(read_after_release),
    MISUSE(write_after_release),
    MISUSE(double_release),
    MISUSE(write_past_slice),
    MISUSE(write_past_inner_slice),
    MISUSE(write_unallocated_tail),
    MISUSE(write_unallocated_tail_and_end),
    MISUSE(use_after_close),
    MISUSE(double_release_after_close),
    MISUSE(read_after_close),
    MISUSE(allocator_on_two_threads),
    MISUSE(allocator_released_meanwhile),
    MISUSE(reader_on_two_threads),
    MISUSE(foreign_handle),
    MISUSE(invalid_slice),
    MISUSE(no_misuse),
};

int main(int argc, char **argv)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; argc == 2 && i < COUNT_OF(misuses); i++)
        if (strcmp(argv[1], misuses[i].word) == 0) {
            set_scene();
            misuses[i].act();
            fprintf(stderr, "it went on\n");
            return 0;
        }
    fprintf(stderr, "usage: misuse WORD, one of");
    for (size_t i = 0; i < COUNT_OF(misuses); i++)
        fprintf(stderr, " %s", misuses[i].word);
    fprintf(stderr, "\n");
    return 2;
}
