/* Bytes <-> program.
 *
 * Byte 0 holds the version, and in bit 7 whether a swarm mask of 8 bytes follows (kinds of op that are off). Then one op behind
 * the other: a byte for the kind, a byte or more for each operand; what is cut short at the end is dropped.
 *
 * Each byte has a low range of exact codes, which is all that the encoder uses, and a high range that decodes to something
 * useful: a kind that can do something now, a register that holds something. Both sides know what registers hold by the same
 * guess, `held`, which looks at ops and not at what came of them. That makes codes of registers ranks: live ones first.
 */
#include "held.h"

#include <string.h>

enum { SWARM = 0x80, CODES = 64 };

/* Sizes: one byte where it is small, near a base, or popular; else an escape and little-endian bytes. */
enum {
    SIZE_DIRECT = 200, /* codes below: the value */
    SIZE_NEAR = 2,     /* base - 2 .. base + 2 */
    SIZE_BASED = SIZE_DIRECT,
    SIZE_POPULAR = SIZE_BASED + (BASES - 1) * (2 * SIZE_NEAR + 1),
    SIZE_U16 = 253,
    SIZE_I32 = 254,
    SIZE_FAR = 255,
    POPULAR = SIZE_U16 - SIZE_POPULAR
};

static const int32_t popular[POPULAR] = {255,  256,  257,  500,  511,  512,  513,  1000,  1023,
                                         1024, 1025, 1500, 2048, 4095, 4096, 4097, 16384, 65536};

static uint32_t below(uint32_t reg)
{
    return (1U << reg) - 1;
}

/* Rank -> register, where the registers in `first` come before all others of the file. */
static uint8_t register_at(uint32_t first, uint32_t all, uint32_t rank)
{
    if ((first & (first + 1)) == 0) /* the lowest ones: as they stand */
        return (uint8_t)rank;
    uint32_t count = count_bits(first);
    return rank < count ? nth_bit(first, rank) : nth_bit(all & ~first, rank - count);
}

static uint8_t rank_of(uint32_t first, uint32_t all, uint8_t reg)
{
    if (first >> reg & 1)
        return (uint8_t)count_bits(first & below(reg));
    return (uint8_t)(count_bits(first) + count_bits(all & ~first & below(reg)));
}

/* A register that is used: live ones have the low ranks, and a byte that is no rank picks one of them. */
HELD_INLINE uint8_t used_register(held *h, char letter, uint8_t byte)
{
    file f = file_of(h, letter);
    uint32_t rank = byte;
    if (byte >= f.registers)
        rank %= *f.live ? count_bits(*f.live) : f.registers;
    return register_at(*f.live, f.all, rank);
}

/* A register that is assigned: empty ones have the low ranks, and a byte that is no rank picks the first. */
HELD_INLINE uint8_t assigned_register(held *h, char letter, uint8_t byte)
{
    file f = file_of(h, letter);
    return register_at(f.all & ~*f.live, f.all, byte < f.registers ? byte : 0);
}

/* ---- decoding */

typedef struct source {
    const uint8_t *at, *end;
    bool cut; /* an op wanted more bytes than there are */
} source;

static uint8_t take(source *s)
{
    if (s->at == s->end) {
        s->cut = true;
        return 0;
    }
    return *s->at++;
}

static uint32_t take_le(source *s, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)take(s) << 8 * i;
    return value;
}

static program_size decode_size(source *s)
{
    uint8_t code = take(s);
    if (code < SIZE_DIRECT)
        return (program_size){code, BASE_CONST};
    if (code < SIZE_POPULAR) {
        uint8_t k = (uint8_t)(code - SIZE_BASED);
        return (program_size){k % (2 * SIZE_NEAR + 1) - SIZE_NEAR, k / (2 * SIZE_NEAR + 1) + 1U};
    }
    if (code < SIZE_U16)
        return (program_size){popular[code - SIZE_POPULAR], BASE_CONST};
    if (code == SIZE_U16)
        return (program_size){(int32_t)take_le(s, 2), BASE_CONST};
    if (code == SIZE_I32)
        return (program_size){(int32_t)(take_le(s, 4) & INT32_MAX), BASE_CONST};
    uint32_t base = take(s) % (BASES - 1U) + 1;
    int32_t delta = (int32_t)take_le(s, 2);
    return (program_size){delta >= 0x8000 ? delta - 0x10000 : delta, base};
}

static void decode_run(source *s, held *h, program_op *op)
{
    op->reg[0] = used_register(h, 's', take(s));
    uint8_t byte = take(s);
    uint32_t room = PROGRAM_SLICES - op->reg[0];
    uint32_t count = byte < PROGRAM_SLICES ? byte + 1U : 2U + byte % 7U;
    op->count = (uint8_t)(count < room ? count : room);
}

/* For each kind a copy of this is made, in which the letters are known. */
HELD_INLINE void decode_operand(source *s, held *h, program_op *op, char letter, unsigned *reg, unsigned *size)
{
    if (letter == 'n')
        op->size[(*size)++] = decode_size(s);
    else if (letter == 'e')
        op->choice = take(s) % PROGRAM_ERRNOS;
    else if (letter == 'm')
        op->choice = take(s) % PROGRAM_MODES;
    else if (letter == 'u' || letter == 'U')
        decode_run(s, h, op);
    else if (letter)
        op->reg[(*reg)++] = used_register(h, letter, take(s));
}

HELD_INLINE void decode_as(source *s, held *h, program_op *op, char result, const char letters[3])
{
    unsigned reg = 0, size = 0;
    if (result)
        op->result = assigned_register(h, result, take(s));
    decode_operand(s, h, op, letters[0], &reg, &size);
    decode_operand(s, h, op, letters[1], &reg, &size);
    decode_operand(s, h, op, letters[2], &reg, &size);
    if (!s->cut)
        held_follow_as(h, op, result, letters[0], letters[0] ? letters[1] : 0);
}

