/* Every public call of iobuf.h, so that a run can say how often it made each. scripts/suite/test/test_stress.py compares this list
 * with the header. */
#ifndef IOBUF_STRESS_CALLS_H
#define IOBUF_STRESS_CALLS_H

#define CALLS(CALL)                                                                                                                \
    CALL(strerror)                                                                                                                 \
    CALL(pool_create)                                                                                                              \
    CALL(pool_close)                                                                                                               \
    CALL(pool_stats_get)                                                                                                           \
    CALL(pool_trim)                                                                                                                \
    CALL(slice_data)                                                                                                               \
    CALL(slice_size)                                                                                                               \
    CALL(slice_headroom)                                                                                                           \
    CALL(slice_buf_size)                                                                                                           \
    CALL(slice_borrow)                                                                                                             \
    CALL(slice_wrap)                                                                                                               \
    CALL(slice_release)                                                                                                            \
    CALL(slice_release_previous)                                                                                                   \
    CALL(slice_truncate_front)                                                                                                     \
    CALL(slice_expand_front)                                                                                                       \
    CALL(slice_truncate_back)                                                                                                      \
    CALL(slice_free_entire_prefix)                                                                                                 \
    CALL(slice_claim_prefix)                                                                                                       \
    CALL(slice_share)                                                                                                              \
    CALL(slice_split)                                                                                                              \
    CALL(coalesce)                                                                                                                 \
    CALL(allocator_init)                                                                                                           \
    CALL(alloc)                                                                                                                    \
    CALL(copy)                                                                                                                     \
    CALL(allocator_release)                                                                                                        \
    CALL(allocator_shrink)                                                                                                         \
    CALL(slice_compact)                                                                                                            \
    CALL(slices_to_iovec)                                                                                                          \
    CALL(writev)                                                                                                                   \
    CALL(reader_init)                                                                                                              \
    CALL(reader_init_fd)                                                                                                           \
    CALL(reader_read)                                                                                                              \
    CALL(reader_read_some)                                                                                                         \
    CALL(reader_peek)                                                                                                              \
    CALL(reader_buffered)                                                                                                          \
    CALL(reader_errno)                                                                                                             \
    CALL(reader_close)

#define CALL_NUMBER(name) CALL_##name,
typedef enum call { CALLS(CALL_NUMBER) CALL_COUNT } call;
#undef CALL_NUMBER

/* iobuf_NAME, counted for the thread `me`. */
#define DO(me, name, ...) ((me)->calls[CALL_##name]++, iobuf_##name(__VA_ARGS__))

#endif
