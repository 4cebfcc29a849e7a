/* New ops. A size is most often an edge that its op looks up when it runs (`rest`, `size`, `head`, ...), so that it stays one when
 * the ops before it change. */
#include "generate.h"

#include <string.h>

enum { NEAR = 4 }; /* ops before a place whose registers are taken up */

place place_of(const program *p, size_t at)
{
    place where = {p, at, {0, 0, 0, 0}};
    for (size_t i = 0; i < at; i++)
        held_follow(&where.held, &p->ops[i]);
    return where;
}

char generate_file(char letter)
{
    switch (letter) {
    case 'p':
    case 'P':
        return 'p';
    case 'a':
    case 'A':
        return 'a';
    case 'r':
    case 'R':
        return 'r';
    case 's':
    case 'x':
    case 'u':
    case 'U':
        return 's';
    default:
        return 0;
    }
}

/* A register of that file that one of the last ops assigned or used; else -1. */
static int nearby(const place *where, char wanted, random_numbers *r)
{
    size_t back = 1 + random_below(r, NEAR);
    if (back > where->at)
        return -1;
    const program_op *op = &where->program->ops[where->at - back];
    const program_op_info *info = &program_ops[op->kind];
    if (info->result == wanted)
        return op->result;
    unsigned reg = 0;
    for (const char *o = info->operands; *o; o++) {
        char letter = generate_file(*o);
        if (letter == wanted)
            return op->reg[reg];
        reg += letter != 0;
    }
    return -1;
}

uint8_t generate_register(const place *where, char letter, random_numbers *r)
{
    held h = where->held;
    file f = file_of(&h, letter);
    if (!*f.live || random_one_in(r, 32))
        return (uint8_t)random_below(r, f.registers);
    int near = random_one_in(r, 2) ? nearby(where, generate_file(letter), r) : -1;
    if (near >= 0 && (*f.live >> near & 1))
        return (uint8_t)near;
    return nth_bit(*f.live, random_below(r, count_bits(*f.live)));
}

uint8_t generate_result(const place *where, char letter, random_numbers *r)
{
    held h = where->held;
    file f = file_of(&h, letter);
    uint32_t empty = f.all & ~*f.live;
    if (!empty || random_one_in(r, 8))
        return (uint8_t)random_below(r, f.registers);
    return nth_bit(empty, random_one_in(r, 4) ? random_below(r, count_bits(empty)) : 0); /* the first is the cheapest to encode */
}

uint8_t generate_choice(char letter, random_numbers *r)
{
    return (uint8_t)random_below(r, letter == 'e' ? PROGRAM_ERRNOS : PROGRAM_MODES);
}

uint8_t generate_run(uint8_t first, random_numbers *r)
{
    size_t room = (size_t)PROGRAM_SLICES - first;
    return (uint8_t)(random_one_in(r, 8) ? 1 + random_below(r, room) : random_few(r, room));
}

/* Bases that an op looks up through the registers that it has; for pool_create, its first size. */
static unsigned edges_of(const program_op *op, unsigned nth, program_base edges[])
{
    uint32_t bits = op->kind == OP_pool_create && nth > 0 ? 1U << BASE_MIN : 0;
    for (const char *o = program_ops[op->kind].operands; *o; o++) {
        switch (generate_file(*o)) {
        case 'p':
        case 's':
            bits |= 1U << BASE_MIN | 1U << BASE_REST | 1U << BASE_SIZE | 1U << BASE_HEAD | 1U << BASE_BUF;
            break;
        case 'a':
            bits |= 1U << BASE_MIN | 1U << BASE_REST | 1U << BASE_HEAD | 1U << BASE_BUF;
            break;
        case 'r':
            bits |= 1U << BASE_MIN | 1U << BASE_REST | 1U << BASE_SIZE | 1U << BASE_BUF;
            break;
        default:
            break;
        }
    }
    unsigned count = 0;
    for (program_base base = BASE_CONST; base < BASES; base++)
        if (bits >> base & 1)
            edges[count++] = base;
    return count;
}

/* How far from an edge: mostly on it or next to it. */
static int32_t aside(random_numbers *r)
{
    uint32_t dice = random_below(r, 16);
    if (dice < 7)
        return 0;
    if (dice < 11)
        return dice & 1 ? 1 : -1;
    if (dice < 15)
        return (int32_t)random_below(r, 33) - 16;
    return (int32_t)random_below(r, UINT16_MAX + 1U) + INT16_MIN;
}

static int32_t constant(random_numbers *r)
{
    static const int32_t popular[] = {0,   1,   2,   7,    8,    15,   16,   63,   64,   65,   127,  128,   255,  256,
                                      257, 511, 512, 1023, 1024, 1025, 1500, 2048, 4095, 4096, 4097, 16384, 65536};
    switch (random_below(r, 4)) {
    case 0:
        return (int32_t)random_below(r, 20);
    case 1:
        return (int32_t)(random_next(r) >> (1 + random_below(r, 31))); /* each number of bits as likely */
    default:
        return popular[random_below(r, sizeof popular / sizeof popular[0])];
    }
}

