/* Which allocator serves malloc in this process, and what it holds. Preloading one is easy to get wrong without noticing (a
 * library that is not found is only a warning), so it is proven before anything is measured. Everything is looked up at run time:
 * nothing here is linked to.
 */
#ifndef BENCH_PEERS_MALLOC_ACCOUNT_H
#define BENCH_PEERS_MALLOC_ACCOUNT_H

#include <cstddef>
#include <string>

namespace bench
{

/* Proves that `wanted` (glibc, jemalloc, mimalloc or tcmalloc; empty: glibc) serves malloc, free, operator new and operator
 * delete; else says in one line who does and ends the program, status 3. Once, before any other call of this file. */
void malloc_prove(const std::string &wanted);

/* What the malloc peer is called: the name given, or `malloc`. */
const char *malloc_name();

/* `jemalloc 5.3.0-...`, by the allocator's own word. */
const std::string &malloc_version();

/* Bytes taken from the kernel and not given back, as far as the allocator tells: compare two readings of one process. */
std::size_t malloc_held();

} // namespace bench

#endif
