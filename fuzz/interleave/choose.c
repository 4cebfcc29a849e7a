#include "choose.h"

static int first_of(unsigned threads)
{
    return __builtin_ctz(threads);
}

static bool has(unsigned threads, int thread)
{
    return thread >= 0 && (threads >> thread & 1) != 0;
}

/* The n-th of a set. */
static int nth_of(unsigned threads, unsigned n)
{
    for (; n > 0; n--)
        threads &= threads - 1;
    return first_of(threads);
}

static int who_comes_first(const decision *d)
{
    return d->current >= 0 ? d->current : first_of(d->enabled);
}

int choose_by_turns(void *context, const decision *d)
{
    turns_choice *c = context;
    if (d->values != 0) {
        const turn *t = &c->turns[c->at];
        const bool last = c->at < c->count && (int)t->thread == d->current && c->done == t->steps;
        return !last ? 0 : (int)(t->stale < d->values ? t->stale : d->values - 1);
    }
    while (c->at < c->count && c->done == c->turns[c->at].steps) {
        c->at++;
        c->done = 0;
    }
    if (c->at == c->count || !has(d->enabled, (int)c->turns[c->at].thread))
        return who_comes_first(d);
    c->done++;
    return (int)c->turns[c->at].thread;
}

int choose_by_bytes(void *context, const decision *d)
{
    bytes_choice *c = context;
    if (d->values != 0) {
        const unsigned value = c->at < c->size ? c->bytes[c->at++] % (4 * d->values) : 0;
        return value < d->values ? (int)value : 0;
    }
    const unsigned others = d->current >= 0 ? d->enabled & ~(1U << d->current) : d->enabled;
    if (d->current >= 0 && (others == 0 || c->at >= c->size || c->left-- > 0))
        return d->current;
    const unsigned whom = c->at < c->size ? c->bytes[c->at++] : 0;
    c->left = c->at < c->size ? c->bytes[c->at++] : 0;
    return nth_of(others, whom % (unsigned)__builtin_popcount(others));
}

static void stale_begin(stale_choice *c, uint64_t seed)
{
    c->numbers.state = ~seed; /* so that who goes on is decided as if there were no such choice */
    c->one_in = 1U << random_below(&c->numbers, 6);
}

static int choose_value(stale_choice *c, unsigned values)
{
    return random_one_in(&c->numbers, c->one_in) ? 1 + (int)random_below(&c->numbers, values - 1) : 0;
}

void random_begin(random_choice *c, uint64_t seed)
{
    c->numbers.state = seed;
    c->one_in = 1U << random_below(&c->numbers, 6);
    stale_begin(&c->stale, seed);
}

int choose_at_random(void *context, const decision *d)
{
    random_choice *c = context;
    if (d->values != 0)
        return choose_value(&c->stale, d->values);
    if (d->current >= 0 && !random_one_in(&c->numbers, c->one_in))
        return d->current;
    return nth_of(d->enabled, random_below(&c->numbers, (size_t)__builtin_popcount(d->enabled)));
}

void pct_begin(pct_choice *c, uint64_t seed, unsigned depth, unsigned steps)
{
    random_numbers numbers = {seed};
    *c = (pct_choice){.depth = depth};
    stale_begin(&c->stale, seed);
    for (int i = 0; i < THREADS_MOST; i++) { /* a random order */
        const int j = (int)random_below(&numbers, (size_t)i + 1);
        c->priorities[i] = c->priorities[j];
        c->priorities[j] = i + 1;
    }
    for (unsigned i = 0; i + 1 < depth; i++)
        c->changes[i] = random_below(&numbers, steps == 0 ? 1 : steps);
}

static int highest_of(const pct_choice *c, unsigned threads)
{
    int best = first_of(threads);
    for (int i = best; i < THREADS_MOST; i++) {
        if (has(threads, i) && c->priorities[i] > c->priorities[best])
            best = i;
    }
    return best;
}

int choose_by_priority(void *context, const decision *d)
{
    pct_choice *c = context;
    if (d->values != 0)
        return choose_value(&c->stale, d->values);
    for (unsigned i = 0; i + 1 < c->depth; i++) {
        if (c->changes[i] == c->step)
            c->priorities[highest_of(c, d->enabled)] = --c->lowest;
    }
    c->step++;
    return highest_of(c, d->enabled);
}
