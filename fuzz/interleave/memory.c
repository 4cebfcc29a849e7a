/* Who wrote and read each byte last is kept as in FastTrack (Flanagan, Freund, 2009), but for every reader. */
#include "memory.h"

#include "scheduler.h"

#include <string.h>

#define ARENA_BYTES ((size_t)128 << 10)
#define LINE 64
#define BLOCKS_MOST 256
#define FRESH 0xa5
#define GONE 0xdd

typedef struct block {
    unsigned char *bytes;
    size_t size;
    bool out, accessed;
} block;

typedef struct byte_state {
    uint32_t run, written, writer;
    uint32_t read[CLOCKS];
} byte_state;

static struct {
    _Alignas(LINE) unsigned char arena[ARENA_BYTES];
    byte_state states[ARENA_BYTES];
    uint8_t block_of[ARENA_BYTES / LINE];
    block blocks[BLOCKS_MOST];
    unsigned blocks_count;
    size_t used;
    uint32_t run;
} m;

void memory_reset(void)
{
    m.run++;
    m.used = 0;
    m.blocks_count = 0;
}

static size_t offset_of(const void *at)
{
    return (size_t)((uintptr_t)at - (uintptr_t)m.arena);
}

/* NULL: not one of this run. */
static block *block_at(const void *at)
{
    const size_t offset = offset_of(at);
    if (offset >= m.used)
        return NULL;
    block *b = &m.blocks[m.block_of[offset / LINE]];
    return offset_of(at) - offset_of(b->bytes) < b->size ? b : NULL;
}

void *memory_allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    scheduler_memory(&m, "allocate");
    if (scheduler_holds_lock())
        scheduler_fail("the backing is called under a lock");
    const size_t lines = (size + LINE - 1) / LINE;
    if (alignment > LINE || m.blocks_count == BLOCKS_MOST || lines > (ARENA_BYTES - m.used) / LINE)
        scheduler_fail("the program is too large: its pool asks for more than %zu bytes or %d blocks", ARENA_BYTES, BLOCKS_MOST);
    block *b = &m.blocks[m.blocks_count];
    *b = (block){.bytes = m.arena + m.used, .size = size, .out = true};
    memset(&m.block_of[m.used / LINE], (int)m.blocks_count, lines);
    memset(b->bytes, FRESH, size);
    m.blocks_count++;
    m.used += lines * LINE;
    return b->bytes;
}

static bool is_seen(const byte_state *state, bool by_reader, unsigned *who)
{
    const uint32_t *clock = scheduler_clock();
    if (state->written > clock[state->writer]) {
        *who = state->writer;
        return false;
    }
    for (*who = 0; by_reader && *who < CLOCKS; ++*who) {
        if (state->read[*who] > clock[*who])
            return false;
    }
    return true;
}

static void access(const void *bytes, size_t size, bool writes, const char *what)
{
    const unsigned me = scheduler_thread();
    byte_state *state = &m.states[offset_of(bytes)];
    for (size_t i = 0; i < size; i++, state++) {
        unsigned who;
        if (state->run != m.run)
            *state = (byte_state){.run = m.run};
        if (!is_seen(state, writes, &who))
            scheduler_fail("%s: thread %u used byte %zu before, and nothing orders that before this", what, who, i);
        if (writes) {
            state->writer = me;
            state->written = scheduler_clock()[me];
        } else {
            state->read[me] = scheduler_clock()[me];
        }
    }
}

static void access_checked(const void *bytes, size_t size, bool writes, const char *what)
{
    if (size == 0)
        return;
    block *b = block_at(bytes);
    if (b == NULL || size > b->size - (offset_of(bytes) - offset_of(b->bytes)))
        scheduler_fail("%s: bytes that are no block's", what);
    if (!b->out)
        scheduler_fail("%s: the bytes were given back to the backing", what);
    b->accessed = true;
    access(bytes, size, writes, what);
}

void memory_read(const void *bytes, size_t size, const char *what)
{
    access_checked(bytes, size, false, what);
}

void memory_write(const void *bytes, size_t size, const char *what)
{
    access_checked(bytes, size, true, what);
}

void memory_deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    scheduler_memory(&m, "deallocate");
    if (scheduler_holds_lock())
        scheduler_fail("the backing is called under a lock");
    block *b = block_at(memory);
    if (b == NULL || b->bytes != memory || b->size != size)
        scheduler_fail("the backing gets a block back that it did not give, or of another size");
    if (!b->out)
        scheduler_fail("the backing gets a block back twice");
    if (b->accessed)
        access(memory, size, true, "deallocate");
    scheduler_check_settled(memory, size);
    b->out = false;
    memset(memory, GONE, size);
}

void memory_touch(const void *at, const char *what, const char *where)
{
    const block *b = block_at(at);
    if (b != NULL && !b->out)
        scheduler_fail("memory is used that was given back to the backing: %s in %s", what, where);
}

void memory_check_end(void)
{
    size_t out = 0, bytes = 0;
    for (unsigned i = 0; i < m.blocks_count; i++) {
        const block *b = &m.blocks[i];
        out += b->out;
        bytes += b->out ? b->size : 0;
        if (!b->out && (b->bytes[0] != GONE || memcmp(b->bytes, b->bytes + 1, b->size - 1) != 0)) /* all are alike */
            scheduler_fail("a block of %zu bytes was written to after it had been given back", b->size);
    }
    if (out != 0)
        scheduler_fail("%zu blocks of %zu bytes were never given back", out, bytes);
}
