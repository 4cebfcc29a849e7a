/* Each mutation by itself. All see to it that an op stays one that the decoder could have made: registers within their files, runs
 * within the slices, unused members 0. */
#include "graft.h"
#include "mutate.h"

#include <string.h>

enum { LONG_RUN = 24, NO_OP = PROGRAM_MAX_OPS };

const char *const mutation_names[MUTATIONS] = {"insert", "delete", "duplicate", "swap",      "splice",   "retarget",
                                               "size",   "choice", "kind",      "swarm off", "swarm on", "burst"};

/* ---- runs of ops */

static size_t room_of(const program *p)
{
    return PROGRAM_MAX_OPS - p->count;
}

/* Makes a gap of `count` ops, which there is room for. */
static void open_gap(program *p, size_t at, size_t count)
{
    memmove(&p->ops[at + count], &p->ops[at], (p->count - at) * sizeof p->ops[0]);
    p->count += count;
}

static void drop(program *p, size_t at, size_t count)
{
    memmove(&p->ops[at], &p->ops[at + count], (p->count - at - count) * sizeof p->ops[0]);
    p->count -= count;
}

/* Where to put ops in: the end often, since all that was made is there. */
static size_t gap(const program *p, random_numbers *r)
{
    return random_one_in(r, 3) ? p->count : random_below(r, p->count + 1);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `count` new ops of `kinds`, one behind the other. */
static void grow(program *p, size_t at, size_t count, uint64_t kinds, random_numbers *r)
{
    open_gap(p, at, count);
    place where = place_of(p, at);
    for (; where.at < at + count; where.at++) {
        p->ops[where.at] = generate_op(&where, kinds, r);
        held_follow(&where.held, &p->ops[where.at]);
    }
}

static bool insert(program *p, random_numbers *r)
{
    if (!room_of(p))
        return false;
    grow(p, gap(p, r), random_few(r, smaller(8, room_of(p))), p->target->kinds, r);
    return true;
}

static bool erase(program *p, random_numbers *r)
{
    if (!p->count)
        return false;
    size_t at = random_below(r, p->count), most = p->count - at;
    drop(p, at, random_one_in(r, 8) ? 1 + random_below(r, most) : random_few(r, most));
    return true;
}

static bool duplicate(program *p, random_numbers *r)
{
    program_op run[LONG_RUN];
    if (!p->count || !room_of(p))
        return false;
    size_t from = random_below(r, p->count);
    size_t length = random_few(r, smaller(LONG_RUN, smaller(p->count - from, room_of(p))));
    size_t to = random_one_in(r, 2) ? from + length : gap(p, r);
    size_t times = random_one_in(r, 8) ? 1 + random_below(r, LONG_RUN) : random_few(r, 4);
    times = smaller(times, room_of(p) / length);
    memcpy(run, &p->ops[from], length * sizeof run[0]);
    open_gap(p, to, times * length);
    for (size_t i = 0; i < times; i++)
        memcpy(&p->ops[to + i * length], run, length * sizeof run[0]);
    return true;
}

static void reverse(program_op *ops, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        program_op op = ops[i];
        ops[i] = ops[count - 1 - i];
        ops[count - 1 - i] = op;
    }
}

/* The runs [at, at + one) and [at + one + between, ... + two) change places; what is between stays there. Each is turned round by
 * itself, then all of it. */
static bool swap(program *p, random_numbers *r)
{
    if (p->count < 2)
        return false;
    size_t at = random_below(r, p->count - 1), most = p->count - at;
    size_t one = random_few(r, most - 1);
    size_t between = random_one_in(r, 2) ? 0 : random_below(r, most - one);
    size_t two = random_few(r, most - one - between);
    reverse(&p->ops[at], one);
    reverse(&p->ops[at + one], between);
    reverse(&p->ops[at + one + between], two);
    reverse(&p->ops[at], one + between + two);
    return true;
}

/* ---- two programs */

/* `count` ops of `other` from `from` on, into a gap that is open. One in four as they are: registers that mean the same object in
 * both are frequent, since both come from the same seeds. */
static void copy_over(program *p, size_t at, const program *other, size_t from, size_t count, random_numbers *r)
{
    graft g = graft_at(p, at);
    bool as_is = random_one_in(r, 4);
    for (size_t i = 0; i < count; i++)
        p->ops[at + i] = as_is ? other->ops[from + i] : graft_op(&g, &other->ops[from + i], r);
}

static bool splice(program *p, const program *other, random_numbers *r)
{
    if (!other || !other->count)
        return false;
    size_t from = random_below(r, other->count), at = gap(p, r);
    size_t count = 1 + random_below(r, other->count - from);
    size_t most = at == 0 && p->count ? p->count - 1 : p->count - at; /* an op at least stays */
    if (most && random_one_in(r, 3))
        drop(p, at, random_few(r, most));
    count = smaller(count, room_of(p));
    if (!count)
        return false;
    open_gap(p, at, count);
    copy_over(p, at, other, from, count, r);
    return true;
}

