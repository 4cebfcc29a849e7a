/* The heavy fence: membarrier(2) on Linux (PRIVATE_EXPEDITED, since 4.14). Registered once per process. */
#include "atomic.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#define MEMBARRIER_PRIVATE_EXPEDITED 8
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static bool available;

static void probe(void)
{
    available = membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) == 0 && membarrier(MEMBARRIER_PRIVATE_EXPEDITED) == 0;
}

bool fence_heavy_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe);
    return available;
}

void fence_heavy(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (membarrier(MEMBARRIER_PRIVATE_EXPEDITED) != 0) {
        /* A child of fork(2) may have to register again. */
        membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED);
        membarrier(MEMBARRIER_PRIVATE_EXPEDITED);
    }
}
#else
bool fence_heavy_available(void)
{
    return false;
}

void fence_heavy(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif
