/* Pools: limits, trimming, closing, a backing that fails. */
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return run_target("pool", bytes, size);
}
