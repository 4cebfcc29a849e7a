/* iobuf: reference-counted I/O buffers for network servers.
 *
 * A *pool* is the source of memory areas (*bufs*). An *allocator* cuts *slices* off a buf one behind the other, so that
 * neighbours coalesce without copying. Each slice is a reference; when the last goes, the buf returns to its pool. A *reader*
 * reads a byte stream into bufs and hands out slices of it.
 *
 *   buf  |......|  free prefix  |  data  |......|
 *               ^ data - headroom        ^ data + size
 *
 * Conventions
 *   Errors     Functions that can fail return IOBUF_OK (0) or a negative iobuf_status. On an error nothing is changed: inputs
 *              and outputs are as they were, no byte is lost, no reference is leaked.
 *   Sizes      are size_t bytes. A sum of sizes above PTRDIFF_MAX is IOBUF_EOVERFLOW, never a short buffer.
 *   Slices     are values, move-only by convention: after `b = a` only one of the two may be used on. A zeroed slice is a
 *              valid empty one. Members whose names end in _ are private.
 *   Ownership  Who holds a slice releases it once. Releasing an empty slice does nothing.
 *   Threads    Pool: any thread. Allocator, reader, slice: one thread at a time; each may be handed to another thread by
 *              anything that orders memory (a lock, a queue, a join). A slice may be released by any thread. Threads may end
 *              while their slices, allocators and readers live on elsewhere. A buf gets back to its pool with its last slice
 *              though the thread that cut it never calls the library again, or has ended.
 *   fork       The child of fork(2) has a copy of everything, and may use, release and close what the thread that forked can
 *              reach, if no other thread was within a call of this library at that moment.
 *   Checked    Built with IOBUF_CHECKED=ON, and in every sanitizer build, the library aborts with one line that names a
 *              mistake that cannot be reported as a status (a slice released twice through a copy, say), and poisons free
 *              memory. Compile users of a checked library with -DIOBUF_CHECKED=1; its CMake package and pkg-config file do.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef IOBUF_IOBUF_H
#define IOBUF_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Checked is the default wherever the compiler tells of a sanitizer: gcc does not of -fsanitize=undefined alone, for which this
 * repository's CMake defines it. */
#if !defined(IOBUF_CHECKED)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IOBUF_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) ||                      \
    __has_feature(undefined_behavior_sanitizer)
#define IOBUF_CHECKED 1
#endif
#endif
#endif
#if !defined(IOBUF_CHECKED)
#define IOBUF_CHECKED 0
#endif

/* The fast paths are inline at the end of this header, unless IOBUF_NO_INLINE is defined or the build is checked. */
#if !IOBUF_CHECKED && !defined(IOBUF_NO_INLINE)
#define IOBUF_INLINE_ 1
#else
#define IOBUF_INLINE_ 0
#endif

#define IOBUF_VERSION_MAJOR 1
#define IOBUF_VERSION_MINOR 0
#define IOBUF_VERSION_PATCH 0

#if defined(__GNUC__)
#define IOBUF_API __attribute__((visibility("default")))
#else
#define IOBUF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call that can fail returns. Values are part of the ABI. */
typedef enum iobuf_status {
    IOBUF_OK = 0,
    IOBUF_EINVAL = -1,    /* an argument that the call's comment forbids */
    IOBUF_ENOMEM = -2,    /* the backing, or malloc, had no memory */
    IOBUF_ELIMIT = -3,    /* the pool's max_bytes would be exceeded */
    IOBUF_EOVERFLOW = -4, /* a size, or a sum of sizes, above PTRDIFF_MAX */
    IOBUF_ECLOSED = -5,   /* the pool was closed, or the allocator or reader released */
    IOBUF_EOF = -6,       /* the stream ended before that many bytes */
    IOBUF_EAGAIN = -7,    /* would block: call again later, nothing is lost */
    IOBUF_EIO = -8        /* reading or writing failed: see iobuf_reader_errno, or errno after iobuf_writev */
} iobuf_status;

/* The status in words: static, never NULL, also for a value that is no status. Any thread. */
IOBUF_API const char *iobuf_strerror(int status);

