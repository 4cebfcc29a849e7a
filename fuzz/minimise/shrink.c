/* The passes that make a program smaller or simpler. Each proposes a candidate, and keeps it if it fails the same way. A pass
 * accepts only what is less by its own measure (ops; an op's kind; a size's rank; register numbers), so that they come to an end
 * together.
 */
#include "minimise.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN = 1 << 18, MOST_FOR_PAIRS = 32, MOST_FOR_TRADES = 12, FILES = 4, SLICES = 3 };

static struct {
    program best, candidate;
    verdict want;
    bool any;       /* however it fails */
    bool fresh;     /* each in a process of its own */
    uint64_t *seen; /* hashes of candidates that did not fail the same way */
    size_t seen_count;
} the;

/* ---- trying */

static uint64_t hash_of(const program *p)
{
    const uint8_t *bytes = (const uint8_t *)p->ops;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < p->count * sizeof p->ops[0]; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash ? hash : 1;
}

/* True if it was there already. A table that is full forgets all. */
static bool remember(uint64_t hash)
{
    size_t at = (size_t)hash & (SEEN - 1);
    while (the.seen[at] && the.seen[at] != hash)
        at = (at + 1) & (SEEN - 1);
    if (the.seen[at])
        return true;
    if (++the.seen_count > SEEN / 2) {
        memset(the.seen, 0, SEEN * sizeof the.seen[0]);
        the.seen_count = 1;
        at = (size_t)hash & (SEEN - 1);
    }
    the.seen[at] = hash;
    return false;
}

/* A hang is no way to fail: each would take all the time that one may. */
static bool fails_so(const verdict *v)
{
    return the.any ? v->check[0] && strcmp(v->check, "program_ends") != 0 : verdict_same(v, &the.want);
}

/* Keeps the candidate if it fails the same way. What a child has run before must not count, so that is said again by a fresh one.
 */
static bool try(void)
{
    program *c = &the.candidate;
    verdict v;
    if (remember(hash_of(c)))
        return false;
    judge(c, the.fresh, &v);
    if (!the.fresh && fails_so(&v))
        judge(c, true, &v);
    if (!fails_so(&v))
        return false;
    c->count = v.ran;
    the.best = *c;
    the.want = v;
    return true;
}

static program_op *edit(size_t at)
{
    the.candidate = the.best;
    return &the.candidate.ops[at];
}

/* ---- registers: a bit for each of all files */

static const unsigned file_size[FILES] = {PROGRAM_POOLS, PROGRAM_ALLOCATORS, PROGRAM_READERS, PROGRAM_SLICES};

static unsigned file_of(char operand)
{
    switch (operand) {
    case 'p':
    case 'P':
        return 0;
    case 'a':
    case 'A':
        return 1;
    case 'r':
    case 'R':
        return 2;
    default:
        return SLICES;
    }
}

static bool is_register(char operand)
{
    return operand != 'n' && operand != 'e' && operand != 'm';
}

static bool is_run(char operand)
{
    return operand == 'u' || operand == 'U';
}

static uint64_t bit(unsigned file, unsigned reg)
{
    static const unsigned first[FILES] = {0, PROGRAM_POOLS, PROGRAM_POOLS + PROGRAM_ALLOCATORS,
                                          PROGRAM_POOLS + PROGRAM_ALLOCATORS + PROGRAM_READERS};
    return (uint64_t)1 << (first[file] + reg);
}

typedef struct uses {
    uint64_t defines, single, runs; /* what it assigns, its register operands, its runs */
} uses;

static uses uses_of(const program_op *op)
{
    const program_op_info *info = &program_ops[op->kind];
    uses u = {0, 0, 0};
    unsigned at = 0;
    if (info->result)
        u.defines = bit(file_of(info->result), op->result);
    for (const char *o = info->operands; *o; o++) {
        if (!is_register(*o))
            continue;
        if (is_run(*o))
            for (unsigned i = 0; i < op->count; i++)
                u.runs |= bit(SLICES, op->reg[at] + i);
        else
            u.single |= bit(file_of(*o), op->reg[at]);
        at++;
    }
    return u;
}

