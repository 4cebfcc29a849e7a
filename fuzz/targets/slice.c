/* Allocators, slices, coalescing, foreign memory, output. */
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return run_target("slice", bytes, size);
}