/* ---------------------------------------------------------------------------------------------------------------- pool */

typedef struct iobuf_pool iobuf_pool;

/* Source of all memory that a pool takes (bufs, and the pool's own bookkeeping). Called from any thread that uses the pool,
 * possibly from several at once, never under one of the pool's locks. */
typedef struct iobuf_backing {
    /* At least `size` bytes aligned to `alignment` (a power of two), or NULL: no memory. */
    void *(*allocate)(void *context, size_t size, size_t alignment);
    /* Takes back what allocate gave, with the size it was asked for. */
    void (*deallocate)(void *context, void *memory, size_t size);
    void *context;
} iobuf_backing;

/* All zero is the default. */
typedef struct iobuf_pool_options {
    size_t min_size;         /* bufs are multiples of this, bytes; 0: 4096 */
    size_t max_bytes;        /* limit on all bytes of bufs, in use and cached; 0: none */
    size_t max_cached_bytes; /* limit on the bytes of free bufs kept; 0: 64 MiB; 1: none (but of 1 byte); SIZE_MAX: all */
    iobuf_backing backing;   /* both functions NULL: the C library's memory */
} iobuf_pool_options;

typedef struct iobuf_pool_stats {
    size_t bufs_allocated; /* bufs ever taken from the backing, over the pool's life */
    size_t bufs_in_use;    /* bufs that a slice, an allocator or a reader holds */
    size_t bufs_cached;    /* free bufs */
    size_t bytes_in_use;   /* bytes of the bufs in use */
    size_t bytes_cached;   /* bytes of the free bufs */
    size_t bytes_peak;     /* the most that bytes_in_use + bytes_cached ever was */
} iobuf_pool_stats;

/* Makes a pool. A new buf has exactly the smallest multiple of min_size bytes that fits the request, aligned to 64 bytes. A
 * request takes the smallest free buf that fits it (the last freed of that size), in time that does not depend on how many are
 * free; else a new one, for which free bufs are given up, largest first, as far as max_bytes needs it. They stay given up
 * should the backing then have no memory. A buf that becomes
 * free is kept if max_cached_bytes has room for it, else given back.
 * Errors: IOBUF_EINVAL (pool NULL; one backing function without the other), IOBUF_EOVERFLOW (min_size), IOBUF_ENOMEM.
 * The caller owns the pool until iobuf_pool_close.
 *
 *   iobuf_pool *pool;
 *   if (iobuf_pool_create(NULL, &pool) != IOBUF_OK) ...
 */
IOBUF_API int iobuf_pool_create(const iobuf_pool_options *options, iobuf_pool **pool);

/* Gives up the caller's pool; the handle must not be used again. Free bufs go at once, bufs in use when their last slice is
 * released. Allocators and readers still open get IOBUF_ECLOSED when they next need a buf; the pool's own memory goes with the
 * last of them and of the bufs. NULL is harmless. May run while other threads allocate, read and release. */
IOBUF_API void iobuf_pool_close(iobuf_pool *pool);

/* One consistent reading of the counters, in time that does not depend on how many bufs there are. Takes the pool's lock briefly.
 * Where the last two references to a buf are dropped at the same moment by two threads, the buf may count as in use until a
 * later reading, or until the pool needs it. */
IOBUF_API void iobuf_pool_stats_get(const iobuf_pool *pool, iobuf_pool_stats *stats);

/* Gives cached bufs back to the backing, largest first, until at most keep_bytes are cached. Returns the bytes freed. */
IOBUF_API size_t iobuf_pool_trim(iobuf_pool *pool, size_t keep_bytes);

/* ----------------------------------------------------------------------------------------------------- private layout */

/* The part of a buf's descriptor that the inline fast paths touch. lib/src/buf.c says what each member means, which thread writes
 * it, and why they are on two cache lines. */
struct iobuf_buf {
    uintptr_t owner_;
    intptr_t local_;
    uint8_t *start_;
    unsigned char line_[64 - 3 * sizeof(void *)];
    size_t taken_;
};

/* --------------------------------------------------------------------------------------------------------------- slice */

