#include "programs.h"

#define HELD "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 16\nbefore 0 alloc a0 s1 16\n"
#define LET_GO HELD "before 0 free a0\n"
/* A buf that another thread released: of the next one the owner gives up the bias, and who releases it may adopt it. */
#define ROAMS                                                                                                                      \
    "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 64\nbefore 0 free a0\nbefore 1 release s0\nbefore 0 init a0 0\n"
#define ROAMING                                                                                                                    \
    ROAMS "before 0 alloc a0 s1 8\nbefore 0 alloc a0 s2 8\nbefore 0 alloc a0 s3 8\nbefore 0 alloc a0 s4 8\nbefore 0 alloc a0 s5 "  \
          "8\n"
/* ... and where adoption has just failed, it remains a plain count. */
#define MERGED                                                                                                                     \
    ROAMING "before 0 free a0\nbefore 1 release s1\nbefore 0 release s2\nbefore 0 release s3\nbefore 0 release s4\nbefore 1 "      \
            "release s5\n"                                                                                                         \
            "before 0 init a0 0\nbefore 0 alloc a0 s1 16\nbefore 0 alloc a0 s2 16\nbefore 0 alloc a0 s3 16\nbefore 0 free a0\n"
#define TWO_BUFS LET_GO "before 0 init a0 0\nbefore 0 alloc a0 s2 16\nbefore 0 alloc a0 s3 16\nbefore 0 free a0\n"

/* What shares state, each part of the library against each: releases by owner and others, the holder who lets go, reuse, adoption,
 * the pool's list of revoked bufs, its limit, its cache, close, and its lock. */
