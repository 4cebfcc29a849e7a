/* Fences against the optimiser, each as small as it can be. Sizes pass through opaque(), so that no peer is specialised for a
 * constant; every buffer passes through touch() or look(), so that none is optimised away. They cost no instruction of their
 * own beyond the byte that is written or read.
 */
#ifndef BENCH_WORKLOAD_OPAQUE_H
#define BENCH_WORKLOAD_OPAQUE_H

#include <cstddef>
#include <cstdint>

namespace bench
{

/* The same value, of which the compiler knows nothing. */
inline std::size_t opaque(std::size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

/* Whatever `address` leads to counts as read and as changed. */
inline void escape(const void *address)
{
    __asm__ volatile("" : : "r"(address) : "memory");
}

/* Writes the first byte: the least that a user of a buffer does to it. */
inline void touch(std::uint8_t *bytes)
{
    *bytes = 1;
    escape(bytes);
}

/* Reads the first byte, as the parser of a message would. */
inline void look(const std::uint8_t *bytes)
{
    std::uint8_t first = *bytes;
    __asm__ volatile("" : "+r"(first));
    escape(bytes);
}

} // namespace bench

#endif