/* A range of bytes of one buf, and the free bytes in front of it. 32 bytes on 64-bit platforms. */
typedef struct iobuf_slice {
    uint8_t *data_;
    size_t size_;
    size_t headroom_;
    struct iobuf_buf *buf_;
#if SIZE_MAX <= UINT32_MAX
    uint32_t exclusive_;
    uint32_t tag_;
#endif
} iobuf_slice;

/* The bytes of the slice. Valid until the slice is released, expanded or truncated in front. NULL in an empty handle. */
static inline uint8_t *iobuf_slice_data(const iobuf_slice *s)
{
    return s->data_;
}

/* How many bytes the slice has. */
static inline size_t iobuf_slice_size(const iobuf_slice *s)
{
    return s->size_;
}

/* How many bytes iobuf_slice_expand_front can still take: the length of the free prefix. 0 for borrowed bytes. */
IOBUF_API size_t iobuf_slice_headroom(const iobuf_slice *s);

/* How many bytes of memory this slice keeps alive: the size of its whole buf, or of the memory taken over by
 * iobuf_slice_wrap. 0 for a borrowed or empty slice. */
IOBUF_API size_t iobuf_slice_buf_size(const iobuf_slice *s);

/* A slice that refers to the caller's bytes, which must outlive it; owns nothing, cannot expand, never coalesces. */
static inline iobuf_slice iobuf_slice_borrow(void *bytes, size_t size)
{
    iobuf_slice s;
    s.data_ = (uint8_t *)bytes;
    s.size_ = size;
    s.headroom_ = 0;
    s.buf_ = NULL;
#if SIZE_MAX <= UINT32_MAX
    s.exclusive_ = 0;
    s.tag_ = 0;
#endif
    return s;
}

typedef void (*iobuf_free_fn)(void *bytes, size_t size, void *context);

/* Takes over foreign memory: `free(bytes, size, context)` runs exactly once, after the last reference is released, on the
 * thread that releases it; never on an error. The slice has no free prefix to begin with; what is cut off its front joins one.
 * Errors: IOBUF_EINVAL (free or out NULL; bytes NULL with size > 0), IOBUF_EOVERFLOW, IOBUF_ENOMEM (malloc, for a reference
 * count of 192 bytes). */
IOBUF_API int iobuf_slice_wrap(void *bytes, size_t size, iobuf_free_fn free, void *context, iobuf_slice *out);

/* Drops the reference and empties *s, so that twice is harmless. Any thread. */
#if IOBUF_INLINE_
static inline void iobuf_slice_release(iobuf_slice *s);
#else
IOBUF_API void iobuf_slice_release(iobuf_slice *s);
#endif

/* Releases `previous`. If it ends where the free prefix of `s` begins, in the same buf, its bytes and its own free prefix join
 * that prefix, unless bytes of it are shared, or were once (iobuf_slice_share). */
IOBUF_API void iobuf_slice_release_previous(iobuf_slice *s, iobuf_slice *previous);

/* Cuts `bytes` bytes off the front, at most all of them. They join the free prefix and keep their contents there; of a slice
 * that shares bytes (iobuf_slice_share), only bytes that are certainly its own do: cutting into shared ones empties the free
 * prefix. Of a borrowed slice none do. */
#if IOBUF_INLINE_
static inline void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes);
#else
IOBUF_API void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes);
#endif

/* Takes `bytes` bytes from the free prefix to the front. False, and nothing changed, if the free prefix is shorter. */
#if IOBUF_INLINE_
static inline bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes);
#else
IOBUF_API bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes);
#endif

/* Cuts `bytes` bytes off the end, at most all of them. They are out of reach until the buf is used again. */
IOBUF_API void iobuf_slice_truncate_back(iobuf_slice *s, size_t bytes);

/* Everything in front of `s` in its buf becomes its free prefix. Unsafe if another slice lives there, or if `s` has no
 * bytes and iobuf_allocator_shrink gave back some in front of it, which will be cut again: the caller vouches. */
IOBUF_API void iobuf_slice_free_entire_prefix(iobuf_slice *s);

/* As above, but only if `s` holds the buf's only slice; else false and nothing is changed. Of that the library is sure: while
 * other threads release the buf's other slices it may still say false. False for borrowed and empty handles, and for a
 * slice of size 0 as long as an allocator or reader holds the buf. */
