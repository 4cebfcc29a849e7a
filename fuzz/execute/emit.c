/* Prints the run of a program as a C file that needs the library alone and fails the same way: each op as a function with its sizes
 * looked up, and what the reference expects of the registers that it names. Templates:
 *
 *   $d register assigned   $0 $1 register operands   $# run length   $n $m $o sizes   $l a size kept small
 *   $e errno value         $w status expected        $v value expected                $i number of the pool
 */
#include "world.h"

#include <string.h>

static const char *const standalone[] = {
#include "standalone.h"
};

#define OUT(call)                                                                                                                  \
    "iobuf_slice_release(&s[$d]);\nint status = " call ";\nexpect_status(status, $w);\nif (status == IOBUF_OK)\n    s[$d] = "      \
                                                       "out;\n"
#define STATUS(call) "expect_status(" call ", $w);\n"
#define EVENT(kind, size, error) "add(&sources[$0], " kind ", " size ", " error ");\n"

static const char *const templates[OP_KINDS] = {
    [OP_pool_create] = "iobuf_pool_options o = options($n, $m, $o, $i);\niobuf_pool_close(p[$d]);\np[$d] = NULL;\n" STATUS(
        "iobuf_pool_create(&o, &p[$d])"),
    [OP_pool_create_default] = "iobuf_pool_close(p[$d]);\np[$d] = NULL;\n" STATUS("iobuf_pool_create(NULL, &p[$d])"),
    [OP_pool_close] = "iobuf_pool_close(p[$0]);\np[$0] = NULL;\n",
    [OP_pool_stats] = "",
    [OP_pool_trim] = "expect(\"bytes freed\", iobuf_pool_trim(p[$0], $n), $v);\n",
    [OP_allocator_init] = "iobuf_allocator_release(&a[$d]);\n" STATUS("iobuf_allocator_init(&a[$d], p[$0], $n)"),
    [OP_allocator_release] = "iobuf_allocator_release(&a[$0]);\n",
    [OP_alloc] = OUT("iobuf_alloc(&a[$0], $n, &out)"),
    [OP_copy] = OUT("iobuf_copy(&a[$0], pattern + (op - 1) * 67 % MOST, $n, &out)"),
    [OP_shrink] = STATUS("iobuf_allocator_shrink(&a[$0], &s[$1], $n)"),
    [OP_release] = "iobuf_slice_release(&s[$0]);\n",
    [OP_release_previous] = "iobuf_slice_release_previous(&s[$0], &s[$1]);\n",
    [OP_truncate_front] = "iobuf_slice_truncate_front(&s[$0], $n);\n",
    [OP_truncate_back] = "iobuf_slice_truncate_back(&s[$0], $n);\n",
    [OP_expand_front] = "expect(\"result\", iobuf_slice_expand_front(&s[$0], $n), $v);\n",
    [OP_free_entire_prefix] = "iobuf_slice_free_entire_prefix(&s[$0]);\n",
    [OP_claim_prefix] = "expect(\"result\", iobuf_slice_claim_prefix(&s[$0]), $v);\n",
    [OP_share] = OUT("iobuf_slice_share(&s[$0], $n, $m, &out)"),
    [OP_split] = OUT("iobuf_slice_split(&s[$0], $n, &out)"),
    [OP_borrow] = "iobuf_slice_release(&s[$d]);\ns[$d] = iobuf_slice_borrow(lend($d, $l), $l);\n",
    [OP_wrap] = "void *bytes = lend($d, $l);\n#if USES_CALLOC\nfail_calloc = should_fail();\n#endif\n" OUT(
        "iobuf_slice_wrap(bytes, $n, free_wrapped, bytes, &out)"),
    [OP_coalesce] = "expect(\"slices left\", iobuf_coalesce(&s[$0], $#, $n), $v);\n",
    [OP_compact] = STATUS("iobuf_slice_compact(&s[$0], &a[$1])"),
    [OP_to_iovec] = "struct iovec iov[33];\nexpect(\"entries\", iobuf_slices_to_iovec(&s[$0], $#, iov, $n < 33 ? $n : 33), $v);\n",
    [OP_writev] = "size_t count = $#, written;\n" STATUS("iobuf_writev(FD_SINK, &s[$0], &count, &written)"),
    [OP_move] = "iobuf_slice_release(&s[$d]);\ns[$d] = s[$0];\nmemset(&s[$0], 0, sizeof s[$0]);\n",
    [OP_fill] = "",
    [OP_reader_init] = "iobuf_reader_close(&r[$d]);\nmemset(&sources[$d], 0, sizeof sources[$d]);\nis_fd[$d] = 0;\n"
                       "positions[$d] = $d * 1000;\n" STATUS("iobuf_reader_init(&r[$d], p[$0], source, (void *)(uintptr_t)$d)"),
    [OP_reader_init_fd] = "iobuf_reader_close(&r[$d]);\nmemset(&sources[$d], 0, sizeof sources[$d]);\nis_fd[$d] = 1;\n"
                          "positions[$d] = $d * 1000;\n" STATUS("iobuf_reader_init_fd(&r[$d], p[$0], FD_READER + $d)"),
    [OP_reader_close] = "iobuf_reader_close(&r[$0]);\n",
    [OP_read] = OUT("iobuf_reader_read(&r[$0], $n, &out)"),
    [OP_read_some] = OUT("iobuf_reader_read_some(&r[$0], $n, &out)"),
    [OP_peek] = "const uint8_t *bytes = NULL;\nsize_t size = 0;\n" STATUS("iobuf_reader_peek(&r[$0], $n, &bytes, &size)"),
    [OP_source_give] = EVENT("GIVE", "$n", "0"),
    [OP_source_fail] = EVENT("FAIL", "0", "$e"),
    [OP_source_end] = EVENT("END", "0", "0"),
    [OP_source_give_fail] = EVENT("GIVE_FAIL", "$n", "$e"),
    [OP_source_over] = EVENT("OVER", "$n", "0"),
    [OP_source_zero_fail] = EVENT("ZERO_FAIL", "0", "$e"),
    [OP_sink_give] = "add(&sink, GIVE, $n, 0);\n",
    [OP_sink_fail] = "add(&sink, FAIL, 0, $e);\n",
    [OP_fail_alloc] = NULL,
    [OP_strerror] = "expect(\"words\", iobuf_strerror(-(int)($n & 0x7fffffff)) != NULL, 1);\n",
    [OP_invalid] = STATUS("call_wrongly($n % 19)"),
    [OP_thread] = "",
};

