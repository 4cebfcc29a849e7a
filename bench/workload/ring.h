/* A bounded ring between one producer and one consumer. Each side keeps a copy of the other's index on its own cache line and
 * looks at the real one only when the copy says full or empty, so that the ring costs both peers little beside their own work.
 */
#ifndef BENCH_WORKLOAD_RING_H
#define BENCH_WORKLOAD_RING_H

#include <sched.h>

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
    static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

  public:
    bool push(const T &value)
    {
        const std::size_t tail = tail_.load(std::memory_order_relaxed); /* only this side writes it */
        if (tail - seen_head_ == kCapacity) {
            seen_head_ = head_.load(std::memory_order_acquire); /* pairs with the release in pop: the slot was read */
            if (tail - seen_head_ == kCapacity)
                return false;
        }
        slots_[tail & (kCapacity - 1)] = value;
        tail_.store(tail + 1, std::memory_order_release); /* pairs with the acquire in pop: the slot is written */
        return true;
    }

    bool pop(T *value)
    {
        const std::size_t head = head_.load(std::memory_order_relaxed); /* only this side writes it */
        if (head == seen_tail_) {
            seen_tail_ = tail_.load(std::memory_order_acquire); /* pairs with the release in push */
            if (head == seen_tail_)
                return false;
        }
        *value = slots_[head & (kCapacity - 1)];
        head_.store(head + 1, std::memory_order_release); /* pairs with the acquire in push */
        return true;
    }

  private:
    std::unique_ptr<T[]> slots_{new T[kCapacity]};
    alignas(64) std::atomic<std::size_t> tail_{0};
    std::size_t seen_head_ = 0;
    alignas(64) std::atomic<std::size_t> head_{0};
    std::size_t seen_tail_ = 0;
};

} // namespace bench

#endif