IOBUF_API bool iobuf_slice_claim_prefix(iobuf_slice *s);

/* A second reference to `size` bytes of `s` from `offset` on. From then on those bytes are nobody's free prefix: the new slice
 * has none, and `s` loses the part of what it later cuts off that it shares (see iobuf_slice_truncate_front). Sharing a borrowed
 * slice borrows again. Errors: IOBUF_EINVAL (the range is not within s; s is an empty handle and size > 0). */
IOBUF_API int iobuf_slice_share(iobuf_slice *s, size_t offset, size_t size, iobuf_slice *out);

/* Cuts `s` in two adjacent slices: `s` keeps the first `at` bytes and its free prefix, `tail` has the rest and none.
 * Errors: IOBUF_EINVAL (at > size). */
IOBUF_API int iobuf_slice_split(iobuf_slice *s, size_t at, iobuf_slice *tail);

/* In place: two neighbours become one where they are adjacent in one buf (the first ends where the second begins) and
 * together are at most max_size bytes; left to right, so that what was joined may be joined with the next. Returns the new
 * count; the entries behind it are empty. Cannot fail, allocates and copies nothing. */
IOBUF_API size_t iobuf_coalesce(iobuf_slice *slices, size_t count, size_t max_size);

/* ----------------------------------------------------------------------------------------------------------- allocator */

/* The caller's storage; private. Must not be copied while in use. */
typedef struct iobuf_allocator {
    uintptr_t next_;  /* where the next slice's data begins, its spare bytes being in front */
    uintptr_t bound_; /* a slice of n bytes fits if next_ + n is below this; 0: not to be told inline */
    size_t reserve_;
    struct iobuf_buf *buf_;
    uintptr_t first_; /* next_ at the start of buf_ */
    size_t most_;     /* less than this fits there; 0: not to be told inline */
    uint64_t shared_; /* the buf's count of other threads, as long as they did nothing to it */
    iobuf_pool *pool_;
    uint32_t busy_;
} iobuf_allocator;

/* Prepares an allocator with `reserve` spare bytes in front of every slice. Takes no buf yet; keeps the pool's memory alive
 * until iobuf_allocator_release. Errors: IOBUF_EINVAL (NULL). */
IOBUF_API int iobuf_allocator_init(iobuf_allocator *a, iobuf_pool *pool, size_t reserve);

/* Cuts `reserve + size` bytes off the current buf; contents are unspecified. If they do not fit, and no slice refers to the
 * current buf any more and it is large enough, it is used again from its start; else a new buf is taken and the old one let go.
 * `size` 0 is legal. The slice belongs to the caller, to be released once.
 * Errors: IOBUF_ECLOSED, IOBUF_EOVERFLOW, IOBUF_ELIMIT, IOBUF_ENOMEM; *out is then unchanged.
 *
 *   iobuf_slice s;
 *   if (iobuf_alloc(&a, 1500, &s) == IOBUF_OK) {
 *       memcpy(iobuf_slice_data(&s), packet, 1500);
 *       iobuf_slice_release(&s);
 *   }
 */
#if IOBUF_INLINE_
static inline int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out);
#else
IOBUF_API int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out);
#endif

/* iobuf_alloc, then a copy of `bytes` (NULL only with size 0: else IOBUF_EINVAL). */
IOBUF_API int iobuf_copy(iobuf_allocator *a, const void *bytes, size_t size, iobuf_slice *out);

/* Lets the current buf go. Slices stay valid. A later alloc is IOBUF_ECLOSED. Twice is harmless. */
IOBUF_API void iobuf_allocator_release(iobuf_allocator *a);

/* Shortens `last` to `size` bytes and gives the rest back to the allocator, so that the next slice is cut there.
 * Errors: IOBUF_EINVAL (size is above the slice's; `last` does not end where the next slice would begin, is not of this
 * allocator's current buf, or shares bytes). */
IOBUF_API int iobuf_allocator_shrink(iobuf_allocator *a, iobuf_slice *last, size_t size);