#define OP(name, result, operands, weight, targets) _Static_assert(sizeof(operands) <= 4, "decode_as knows three operands");
#include "ops.def"
#undef OP

static inline void decode_op(source *s, held *h, program_op *op)
{
    switch (op->kind) {
#define OP(name, result, operands, weight, targets)                                                                                \
    case OP_##name:                                                                                                                \
        decode_as(s, h, op, result, (const char[3]){operands});                                                                    \
        break;
#include "ops.def"
#undef OP
    default:
        break;
    }
}

/* Each kind as often as its weight says, for bytes that are no code. */
typedef struct picks {
    uint64_t kinds;
    uint32_t count;
    uint8_t kind[1024];
} picks;

static void picks_make(picks *p, uint64_t kinds)
{
    p->kinds = kinds;
    p->count = 0;
    for (uint8_t k = 0; k < OP_KINDS; k++)
        if (kinds >> k & 1)
            for (unsigned i = 0; i < program_ops[k].weight; i++)
                p->kind[p->count++] = k;
}

static uint8_t pick_kind(const picks *p, const held *h, uint8_t byte)
{
    if (byte < OP_KINDS && (p->kinds >> byte & 1))
        return byte;
    uint32_t nth = byte < CODES ? byte * p->count / CODES : (byte - CODES) * p->count / (256U - CODES);
    uint8_t kind = p->kind[nth];
    for (int i = 0; i < 3; i++) {
        uint8_t need = held_missing(h, kind);
        if (need == kind || !(p->kinds >> need & 1))
            break;
        kind = need;
    }
    return kind;
}

/* The picks of a target do not change, so they are kept from one input to the next; those of a swarm mask are made anew. */
static const picks *picks_of(const program_target *target, source *s, uint8_t first, picks *scratch)
{
    static picks kept;
    uint64_t off = 0;
    if (first & SWARM) {
        off = take_le(s, 4);
        off |= (uint64_t)take_le(s, 4) << 32;
    }
    if (target->kinds & off) {
        picks_make(scratch, target->kinds & ~off);
        if (scratch->count)
            return scratch;
    }
    if (kept.kinds != target->kinds)
        picks_make(&kept, target->kinds);
    return &kept;
}

void program_decode(const program_target *target, const uint8_t *bytes, size_t size, program *p)
{
    source s = {bytes, size ? bytes + size : bytes, false};
    held h = {0, 0, 0, 0};
    picks scratch;
    p->target = target;
    p->count = 0;
    const picks *kinds = picks_of(target, &s, take(&s), &scratch);
    while (s.at != s.end && p->count < PROGRAM_MAX_OPS) {
        program_op *op = &p->ops[p->count];
        memset(op, 0, sizeof *op);
        op->kind = pick_kind(kinds, &h, *s.at++);
        decode_op(&s, &h, op);
        if (s.cut)
            break;
        p->count++;
    }
}

/* ---- encoding */

typedef struct sink {
    uint8_t *bytes;
    size_t size, room;
} sink;

static void put(sink *s, uint8_t byte)
{
    if (s->size < s->room)
        s->bytes[s->size++] = byte;
}

static void put_le(sink *s, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put(s, (uint8_t)(value >> 8 * i));
}

static void encode_const(sink *s, int32_t value)
{
    if (value < SIZE_DIRECT) {
        put(s, (uint8_t)value);
        return;
    }
    for (unsigned i = 0; i < POPULAR; i++)
        if (popular[i] == value) {
            put(s, (uint8_t)(SIZE_POPULAR + i));
            return;
        }
    bool small = value <= UINT16_MAX;
    put(s, small ? SIZE_U16 : SIZE_I32);
    put_le(s, (uint32_t)value, small ? 2 : 4);
}

static void encode_size(sink *s, program_size size)
{
    if (size.base == BASE_CONST) {
        encode_const(s, size.value);
    } else if (size.value >= -SIZE_NEAR && size.value <= SIZE_NEAR) {
        put(s, (uint8_t)(SIZE_BASED + (int32_t)(size.base - 1) * (2 * SIZE_NEAR + 1) + size.value + SIZE_NEAR));
    } else {
        put(s, SIZE_FAR);
        put(s, (uint8_t)(size.base - 1));
        put_le(s, (uint32_t)size.value, 2);
    }
}

static void encode_operands(sink *s, held *h, const program_op *op)
{
    const program_op_info *info = &program_ops[op->kind];
    unsigned reg = 0, size = 0;
    if (info->result) {
        file f = file_of(h, info->result);
        put(s, rank_of(f.all & ~*f.live, f.all, op->result));
    }
    for (const char *o = info->operands; *o; o++) {
        if (*o == 'n') {
            encode_size(s, op->size[size++]);
        } else if (*o == 'e' || *o == 'm') {
            put(s, op->choice);
        } else {
            file f = file_of(h, *o);
            put(s, rank_of(*f.live, f.all, op->reg[reg++]));
            if (*o == 'u' || *o == 'U')
                put(s, (uint8_t)(op->count - 1));
        }
    }
}

size_t program_encode(const program *p, uint8_t *bytes, size_t room)
{
    sink s = {bytes, 0, room};
    held h = {0, 0, 0, 0};
    put(&s, PROGRAM_VERSION);
    for (size_t i = 0; i < p->count; i++) {
        put(&s, p->ops[i].kind);
        encode_operands(&s, &h, &p->ops[i]);
        held_follow(&h, &p->ops[i]);
    }
    return s.size;
}