const named_program small_programs[] = {
    {"last-two", LET_GO "release s0 | release s1\n"},
    {"last-two-stats", LET_GO "release s0 | release s1 | stats\n | | stats\n"},
    {"last-two-trim", LET_GO "release s0 | release s1 | trim 0\n"},
    {"last-two-close", LET_GO "release s0 | release s1 | close\n"},
    {"last-two-alloc", LET_GO "release s0 | release s1 | init a1 0\n | | alloc a1 s2 64\n | | release s2\n"},
    {"two-by-two", TWO_BUFS "release s0 | release s1\nrelease s2 | release s3\nstats | trim 0\n"},
    {"two-by-two-close", TWO_BUFS "release s0 | release s1 | close\nrelease s2 | release s3\n"},
    {"two-revoked", TWO_BUFS "stats | release s0 | release s2\n | release s1 | release s3\n"},
    {"holder-lets-go", HELD "free a0 | release s0 | release s1\n"},
    {"holder-lets-go-close", HELD "free a0 | release s0 | close\nrelease s1 |\n"},
    {"holder-cuts-on", HELD "alloc a0 s2 16 | release s0\nrelease s1 | stats\nfree a0 | trim 0\nrelease s2 | stats\n"},
    {"restart", HELD "alloc a0 s2 48 | release s0\nalloc a0 s3 48 | release s1\nrelease s2 |\nrelease s3 |\n"},
    {"restart-close", HELD "alloc a0 s2 48 | release s0 | close\nrelease s2 | release s1 |\nalloc a0 s3 48 | |\n"},
    {"restart-moved", "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 48\nrelease s0 | alloc a0 s1 48\n"},
    {"restart-shared", "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 32\n"
                       "share s0 s1 | release s1\nrelease s0 | stats\nalloc a0 s2 64 |\nrelease s2 |\n"},
    {"restart-elsewhere", "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 32\nbefore 0 share s0 s1\nbefore 0 release s1\n"
                          "share s0 s2 | alloc a0 s3 48\nrelease s0 | release s3\nrelease s2 |\n"},
    {"producer-consumer",
     "pool 64 0 0\ninit a0 0 | stats\nalloc a0 s0 16 | release s0\nalloc a0 s1 64 | release s1\nfree a0 | trim 0\n"},
    {"producer-consumers",
     "pool 64 0 0\nbefore 0 init a0 0\nalloc a0 s0 32 | |\nalloc a0 s1 32 | release s0 |\nalloc a0 s2 32 | | release s1\n"},
    {"allocator-moves", HELD "alloc a0 s2 16 |\n | alloc a0 s3 16\nrelease s0 | release s1\nrelease s3 | free a0\n"},
    {"claim", LET_GO "claim s1 | release s0\nrelease s1 | stats\n"},
    {"claim-held", HELD "claim s1 | release s0 | alloc a0 s2 16\nrelease s1 | | free a0\n"},
    {"claim-merge", HELD "before 0 share s0 s2\nfree a0 | claim s1\n"},
    {"claim-share", LET_GO "share s0 s2 | claim s1\nrelease s0 |\nrelease s2 |\n"},
    {"share", LET_GO "share s0 s2 | release s1\nrelease s0 | stats\nrelease s2 |\n"},
    {"share-away", LET_GO "share s0 s2 | release s1\nrelease s0 | release s2\n | stats\n"},
    {"share-held", HELD "share s0 s2 | release s1 | free a0\nrelease s0 | release s2 |\n"},
    {"split-join", HELD "split s0 s2 | release s1 | free a0\njoin s0 s2 | | stats\nrelease s0 | |\n"},
    {"compact",
     "pool 64 0 0\nbefore 0 init a1 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 16\nbefore 0 alloc a0 s1 16\nbefore 0 free a0\n"
     "compact s0 a1 | release s1\nfree a1 | trim 0\nrelease s0 | stats\n"},
    {"give-up", ROAMING "free a0 | release s1 | release s2\nrelease s3 | release s4 | release s5\n"},
    {"adopt", ROAMING "before 0 free a0\nrelease s1 | release s2\nrelease s3 | release s4\nrelease s5 | stats\n"},
    {"adopt-three", ROAMING "before 0 free a0\nrelease s1 | release s2 | release s3\nrelease s4 | release s5 | stats\n"},
    {"adopt-share", ROAMING
     "before 0 free a0\nrelease s1 | share s2 s6 | release s3\nrelease s4 | release s2 | claim s5\n | release s6 | release s5\n"},
    {"adopt-late", ROAMING "before 0 free a0\nrelease s1 | release s2\nshare s3 s6 | release s4\nstats |\nrelease s3 |\n"},
    {"adopt-close", ROAMING "before 0 free a0\nrelease s1 | release s2 | close\nrelease s3 | release s4 |\nrelease s5 | |\n"},
    {"merged", MERGED "release s1 | release s2\nrelease s3 | stats\n"},
    {"merged-three", MERGED "release s1 | release s2 | release s3\nstats | trim 0 |\n"},
    {"merged-close", MERGED "release s1 | release s2 | close\nrelease s3 | |\n"},
    {"merged-share", MERGED "share s1 s4 | release s2 | claim s3\nrelease s1 | | release s3\nrelease s4 | |\n"},
    {"limit-one", "pool 64 64 0\ninit a0 0 | init a1 0\nalloc a0 s0 64 | alloc a1 s1 64\n"},
    {"limit", "pool 64 64 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 48\nbefore 0 free a0\n"
              "release s0 | init a1 0\n | alloc a1 s1 48\n | release s1\n | free a1\n"},
    {"limit-two",
     "pool 64 128 0\ninit a0 0 | init a1 0\nalloc a0 s0 64 | alloc a1 s1 64\nalloc a0 s2 64 | alloc a1 s3 64\nfree a0 | free a1\n"},
    {"limit-evicts",
     "pool 64 128 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 64\nbefore 0 free a0\nbefore 0 init a0 0\nbefore 0 init a1 0\n"
     "release s0 | alloc a1 s1 128\nalloc a0 s2 64 | free a1\nfree a0 | release s1\nrelease s2 | stats\n"},
    {"nothing-cached", "pool 64 0 1\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 16\nbefore 0 alloc a0 s1 16\nbefore 0 free a0\n"
                       "release s0 | release s1 | stats\n | | close\n"},
    {"descriptors", "pool 64 0 1\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 64\nbefore 0 free a0\nbefore 1 init a1 0\n"
                    "release s0 | alloc a1 s1 64\n | alloc a1 s2 64\n | alloc a1 s3 64\n"},
    {"cache-trim", "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 64\nbefore 0 free a0\nbefore 0 release s0\n"
                   "init a0 0 | trim 0\nalloc a0 s1 64 | init a1 0\nfree a0 | alloc a1 s2 64\nrelease s1 | release s2\n"},
    {"close-alloc", "pool 64 0 0\nbefore 0 init a0 0\nalloc a0 s0 64 | close\nalloc a0 s1 64 |\nfree a0 |\nrelease s0 |\n"},
    {"close-all", HELD "free a0 | close | release s0\n | | release s1\n"},
    {"close-two-users",
     "pool 64 0 0\nbefore 0 init a0 0\nbefore 1 init a1 0\nalloc a0 s0 64 | alloc a1 s1 64 | close\nfree a0 | free a1 |\n"
     "release s0 | release s1 |\n"},
    {"lock", "pool 64 0 0\nstats | stats\nstats | stats\nstats | stats\nstats | stats\n"},
    {"lock-three", "pool 64 0 0\nstats | stats | stats\nstats | stats | stats\nstats | stats | stats\n"},
    {"lock-owned", "pool 64 0 0\nbefore 0 stats\nbefore 0 stats\nbefore 0 stats\n"
                   "stats | init a0 0\nstats | alloc a0 s0 64\nstats | free a0\nstats | stats\n"},
    {"lock-owned-three", "pool 64 0 0\nbefore 0 stats\nbefore 0 stats\nstats | stats | init a0 0\nstats | stats | alloc a0 s0 "
                         "64\nstats | stats | free a0\n"},
    {"lock-owned-close",
     "pool 64 0 0\nbefore 0 init a0 0\nbefore 0 alloc a0 s0 64\nbefore 0 free a0\nstats | release s0\nclose |\n"},
};
const unsigned small_programs_count = sizeof small_programs / sizeof small_programs[0];