/* Moves a small slice out of a large buf that it alone keeps alive: if `s` is the only slice of its buf, no allocator or
 * reader holds that buf, and size plus the allocator's reserve are at most half of the buf, its bytes are copied to a new
 * slice of `a` and the old one is released. Otherwise nothing happens, and that is IOBUF_OK too. Free prefix afterwards: the
 * reserve. Errors: those of iobuf_alloc. */
IOBUF_API int iobuf_slice_compact(iobuf_slice *s, iobuf_allocator *a);

/* -------------------------------------------------------------------------------------------------------------- output */

/* Describes the slices, in order, for gather output; size-0 slices take no entry. Returns the entries filled, at most
 * `capacity`. The entries are valid as long as the slices are neither released nor changed. */
#if IOBUF_INLINE_
static inline size_t iobuf_slices_to_iovec(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity);
#else
IOBUF_API size_t iobuf_slices_to_iovec(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity);
#endif

/* Writes slices[0..*count) with one writev(2) (repeated on EINTR) of at most 1024 of them. What was written is released, from
 * the front, a slice written in part is truncated in front, and the rest moves to the front of the array; *count is what
 * remains, entries behind it are empty, *written (may be NULL) is the bytes written. Size-0 slices at the front count as
 * written. Errors, with nothing changed but *written = 0: IOBUF_EAGAIN, IOBUF_EIO (errno says why), IOBUF_EINVAL (slices or
 * count NULL). SIGPIPE is the caller's business. */
IOBUF_API int iobuf_writev(int fd, iobuf_slice *slices, size_t *count, size_t *written);

/* -------------------------------------------------------------------------------------------------------------- reader */

/* Reads up to `room` bytes (at least 1) to `into`. Returns > 0: so many bytes were read; 0: end of stream; < 0: *error is an
 * errno value. EINTR is retried, EAGAIN and EWOULDBLOCK become IOBUF_EAGAIN, anything else (and 0, taken as EIO) IOBUF_EIO. Bytes
 * together with an error are both kept: the bytes now, the error, once, for the read that next needs more bytes. A return
 * above `room` is taken as EIO, and nothing of it is used. */
typedef ssize_t (*iobuf_read_fn)(void *context, void *into, size_t room, int *error);

/* The caller's storage; private. Must not be copied while in use. */
typedef struct iobuf_reader {
    uint8_t *base_;
    uint8_t *bound_;
    uint8_t *end_;
    struct iobuf_buf *buf_;
    iobuf_pool *pool_;
    iobuf_read_fn read_;
    void *context_;
    int fd_;
    int errno_;
    int pending_;
    uint32_t busy_;
} iobuf_reader;

/* Prepares a reader over a callback. Reads nothing yet. Errors: IOBUF_EINVAL (NULL). */
IOBUF_API int iobuf_reader_init(iobuf_reader *r, iobuf_pool *pool, iobuf_read_fn read, void *context);

/* The same over read(2). The descriptor stays the caller's. Errors: IOBUF_EINVAL (NULL, fd < 0). */
IOBUF_API int iobuf_reader_init_fd(iobuf_reader *r, iobuf_pool *pool, int fd);

/* The next `size` bytes of the stream as one slice, reading as often as it takes; or an error and nothing consumed: bytes
 * that did arrive stay buffered for a later, also a smaller, read. Slices read one after the other from one buf are adjacent and
 * have no free prefix. Size 0 is an empty handle, and reads nothing.
 * Errors: IOBUF_EOF, IOBUF_EAGAIN, IOBUF_EIO, IOBUF_ENOMEM, IOBUF_ELIMIT, IOBUF_EOVERFLOW, IOBUF_ECLOSED. */
#if IOBUF_INLINE_
static inline int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out);
#else
IOBUF_API int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out);
#endif

/* What is there now, at most `max` bytes, as one slice: buffered bytes if there are any, else those of one read. `max` 0 as
 * above. Errors as above. */
IOBUF_API int iobuf_reader_read_some(iobuf_reader *r, size_t max, iobuf_slice *out);

/* Shows the buffered bytes without consuming them; if fewer than `want` are there, after one read. *bytes and *size are valid
 * until the next call on this reader; *size may be less, or more, than `want`. Errors as above, of that one read; `want` 0
 * never reads. */
