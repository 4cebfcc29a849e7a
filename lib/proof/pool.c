/* lib/src/pool.c, for the prover: how a size is rounded up. */
#define IOBUF_NO_INLINE 1
#include "contracts.h"

/*@ requires 0 < min_size < TOP && \valid(rounded);
    assigns *rounded;
    ensures \result ==> *rounded >= size && *rounded >= min_size && *rounded < TOP;
    ensures \result ==> *rounded < size + min_size || (size == 0 && *rounded == min_size);
    ensures \result ==> *rounded % min_size == 0;
    ensures size + min_size <= TOP ==> \result; */
static bool round_up(size_t size, size_t min_size, size_t *rounded);

#include "src/pool.c"
