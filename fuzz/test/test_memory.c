/* Uses memory of the arena wrongly, as a library with a bug would: AddressSanitizer must say so.
 * Usage: test_memory [before|behind|freed|last]
 */
#include "../execute/memory.h"

#include <string.h>

int main(int argc, char **argv)
{
    const char *how = argc == 2 ? argv[1] : "";
    memory_reset(false);
    volatile uint8_t *old = memory_take(100, 64, MEMORY_HEAP);
    if (strcmp(how, "last") == 0)
        memory_reset(false); /* the next input: nothing is left of this one */
    volatile uint8_t *bytes = memory_take(40, 64, MEMORY_HEAP);
    if (strcmp(how, "before") == 0)
        bytes[-1] = 1;
    else if (strcmp(how, "behind") == 0)
        bytes[40] = 1;
    else if (strcmp(how, "last") == 0)
        old[99] = 1;
    memory_drop((void *)(uintptr_t)bytes, 40, MEMORY_HEAP);
    if (strcmp(how, "freed") == 0)
        bytes[39] = 1;
    return 0;
}