IOBUF_API int iobuf_reader_peek(iobuf_reader *r, size_t want, const uint8_t **bytes, size_t *size);

/* Bytes that have arrived and were not handed out. */
IOBUF_API size_t iobuf_reader_buffered(const iobuf_reader *r);

/* The errno value of the last IOBUF_EIO, else 0. */
IOBUF_API int iobuf_reader_errno(const iobuf_reader *r);

/* Lets go of the buffer; buffered bytes are lost. Slices stay valid. A later read is IOBUF_ECLOSED. Twice is harmless. */
IOBUF_API void iobuf_reader_close(iobuf_reader *r);

/* ---------------------------------------------------------------------------------------------- private: fast paths */

/* Cutting a slice off the current buf, and releasing one on the thread that owns its buf, take no lock and no atomic
 * read-modify-write. lib/src/buf.c explains the protocol; its names are used here. A build that replaces the library's atomics
 * (lib/src/atomic.h) defines IOBUF_ATOMICS_ and these with it. */
#if !defined(IOBUF_ATOMICS_)
#define IOBUF_ATOMICS_ 1
#define iobuf_load_(p, order) __atomic_load_n((p), __ATOMIC_##order)
#define iobuf_store_(p, value, order) __atomic_store_n((p), (value), __ATOMIC_##order)

/* A relaxed load compared with `value`; and relaxed stores of a count that one thread at a time writes: of one more than it is
 * (others get to see it by a slice that was counted and is handed over to them, or by the release stores in merge_taken), and of
 * `found` + 1, where it is `found`. Compilers do not fold atomics into the operand of an instruction, which here is a third of a
 * release. */
#if defined(__x86_64__) && !defined(__ILP32__) && defined(__GCC_ASM_FLAG_OUTPUTS__) && !IOBUF_CHECKED
static inline bool iobuf_equals_(const uintptr_t *p, uintptr_t value)
{
    bool equal;
    __asm__ volatile("cmpq %2, %1" : "=@cce"(equal) : "m"(*p), "r"(value));
    return equal;
}

static inline void iobuf_count_(size_t *p)
{
    __asm__ volatile("incq %0" : "+m"(*p) : : "cc");
}

static inline void iobuf_mark_(intptr_t *p, intptr_t found)
{
    (void)found;
    __asm__ volatile("incq %0" : "+m"(*p) : : "cc");
}
#else
static inline bool iobuf_equals_(const uintptr_t *p, uintptr_t value)
{
    return iobuf_load_(p, RELAXED) == value;
}

static inline void iobuf_count_(size_t *p)
{
    iobuf_store_(p, iobuf_load_(p, RELAXED) + 1, RELAXED);
}

static inline void iobuf_mark_(intptr_t *p, intptr_t found)
{
    iobuf_store_(p, found + 1, RELAXED);
}
#endif

/* The cheap half of an asymmetric fence: keeps the compiler from reordering; the other side makes this processor do so. */
#define iobuf_fence_light_() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#define iobuf_likely_(condition) __builtin_expect(!!(condition), 1)
#define iobuf_unlikely_(condition) __builtin_expect(!!(condition), 0)

/* Identifies the calling thread among those alive. Volatile: a coroutine may go on in another thread. */
static inline uintptr_t iobuf_self_(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    uintptr_t self;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(self));
    return self;
#elif defined(__i386__)
    uintptr_t self;
    __asm__ volatile("movl %%gs:0, %0" : "=r"(self));
    return self;
#elif defined(__aarch64__)
    uintptr_t self;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(self));
    return self;
#else
    return (uintptr_t)__builtin_thread_pointer();
#endif
}
#endif

/* *s stays as it was. The compiler is told that this is a value: else, where it sees that a slice was not filled, but not that the
 * caller stops at the error, it warns of every later use. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
static inline void iobuf_keep_(iobuf_slice *s)
{
    __asm__("" : "+r"(s->data_), "+r"(s->size_), "+r"(s->headroom_), "+r"(s->buf_));
#if SIZE_MAX <= UINT32_MAX
    __asm__("" : "+r"(s->exclusive_), "+r"(s->tag_));
#endif
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Set in headroom_ of a slice that shares bytes; lib/src/slice.c decodes it. */
#define IOBUF_SHARING_ ((size_t)1 << (sizeof(size_t) * 8 - 1))