/* The sizes of pools and lent memory decide how soon a buf ends, a limit is met: small ones come first, limits are multiples. */
static int32_t size_of_pool(const program_op *op, unsigned nth, random_numbers *r)
{
    static const int32_t small[] = {0, 1, 8, 16, 32, 64, 64, 100, 128, 256, 512, 1024, 4096};
    if (nth == 0)
        return random_one_in(r, 4) ? constant(r) : small[random_below(r, sizeof small / sizeof small[0])];
    if (random_one_in(r, 3))
        return random_one_in(r, 2) ? 0 : constant(r);
    if (op->size[0].base != BASE_CONST || op->size[0].value > INT16_MAX)
        return constant(r);
    int32_t min = op->size[0].value ? op->size[0].value : 4096, limit = min * (1 + (int32_t)random_below(r, 8));
    return limit + (random_one_in(r, 2) ? 0 : (int32_t)random_below(r, 3) - 1);
}

program_size generate_size(const program_op *op, unsigned nth, random_numbers *r)
{
    program_base edges[BASES];
    unsigned count = edges_of(op, nth, edges);
    if (count && random_one_in(r, 2))
        return (program_size){aside(r), edges[random_below(r, count)]};
    if (random_one_in(r, 20))
        return (program_size){aside(r), random_one_in(r, 3) ? BASE_PTRDIFF_MAX : BASE_SIZE_MAX};
    switch (op->kind) {
    case OP_pool_create:
        return (program_size){size_of_pool(op, nth, r), BASE_CONST};
    case OP_fail_alloc:
    case OP_thread:
        return (program_size){(int32_t)random_few(r, 16), BASE_CONST};
    case OP_allocator_init:
    case OP_strerror:
    case OP_invalid:
        if (!random_one_in(r, 8))
            return (program_size){(int32_t)random_below(r, 24), BASE_CONST};
        break;
    default:
        break;
    }
    return (program_size){constant(r), BASE_CONST};
}

static uint8_t pick_kind(uint64_t kinds, random_numbers *r)
{
    uint32_t sum = 0;
    for (unsigned k = 0; k < OP_KINDS; k++)
        sum += kinds >> k & 1 ? program_ops[k].weight : 0;
    uint32_t dice = random_below(r, sum);
    unsigned k = 0;
    for (; k < OP_KINDS - 1; k++) {
        uint32_t weight = kinds >> k & 1 ? program_ops[k].weight : 0;
        if (dice < weight)
            break;
        dice -= weight;
    }
    return (uint8_t)k;
}

program_op generate_op(const place *where, uint64_t kinds, random_numbers *r)
{
    uint8_t kind = pick_kind(kinds, r);
    for (int i = 0; i < 3; i++) {
        uint8_t need = held_missing(&where->held, kind);
        if (!(kinds >> need & 1))
            break;
        kind = need;
    }
    return generate_op_like(where, kind, NULL, r);
}

/* Where the operands of a kind stand in an op: hands out the index of the next of each sort. */
typedef struct cursor {
    const char *letter;
    unsigned reg, size;
} cursor;

/* The next operand that is of the same sort: a register of that file, a size, a choice. Each is taken once. */
static bool next_like(cursor *c, char letter)
{
    for (; *c->letter; c->letter++) {
        char reg = generate_file(*c->letter);
        bool same = reg ? reg == generate_file(letter) : *c->letter == letter;
        if (same)
            return true;
        c->reg += reg != 0;
        c->size += *c->letter == 'n';
    }
    return false;
}

static bool is_run(char letter)
{
    return letter == 'u' || letter == 'U';
}

program_op generate_op_like(const place *where, uint8_t kind, const program_op *like, random_numbers *r)
{
    const program_op_info *info = &program_ops[kind], *from = like ? &program_ops[like->kind] : NULL;
    cursor c = {from ? from->operands : "", 0, 0};
    unsigned reg = 0, size = 0;
    program_op op;
    memset(&op, 0, sizeof op);
    op.kind = kind;
    if (info->result)
        op.result = from && from->result == info->result ? like->result : generate_result(where, info->result, r);
    for (const char *o = info->operands; *o; o++) {
        cursor here = c;
        bool same = next_like(&here, *o);
        if (*o == 'n')
            op.size[size] = same ? like->size[here.size] : generate_size(&op, size, r);
        else if (*o == 'e' || *o == 'm')
            op.choice = same ? like->choice : generate_choice(*o, r);
        else
            op.reg[reg] = same ? like->reg[here.reg] : generate_register(where, *o, r);
        if (is_run(*o))
            op.count = same && is_run(*here.letter) ? like->count : generate_run(op.reg[reg], r);
        reg += generate_file(*o) != 0;
        size += *o == 'n';
        if (same) { /* past the operand that was taken */
            here.reg += generate_file(*here.letter) != 0;
            here.size += *here.letter == 'n';
            here.letter++;
            c = here;
        }
    }
    return op;
}
