/* Linked with --wrap=fence_heavy_available: the library finds no membarrier(2), as on a kernel that lacks it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <stdbool.h>

bool __wrap_fence_heavy_available(void);

bool __wrap_fence_heavy_available(void)
{
    return false;
}
