/* See memory.h. The __wrap_ functions stand, by the linker's --wrap, for the C library's in everything that is linked; outside
 * of the library's calls they do nothing but pass on. */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define ALWAYS_REAL true
#endif
#endif
#if !defined(ALWAYS_REAL)
#define ALWAYS_REAL false
#endif

/* What no block of the arena covers, and what was given back, is poisoned where AddressSanitizer is linked: it reports a use as it
 * does with malloc's, but for the place where the block was allocated, which replay, with malloc, adds. Its own allocator takes
 * fresh pages for most of what an input asks for, and costs more than all else. */
void __asan_poison_memory_region(const volatile void *bytes, size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *bytes, size_t size) __attribute__((weak));
enum { REDZONE = 64 };

enum { ARENA = MEMORY_BUDGET + (8 << 20) };

memory the_memory;
void (*memory_asked)(bool injected);
static _Alignas(4096) uint8_t arena[ARENA];
static size_t arena_used = ARENA; /* poisoned as a whole by the first reset */

void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__real_realloc(void *bytes, size_t size);
void __real_free(void *bytes);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **bytes, size_t alignment, size_t size);
void *__wrap_realloc(void *bytes, size_t size);
void __wrap_free(void *bytes);

static void poison(const void *bytes, size_t size)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(bytes, size);
}

static void unpoison(const void *bytes, size_t size)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(bytes, size);
}

void memory_reset(bool real)
{
    memset(&the_memory, 0, offsetof(memory, block));
    the_memory.real = real || ALWAYS_REAL;
    poison(arena, arena_used);
    arena_used = 0;
}

/* Gives back what is still there: what was lent, and what leaked. */
void memory_end(void)
{
    if (the_memory.real)
        for (size_t i = 0; i < the_memory.count; i++)
            if (the_memory.block[i].live)
                __real_free(the_memory.block[i].bytes);
    the_memory.count = 0;
}

bool memory_should_fail(void)
{
    memory *m = &the_memory;
    if (!m->fail_in)
        return false;
    if (m->fail_in > 1) {
        m->fail_in--;
        return false;
    }
    if (!m->fail_always)
        m->fail_in = 0;
    return true;
}

static void *get_bytes(size_t size, size_t alignment)
{
    void *bytes = NULL;
    if (the_memory.real)
        return __real_posix_memalign(&bytes, alignment, size) ? NULL : bytes;
    size_t at = (arena_used + alignment - 1) / alignment * alignment;
    if (at >= ARENA || size >= ARENA - REDZONE - at)
        return NULL;
    arena_used = at + size + (__asan_poison_memory_region ? REDZONE : size == 0); /* no two blocks begin at one place */
    unpoison(arena + at, size);
    return arena + at;
}

static void *add_block(size_t size, size_t alignment, int owner)
{
    memory *m = &the_memory;
    void *bytes = m->count < MEMORY_BLOCKS ? get_bytes(size, alignment) : NULL;
    if (bytes) {
        m->block[m->count++] = (memory_block){bytes, size, owner, true};
        m->live[owner]++;
    }
    return bytes;
}

void *memory_take(size_t size, size_t alignment, int owner)
{
    memory *m = &the_memory;
    void *bytes = NULL;
    const bool injected = memory_should_fail();
    if (memory_asked)
        memory_asked(injected);
    if (m->locks && owner < MEMORY_FOREIGN)
        m->misuse = "backing_is_called_without_locks";
    if (!injected && size <= MEMORY_MOST && size <= MEMORY_BUDGET - m->used) {
        m->used += size;
        bytes = add_block(size, alignment, owner);
    }
    if (!bytes)
        m->refused = true;
    return bytes;
}

static memory_block *find(const void *bytes)
{
    for (size_t i = the_memory.count; i-- > 0;)
        if (the_memory.block[i].bytes == bytes && (the_memory.block[i].live || !the_memory.real))
            return &the_memory.block[i];
    return NULL;
}

bool memory_is_live(const void *bytes, int owner)
{
    const memory_block *b = find(bytes);
    return b && b->live && b->owner == owner;
}

void memory_drop(void *bytes, size_t size, int owner)
{
    memory *m = &the_memory;
    memory_block *b = find(bytes);
    m->dropped = true;
    if (m->locks && owner < MEMORY_FOREIGN)
        m->misuse = "backing_is_called_without_locks";
    if (owner < MEMORY_FOREIGN && m->drops < MEMORY_DROPS)
        m->drop[m->drops++] = bytes;
    if (!b || !b->live || b->owner != owner) {
        m->misuse = "backing_gets_only_what_it_gave";
        return;
    }
    if (b->size != size)
        m->misuse = "backing_gets_the_size_it_gave";
    b->live = false;
    m->live[owner]--;
    if (m->real)
        __real_free(bytes);
    else
        poison(bytes, b->size);
}

void *memory_lend(size_t size)
{
    void *bytes = add_block(size, 16, MEMORY_FOREIGN);
    if (!bytes)
        abort(); /* the harness bounds what it lends: see lendable in ops.c */
    return bytes;
}

static void *allocate(void *context, size_t size, size_t alignment)
{
    return memory_take(size, alignment, (int)(intptr_t)context);
}

static void deallocate(void *context, void *bytes, size_t size)
{
    memory_drop(bytes, size, (int)(intptr_t)context);
}

iobuf_backing memory_backing(int pool)
{
    return (iobuf_backing){allocate, deallocate, (void *)(intptr_t)pool};
}

void *__wrap_calloc(size_t count, size_t size)
{
    memory *m = &the_memory;
    if (!m->inside)
        return __real_calloc(count, size);
    if (memory_asked)
        memory_asked(m->fail_heap);
    if (m->fail_heap) {
        m->fail_heap = false;
        m->refused = true;
        return NULL;
    }
    m->heap++;
    return __real_calloc(count, size);
}

int __wrap_posix_memalign(void **bytes, size_t alignment, size_t size)
{
    if (!the_memory.inside)
        return __real_posix_memalign(bytes, alignment, size);
    void *taken = memory_take(size, alignment, MEMORY_HEAP);
    if (!taken)
        return ENOMEM;
    *bytes = taken;
    return 0;
}

/* The tables of checked builds; never fails, but must be freed. */
void *__wrap_realloc(void *bytes, size_t size)
{
    the_memory.heap += the_memory.inside && !bytes;
    return __real_realloc(bytes, size);
}

void __wrap_free(void *bytes)
{
    if (!the_memory.inside || !bytes) {
        __real_free(bytes);
        return;
    }
    memory_block *b = find(bytes);
    if (b) {
        memory_drop(bytes, b->size, MEMORY_HEAP);
    } else {
        the_memory.heap--;
        __real_free(bytes);
    }
}
