/* Program <-> text: one line per op, `s3 = alloc a1 rest+1`. Printing and parsing are each other's inverse.
 *
 * Grammar: first line `iobuf-program VERSION TARGET`; then lines of words; `#` and ` -> ` begin what is for readers alone.
 * Registers p0 a0 r0 s0; runs s1..s4; sizes 1500, min+1, rest, size-1, head, buf, PTRDIFF_MAX, SIZE_MAX-3; errno by name; once
 * always off.
 */
#include "program.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const base_name[BASES] = {"", "min", "rest", "size", "head", "buf", "PTRDIFF_MAX", "SIZE_MAX"};
static const char head_word[] = "iobuf-program";
static const char *const mode_name[PROGRAM_MODES] = {"once", "always", "off"};

/* ---- printing */

typedef struct line {
    char *at;
    size_t room;
    int length; /* as if there were room for all */
} line;

__attribute__((format(printf, 2, 3))) static void add(line *l, const char *format, ...)
{
    size_t used = (size_t)l->length < l->room ? (size_t)l->length : l->room;
    va_list args;
    va_start(args, format);
    l->length += vsnprintf(l->at + used, l->room - used, format, args);
    va_end(args);
}

static void add_size(line *l, program_size size)
{
    if (size.base == BASE_CONST)
        add(l, " %ld", (long)size.value);
    else if (size.value == 0)
        add(l, " %s", base_name[size.base]);
    else
        add(l, " %s%+ld", base_name[size.base], (long)size.value);
}

static char register_letter(char operand)
{
    switch (operand) {
    case 'p':
    case 'P':
        return 'p';
    case 'a':
    case 'A':
        return 'a';
    case 'r':
    case 'R':
        return 'r';
    default:
        return 's';
    }
}

int program_op_text(const program_op *op, char *text, size_t room)
{
    const program_op_info *info = &program_ops[op->kind];
    line l = {text, room, 0};
    unsigned reg = 0, size = 0;
    if (info->result)
        add(&l, "%c%u = ", info->result, op->result);
    add(&l, "%s", info->name);
    for (const char *o = info->operands; *o; o++) {
        if (*o == 'n')
            add_size(&l, op->size[size++]);
        else if (*o == 'e')
            add(&l, " %s", program_errno_name[op->choice]);
        else if (*o == 'm')
            add(&l, " %s", mode_name[op->choice]);
        else if (*o == 'u' || *o == 'U')
            add(&l, " s%u..s%u", op->reg[0], op->reg[0] + op->count - 1U);
        else
            add(&l, " %c%u", register_letter(*o), op->reg[reg++]);
    }
    return l.length;
}

void program_print(const program *p, size_t count, FILE *to)
{
    fprintf(to, "%s %d %s\n", head_word, PROGRAM_VERSION, p->target->name);
    for (size_t i = 0; i < count && i < p->count; i++) {
        char text[128];
        program_op_text(&p->ops[i], text, sizeof text);
        fprintf(to, "%s\n", text);
    }
}

/* ---- parsing */

enum { WORDS = 8, WORD = 40 };

typedef struct words {
    unsigned count;
    char word[WORDS][WORD];
} words;

/* Splits a line; false if it has too many words, or one that is too long. */
static bool split_line(const char *at, const char *end, words *w)
{
    w->count = 0;
    while (at < end) {
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
            at++;
        if (at == end || *at == '#' || (end - at >= 2 && at[0] == '-' && at[1] == '>'))
            return true;
        const char *start = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
            at++;
        if (w->count == WORDS || at - start >= WORD)
            return false;
        memcpy(w->word[w->count], start, (size_t)(at - start));
        w->word[w->count++][at - start] = '\0';
    }
    return true;
}

/* A decimal number without sign, at most `max`. Returns what follows it, or NULL. */
static const char *parse_number(const char *text, long max, long *value)
{
    if (*text < '0' || *text > '9')
        return NULL;
    long v = 0;
    while (*text >= '0' && *text <= '9') {
        int digit = *text++ - '0';
        if (digit > max || v > (max - digit) / 10)
            return NULL;
        v = v * 10 + digit;
    }
    *value = v;
    return text;
}

static long registers_of(char letter)
{
    return letter == 'p' ? PROGRAM_POOLS : letter == 'a' ? PROGRAM_ALLOCATORS : letter == 'r' ? PROGRAM_READERS : PROGRAM_SLICES;
}

static const char *parse_register(const char *text, char letter, uint8_t *reg)
{
    long value;
    if (*text != letter)
        return NULL;
    const char *rest = parse_number(text + 1, registers_of(letter) - 1, &value);
    if (rest)
        *reg = (uint8_t)value;
    return rest;
}

