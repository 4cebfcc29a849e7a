/* What checked builds add: tables of live handles, poisoned memory, and the messages. Its own memory is malloc's, not the
 * pool's backing's, and not counted. */
#include "internal.h"

#if IOBUF_CHECKED

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#if defined(WITH_ASAN)
#include <sanitizer/asan_interface.h>
#elif defined(WITH_MSAN)
#include <sanitizer/msan_interface.h>
#elif !defined(WITH_TSAN) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define WITH_VALGRIND 1
#endif
#endif

#define PATTERN 0xdf
#define MAGIC 0x10b0f
#define TAGS_FIRST 1024u /* handles of one buf, to begin with; up to 65536 */
#define TAGS_MOST 65536u

struct check_table {
    lock lock;
    uint32_t magic;
    uint32_t live, size, next;
    uint64_t *bits;
};

#if defined(WITH_ASAN) || defined(WITH_MSAN) || defined(WITH_TSAN)
#include <sanitizer/common_interface_defs.h>
#include <unwind.h>

/* A line for each function that is not the library's; inlined ones, told behind the innermost, each as a string. */
static _Unwind_Reason_Code print_frame(struct _Unwind_Context *context, void *library)
{
    char frames[4096] = "";          /* for MemorySanitizer, which does not see what is written here */
    if (_Unwind_GetIP(context) == 0) /* behind the first function of a thread */
        return _URC_NO_REASON;
    __sanitizer_symbolize_pc((void *)_Unwind_GetIP(context), "    at %f %L", frames, sizeof frames);
    for (const char *f = frames; *f != '\0'; f += strlen(f) + 1)
        if (*(const char *)library == '\0' || strstr(f, library) == NULL)
            fprintf(stderr, "%s\n", f);
    return _URC_NO_REASON;
}

/* By what calls it came to this. The first line is where the mistake is: the library's own frames, known by the folder of their
 * source, are left out. */
static void print_stack(const char *call, const char *what)
{
    (void)call;
    (void)what;
    char library[] = __FILE__;
    char *name = strrchr(library, '/');
    library[name == NULL ? 0 : name + 1 - library] = '\0';
    _Unwind_Backtrace(print_frame, library);
}
#else
static void print_stack(const char *call, const char *what)
{
#if defined(WITH_VALGRIND)
    VALGRIND_PRINTF_BACKTRACE("%s: %s\n", call, what); /* as one of its own reports, library and all */
#else
    (void)call;
    (void)what;
#endif
}
#endif

static _Noreturn void fail(const char *call, const char *what)
{
    fprintf(stderr, "iobuf: %s: %s\n", call, what);
    print_stack(call, what);
    abort();
}

/* realloc, so that what makes malloc and calloc fail does not meet these tables, without which there is no going on. Of
 * NULL that a compiler knows of, and memset, it would make calloc. */
static void *get_memory(size_t size)
{
    void *none = NULL;
    __asm__("" : "+r"(none));
    void *memory = realloc(none, size);
    if (memory == NULL)
        fail("checked build", "no memory for its own tables");
    return memset(memory, 0, size);
}

/* ------------------------------------------------------------------------------------------------------------- handles */

#if SIZE_MAX > UINT32_MAX
#define TAG_SHIFT 48

static struct buf *handle_buf(const iobuf_slice *s)
{
    return (struct buf *)((uintptr_t)s->buf_ & (((uintptr_t)1 << TAG_SHIFT) - 1));
}

static uint32_t handle_tag(const iobuf_slice *s)
{
    return (uint32_t)((uintptr_t)s->buf_ >> TAG_SHIFT);
}

static void set_tag(iobuf_slice *s, uint32_t tag)
{
    s->buf_ = (struct iobuf_buf *)((uintptr_t)s->buf_ | (uintptr_t)tag << TAG_SHIFT);
}
#else
static struct buf *handle_buf(const iobuf_slice *s)
{
    return buf_from(s->buf_);
}

static uint32_t handle_tag(const iobuf_slice *s)
{
    return s->tag_;
}