/* Out of line, for these fast paths alone; of them a checked library has but iobuf_put_slow_. */
IOBUF_API int iobuf_refill_(iobuf_allocator *a, size_t size);
IOBUF_API int iobuf_reader_fill_(iobuf_reader *r, size_t size);
IOBUF_API void iobuf_put_slow_(struct iobuf_buf *b);
IOBUF_API void iobuf_truncate_front_slow_(iobuf_slice *s, size_t bytes);
IOBUF_API bool iobuf_expand_front_slow_(iobuf_slice *s, size_t bytes);

/* True if a slice of `size` bytes certainly fits the rest of the current buf: *end is where it would end. A 32-bit platform counts
 * slices of size 0, which use nothing up, out of line. */
static inline bool iobuf_fits_(const iobuf_allocator *a, size_t size, uintptr_t *end)
{
    return (sizeof(size_t) > 4 || size != 0) && !__builtin_add_overflow(a->next_, size, end) && *end < a->bound_;
}

/* Fills *out with the next slice, which ends at `end`. The caller has made sure that it fits. */
static inline void iobuf_cut_(iobuf_allocator *a, size_t size, uintptr_t end, iobuf_slice *out)
{
    struct iobuf_buf *b = a->buf_;
    if (b == NULL)
        __builtin_unreachable(); /* what fits, fits a buf: a release that follows need not look */
    iobuf_count_(&b->taken_);    /* read by others for iobuf_slice_claim_prefix */
    out->data_ = (uint8_t *)a->next_;
    a->next_ = end + a->reserve_;
    out->size_ = size;
    out->headroom_ = a->reserve_;
    out->buf_ = b;
#if SIZE_MAX <= UINT32_MAX
    out->exclusive_ = 0;
    out->tag_ = 0;
#endif
}

/* Hands out the first `size` buffered bytes; of none, an empty handle. */
static inline void iobuf_reader_cut_(iobuf_reader *r, size_t size, iobuf_slice *out)
{
    *out = iobuf_slice_borrow(NULL, 0);
    if (iobuf_unlikely_(size == 0))
        return;
    if (r->buf_ == NULL)
        __builtin_unreachable(); /* as in iobuf_cut_ */
    out->data_ = r->base_;
    out->size_ = size;
    out->buf_ = r->buf_;
    r->base_ += size;
    iobuf_count_(&r->buf_->taken_); /* as in iobuf_cut_ */
}

static inline size_t iobuf_describe_(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity)
{
    size_t used = 0;
    size_t i;
    if (count == 1) { /* no loop, so that a single slice can live in registers */
        if (capacity == 0 || slices->size_ == 0)
            return 0;
        iov->iov_base = slices->data_;
        iov->iov_len = slices->size_;
        return 1;
    }
    for (i = 0; i < count && used < capacity; i++) {
        if (slices[i].size_ == 0)
            continue;
        iov[used].iov_base = slices[i].data_;
        iov[used].iov_len = slices[i].size_;
        used++;
    }
    return used;
}

/* Drops `n` references that this thread may count in local_: true if it did; else nothing is changed. The looks at owner_ are
 * relaxed: this thread's identity is stored there by itself alone. Between the mark and the second look is the light half of a
 * fence, which pairs with the heavy ones in revoke and in the pool's settle: who executes that behind a revocation finds the mark,
 * or this thread the revocation. */
