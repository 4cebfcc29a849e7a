/* Every op. */
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return run_target("all", bytes, size);
}