static void set_tag(iobuf_slice *s, uint32_t tag)
{
    s->tag_ = tag;
}
#endif

static bool has_tag(const struct check_table *t, uint32_t tag)
{
    return tag < t->size && (t->bits[tag / 64] >> tag % 64 & 1) != 0;
}

static void grow(struct check_table *t)
{
    uint64_t *bits = get_memory(t->size / 4);
    memcpy(bits, t->bits, t->size / 8);
    free(t->bits);
    t->bits = bits;
    t->size *= 2;
}

/* How many bufs there are whose addresses lead to a place, and whether there was one ever: so that a handle is known to be of a buf
 * that is gone, as its pool or what was wrapped is, without a look at what is there now. Of two at one place, one hides the other's
 * end; that is rare enough. Relaxed, all: a handle that is good came here with its buf's address, so behind the adding, and
 * ThreadSanitizer is to see no order that a build without checks lacks. */
#define PLACES 65536u
static uint32_t bufs_at[PLACES];
static bool was_at[PLACES];

static uint32_t place_of(const struct buf *b)
{
    return (uint32_t)((uintptr_t)b >> 4) * 2654435761u >> 16;
}

void check_adopt_buf(struct buf *b)
{
    /* A descriptor where another was is not to give out the same tags again: a handle of the other would pass. */
    static uint32_t first;
    if (b->handles != NULL)
        return;
    atomic_set(&was_at[place_of(b)], true, RELAXED);
    atomic_add(&bufs_at[place_of(b)], 1, RELAXED);
    b->handles = get_memory(sizeof *b->handles);
    lock_init(&b->handles->lock);
    b->handles->magic = MAGIC;
    b->handles->size = TAGS_FIRST;
    b->handles->next = atomic_add(&first, TAGS_FIRST / 16 - 1, RELAXED) % TAGS_FIRST;
    b->handles->bits = get_memory(TAGS_FIRST / 8);
}

void check_forget_buf(struct buf *b)
{
    if (b->handles == NULL)
        return;
    atomic_add(&bufs_at[place_of(b)], (uint32_t)-1, RELAXED);
    lock_destroy(&b->handles->lock);
    free(b->handles->bits);
    free(b->handles);
    b->handles = NULL;
}

/* Tag 0 is a handle that is not checked: of the 65,536th and later live slices of one buf. */
void check_handle_new(iobuf_slice *s)
{
    struct buf *b = handle_buf(s);
    if (b == NULL)
        return;
    struct check_table *t = b->handles;
    lock_acquire(&t->lock);
    if (t->live >= t->size / 2 && t->size < TAGS_MOST)
        grow(t);
    uint32_t tag = 0;
    if (t->live < t->size - 1) {
        do {
            t->next = t->next % (t->size - 1) + 1; /* 1 to size - 1, in turn */
        } while (has_tag(t, t->next));
        tag = t->next;
        t->bits[tag / 64] |= (uint64_t)1 << tag % 64;
        t->live++;
    }
    lock_release(&t->lock);
    set_tag(s, tag);
}

void check_handle_gone(const iobuf_slice *s)
{
    struct buf *b = handle_buf(s);
    uint32_t tag = handle_tag(s);
    if (b == NULL || tag == 0)
        return;
    struct check_table *t = b->handles;
    lock_acquire(&t->lock);
    t->bits[tag / 64] &= ~((uint64_t)1 << tag % 64);
    t->live--;
    lock_release(&t->lock);
}

