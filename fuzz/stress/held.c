/* Slices in a thread's hands, and what is in them. */
#include "stress.h"

#include <string.h>

#define CHUNK 512

void held_write(worker *me, held *h)
{
    uint8_t *bytes = DO(me, slice_data, &h->s), chunk[CHUNK];
    const size_t size = DO(me, slice_size, &h->s);
    for (size_t i = 0; i < size; i += CHUNK) {
        const size_t count = size - i < CHUNK ? size - i : CHUNK;
        pattern(h->tag, h->at + i, chunk, count);
        memcpy(bytes + i, chunk, count);
    }
}

void held_fill(worker *me, held *h, iobuf_slice s)
{
    *h = (held){.s = s, .tag = next_random(&me->tags) | 1, .own = true};
    held_write(me, h);
}

void bytes_check(const worker *me, const uint8_t *bytes, size_t size, uint64_t tag, size_t at, const char *what)
{
    uint8_t chunk[CHUNK];
    for (size_t i = 0; i < size; i += CHUNK) {
        const size_t count = size - i < CHUNK ? size - i : CHUNK;
        pattern(tag, at + i, chunk, count);
        if (memcmp(bytes + i, chunk, count) == 0)
            continue;
        size_t first = 0;
        while (first + 1 < count && bytes[i + first] == chunk[first])
            first++;
        wrong(me, "byte %zu of %zu of a %s is %02x, not %02x as written: it has another owner", i + first, size, what,
              bytes[i + first], chunk[first]);
    }
}

void held_check(worker *me, const held *h)
{
    const uint8_t *bytes = DO(me, slice_data, &h->s);
    const size_t size = DO(me, slice_size, &h->s);
    if (h->tag != 0)
        bytes_check(me, bytes, size, h->tag, h->at, "slice");
}

void held_drop(worker *me, held *h)
{
    held_check(me, h);
    DO(me, slice_release, &h->s);
    if (DO(me, slice_data, &h->s) != NULL || DO(me, slice_size, &h->s) != 0)
        wrong(me, "a slice that was released is not empty");
    *h = (held){.own = false};
}