/* ---- dropping ops */

/* Ops that have become senseless: they use what only a dropped op would have made. */
static void drop_dependents(const program *p, bool *drop)
{
    uint64_t dead = 0;
    for (size_t i = 0; i < p->count; i++) {
        const uses u = uses_of(&p->ops[i]);
        if ((u.single & dead) || (u.runs && !(u.runs & ~dead)))
            drop[i] = true;
        if (drop[i])
            dead |= u.defines;
        else
            dead &= ~u.defines;
    }
}

static unsigned turn_of(const program_op *op)
{
    return op->kind == OP_thread && op->size[0].base == BASE_CONST ? ((unsigned)op->size[0].value + 7) % 8 + 1 : 0;
}

/* The candidate is the best without those ops. A turn of the other thread loses what it held, so that what follows stays outside.
 */
static bool try_without(const bool *drop)
{
    size_t kept = 0;
    const program *p = &the.best;
    for (size_t i = 0; i < p->count; i++) {
        unsigned turn = turn_of(&p->ops[i]), left = turn;
        if (drop[i])
            continue;
        for (size_t j = i + 1; j <= i + turn && j < p->count; j++)
            left -= drop[j];
        if (turn && !left)
            continue;
        the.candidate.ops[kept] = p->ops[i];
        if (left != turn)
            the.candidate.ops[kept].size[0].value = (int32_t)left;
        kept++;
    }
    the.candidate.target = p->target;
    the.candidate.count = kept;
    return kept < p->count && try();
}

static bool drop_range(size_t from, size_t to, bool dependents)
{
    bool drop[PROGRAM_MAX_OPS] = {false};
    memset(drop + from, true, to - from);
    if (dependents)
        drop_dependents(&the.best, drop);
    return try_without(drop);
}

/* Keeps what the op that fails needs. `strict`: only what made its registers, and what changed its slices. */
static bool keep_needed(bool strict)
{
    bool drop[PROGRAM_MAX_OPS] = {false};
    const program *p = &the.best;
    if (!p->count || the.want.kind >= AT_END)
        return false;
    uses u = uses_of(&p->ops[p->count - 1]);
    uint64_t needed = u.single | u.runs;
    for (size_t i = p->count - 1; i-- > 0;) {
        u = uses_of(&p->ops[i]);
        const uint64_t slices = (u.single | u.runs) & ~(bit(SLICES, 0) - 1);
        if (!(u.defines | u.single | u.runs))
            continue;
        if ((strict ? u.defines | slices : u.defines | u.single | u.runs) & needed)
            needed |= u.single | u.runs;
        else
            drop[i] = true;
    }
    return try_without(drop);
}

/* Delta debugging: runs of ops, each with its dependents, from the end and from half of all down to one. */
static bool drop_runs(void)
{
    bool any = false;
    for (size_t size = the.best.count / 2; size; size /= 2) {
        for (size_t end = the.best.count; end > 0;) {
            const size_t from = end > size ? end - size : 0;
            if (drop_range(from, end, true) || drop_range(from, end, false)) {
                any = true;
                end = end < the.best.count ? end : the.best.count;
                continue;
            }
            end = from;
        }
    }
    return any;
}

/* Two ops that undo each other, or that each stand for the other, go together or not at all. */
static bool drop_pairs(void)
{
    if (the.best.count > MOST_FOR_PAIRS)
        return false;
    for (size_t i = 0; i < the.best.count; i++)
        for (size_t j = i + 1; j < the.best.count; j++) {
            bool drop[PROGRAM_MAX_OPS] = {false};
            drop[i] = drop[j] = true;
            if (try_without(drop))
                return true;
        }
    return false;
}

/* Maps a file's registers; false if a run would fall apart. */
static bool map_registers(program_op *op, unsigned file, const uint8_t *map)
{
    unsigned at = 0;
    const program_op_info *info = &program_ops[op->kind];
    if (info->result && file_of(info->result) == file)
        op->result = map[op->result];
    for (const char *o = info->operands; *o; o++) {
        if (!is_register(*o))
            continue;
        if (file_of(*o) == file) {
            const unsigned first = op->reg[at];
            for (unsigned i = 1; is_run(*o) && i < op->count; i++)
                if (map[first + i] != map[first] + i)
                    return false;
            op->reg[at] = map[first];
        }
        at++;
    }
    return true;
}

