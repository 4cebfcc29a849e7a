/* The text form, and what is printed of a run. */
#include "program.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MOST 512
#define COLUMN 34

const char *op_print(const op *o, char text[OP_TEXT])
{
    const op_form *form = &op_forms[o->kind];
    size_t used = (size_t)snprintf(text, OP_TEXT, "%s", form->name);
    unsigned operand = 0;
    for (const char *c = form->operands; *c != '\0' && used < OP_TEXT; c++) {
        if (*c == '#') {
            used += (size_t)snprintf(text + used, OP_TEXT - used, " %u", o->size);
        } else {
            const unsigned at = o->registers[operand++];
            used += (size_t)snprintf(text + used, OP_TEXT - used, " %c%u", *c == 'a' ? 'a' : 's', *c == 'a' ? at : at - ALLOCATORS);
        }
    }
    return text;
}

/* ---- reading ---- */

typedef struct words {
    char *at;
} words;

/* The next word, ended by a NUL, or NULL. */
static char *next_word(words *w)
{
    while (isspace((unsigned char)*w->at))
        w->at++;
    if (*w->at == '\0')
        return NULL;
    char *word = w->at;
    while (*w->at != '\0' && !isspace((unsigned char)*w->at))
        w->at++;
    if (*w->at != '\0')
        *w->at++ = '\0';
    return word;
}

static bool read_number(const char *word, unsigned most, unsigned *number)
{
    char *end;
    if (word == NULL || !isdigit((unsigned char)*word))
        return false;
    const unsigned long value = strtoul(word, &end, 10);
    *number = (unsigned)value;
    return *end == '\0' && value <= most;
}

static const char *read_op(char *text, op *o)
{
    words w = {text};
    const char *name = next_word(&w);
    if (name == NULL) {
        o->kind = OP_NONE;
        return NULL;
    }
    o->kind = OP_INIT;
    while (o->kind < OP_KINDS && strcmp(op_forms[o->kind].name, name) != 0)
        o->kind++;
    if (o->kind == OP_KINDS)
        return "no such op";
    unsigned operand = 0;
    for (const char *c = op_forms[o->kind].operands; *c != '\0'; c++) {
        const char *word = next_word(&w);
        unsigned number;
        if (*c == '#') {
            if (!read_number(word, SIZE_MOST, &o->size))
                return "a size is missing, or too large";
        } else if (word == NULL || *word != (*c == 'a' ? 'a' : 's') || !read_number(word + 1, SLICES - 1, &number)) {
            return "a register is missing: a0 to a3 are allocators, s0 to s15 slices";
        } else {
            o->registers[operand++] = *c == 'a' ? number : ALLOCATORS + number;
        }
    }
    return next_word(&w) == NULL ? NULL : "there are more words than the op has operands";
}

static const char *read_row(char *text, unsigned row, program *p)
{
    const char *why = NULL;
    unsigned column = 0;
    for (char *cell = text; cell != NULL; column++) {
        char *bar = strchr(cell, '|');
        if (bar != NULL)
            *bar = '\0';
        op o = {.kind = OP_NONE, .thread = column};
        if (column == THREADS_MOST)
            return "more than 4 threads";
        why = read_op(cell, &o);
        if (why != NULL || (o.kind != OP_NONE && !program_add(p, row, o, &why)))
            return why;
        cell = bar == NULL ? NULL : bar + 1;
    }
    return NULL;
}

static const char *read_schedule(words *w, turn *turns, unsigned *count)
{
    for (const char *word = next_word(w); word != NULL; word = next_word(w)) {
        turn t = {.steps = 0};
        int used = 0, stale = 0;
        if (*count == STEPS_MOST || sscanf(word, "%u*%u%n~%u%n", &t.thread, &t.steps, &used, &t.stale, &stale) < 2 ||
            word[t.stale == 0 ? used : stale] != '\0' || t.thread >= THREADS_MOST || t.steps == 0)
            return "a schedule is made of THREAD*STEPS, and THREAD*STEPS~BACK";
        turns[(*count)++] = t;
    }
    return NULL;
}

