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

/* The block that begins there, if it is one and bytes agree: so nothing is cleared from one input to the next. */
enum { GRAIN = 16 }; /* no two blocks of the arena begin within one */
static uint16_t block_at[ARENA / GRAIN];
_Static_assert(MEMORY_BLOCKS <= UINT16_MAX, "a block's number fits");

void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__real_realloc(void *bytes, size_t size);
void __real_free(void *bytes);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **bytes, size_t alignment, size_t size);
void *__wrap_realloc(void *bytes, size_t size);
void __wrap_free(void *bytes);

/* Both out of line: a build for another sanitizer that calls AddressSanitizer here and there passes for one of that, at OSS-Fuzz.
 */
__attribute__((noinline)) static void poison(const void *bytes, size_t size)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(bytes, size);
}

__attribute__((noinline)) static void unpoison(const void *bytes, size_t size)
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
    alignment = alignment > GRAIN ? alignment : GRAIN; /* a power of two */
    size_t at = (arena_used + alignment - 1) & ~(alignment - 1);
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
        if (!m->real)
            block_at[((uint8_t *)bytes - arena) / GRAIN] = (uint16_t)m->count;
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
    memory *m = &the_memory;
    const uintptr_t offset = (uintptr_t)bytes - (uintptr_t)arena;
    if (m->real) {
        for (size_t i = m->count; i-- > 0;)
            if (m->block[i].bytes == bytes && m->block[i].live)
                return &m->block[i];
        return NULL;
    }
    const size_t i = offset < ARENA ? block_at[offset / GRAIN] : m->count;
    return i < m->count && m->block[i].bytes == bytes ? &m->block[i] : NULL;
}

bool memory_is_live(const void *bytes, int owner)
{
    const memory_block *b = find(bytes);
    return b && b->live && b->owner == owner;
}

static void end_block(memory_block *b)
{
    memory *m = &the_memory;
    b->live = false;
    m->live[b->owner]--;
    if (m->real)
        __real_free(b->bytes);
    else
        poison(b->bytes, b->size);
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
    end_block(b);
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
    void *bytes = m->real || (size && count > ARENA / size) ? NULL : add_block(count * size, GRAIN, MEMORY_OTHER);
    if (bytes)
        return memset(bytes, 0, count * size);
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
    memory *m = &the_memory;
    const memory_block *old = m->inside && bytes ? find(bytes) : NULL;
    if (!m->inside || (bytes && !old))
        return __real_realloc(bytes, size);
    void *taken = m->real ? NULL : add_block(size, GRAIN, MEMORY_OTHER);
    if (taken && old) {
        memcpy(taken, bytes, old->size < size ? old->size : size);
        __wrap_free(bytes);
    }
    if (taken || old)
        return taken;
    m->heap++;
    return __real_realloc(NULL, size);
}

void __wrap_free(void *bytes)
{
    if (!the_memory.inside || !bytes) {
        __real_free(bytes);
        return;
    }
    memory_block *b = find(bytes);
    if (b && b->live && b->owner == MEMORY_OTHER) {
        end_block(b);
    } else if (b) {
        memory_drop(bytes, b->size, MEMORY_HEAP);
    } else {
        the_memory.heap--;
        __real_free(bytes);
    }
}