static const char *const status_names[] = {"IOBUF_OK",      "IOBUF_EINVAL", "IOBUF_ENOMEM", "IOBUF_ELIMIT", "IOBUF_EOVERFLOW",
                                           "IOBUF_ECLOSED", "IOBUF_EOF",    "IOBUF_EAGAIN", "IOBUF_EIO"};

static void put_size(FILE *to, size_t size)
{
    const size_t middle = (size_t)PTRDIFF_MAX;
    if (size > SIZE_MAX - 65536)
        fprintf(to, "(SIZE_MAX - %zu)", SIZE_MAX - size);
    else if (size > middle && size - middle <= 65536)
        fprintf(to, "((size_t)PTRDIFF_MAX + %zu)", size - middle);
    else if (size <= middle && middle - size <= 65536)
        fprintf(to, "((size_t)PTRDIFF_MAX - %zu)", middle - size);
    else
        fprintf(to, "(size_t)%zu", size);
}

static void put_item(const world *w, const program_op *op, char item, FILE *to)
{
    size_t small = w->size[0] < 4096 ? w->size[0] : 4096;
    int64_t status = w->want_known ? (int64_t)w->want : 0;
    switch (item) {
    case 'd':
        fprintf(to, "%u", op->result);
        break;
    case '0':
    case '1':
        fprintf(to, "%u", op->reg[item - '0']);
        break;
    case '#':
        fprintf(to, "%u", op->count);
        break;
    case 'n':
        put_size(to, op->kind == OP_wrap && w->size[0] <= (size_t)PTRDIFF_MAX ? small : w->size[0]);
        break;
    case 'm':
    case 'o':
        put_size(to, w->size[item == 'm' ? 1 : 2]);
        break;
    case 'l':
        put_size(to, small);
        break;
    case 'e':
        fputs(program_errno_name[op->choice], to);
        break;
    case 'w':
        fputs(status_names[-status], to);
        break;
    case 'v':
        put_size(to, (size_t)w->want);
        break;
    default:
        fprintf(to, "%d", w->model.pools - (w->want_known && w->want == 0));
        break;
    }
}

