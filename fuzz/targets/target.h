/* What every fuzz target does: decode, run. One source serves libFuzzer, AFL++ (through libAFLDriver) and replay. */
#ifndef IOBUF_FUZZ_TARGET_H
#define IOBUF_FUZZ_TARGET_H

#include "../execute/execute.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static inline int run_target(const char *name, const uint8_t *bytes, size_t size)
{
    static program p;
    static const program_target *target;
    static const execute_options options;
    if (!target || strcmp(target->name, name) != 0)
        target = program_target_find(name);
    unsigned line;
    const char *error;
    /* A text program is itself, so that regressions can be kept as such; it may name another target. One that cannot be read is
     * an empty one, as replay, which says why, runs none. */
    if (!program_is_text(bytes, size))
        program_decode(target, bytes, size, &p);
    else if (!program_parse((const char *)bytes, size, &p, &line, &error))
        return 0;
    execute_program(&p, &options);
    return 0;
}

/* AddressSanitizer's quarantine is to hold what one input frees, not what thousands did, which would take fresh pages all the time. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8:malloc_context_size=8";
}

/* What the library and the C library set up once is done before the engine looks, so that no input is the first. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const uint8_t warm_up[] = {PROGRAM_VERSION, OP_pool_create_default, 0, OP_pool_stats, 0};
    (void)argc;
    (void)argv;
    return run_target("all", warm_up, sizeof warm_up);
}

#endif
