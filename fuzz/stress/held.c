/* Slices in a thread's hands, and what is in them. */
#include "stress.h"

#include <string.h>

void held_write(worker *me, held *h, size_t from, size_t to)
{
    uint8_t *bytes = DO(me, slice_data, &h->s);
    for (size_t i = from; i < to; i++)
        bytes[i] = pattern(h->tag, h->at + i);
}

void held_fill(worker *me, held *h, iobuf_slice s)
{
    *h = (held){.s = s, .tag = next_random(&me->tags) | 1, .own = true};
    held_write(me, h, 0, DO(me, slice_size, &h->s));
}

void held_check(worker *me, const held *h)
{
    const size_t size = DO(me, slice_size, &h->s);
    const uint8_t *bytes = DO(me, slice_data, &h->s);
    for (size_t i = 0; h->tag != 0 && i < size; i++) {
        const uint8_t want = pattern(h->tag, h->at + i);
        if (bytes[i] != want)
            wrong(me, "byte %zu of a slice of %zu is %02x, not %02x as written: it has another owner", i, size, bytes[i], want);
    }
}

void held_drop(worker *me, held *h)
{
    held_check(me, h);
    DO(me, slice_release, &h->s);
    if (DO(me, slice_data, &h->s) != NULL || DO(me, slice_size, &h->s) != 0)
        wrong(me, "a slice that was released is not empty");
    *h = (held){.own = false};
}