struct buf *check_handle(const iobuf_slice *s, const char *call)
{
    if (s == NULL)
        fail(call, "slice is NULL");
    struct buf *b = handle_buf(s);
    if (b == NULL) {
        if (s->data_ == NULL && s->size_ != 0)
            fail(call, "invalid slice: bytes at NULL");
        return NULL;
    }
    if (atomic_get(&bufs_at[place_of(b)], RELAXED) == 0)
        fail(call, atomic_get(&was_at[place_of(b)], RELAXED) ? "stale handle: its buf is gone; the slice was released before"
                                                             : "foreign handle: no buf of this library");
    if (b->handles == NULL || b->handles->magic != MAGIC)
        fail(call, "foreign handle: no buf of this library");
    lock_acquire(&b->handles->lock);
    bool live = handle_tag(s) == 0 || has_tag(b->handles, handle_tag(s));
    lock_release(&b->handles->lock);
    if (!live)
        fail(call, "stale handle: the slice was released before, perhaps through a copy");
    struct front f = slice_front(s);
    size_t offset = (size_t)((uintptr_t)s->data_ - (uintptr_t)b->head.start_);
    if (offset > b->size || s->size_ > b->size - offset || f.headroom > offset)
        fail(call, "invalid slice: reaches beyond its buf");
    return b;
}

bool check_same_buf(const iobuf_slice *a, const iobuf_slice *b)
{
    return handle_buf(a) == handle_buf(b);
}

void check_enter(uint32_t *busy, const char *call)
{
    if (atomic_swap(busy, 1, ACQUIRE) != 0) /* pairs with the store in check_leave */
        fail(call, "used by two threads at once");
}

void check_leave(uint32_t *busy)
{
    atomic_set(busy, 0, RELEASE); /* pairs with the swap in check_enter, should another thread be next */
}

/* -------------------------------------------------------------------------------------------------------------- memory */

/* True where an outer tool watches the bytes, and no pattern is written. */
static bool watched(void)
{
#if defined(WITH_ASAN) || defined(WITH_MSAN)
    return true;
#elif defined(WITH_VALGRIND)
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

void check_poison_keep(void *bytes, size_t size)
{
#if defined(WITH_ASAN)
    __asan_poison_memory_region(bytes, size);
#elif defined(WITH_VALGRIND)
    VALGRIND_MAKE_MEM_NOACCESS(bytes, size);
#else
    (void)bytes;
    (void)size;
#endif
}

void check_poison(void *bytes, size_t size)
{
    if (!watched())
        memset(bytes, PATTERN, size);
    check_poison_keep(bytes, size);
#if defined(WITH_MSAN)
    __msan_poison(bytes, size);
#endif
}

void check_unpoison(void *bytes, size_t size)
{
#if defined(WITH_ASAN)
    __asan_unpoison_memory_region(bytes, size);
#elif defined(WITH_VALGRIND)
    VALGRIND_MAKE_MEM_DEFINED(bytes, size);
#else
    (void)bytes;
    (void)size;
#endif
}

void check_intact(const void *bytes, size_t size, const char *what)
{
    const uint8_t *p = bytes;
    if (watched() || size == 0)
        return;
    if (p[0] != PATTERN || memcmp(p, p + 1, size - 1) != 0)
        fail("checked build", what);
}

void check_unpoison_new(const iobuf_slice *s)
{
    check_unpoison(s->data_, s->size_);
#if defined(WITH_MSAN)
    __msan_poison(s->data_, s->size_);
#elif defined(WITH_VALGRIND)
    VALGRIND_MAKE_MEM_UNDEFINED(s->data_, s->size_);
#endif
}

void check_poison_slice(const iobuf_slice *s, size_t from, size_t to)
{
    struct buf *b = handle_buf(s);
    if (b != NULL && b->pool != NULL && from < to)
        check_poison_keep(s->data_ + from, to - from);
}

void check_lose_slice(const iobuf_slice *s, size_t from, size_t to)
{
    check_poison_slice(s, from, to);
#if defined(WITH_MSAN)
    struct buf *b = handle_buf(s);
    if (b != NULL && b->pool != NULL && from < to)
        __msan_poison(s->data_ + from, to - from);
#endif
}

void check_unpoison_slice(const iobuf_slice *s, size_t size)
{
    struct buf *b = handle_buf(s);
    if (b != NULL && b->pool != NULL)
        check_unpoison(s->data_, size);
}

#else
typedef int check_has_nothing_to_do; /* a translation unit is not empty */
#endif