static inline bool iobuf_put_local_(struct iobuf_buf *b, size_t n)
{
    uintptr_t self = iobuf_self_();
    intptr_t local;
    if (iobuf_unlikely_(!iobuf_equals_(&b->owner_, self)))
        return false;
    local = iobuf_load_(&b->local_, RELAXED); /* no other thread writes it */
    iobuf_mark_(&b->local_, local);           /* odd: busy; pairs with buf_wait_exact */
    iobuf_fence_light_();
    local -= (intptr_t)(2 * n);
    if (iobuf_unlikely_(n == 1 ? local == 0 : local <= 0 && local + (intptr_t)(2 * n) > 0))
        goto not_here; /* perhaps the last reference of all */
    if (iobuf_unlikely_(!iobuf_equals_(&b->owner_, self)))
        goto not_here; /* the bias was revoked meanwhile */
    /* Release: who sees this count has seen our use of the bytes end. Pairs with the acquire loads in buf.c. */
    iobuf_store_(&b->local_, local, RELEASE);
    return true;
not_here:
    __asm__("" : "+r"(local)); /* else a compiler keeps what it was before, for this rare way alone */
    iobuf_store_(&b->local_, local + (intptr_t)(2 * n), RELEASE); /* even again: pairs with buf_wait_exact */
    return false;
}

/* Assigned as a whole, so that compilers clear it with two stores. */
#if defined(__cplusplus)
#define IOBUF_EMPTY_ iobuf_slice()
#else
#define IOBUF_EMPTY_ ((iobuf_slice){0})
#endif

static inline void iobuf_release_(iobuf_slice *s)
{
    struct iobuf_buf *b = s->buf_;
    *s = IOBUF_EMPTY_; /* first: the handle itself may lie in the buf */
    if (iobuf_likely_(b != NULL) && iobuf_unlikely_(!iobuf_put_local_(b, 1)))
        iobuf_put_slow_(b);
}

#if IOBUF_INLINE_
static inline int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    uintptr_t end;
    if (iobuf_unlikely_(!iobuf_fits_(a, size, &end))) {
        int status = iobuf_refill_(a, size); /* without `out`, so that a slice that stays here can live in registers */
        if (iobuf_unlikely_(status != IOBUF_OK)) {
            iobuf_keep_(out);
            return status;
        }
        end = a->next_ + size;
    }
    iobuf_cut_(a, size, end, out);
    return IOBUF_OK;
}

static inline void iobuf_slice_release(iobuf_slice *s)
{
    iobuf_release_(s);
}

/* Member by member, so that of the two the one that no function out of line gets to see can live in registers. */
static inline void iobuf_copy_(iobuf_slice *to, const iobuf_slice *from)
{
    to->data_ = from->data_;
    to->size_ = from->size_;
    to->headroom_ = from->headroom_;
    to->buf_ = from->buf_;
#if SIZE_MAX <= UINT32_MAX
    to->exclusive_ = from->exclusive_;
    to->tag_ = from->tag_;
#endif
}

static inline void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes)
{
    if (iobuf_unlikely_(s->buf_ == NULL || (s->headroom_ & IOBUF_SHARING_) != 0 || bytes > s->size_)) {
        iobuf_slice copy;
        iobuf_copy_(&copy, s);
        iobuf_truncate_front_slow_(&copy, bytes);
        iobuf_copy_(s, &copy);
        return;
    }
    s->data_ += bytes;
    s->size_ -= bytes;
    s->headroom_ += bytes;
}

static inline bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes)
{
    if (iobuf_unlikely_((s->headroom_ & IOBUF_SHARING_) != 0)) {
        iobuf_slice copy;
        bool expanded;
        iobuf_copy_(&copy, s);
        expanded = iobuf_expand_front_slow_(&copy, bytes);
        iobuf_copy_(s, &copy);
        return expanded;
    }
    if (bytes > s->headroom_)
        return false;
    s->data_ -= bytes;
    s->size_ += bytes;
    s->headroom_ -= bytes;
    return true;
}

static inline int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out)
{
    if (iobuf_unlikely_(size - 1 >= (size_t)(r->bound_ - r->base_))) { /* as well if size is 0 */
        int status = iobuf_reader_fill_(r, size);
        if (iobuf_unlikely_(status != IOBUF_OK)) {
            iobuf_keep_(out);
            return status;
        }
    }
    iobuf_reader_cut_(r, size, out);
    return IOBUF_OK;
}

static inline size_t iobuf_slices_to_iovec(const iobuf_slice *slices, size_t count, struct iovec *iov, size_t capacity)
{
    return iobuf_describe_(slices, count, iov, capacity);
}
#endif

#ifdef __cplusplus
}
#endif

#endif