static const char *read_line(char *text, program *p, unsigned *row)
{
    words w = {text};
    char copy[LINE_MOST];
    snprintf(copy, sizeof copy, "%s", text);
    const char *first = next_word(&w);
    if (first == NULL || *first == '#')
        return NULL;
    if (strcmp(first, "pool") == 0) {
        if (!read_number(next_word(&w), MIN_SIZE_MOST, &p->min_size) || !read_number(next_word(&w), 4096, &p->max_bytes) ||
            !read_number(next_word(&w), 4096, &p->max_cached) || p->min_size == 0 || p->max_bytes % p->min_size != 0)
            return "pool MIN_SIZE MAX_BYTES MAX_CACHED_BYTES: small numbers, the second a multiple of the first";
        return NULL;
    }
    if (strcmp(first, "stale") == 0)
        return read_number(next_word(&w), STALE_MOST, &p->stale) ? NULL : "stale TIMES: a small number";
    if (strcmp(first, "before") == 0) {
        op o = {.kind = OP_NONE};
        if (!read_number(next_word(&w), THREADS_MOST - 1, &o.thread))
            return "before THREAD OP";
        const char *why = read_op(w.at, &o);
        if (why == NULL)
            (void)program_add(p, BEFORE, o, &why);
        return why;
    }
    return read_row(copy, (*row)++, p);
}

const char *program_parse(const char *text, program *p, turn *turns, unsigned *turns_count, unsigned *line)
{
    unsigned row = 0;
    *p = (program){.min_size = 64};
    *turns_count = 0;
    *line = 0;
    for (const char *at = text; *at != '\0';) {
        char copy[LINE_MOST];
        const size_t size = strcspn(at, "\n");
        const char *why = NULL;
        ++*line;
        if (strncmp(at, "schedule", 8) == 0 && (size == 8 || at[8] == ' ')) { /* may be of any length */
            char *whole = strndup(at + 8, size - 8);
            words w = {whole};
            why = whole == NULL ? "no memory" : read_schedule(&w, turns, turns_count);
            free(whole);
        } else if (*line == 1) {
            why = strncmp(at, "iobuf-interleave 1", size) == 0 && size == 18 ? NULL : "the first line must be: iobuf-interleave 1";
        } else if (size >= sizeof copy) {
            why = "the line is too long";
        } else {
            memcpy(copy, at, size);
            copy[size] = '\0';
            why = read_line(copy, p, &row);
        }
        if (why != NULL)
            return why;
        at += size + (at[size] == '\n');
    }
    if (p->threads == 0)
        return "there are no threads";
    program_link(p);
    return NULL;
}

/* ---- printing ---- */

void program_print(const program *p)
{
    char text[OP_TEXT];
    printf("iobuf-interleave 1\npool %u %u %u\n", p->min_size, p->max_bytes, p->max_cached);
    for (unsigned i = 0; i < p->before_count; i++)
        printf("before %u %s\n", p->before[i].thread, op_print(&p->before[i], text));
    for (unsigned row = 0; row < p->rows; row++) {
        for (unsigned i = 0; i < p->threads; i++)
            printf(i + 1 < p->threads ? "%-18s| " : "%s\n", op_print(&p->ops[row][i], text));
    }
    if (p->stale != 0)
        printf("stale %u\n", p->stale);
}

void program_print_schedule(const turn *turns, unsigned count)
{
    printf("schedule");
    for (unsigned i = 0; i < count; i++)
        printf(turns[i].stale == 0 ? " %u*%u" : " %u*%u~%u", turns[i].thread, turns[i].steps, turns[i].stale);
    printf("\n");
}

void program_print_run(const program *p, const turn *turns, unsigned count)
{
    char text[OP_TEXT], cell[160];
    for (unsigned i = 0; i < count; i++) {
        const turn *t = &turns[i];
        if (t->what == NULL)
            snprintf(cell, sizeof cell, "to its end");
        else
            snprintf(cell, sizeof cell, "%s: %s %s %s in %s", op_print(&p->ops[t->op][t->thread], text),
                     i + 1 < count ? "before" : "fails at", scheduler_kind_name(t->before), t->what, t->where);
        printf("# %*s%u: %s\n", (int)(t->thread * COLUMN), "", t->thread, cell);
        if (t->stale != 0)
            printf("# %*s   and the last step before: %s %s in %s, %u behind the latest\n", (int)(t->thread * COLUMN), "",
                   scheduler_kind_name(t->stale_kind), t->stale_what, t->stale_where, t->stale);
    }
}
