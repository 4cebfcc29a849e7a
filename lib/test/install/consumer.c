/* A user's program in C: a header in front of a body, without a copy.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <iobuf/iobuf.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    iobuf_pool *pool;
    iobuf_allocator a;
    iobuf_slice s;
    if (iobuf_pool_create(NULL, &pool) != IOBUF_OK || iobuf_allocator_init(&a, pool, 6) != IOBUF_OK)
        return 1;
    if (iobuf_copy(&a, "world\n", 6, &s) != IOBUF_OK || !iobuf_slice_expand_front(&s, 6))
        return 2;
    memcpy(iobuf_slice_data(&s), "Hello ", 6);
    size_t count = 1, written = 0;
    fflush(stdout);
    if (iobuf_writev(1, &s, &count, &written) != IOBUF_OK || written != 12 || count != 0)
        return 3;
    iobuf_allocator_release(&a);
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(pool, &stats);
    iobuf_pool_close(pool);
    return stats.bufs_in_use == 0 ? 0 : 4;
}
