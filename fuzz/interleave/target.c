/* For libFuzzer and AFL++: the first half of an input makes the program, behind a byte for how many stale values there may be, the
 * second the schedule. */
#include "choose.h"
#include "programs.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct byte_source {
    const uint8_t *bytes;
    size_t size, at;
} byte_source;

static unsigned next_byte(void *context, unsigned n)
{
    byte_source *b = context;
    return b->at < b->size ? b->bytes[b->at++] % n : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static program p;
    byte_source source = {bytes, size / 2, 0};
    bytes_choice schedule = {.bytes = bytes + size / 2, .size = size - size / 2};
    const unsigned stale = next_byte(&source, 4);
    program_make(&p, next_byte, &source);
    p.stale = stale;
    const outcome ended = world_run(&p, choose_by_bytes, &schedule);
    scheduler_forget();
    if (ended != FAILED)
        return 0;
    unsigned count;
    const turn *turns = scheduler_turns(&count);
    program_print(&p);
    program_print_schedule(turns, count);
    printf("# fails: %s\n", scheduler_failure());
    fflush(stdout);
    abort();
}