/* ---- dropping what makes a register, where another can take its place */

static bool rename_operands(program_op *op, unsigned file, unsigned from, unsigned to)
{
    unsigned at = 0;
    for (const char *o = program_ops[op->kind].operands; *o; o++) {
        if (!is_register(*o))
            continue;
        if (is_run(*o) && file == SLICES && from >= op->reg[at] && from < (unsigned)op->reg[at] + op->count) {
            if (op->count > 1)
                return false;
            op->reg[at] = (uint8_t)to;
        } else if (!is_run(*o) && file_of(*o) == file && op->reg[at] == from) {
            op->reg[at] = (uint8_t)to;
        }
        at++;
    }
    return true;
}

static void drop_from_candidate(size_t at)
{
    program *c = &the.candidate;
    memmove(&c->ops[at], &c->ops[at + 1], (c->count - at - 1) * sizeof c->ops[0]);
    c->count--;
}

/* Drops the op at `at`, and lets what used its result use the register `to` instead, until the result is assigned again. `keep`:
 * what would release that register is dropped too. */
static bool replace_result(size_t at, unsigned file, unsigned to, bool keep)
{
    program *c = &the.candidate;
    *c = the.best;
    const unsigned from = c->ops[at].result;
    drop_from_candidate(at);
    for (size_t i = at; i < c->count; i++) {
        while (keep && i < c->count && c->ops[i].kind == OP_release && c->ops[i].reg[0] == to)
            drop_from_candidate(i);
        if (i >= c->count)
            break;
        if (!rename_operands(&c->ops[i], file, from, to))
            return false;
        const char result = program_ops[c->ops[i].kind].result;
        if (result && file_of(result) == file && c->ops[i].result == from)
            break;
    }
    return try();
}

/* The same where a run uses the result: all slices from it on move down by one, so that the run takes the one below in. */
static bool close_gap(size_t at)
{
    uint8_t map[PROGRAM_SLICES];
    program *c = &the.candidate;
    const unsigned from = the.best.ops[at].result;
    if (from == 0)
        return false;
    for (unsigned reg = 0; reg < PROGRAM_SLICES; reg++)
        map[reg] = (uint8_t)(reg < from ? reg : reg - 1);
    *c = the.best;
    drop_from_candidate(at);
    for (size_t i = at; i < c->count; i++)
        if (!map_registers(&c->ops[i], SLICES, map))
            return false;
    return try();
}

static bool replace_results(void)
{
    bool any = false;
    for (size_t i = the.best.count; i-- > 0;) {
        uint64_t before = 0;
        if (i >= the.best.count || !program_ops[the.best.ops[i].kind].result)
            continue;
        const unsigned file = file_of(program_ops[the.best.ops[i].kind].result);
        for (size_t j = 0; j < i; j++)
            before |= uses_of(&the.best.ops[j]).defines;
        bool replaced = false;
        for (unsigned reg = 0; reg < file_size[file] && !replaced; reg++)
            replaced = (before & bit(file, reg)) && reg != the.best.ops[i].result &&
                       (replace_result(i, file, reg, false) || (file == SLICES && replace_result(i, file, reg, true)));
        any |= replaced || (file == SLICES && close_gap(i));
    }
    return any;
}

/* A failing allocation stands right in front of what it strikes. */
static bool place_faults(void)
{
    bool any = false;
    for (size_t i = 0; i < the.best.count; i++) {
        const program_op fault = the.best.ops[i];
        if (fault.kind != OP_fail_alloc || (fault.size[0].base == BASE_CONST && fault.size[0].value <= 1))
            continue;
        for (size_t j = the.best.count; j-- > i + 1;) {
            program_op *ops = edit(0);
            memmove(&ops[i], &ops[i + 1], (j - i - 1) * sizeof *ops);
            ops[j - 1] = fault;
            ops[j - 1].size[0] = (program_size){1, BASE_CONST};
            if (try()) {
                any = true;
                break;
            }
        }
    }
    return any;
}