/* ---- made of numbers ---- */

/* A register of the form's kind that is live, or for 'n' is not; REGISTERS: there is none. */
static unsigned pick(const program *p, char form, bool live, number_source *next, void *context)
{
    const unsigned first = form == 'a' ? 0 : ALLOCATORS, end = form == 'a' ? ALLOCATORS : POOL;
    unsigned found[REGISTERS], count = 0;
    for (unsigned i = first; i < end; i++) {
        if ((p->live >> i & 1) == live)
            found[count++] = i;
    }
    if (count == 0)
        return REGISTERS;
    return found[live ? next(context, count) : 0];
}

static void add_some_op(program *p, unsigned row, unsigned thread, number_source *next, void *context)
{
    /* As often as it is worth it: most of the state that is shared is shared by releases. */
    static const op_kind kinds[] = {OP_RELEASE, OP_RELEASE, OP_RELEASE, OP_RELEASE, OP_ALLOC, OP_ALLOC,
                                    OP_ALLOC,   OP_INIT,    OP_FREE,    OP_FREE,    OP_SHARE, OP_SPLIT,
                                    OP_CLAIM,   OP_JOIN,    OP_COMPACT, OP_STATS,   OP_TRIM,  OP_CLOSE};
    static const unsigned sizes[] = {8, 16, 24, 32, 48, 64, 0, 128};
    op o = {.kind = kinds[next(context, sizeof kinds / sizeof kinds[0])], .thread = thread};
    if (row == BEFORE && (o.kind == OP_CLOSE || p->live == 0))
        o.kind = OP_INIT;
    unsigned operand = 0;
    const char *why;
    for (const char *form = op_forms[o.kind].operands; *form != '\0'; form++) {
        if (*form == '#')
            o.size = o.kind == OP_ALLOC ? sizes[next(context, sizeof sizes / sizeof sizes[0])] : 0;
        else
            o.registers[operand++] = pick(p, *form, *form != 'n' && o.kind != OP_INIT, next, context);
    }
    (void)program_add(p, row, o, &why); /* one that makes no sense is left out */
}

void program_make(program *p, number_source *next, void *context)
{
    static const unsigned limits[] = {0, 0, 0, 64, 128, 192}, cached[] = {0, 0, 0, 1, 64};
    *p = (program){.min_size = 64, .threads = 2 + (next(context, 3) == 0)};
    p->max_bytes = limits[next(context, sizeof limits / sizeof limits[0])];
    p->max_cached = cached[next(context, sizeof cached / sizeof cached[0])];
    for (unsigned i = next(context, 10); i > 0; i--)
        add_some_op(p, BEFORE, next(context, 4) == 0, next, context);
    const unsigned rows = p->threads == 2 ? 4 : 3;
    for (unsigned row = 0; row < rows; row++) {
        for (unsigned thread = 0; thread < p->threads; thread++)
            add_some_op(p, row, thread, next, context);
    }
    program_link(p);
}
