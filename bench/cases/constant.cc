/* constant: what the machine's own primitives cost, to judge the other figures by: a locked add, a mutex taken and given back, both
 * by one thread alone, and a memcpy that stays in the first-level cache, to an aligned destination and to one 8 bytes off.
 */
#include <pthread.h>

#include <atomic>
#include <cstring>

#include "cases/cases.h"

namespace bench
{

namespace
{

void atomic_add(benchmark::State &state)
{
    alignas(64) std::atomic<std::uint64_t> sum{0};
    for (auto _ : state) {
        sum.fetch_add(1, std::memory_order_relaxed);
        escape(&sum);
    }
    if (sum.load(std::memory_order_relaxed) != static_cast<std::uint64_t>(state.iterations()))
        fail(state, "not every add was done");
}

/* Shared between processes, since glibc takes a private one without any atomic as long as no case has started a thread. */
void mutex(benchmark::State &state)
{
    pthread_mutexattr_t attributes;
    alignas(64) pthread_mutex_t mutex;
    if (pthread_mutexattr_init(&attributes) != 0 || pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutex_init(&mutex, &attributes) != 0)
        return fail(state, "no mutex");
    pthread_mutexattr_destroy(&attributes);
    for (auto _ : state) {
        pthread_mutex_lock(&mutex);
        escape(&mutex);
        pthread_mutex_unlock(&mutex);
    }
    pthread_mutex_destroy(&mutex);
}

constexpr std::size_t kLine = 64;
constexpr std::size_t kCopied = 1024;

void memcpy_to(benchmark::State &state, std::size_t offset)
{
    alignas(kLine) std::uint8_t from[kCopied];
    alignas(kLine) std::uint8_t into[kCopied + kLine];
    for (std::size_t i = 0; i < kCopied; i++)
        from[i] = static_cast<std::uint8_t>(i);
    escape(from);
    std::uint8_t *const at = into + opaque(offset);
    for (auto _ : state) {
        std::memcpy(at, from, opaque(kCopied));
        escape(at);
    }
    if (std::memcmp(at, from, kCopied) != 0)
        fail(state, "the copy differs");
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kCopied));
}

} // namespace

void register_constants()
{
    add_case("constant", "atomic_add", "0", atomic_add);
    add_case("constant", "mutex", "0", mutex);
    add_case("constant", "memcpy", std::to_string(kCopied), [](benchmark::State &state) { memcpy_to(state, 0); });
    add_case("constant", "memcpy_misaligned", std::to_string(kCopied), [](benchmark::State &state) { memcpy_to(state, 8); });
}

} // namespace bench