/* ---- simpler ops */

/* In each pair the second says less, and takes the same operands. */
static const uint8_t simpler[][2] = {
    {OP_copy, OP_alloc}, {OP_reader_init_fd, OP_reader_init}, {OP_read_some, OP_read}, {OP_wrap, OP_borrow}};

/* Slices that need less than others: nothing, or an allocator. */
static const uint8_t origins[] = {OP_borrow, OP_wrap, OP_alloc};
enum { ORIGINS = sizeof origins / sizeof origins[0] };

static bool try_origin(size_t at, uint8_t kind, program_size size)
{
    uint8_t allocator = PROGRAM_ALLOCATORS;
    for (size_t i = 0; i < at; i++)
        if (program_ops[the.best.ops[i].kind].result == 'a' && the.best.ops[i].result < allocator)
            allocator = the.best.ops[i].result;
    if (!(the.best.target->kinds >> kind & 1) || (kind == OP_alloc && allocator == PROGRAM_ALLOCATORS))
        return false;
    program_op *op = edit(at);
    const uint8_t result = op->result;
    *op = (program_op){.kind = kind, .result = result, .reg = {kind == OP_alloc ? allocator : 0}, .size = {size}};
    return try();
}

/* So that what made a slice can go. */
static bool simplify_origins(void)
{
    bool any = false;
    for (size_t i = 0; i + 1 < the.best.count; i++) {
        const program_op op = the.best.ops[i];
        const program_size sizes[] = {op.size[0], {0, BASE_CONST}, {1, BASE_CONST}, {64, BASE_CONST}};
        bool done = program_ops[op.kind].result != 's';
        for (size_t j = 0; j < ORIGINS && origins[j] != op.kind && !done; j++)
            for (size_t k = 0; k < sizeof sizes / sizeof sizes[0] && !done; k++)
                any |= done = try_origin(i, origins[j], sizes[k]);
    }
    return any;
}

/* What an op of a reader becomes where an allocator stands in for it: the op's size stays. A peek gets a slice of its own. */
static bool without_reader(const program_op *from, program_op *to, uint8_t allocator, uint8_t spare)
{
    *to = *from;
    switch (from->kind) {
    case OP_reader_init:
    case OP_reader_init_fd:
        *to = (program_op){.kind = OP_allocator_init, .result = allocator, .reg = {from->reg[0]}};
        return true;
    case OP_read:
    case OP_read_some:
    case OP_peek:
        to->kind = OP_alloc;
        to->result = from->kind == OP_peek ? spare : from->result;
        to->reg[0] = allocator;
        return from->kind != OP_peek || spare < PROGRAM_SLICES;
    case OP_reader_close:
        to->kind = OP_allocator_release;
        to->reg[0] = allocator;
        return true;
    default: /* what its source gives */
        return false;
    }
}

/* Most of what a reader meets, below it, an allocator meets too. */
static bool replace_readers(void)
{
    uint64_t used = 0;
    uint8_t allocator = 0, spare = 0;
    program *c = &the.candidate;
    for (size_t i = 0; i < the.best.count; i++) {
        const uses u = uses_of(&the.best.ops[i]);
        used |= u.defines | u.single | u.runs;
    }
    while (allocator < PROGRAM_ALLOCATORS && used & bit(1, allocator))
        allocator++;
    while (spare < PROGRAM_SLICES && used & bit(SLICES, spare))
        spare++;
    for (unsigned reader = 0; reader < PROGRAM_READERS && allocator < PROGRAM_ALLOCATORS; reader++)
        for (unsigned peeks = 0; peeks < 2 && used & bit(2, reader); peeks++) {
            *c = the.best;
            c->count = 0;
            for (size_t i = 0; i < the.best.count; i++) {
                const program_op *op = &the.best.ops[i];
                const uses u = uses_of(op);
                program_op *to = &c->ops[c->count];
                *to = *op;
                c->count +=
                    !((u.defines | u.single) & bit(2, reader)) || without_reader(op, to, allocator, peeks ? spare : PROGRAM_SLICES);
            }
            if (try())
                return true;
        }
    return false;
}

