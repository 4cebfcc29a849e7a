/* Readers over sources that give little, block, are interrupted, end and fail. */
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return run_target("reader", bytes, size);
}
