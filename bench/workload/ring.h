/* A bounded ring between one producer and one consumer, who fill and empty it in place, a batch at a time. Each side shows its
 * index to the other behind each batch, keeps a copy of the other's, and looks again only when the copy says full or empty, so that
 * the ring costs peers little beside their own work.
 */
#ifndef BENCH_WORKLOAD_RING_H
#define BENCH_WORKLOAD_RING_H

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>

namespace bench
{

/* Waits for the other thread: briefly on the processor, then by giving it up, since the other may need this very core. */
class Backoff
{
  public:
    /* How often it waits on the processor. Where instructions are counted none is the right number: waiting is not the work. */
    static inline unsigned patience = 255;

    void wait()
    {
        if (++spins_ <= patience) {
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        } else {
            sched_yield();
        }
    }

  private:
    unsigned spins_ = 0;
};

template <class T, std::size_t kCapacity> class Ring
{
    static constexpr std::size_t kBatch = 32;
    static_assert((kCapacity & (kCapacity - 1)) == 0 && kCapacity % kBatch == 0, "a power of two");

  public:
    /* The producer's: free places one behind the other, up to the end of a batch. It fills some, from the first on, and shows
     * them. 0: full. */
    std::size_t room(T **first)
    {
        if (tail_ - seen_head_ == kCapacity) {
            seen_head_ = shown_head_.load(std::memory_order_acquire); /* pairs with the release in done: the places were read */
            if (tail_ - seen_head_ == kCapacity)
                return 0;
        }
        *first = &slots_[tail_ & (kCapacity - 1)];
        return std::min(kCapacity - (tail_ - seen_head_), kBatch - tail_ % kBatch);
    }
    void show(std::size_t count)
    {
        tail_ += count;
        shown_tail_.store(tail_, std::memory_order_release); /* pairs with the acquire in filled: the places are written */
    }

    /* The consumer's: what is there, up to the end of a batch. It takes some, from the first on, and says that it is done with
     * them. 0: nothing is there. */
    std::size_t filled(const T **first)
    {
        if (head_ == seen_tail_) {
            seen_tail_ = shown_tail_.load(std::memory_order_acquire); /* pairs with the release in show */
            if (head_ == seen_tail_)
                return 0;
        }
        *first = &slots_[head_ & (kCapacity - 1)];
        return std::min(seen_tail_ - head_, kBatch - head_ % kBatch);
    }
    void done(std::size_t count)
    {
        head_ += count;
        shown_head_.store(head_, std::memory_order_release); /* pairs with the acquire in room */
    }

  private:
    std::unique_ptr<T[]> slots_{new T[kCapacity]};
    /* The producer's own, then what it shows; and the consumer's. */
    alignas(64) std::size_t tail_ = 0;
    std::size_t seen_head_ = 0;
    alignas(64) std::atomic<std::size_t> shown_tail_{0};
    alignas(64) std::size_t head_ = 0;
    std::size_t seen_tail_ = 0;
    alignas(64) std::atomic<std::size_t> shown_head_{0};
};

} // namespace bench

#endif
