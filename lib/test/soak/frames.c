/* The bytes of a frame: any part of one can be made anew, by client and server, without the rest. See soak.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "soak.h"

/* splitmix64's last step. */
uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static void put(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)) & 0xff);
}

static uint64_t get(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | from[i];
    return value;
}

static void payload_bytes(const frame *f, size_t offset, uint8_t *to, size_t size)
{
    uint64_t key = mix(f->seed ^ mix(f->number)), word = 0;
    uint8_t head[FRAME_HEAD] = {(uint8_t)f->route, 'f', 'r', 'm'};
    for (size_t i = offset; i < offset + size; i++) {
        if (i == offset || i % 8 == 0)
            word = mix(key + i / 8);
        to[i - offset] = (uint8_t)(word >> (8 * (i % 8)) & 0xff);
    }
    if (f->size < FRAME_HEAD || offset >= FRAME_HEAD)
        return;
    put(head + 4, f->number, 4);
    put(head + 8, f->seed, 8);
    memcpy(to, head + offset, size < FRAME_HEAD - offset ? size : FRAME_HEAD - offset);
}

static size_t answer_size(const frame *f)
{
    return f->route == REPEAT && f->size >= FRAME_HEAD ? 2 * f->size : f->size;
}

size_t frame_length(const frame *f, bool answer)
{
    return FRAME_HEADER + (answer ? answer_size(f) : f->size);
}

void frame_bytes(const frame *f, bool answer, size_t offset, uint8_t *to, size_t size)
{
    uint8_t header[FRAME_HEADER];
    put(header, frame_length(f, answer) - FRAME_HEADER, FRAME_HEADER);
    while (size > 0) {
        size_t part;
        if (offset < FRAME_HEADER) {
            part = FRAME_HEADER - offset < size ? FRAME_HEADER - offset : size;
            memcpy(to, header + offset, part);
        } else {
            size_t at = (offset - FRAME_HEADER) % f->size; /* an answer may have the payload twice */
            part = f->size - at < size ? f->size - at : size;
            payload_bytes(f, at, to, part);
        }
        offset += part;
        to += part;
        size -= part;
    }
}

bool frame_of(const uint8_t *payload, size_t size, frame *f)
{
    if (size < FRAME_HEAD || payload[0] >= ROUTES || memcmp(payload + 1, "frm", 3) != 0)
        return false;
    *f = (frame){.seed = get(payload + 8, 8), .number = (uint32_t)get(payload + 4, 4), .route = payload[0], .size = size};
    return true;
}