static bool parse_run(const char *text, program_op *op)
{
    uint8_t last = 0;
    const char *rest = parse_register(text, 's', &op->reg[0]);
    if (!rest || strncmp(rest, "..", 2) != 0)
        return false;
    rest = parse_register(rest + 2, 's', &last);
    if (!rest || *rest || last < op->reg[0])
        return false;
    op->count = (uint8_t)(last - op->reg[0] + 1);
    return true;
}

static bool parse_size(const char *text, program_size *size)
{
    long value = 0;
    const char *rest = parse_number(text, INT32_MAX, &value);
    size->base = BASE_CONST;
    if (!rest) {
        size_t name = strcspn(text, "+-");
        for (uint32_t b = BASE_MIN; b < BASES; b++)
            if (strlen(base_name[b]) == name && strncmp(text, base_name[b], name) == 0)
                size->base = b;
        if (size->base == BASE_CONST)
            return false;
        rest = text + name;
        if (*rest) {
            bool negative = *rest == '-';
            rest = parse_number(rest + 1, negative ? INT16_MAX + 1L : INT16_MAX, &value);
            value = negative ? -value : value;
        }
    }
    size->value = (int32_t)value;
    return rest && !*rest;
}

static bool parse_choice(const char *text, const char *const *names, unsigned count, uint8_t *choice)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0) {
            *choice = (uint8_t)i;
            return true;
        }
    return false;
}

static bool parse_operand(char letter, const char *text, program_op *op, unsigned *reg, unsigned *size)
{
    if (letter == 'n')
        return parse_size(text, &op->size[(*size)++]);
    if (letter == 'e')
        return parse_choice(text, program_errno_name, PROGRAM_ERRNOS, &op->choice);
    if (letter == 'm')
        return parse_choice(text, mode_name, PROGRAM_MODES, &op->choice);
    if (letter == 'u' || letter == 'U')
        return parse_run(text, op);
    const char *rest = parse_register(text, register_letter(letter), &op->reg[(*reg)++]);
    return rest && !*rest;
}

static const char *parse_op(const words *w, const program_target *target, program_op *op)
{
    unsigned at = w->count > 2 && strcmp(w->word[1], "=") == 0 ? 2 : 0;
    uint8_t kind = 0;
    while (kind < OP_KINDS && strcmp(w->word[at], program_ops[kind].name) != 0)
        kind++;
    if (kind == OP_KINDS)
        return "unknown op";
    if (!(target->kinds >> kind & 1))
        return "this target has no such op";
    const program_op_info *info = &program_ops[kind];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    if ((info->result != 0) != (at == 2))
        return info->result ? "the op assigns a register: write `x0 = ...`" : "the op assigns no register";
    if (at == 2) {
        const char *rest = parse_register(w->word[0], info->result, &op->result);
        if (!rest || *rest)
            return "the op does not assign such a register";
    }
    unsigned reg = 0, size = 0;
    if (w->count - at - 1 != strlen(info->operands))
        return "wrong number of operands";
    for (const char *o = info->operands; *o; o++)
        if (!parse_operand(*o, w->word[++at], op, &reg, &size))
            return "malformed operand";
    return NULL;
}

bool program_is_text(const uint8_t *bytes, size_t size)
{
    return size >= sizeof head_word - 1 && memcmp(bytes, head_word, sizeof head_word - 1) == 0;
}

static const char *parse_head(const words *w, program *p)
{
    if (w->count != 3 || strcmp(w->word[0], head_word) != 0)
        return "the first line must be `iobuf-program 1 TARGET`";
    if (strcmp(w->word[1], "1") != 0)
        return "unknown version";
    p->target = program_target_find(w->word[2]);
    return p->target ? NULL : "unknown target";
}

bool program_parse(const char *text, size_t size, program *p, unsigned *line_number, const char **error)
{
    const char *end = text + size;
    bool head = true;
    p->count = 0;
    *error = NULL;
    for (*line_number = 1; text < end; ++*line_number) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        words w;
        if (!split_line(text, stop, &w))
            *error = "too many words, or one too long";
        else if (head)
            *error = parse_head(&w, p);
        else if (w.count && p->count == PROGRAM_MAX_OPS)
            *error = "too many ops";
        else if (w.count && !(*error = parse_op(&w, p->target, &p->ops[p->count])))
            p->count++;
        if (*error)
            return false;
        head = false;
        text = newline ? newline + 1 : end;
    }
    if (head)
        *error = "empty";
    return !head;
}