/* A template's lines, indented. */
static void put_template(const world *w, const program_op *op, const char *t, FILE *to)
{
    for (bool at_start = true; *t; t++) {
        if (at_start && *t != '#')
            fputs("    ", to);
        at_start = *t == '\n';
        if (*t == '$')
            put_item(w, op, *++t, to);
        else
            fputc(*t, to);
    }
}

/* As `sum` in standalone.c has it of the same bytes. */
static unsigned sum(const model *m, int buf, size_t start, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)model_byte(m, buf, start + i)) * 16777619u;
    return hash;
}

static void put_slice(const world *w, unsigned reg, FILE *to)
{
    const model_slice *s = &w->model.slice[reg];
    fprintf(to, "    slice(%u, %zu, %zu, 0x%08x);\n", reg, s->size, s->headroom, sum(&w->model, s->buf, s->start, s->size));
}

static void put_reader(const world *w, unsigned reg, FILE *to)
{
    const model_reader *r = &w->model.reader[reg];
    if (r->ready)
        fprintf(to, "    reader(%u, %zu, %d);\n", reg, model_buffered(r), r->last_errno);
}

/* What the op has touched, as the reference has it now. */
static void put_expectations(const world *w, const program_op *op, FILE *to)
{
    const program_op_info *info = &program_ops[op->kind];
    unsigned reg = 0;
    for (const char *o = info->operands; *o; o++) {
        if (*o == 's' || *o == 'x')
            put_slice(w, op->reg[reg++], to);
        else if (*o == 'r' || *o == 'R')
            put_reader(w, op->reg[reg++], to);
        else if (*o == 'u' || *o == 'U')
            for (unsigned i = 0; i < op->count; i++)
                put_slice(w, op->reg[0] + i, to);
        else
            reg += *o != 'n' && *o != 'e' && *o != 'm';
    }
    if (info->result == 's')
        put_slice(w, op->result, to);
    if (op->kind == OP_peek && w->want_known && w->want == 0) {
        const model_reader *r = &w->model.reader[op->reg[0]];
        fprintf(to, "    expect(\"bytes shown\", size, %zu);\n", model_buffered(r));
        if (model_buffered(r))
            fprintf(to, "    expect(\"contents shown\", sum(bytes, size), 0x%08x);\n",
                    sum(&w->model, r->buf, r->base, model_buffered(r)));
    }
}

static void put_counts(world *w, FILE *to)
{
    for (unsigned i = 0; i < PROGRAM_POOLS; i++) {
        if (w->pool_id[i] == MODEL_NONE)
            continue;
        const iobuf_pool_stats *t = &w->model.pool[w->pool_id[i]].stats;
        if (w->emitted_id[i] == w->pool_id[i] && memcmp(&w->emitted[i], t, sizeof *t) == 0)
            continue;
        w->emitted_id[i] = w->pool_id[i];
        w->emitted[i] = *t;
        fprintf(to, "    counts(%u, %zu, %zu, %zu, %zu, %zu, %zu);\n", i, t->bufs_allocated, t->bufs_in_use, t->bufs_cached,
                t->bytes_in_use, t->bytes_cached, t->bytes_peak);
    }
    if (w->emitted_frees != w->model.wraps_gone)
        fprintf(to, "    expect(\"free callbacks\", frees, %zu);\n", w->emitted_frees = w->model.wraps_gone);
}