static bool simplify_kinds(void)
{
    bool any = (the.any && replace_readers()) || simplify_origins();
    for (size_t i = 0; i < the.best.count; i++)
        for (size_t j = 0; j < sizeof simpler / sizeof simpler[0]; j++) {
            if (the.best.ops[i].kind != simpler[j][0])
                continue;
            edit(i)->kind = simpler[j][1];
            any |= try();
        }
    return any;
}

static bool lower_choices(void)
{
    bool any = false;
    for (size_t i = 0; i < the.best.count; i++)
        for (uint8_t choice = 0; choice < the.best.ops[i].choice; choice++) {
            edit(i)->choice = choice;
            any |= try();
        }
    return any;
}

/* Runs of slices: fewer of them, from either end. */
static bool shorten_runs(void)
{
    bool any = false;
    for (size_t i = 0; i < the.best.count; i++) {
        while (the.best.ops[i].count > 1) {
            edit(i)->count--;
            if (try()) {
                any = true;
                continue;
            }
            program_op *op = edit(i);
            op->count--;
            op->reg[0]++;
            if (!try())
                break;
            any = true;
        }
    }
    return any;
}

/* ---- sizes */

enum { SMALL = 16, NEAR = 2 };

/* How hard a size is to grasp: small numbers, edges, near edges, powers of two, other numbers, what is far from an edge. */
static uint32_t rank(program_size s)
{
    const uint32_t off = (uint32_t)(s.value < 0 ? -(int64_t)s.value : s.value);
    if (s.base == BASE_CONST) {
        if (s.value <= SMALL)
            return off;
        return (off & (off - 1)) == 0 ? 0x10000U + (uint32_t)__builtin_ctz(off) : 0x20000U + off;
    }
    return off <= NEAR ? 0x100U + off * 0x20U + s.base * 2U + (s.value < 0) : 0xffff0000U + off;
}

static bool try_size(size_t at, unsigned which, program_size size)
{
    if ((size.base == BASE_CONST && size.value < 0) || rank(size) >= rank(the.best.ops[at].size[which]))
        return false;
    edit(at)->size[which] = size;
    return try();
}

static bool try_edges(size_t at, unsigned which)
{
    for (int32_t off = 0; off <= NEAR; off++)
        for (int32_t sign = 1; sign >= (off ? -1 : 1); sign -= 2)
            for (uint32_t base = BASE_MIN; base < BASES; base++)
                if (try_size(at, which, (program_size){sign * off, base}))
                    return true;
    return false;
}

static bool simplify_size(size_t at, unsigned which)
{
    static const int32_t small[] = {0, 1, 2, 3, 4, 8, SMALL};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        if (try_size(at, which, (program_size){small[i], BASE_CONST}))
            return true;
    for (int32_t v = 5; v < SMALL; v++)
        if (try_size(at, which, (program_size){v, BASE_CONST}))
            return true;
    if (try_edges(at, which))
        return true;
    for (int32_t v = 2 * SMALL; v <= 1 << 18; v *= 2)
        if (try_size(at, which, (program_size){v, BASE_CONST}))
            return true;
    /* What is left is halved, as far as it goes. */
    bool any = false;
    program_size s = the.best.ops[at].size[which];
    for (int32_t step = s.value / 2; step != 0;) {
        s.value = the.best.ops[at].size[which].value - step;
        if (try_size(at, which, s))
            any = true;
        else
            step /= 2;
    }
    return any;
}

static bool simplify_sizes(void)
{
    bool any = false;
    for (size_t i = 0; i < the.best.count; i++) {
        unsigned sizes = 0;
        for (const char *o = program_ops[the.best.ops[i].kind].operands; *o && i < the.best.count; o++)
            if (*o == 'n')
                any |= simplify_size(i, sizes++);
    }
    return any;
}

/* ---- an op less, at the price of another size */

static bool takes_size(const program_op *op, unsigned which)
{
    for (const char *o = program_ops[op->kind].operands; *o; o++)
        if (*o == 'n' && which-- == 0)
            return true;
    return false;
}

