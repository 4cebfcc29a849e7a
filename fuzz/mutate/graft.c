/* Registers of ops that move from one program to another. */
#include "graft.h"

graft graft_at(const program *receiver, size_t at)
{
    return (graft){.held = place_of(receiver, at).held};
}

static unsigned index_of(char letter)
{
    return letter == 'p' ? 0 : letter == 'a' ? 1 : letter == 'r' ? 2 : 3;
}

static uint8_t rename_to(graft *g, unsigned index, uint8_t reg, uint8_t to)
{
    g->renamed[index] |= 1U << reg;
    g->to[index][reg] = to;
    return to;
}

static uint8_t use(graft *g, char letter, uint8_t reg, random_numbers *r)
{
    unsigned index = index_of(generate_file(letter));
    uint32_t live = *file_of(&g->held, letter).live;
    if (g->renamed[index] >> reg & 1)
        return g->to[index][reg];
    if (!live || live >> reg & 1)
        return reg;
    return rename_to(g, index, reg, nth_bit(live, random_below(r, count_bits(live))));
}

static uint8_t assign(graft *g, char letter, uint8_t reg)
{
    file f = file_of(&g->held, letter);
    uint32_t empty = f.all & ~*f.live;
    return rename_to(g, index_of(letter), reg, empty == 0 || empty >> reg & 1 ? reg : nth_bit(empty, 0));
}

program_op graft_op(graft *g, const program_op *op, random_numbers *r)
{
    const program_op_info *info = &program_ops[op->kind];
    program_op grafted = *op;
    unsigned reg = 0;
    for (const char *o = info->operands; *o; o++) {
        if (!generate_file(*o))
            continue;
        grafted.reg[reg] = use(g, *o, op->reg[reg], r);
        if (grafted.count > PROGRAM_SLICES - grafted.reg[reg])
            grafted.count = (uint8_t)(PROGRAM_SLICES - grafted.reg[reg]);
        reg++;
    }
    if (info->result)
        grafted.result = assign(g, info->result, op->result);
    held_follow(&g->held, &grafted);
    return grafted;
}
