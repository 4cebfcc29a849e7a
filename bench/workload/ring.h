/* A bounded ring between one producer and one consumer. Each side shows its index to the other in batches, keeps a copy of the
 * other's, and looks again only when the copy says full or empty, so that the ring costs peers little beside their own work.
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
    static constexpr std::size_t kBatch = 32;
    static_assert((kCapacity & (kCapacity - 1)) == 0 && kCapacity % kBatch == 0, "a power of two");

  public:
    /* False: full. What was pushed is seen by the other side after each batch, at the latest when the ring is full or flushed. */
    bool push(const T &value)
    {
        if (tail_ - seen_head_ == kCapacity) {
            seen_head_ = shown_head_.load(std::memory_order_acquire); /* pairs with the release in show_head: the slot was read */
            if (tail_ - seen_head_ == kCapacity) {
                flush();
                return false;
            }
        }
        slots_[tail_++ & (kCapacity - 1)] = value;
        if (tail_ % kBatch == 0)
            flush();
        return true;
    }
    void flush()
    {
        shown_tail_.store(tail_, std::memory_order_release); /* pairs with the acquire in pop: the slots are written */
    }

    /* False: nothing is there that was shown. */
    bool pop(T *value)
    {
        if (head_ == seen_tail_) {
            seen_tail_ = shown_tail_.load(std::memory_order_acquire); /* pairs with the release in flush */
            if (head_ == seen_tail_) {
                show_head();
                return false;
            }
        }
        *value = slots_[head_++ & (kCapacity - 1)];
        if (head_ % kBatch == 0)
            show_head();
        return true;
    }

  private:
    void show_head()
    {
        shown_head_.store(head_, std::memory_order_release); /* pairs with the acquire in push */
    }

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
