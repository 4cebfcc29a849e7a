/* pool_take: a buf is taken from a pool that has `size` free ones and another given back, through the public calls of iobuf alone.
 * Buffers are exactly as large as a buf, so that none fits the allocator's current one while its slice lives: each step takes the
 * next from the pool, and then releases the step's before, whose buf thereby goes back. The free ones are of 100 sizes (10 of
 * them, where there are only 10), and what is asked for are those same 10 sizes in turn: the two cases differ by how many lie
 * there, not by what is done.
 */
#ifndef BENCH_CASES_POOL_TAKE_H
#define BENCH_CASES_POOL_TAKE_H

#include <iobuf/iobuf.h>

#include "cases/cases.h"

namespace bench
{

namespace pool_take_case
{

constexpr std::size_t kUnit = 16; /* small, so that 100,000 bufs are 80 MB */
constexpr std::size_t kSizes = 100;
constexpr std::size_t kAsked = 10;

inline void check(int status)
{
    if (status != IOBUF_OK)
        die(iobuf_strerror(status));
}

/* The multiple of kUnit that the i-th free buf has; every tenth is one that is asked for. */
inline std::size_t size_of(std::size_t i, std::size_t count)
{
    const std::size_t step = count < kSizes ? kSizes / count : 1;
    return (1 + (i * step + step - 1) % kSizes) * kUnit;
}

/* A pool with `count` free bufs. */
class FullPool
{
  public:
    explicit FullPool(std::size_t count)
    {
        iobuf_pool_options options = {};
        options.min_size = kUnit;
        options.max_cached_bytes = SIZE_MAX;
        check(iobuf_pool_create(&options, &pool));
        std::vector<iobuf_slice> slices(count);
        for (std::size_t i = 0; i < count; i++) {
            iobuf_allocator allocator; /* a new one takes a new buf */
            check(iobuf_allocator_init(&allocator, pool, 0));
            check(iobuf_alloc(&allocator, size_of(i, count), &slices[i]));
            iobuf_allocator_release(&allocator);
        }
        for (iobuf_slice &slice : slices)
            iobuf_slice_release(&slice);
    }
    ~FullPool()
    {
        iobuf_pool_close(pool);
    }
    FullPool(const FullPool &) = delete;
    FullPool &operator=(const FullPool &) = delete;

    iobuf_pool_stats stats() const
    {
        iobuf_pool_stats stats;
        iobuf_pool_stats_get(pool, &stats);
        return stats;
    }

    iobuf_pool *pool = nullptr;
};

inline void pool_take(benchmark::State &state, std::size_t count)
{
    const FullPool full(count);
    iobuf_allocator allocator;
    iobuf_slice previous = iobuf_slice_borrow(nullptr, 0);
    check(iobuf_allocator_init(&allocator, full.pool, 0));
    if (full.stats().bufs_cached != count)
        return fail(state, "the pool has not the free bufs that it should");
    std::size_t turn = 0;
    const auto step = [&] {
        const std::size_t size = kUnit * (kSizes / kAsked) * (1 + turn);
        turn = turn + 1 == kAsked ? 0 : turn + 1;
        iobuf_slice slice;
        check(iobuf_alloc(&allocator, opaque(size), &slice));
        touch(iobuf_slice_data(&slice));
        iobuf_slice_release(&previous);
        previous = slice;
    };
    for (std::size_t i = 0; i < 100 * kAsked; i++)
        step();
    for (auto _ : state)
        step();
    const iobuf_pool_stats stats = full.stats();
    if (stats.bufs_allocated != count || stats.bufs_cached != count - 1)
        fail(state, "bufs did not come from the pool and go back to it");
    iobuf_slice_release(&previous);
    iobuf_allocator_release(&allocator);
}

} // namespace pool_take_case

inline void register_pool_take()
{
    for (const std::size_t count : {10u, 100000u})
        add_case("pool_take", "iobuf", std::to_string(count),
                 [count](benchmark::State &state) { pool_take_case::pool_take(state, count); });
}

} // namespace bench

#endif