bool mutate_cross(program *p, const program *other, random_numbers *r)
{
    size_t head = p->count ? 1 + random_below(r, smaller(p->count, PROGRAM_MAX_OPS - 1)) : 0;
    size_t from = other->count ? random_below(r, other->count) : 0;
    p->count = head;
    size_t tail = smaller(other->count - from, room_of(p));
    p->count += tail;
    copy_over(p, head, other, from, tail, r);
    return p->count != 0;
}

/* ---- within one op */

static bool has_register(const program_op *op)
{
    if (program_ops[op->kind].result)
        return true;
    for (const char *o = program_ops[op->kind].operands; *o; o++)
        if (generate_file(*o))
            return true;
    return false;
}

static bool has_size(const program_op *op)
{
    return strchr(program_ops[op->kind].operands, 'n') != NULL;
}

static bool has_choice(const program_op *op)
{
    return strpbrk(program_ops[op->kind].operands, "emuU") != NULL;
}

/* The index of some op of which `has` is true, or NO_OP. */
static size_t some_op(const program *p, bool (*has)(const program_op *), random_numbers *r)
{
    size_t seen = 0, found = NO_OP;
    for (size_t i = 0; i < p->count; i++)
        if (has(&p->ops[i]) && random_one_in(r, (uint32_t)++seen))
            found = i;
    return found;
}

/* The nth operand that is a register, or a size. */
static char nth_letter(const program_op *op, bool sizes, unsigned n)
{
    for (const char *o = program_ops[op->kind].operands; *o; o++)
        if ((sizes ? *o == 'n' : generate_file(*o) != 0) && n-- == 0)
            return *o;
    return 0;
}

static unsigned count_letters(const program_op *op, bool sizes)
{
    unsigned n = 0;
    while (nth_letter(op, sizes, n))
        n++;
    return n;
}

static bool retarget(program *p, random_numbers *r)
{
    size_t at = some_op(p, has_register, r);
    if (at == NO_OP)
        return false;
    program_op *op = &p->ops[at];
    place where = place_of(p, at);
    unsigned operands = count_letters(op, false);
    char result = program_ops[op->kind].result;
    if (!operands || (result && random_one_in(r, 4))) {
        uint8_t before = op->result;
        for (int tries = 0; tries < 8 && op->result == before; tries++)
            op->result = generate_result(&where, result, r);
        return op->result != before;
    }
    unsigned n = random_below(r, operands);
    uint8_t before = op->reg[n];
    for (int tries = 0; tries < 8 && op->reg[n] == before; tries++)
        op->reg[n] = generate_register(&where, nth_letter(op, false, n), r);
    if (op->count > PROGRAM_SLICES - op->reg[0])
        op->count = (uint8_t)(PROGRAM_SLICES - op->reg[0]);
    return op->reg[n] != before;
}

static bool same_size(program_size a, program_size b)
{
    return a.base == b.base && a.value == b.value;
}

/* A little more or less than it was, twice, half: for what is near an edge that has no name. */
static program_size nudge(program_size size, random_numbers *r)
{
    int64_t value = size.value;
    switch (random_below(r, 4)) {
    case 0:
        value += 1 + random_below(r, 16);
        break;
    case 1:
        value -= 1 + random_below(r, 16);
        break;
    case 2:
        value = random_one_in(r, 2) ? value * 2 : value / 2;
        break;
    default:
        value += random_one_in(r, 2) ? 1 : -1;
        break;
    }
    int64_t least = size.base == BASE_CONST ? 0 : INT16_MIN, most = size.base == BASE_CONST ? INT32_MAX : INT16_MAX;
    size.value = (int32_t)(value < least ? least : value > most ? most : value);
    return size;
}

static bool resize(program *p, random_numbers *r)
{
    size_t at = some_op(p, has_size, r), from = some_op(p, has_size, r);
    if (at == NO_OP)
        return false;
    program_op *op = &p->ops[at];
    unsigned n = random_below(r, count_letters(op, true));
    program_size before = op->size[n];
    for (int tries = 0; tries < 8 && same_size(op->size[n], before); tries++) {
        uint32_t dice = random_below(r, 8);
        if (dice == 0)
            op->size[n] = p->ops[from].size[0]; /* what another op was given: 8 bytes in front, 8 bytes expanded */
        else
            op->size[n] = dice < 4 ? nudge(before, r) : generate_size(op, n, r);
    }
    return !same_size(op->size[n], before);
}

