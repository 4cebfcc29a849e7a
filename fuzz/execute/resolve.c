/* Looks up what a symbolic size means when its op runs. Asks the reference alone, so that a wrong library cannot bend programs. */
#include "world.h"

typedef struct bases {
    size_t of[BASES];
} bases;

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static void look_at_pool(const world *w, int pool, bases *b)
{
    if (pool == MODEL_NONE)
        return;
    const model_pool *p = &w->model.pool[pool];
    b->of[BASE_MIN] = p->min_size;
    b->of[BASE_SIZE] = p->stats.bytes_cached;
    b->of[BASE_HEAD] = p->stats.bytes_in_use;
    b->of[BASE_REST] = less(p->max_bytes, p->stats.bytes_in_use + p->stats.bytes_cached);
    b->of[BASE_BUF] = p->cached_count ? w->model.buf[p->cached[p->cached_count - 1]].size : p->min_size;
}

static void look_at_allocator(const world *w, const model_allocator *a, bases *b)
{
    if (!a->ready)
        return;
    look_at_pool(w, a->pool, b);
    b->of[BASE_HEAD] = a->reserve;
    b->of[BASE_BUF] = a->buf == MODEL_NONE ? b->of[BASE_MIN] : w->model.buf[a->buf].size;
    b->of[BASE_REST] = less(b->of[BASE_BUF] - (a->buf == MODEL_NONE ? 0 : a->cursor), a->reserve);
}

static void look_at_reader(const world *w, const model_reader *r, bases *b)
{
    if (!r->ready)
        return;
    look_at_pool(w, r->pool, b);
    b->of[BASE_SIZE] = model_buffered(r);
    b->of[BASE_BUF] = r->buf == MODEL_NONE ? b->of[BASE_MIN] : w->model.buf[r->buf].size;
    b->of[BASE_REST] = b->of[BASE_BUF] - r->base; /* all that one read can hold without a new buf */
}

static void look_at_slice(const world *w, const model_slice *s, bases *b)
{
    const model_buf *buf = s->buf == MODEL_NONE ? NULL : &w->model.buf[s->buf];
    b->of[BASE_SIZE] = s->size;
    b->of[BASE_HEAD] = s->headroom;
    b->of[BASE_BUF] = buf ? buf->size : 0;
    b->of[BASE_REST] = buf ? buf->size - s->start - s->size : 0;
    if (buf && buf->kind == MODEL_POOLED)
        b->of[BASE_MIN] = w->model.pool[buf->pool].min_size;
}

static void look_at_run(const world *w, const program_op *op, bases *b)
{
    look_at_slice(w, &w->model.slice[op->reg[0]], b);
    b->of[BASE_HEAD] = b->of[BASE_SIZE];
    for (unsigned i = 1; i < op->count; i++)
        b->of[BASE_SIZE] += w->model.slice[op->reg[0] + i].size;
    b->of[BASE_REST] = op->count;
}

static void look_around(const world *w, const program_op *op, bases *b)
{
    unsigned reg = 0;
    for (const char *o = program_ops[op->kind].operands; *o; o++) {
        switch (*o) {
        case 'p':
        case 'P':
            look_at_pool(w, w->pool_id[op->reg[reg++]], b);
            break;
        case 'a':
        case 'A':
            look_at_allocator(w, &w->model.allocator[op->reg[reg++]], b);
            break;
        case 'r':
        case 'R':
            look_at_reader(w, &w->model.reader[op->reg[reg++]], b);
            break;
        case 's':
        case 'x':
            look_at_slice(w, &w->model.slice[op->reg[reg++]], b);
            break;
        case 'u':
        case 'U':
            look_at_run(w, op, b);
            break;
        default:
            break;
        }
    }
}

/* Never beyond 0 or SIZE_MAX. */
static size_t resolve(const bases *b, program_size size)
{
    if (size.base == BASE_CONST)
        return (size_t)size.value;
    size_t base = b->of[size.base];
    if (size.value < 0)
        return less(base, (size_t) - (long)size.value);
    return (size_t)size.value > SIZE_MAX - base ? SIZE_MAX : base + (size_t)size.value;
}

static bool is_symbolic(program_size size)
{
    return size.base > BASE_CONST && size.base < BASE_PTRDIFF_MAX;
}

void resolve_bases(world *w, const program_op *op)
{
    bases b = {{0, 64, 0, 0, 0, 0, (size_t)PTRDIFF_MAX, SIZE_MAX}};
    if (is_symbolic(op->size[0]) || is_symbolic(op->size[1]) || is_symbolic(op->size[2]))
        look_around(w, op, &b);
    w->size[0] = resolve(&b, op->size[0]);
    if (op->kind == OP_share)
        b.of[BASE_REST] = less(b.of[BASE_SIZE], w->size[0]);
    if (op->kind == OP_pool_create)
        b.of[BASE_MIN] = w->size[0];
    w->size[1] = resolve(&b, op->size[1]);
    w->size[2] = resolve(&b, op->size[2]);
}
