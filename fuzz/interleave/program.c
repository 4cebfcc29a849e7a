/* Programs that make sense, and the order of those that use one thing. */
#include "program.h"

#include <string.h>

const op_form op_forms[OP_KINDS] = {
    [OP_NONE] = {"", ""},
    [OP_INIT] = {"init", "a#"},
    [OP_ALLOC] = {"alloc", "an#"},
    [OP_FREE] = {"free", "a"},
    [OP_RELEASE] = {"release", "s"},
    [OP_SHARE] = {"share", "sn"},
    [OP_SPLIT] = {"split", "sn"},
    [OP_CLAIM] = {"claim", "s"},
    [OP_JOIN] = {"join", "ss"},
    [OP_COMPACT] = {"compact", "sa"},
    [OP_STATS] = {"stats", ""},
    [OP_TRIM] = {"trim", "#"},
    [OP_CLOSE] = {"close", ""},
};

/* Calls that take the pool's handle, which `close` gives up. */
static bool takes_pool(op_kind kind)
{
    return kind == OP_INIT || kind == OP_STATS || kind == OP_TRIM || kind == OP_CLOSE;
}

static bool is_live(const program *p, unsigned at)
{
    return (p->live >> at & 1) != 0;
}

static const char *what_is_wrong(const program *p, const op *o)
{
    const char *form = op_forms[o->kind].operands;
    if (takes_pool(o->kind) && is_live(p, POOL)) /* set once it is closed */
        return "the pool's handle was given up by `close`";
    for (unsigned i = 0; i < 2 && form[i] != '\0' && form[i] != '#'; i++) {
        const unsigned at = o->registers[i];
        if (form[i] == 'a' ? at >= ALLOCATORS : at < ALLOCATORS || at >= POOL)
            return "no such register";
        if (o->kind == OP_INIT || form[i] == 'n') {
            if (is_live(p, at))
                return "the register holds something already";
        } else if (!is_live(p, at)) {
            return "the register holds nothing";
        }
    }
    if (o->kind == OP_JOIN && o->registers[0] == o->registers[1])
        return "the registers are the same";
    return o->size > SIZE_MOST ? "the size is too large" : NULL;
}

bool program_add(program *p, unsigned row, op o, const char **why)
{
    *why = row == BEFORE ? (p->before_count == BEFORE_MOST ? "too many ops before the threads" : NULL)
                         : (row >= ROWS_MOST ? "too many rows" : NULL);
    if (*why == NULL)
        *why = what_is_wrong(p, &o);
    if (*why != NULL)
        return false;
    if (o.kind == OP_CLOSE)
        p->live |= 1U << POOL;
    for (unsigned i = 0; i < 2 && (op_forms[o.kind].operands[i] == 'a' || op_forms[o.kind].operands[i] == 'n'); i++)
        p->live |= 1U << o.registers[i];
    if (o.kind == OP_SHARE || o.kind == OP_SPLIT)
        p->live |= 1U << o.registers[1];
    if (o.kind == OP_FREE || o.kind == OP_RELEASE)
        p->live &= ~(1U << o.registers[0]);
    if (row == BEFORE) {
        p->before[p->before_count++] = o;
        return true;
    }
    p->ops[row][o.thread] = o;
    p->rows = p->rows <= row ? row + 1 : p->rows;
    p->threads = p->threads <= o.thread ? o.thread + 1 : p->threads;
    return true;
}

/* Handing over is one step in the life of each register; the pool is used by all at once, and `close` waits for all of them. */
void program_link(program *p)
{
    op *last[REGISTERS] = {NULL}, *pool_users[ROWS_MOST * THREADS_MOST];
    unsigned last_operand[REGISTERS], handed[REGISTERS] = {0}, pool_users_count = 0;
    for (unsigned i = 0; i < p->rows * p->threads; i++) {
        op *o = &p->ops[i / p->threads][i % p->threads];
        const char *form = op_forms[o->kind].operands;
        memset(o->waits, 0, sizeof o->waits);
        memset(o->passes, 0, sizeof o->passes);
        for (unsigned operand = 0; operand < 2 && form[operand] != '\0' && form[operand] != '#'; operand++) {
            const unsigned at = o->registers[operand];
            if (last[at] != NULL && last[at]->thread != o->thread) {
                last[at]->passes[last_operand[at]] = true;
                handed[at]++;
            }
            /* Also behind the thread's own op, which waited for the same. */
            o->waits[operand] = last[at] != NULL && last[at]->thread != o->thread ? handed[at] : 0;
            last[at] = o;
            last_operand[at] = operand;
        }
        if (!takes_pool(o->kind))
            continue;
        for (unsigned j = 0; o->kind == OP_CLOSE && j < pool_users_count; j++) {
            if (pool_users[j]->thread != o->thread) {
                pool_users[j]->passes[2] = true;
                o->waits[2]++;
            }
        }
        pool_users[pool_users_count++] = o;
    }
}