/* Without the op at `at`; the op at `other`, or all of the same kind if that is `at` too, get the size. */
static bool drop_and_resize(size_t at, size_t other, unsigned which, program_size size)
{
    program *c = &the.candidate;
    *c = the.best;
    for (size_t i = 0; i < c->count; i++)
        if (i == other || (other == at && c->ops[i].kind == c->ops[at].kind && which == 0))
            c->ops[i].size[which] = size;
    drop_from_candidate(at);
    return try();
}

/* An op can be there only to make the state that a larger size would meet at once: one that fails, say, or has to wait. */
static bool trade_ops_for_sizes(void)
{
    static const program_size sizes[] = {{0, BASE_CONST},  {1, BASE_CONST},       {2, BASE_CONST},
                                         {64, BASE_CONST}, {1 << 20, BASE_CONST}, {1, BASE_MIN},
                                         {1, BASE_REST},   {1, BASE_HEAD},        {0, BASE_SIZE_MAX}};
    if (the.best.count > MOST_FOR_TRADES)
        return false;
    for (size_t i = 0; i < the.best.count; i++)
        for (size_t j = 0; j < the.best.count; j++)
            for (unsigned which = 0; takes_size(&the.best.ops[j], which); which++)
                for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
                    if (drop_and_resize(i, j, which, sizes[k]))
                        return true;
    return false;
}

/* ---- register numbers */

static bool renumber(unsigned file, const uint8_t *map)
{
    bool same = true;
    the.candidate = the.best;
    for (size_t i = 0; i < the.best.count; i++)
        if (!map_registers(&the.candidate.ops[i], file, map))
            return false;
    same = memcmp(the.candidate.ops, the.best.ops, the.best.count * sizeof the.best.ops[0]) == 0;
    return !same && try();
}

/* Numbers a file's registers from 0: in the order in which they come, or, where runs forbid that, in that of their numbers. */
static bool renumber_file(unsigned file)
{
    uint8_t by_turn[PROGRAM_SLICES] = {0}, by_number[PROGRAM_SLICES] = {0}, next = 0;
    uint64_t used = 0;
    for (size_t i = 0; i < the.best.count; i++) {
        const uses u = uses_of(&the.best.ops[i]);
        const uint64_t all = u.defines | u.single | u.runs;
        for (unsigned reg = 0; reg < file_size[file]; reg++)
            if (all & ~used & bit(file, reg)) {
                used |= bit(file, reg);
                by_turn[reg] = next++;
            }
    }
    next = 0;
    for (unsigned reg = 0; reg < file_size[file]; reg++)
        if (used & bit(file, reg))
            by_number[reg] = next++;
    return renumber(file, by_turn) || renumber(file, by_number);
}

static bool lower_registers(void)
{
    bool any = false;
    for (unsigned file = 0; file < FILES; file++)
        any |= renumber_file(file);
    return any;
}

/* ---- all of it */

static bool drop_ops(void)
{
    bool any = keep_needed(true) || keep_needed(false);
    return drop_runs() || any;
}

void shrink(program *p, const verdict *v, bool any_failure)
{
    typedef bool (*pass)(void);
    static const pass passes[] = {drop_ops,     place_faults,   replace_results, simplify_kinds,      lower_choices,
                                  shorten_runs, simplify_sizes, drop_pairs,      trade_ops_for_sizes, lower_registers};
    the.best = *p;
    the.best.count = v->ran;
    the.want = *v;
    the.any = any_failure;
    the.fresh = false;
    the.seen_count = 0;
    the.seen = calloc(SEEN, sizeof the.seen[0]);
    if (!the.seen)
        return;
    for (bool any = true, last = false; any || !last;) {
        if (!any) { /* once more, without what an earlier run in the same process may have spoilt */
            last = the.fresh = true;
            memset(the.seen, 0, SEEN * sizeof the.seen[0]);
            the.seen_count = 0;
            any = drop_runs();
            continue;
        }
        any = false;
        for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++)
            any |= passes[i]();
    }
    free(the.seen);
    *p = the.best;
}