static bool has_op(const program *p, program_kind kind)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->ops[i].kind == kind)
            return true;
    return false;
}

void emit_begin(world *w)
{
    const program *p = w->program;
    FILE *to = w->options->c;
    fprintf(to, "/* A program of the fuzz target %s as C. Build: cc FILE -liobuf -lpthread */\n", p->target->name);
    fprintf(to, "#define USES_READ %d\n#define USES_WRITEV %d\n", has_op(p, OP_reader_init_fd), has_op(p, OP_writev));
    fprintf(to, "#define USES_CALLOC %d\n", has_op(p, OP_wrap) && has_op(p, OP_fail_alloc));
    fprintf(to, "#define USES_DEFAULT_POOL %d\n", has_op(p, OP_pool_create_default));
    for (size_t i = 0; i < sizeof standalone / sizeof standalone[0]; i++)
        fputs(standalone[i], to);
    w->emitted_ops = 0;
    w->emitted_frees = 0;
    w->fill_count = 0;
    memset(w->emitted_id, 0xff, sizeof w->emitted_id);
    memset(w->turn_end, 0, sizeof w->turn_end);
}

/* The harness has written the pattern to those bytes of the slice. */
void emit_fill(world *w, unsigned reg, size_t from, size_t size)
{
    emit_range *last = w->fill_count ? &w->fill[w->fill_count - 1] : NULL;
    if (!w->options->c)
        return;
    if (last && last->reg == reg && last->from + last->size == from)
        last->size += size;
    else if (w->fill_count < FILLS)
        w->fill[w->fill_count++] = (emit_range){reg, from, size};
}

void emit_op(world *w, bool returned)
{
    const program_op *op = &w->program->ops[w->at];
    FILE *to = w->options->c;
    char text[128];
    program_op_text(op, text, sizeof text);
    fprintf(to, "\nstatic void op_%zu(void)\n{\n    op = %zu; /* %s */\n", w->at + 1, w->at + 1, text);
    if (w->result_kind != RESULT_SKIPPED) {
        if (op->kind == OP_fail_alloc)
            fprintf(to, "    fail_in = %zu;\n    fail_always = %d;\n", the_memory.fail_in, the_memory.fail_always);
        else
            put_template(w, op, templates[op->kind], to);
        for (size_t i = 0; i < w->fill_count; i++)
            fprintf(to, "    fill(%u, %zu, %zu);\n", w->fill[i].reg, w->fill[i].from, w->fill[i].size);
        if (returned) {
            put_expectations(w, op, to);
            put_counts(w, to);
        }
    }
    fputs("}\n", to);
    w->fill_count = 0;
    w->emitted_ops = w->at + 1;
}

/* The turns of the other thread, and main. */
void emit_end(world *w)
{
    FILE *to = w->options->c;
    for (size_t i = 0; i < w->emitted_ops; i++) {
        if (!w->turn_end[i])
            continue;
        size_t end = w->turn_end[i] < w->emitted_ops ? w->turn_end[i] : w->emitted_ops;
        fprintf(to, "\nstatic void *turn_%zu(void *unused_)\n{\n", i + 1);
        for (size_t j = i + 1; j < end; j++)
            fprintf(to, "    op_%zu();\n", j + 1);
        fputs("    return unused_;\n}\n", to);
    }
    fputs("\nint main(void)\n{\n    make_pattern();\n", to);
    for (size_t i = 0; i < w->emitted_ops; i++) {
        fprintf(to, "    op_%zu();\n", i + 1);
        if (w->turn_end[i]) {
            fprintf(to, "    elsewhere(turn_%zu);\n", i + 1);
            i = w->turn_end[i] - 1;
        }
    }
    fputs("    end();\n    return 0;\n}\n", to);
    fflush(to);
}