static bool choose(program *p, random_numbers *r)
{
    size_t at = some_op(p, has_choice, r);
    if (at == NO_OP)
        return false;
    program_op *op = &p->ops[at], before = *op;
    char letter = *strpbrk(program_ops[op->kind].operands, "emuU");
    for (int tries = 0; tries < 8 && memcmp(op, &before, sizeof before) == 0; tries++) {
        if (letter == 'e' || letter == 'm')
            op->choice = generate_choice(letter, r);
        else
            op->count = generate_run(op->reg[0], r);
    }
    return memcmp(op, &before, sizeof before) != 0;
}

static bool change_kind(program *p, random_numbers *r)
{
    if (!p->count)
        return false;
    size_t at = random_below(r, p->count);
    place where = place_of(p, at);
    program_op op = p->ops[at];
    for (int tries = 0; tries < 8 && op.kind == p->ops[at].kind; tries++) {
        uint8_t kind = generate_op(&where, p->target->kinds, r).kind;
        op = generate_op_like(&where, kind, &p->ops[at], r);
    }
    bool changed = op.kind != p->ops[at].kind;
    p->ops[at] = op;
    return changed;
}

/* ---- swarm */

static uint64_t bit(unsigned kind)
{
    return (uint64_t)1 << kind;
}

/* What all others work on; without it a program does nothing. */
static uint64_t makers(void)
{
    return bit(OP_pool_create) | bit(OP_allocator_init) | bit(OP_reader_init) | bit(OP_alloc) | bit(OP_read);
}

static uint64_t kinds_in(const program *p)
{
    uint64_t kinds = 0;
    for (size_t i = 0; i < p->count; i++)
        kinds |= bit(p->ops[i].kind);
    return kinds;
}

static uint64_t some_bits(random_numbers *r)
{
    return (uint64_t)random_next(r) << 32 | random_next(r);
}

static uint64_t one_bit_of(uint64_t bits, random_numbers *r)
{
    for (uint32_t n = random_below(r, (size_t)__builtin_popcountll(bits)); n > 0; n--)
        bits &= bits - 1;
    return bits & -bits;
}

static bool swarm_off(program *p, random_numbers *r)
{
    uint64_t present = kinds_in(p), kept = random_one_in(r, 8) ? 0 : makers();
    if (!(present & ~kept))
        return false;
    uint64_t off = (some_bits(r) & ~kept) | one_bit_of(present & ~kept, r);
    size_t count = 0, was = p->count;
    for (size_t i = 0; i < was; i++)
        if (!(off >> p->ops[i].kind & 1))
            p->ops[count++] = p->ops[i];
    p->count = count;
    uint64_t on = p->target->kinds & ~off;
    if (on)
        grow(p, gap(p, r), random_few(r, was - count), on, r);
    return true;
}

static bool swarm_on(program *p, random_numbers *r)
{
    uint64_t missing = p->target->kinds & ~kinds_in(p);
    if (!missing || !room_of(p))
        return false;
    uint64_t on = one_bit_of(missing, r), kinds = on;
    for (size_t more = random_few(r, 4); more > 1; more--)
        kinds |= one_bit_of(p->target->kinds, r);
    size_t count = smaller(2 + random_below(r, LONG_RUN - 1), room_of(p)), at = gap(p, r);
    grow(p, at, count, kinds, r);
    place where = place_of(p, at + random_below(r, count));
    p->ops[where.at] = generate_op_like(&where, (uint8_t)__builtin_ctzll(on), NULL, r);
    return true;
}

/* Of all kinds, or of few: those meet each other more often. */
static bool burst(program *p, random_numbers *r)
{
    if (!room_of(p))
        return false;
    uint64_t kinds = p->target->kinds;
    if (random_one_in(r, 2)) {
        kinds = random_one_in(r, 2) ? kinds & makers() : 0;
        for (size_t more = 1 + random_below(r, 6); more > 0; more--)
            kinds |= one_bit_of(p->target->kinds, r);
    }
    grow(p, gap(p, r), smaller(1 + random_below(r, LONG_RUN), room_of(p)), kinds, r);
    return true;
}

bool mutate_program(program *p, mutation kind, const program *other, random_numbers *r)
{
    switch (kind) {
    case MUTATE_INSERT:
        return insert(p, r);
    case MUTATE_DELETE:
        return erase(p, r);
    case MUTATE_DUPLICATE:
        return duplicate(p, r);
    case MUTATE_SWAP:
        return swap(p, r);
    case MUTATE_SPLICE:
        return splice(p, other, r);
    case MUTATE_RETARGET:
        return retarget(p, r);
    case MUTATE_SIZE:
        return resize(p, r);
    case MUTATE_CHOICE:
        return choose(p, r);
    case MUTATE_KIND:
        return change_kind(p, r);
    case MUTATE_SWARM_OFF:
        return swarm_off(p, r);
    case MUTATE_SWARM_ON:
        return swarm_on(p, r);
    case MUTATE_BURST:
        return burst(p, r);
    default:
        return false;
    }
}
