/* Unit tests of lib/src/reader.c: exactly the bytes of the stream, whatever the source does, and at whichever byte.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support.h"

typedef struct fixture {
    test_backing b;
    iobuf_pool *pool;
    source in;
    iobuf_reader r;
} fixture;

static void begin(fixture *f, size_t min_size, const char *bytes, const source_step *steps, size_t step_count)
{
    memset(f, 0, sizeof *f);
    f->pool = make_pool(&f->b, min_size, 0, 0);
    f->in.bytes = (const uint8_t *)bytes;
    f->in.size = strlen(bytes);
    f->in.steps = steps;
    f->in.step_count = step_count;
    assert_ok(iobuf_reader_init(&f->r, f->pool, source_read, &f->in));
}

static void end(fixture *f)
{
    iobuf_reader_close(&f->r);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

/* Reads `text` and lets it go. */
static void expect(fixture *f, const char *text)
{
    iobuf_slice s;
    assert_ok(iobuf_reader_read(&f->r, strlen(text), &s));
    assert_text(&s, text);
    iobuf_slice_release(&s);
}

/* Reads `size` bytes, gets `status` instead, and nothing is consumed. */
static void expect_status(fixture *f, size_t size, int status)
{
    iobuf_slice out = iobuf_slice_borrow(f, 1);
    assert_status(iobuf_reader_read(&f->r, size, &out), status);
    assert_ptr_equal(iobuf_slice_data(&out), f);
    assert_size(iobuf_slice_size(&out), 1);
}

/* ---- basics ---- */

static void init_checks_its_arguments(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 0, 0, 0);
    iobuf_reader r;
    source in = {0};
    assert_status(iobuf_reader_init(NULL, pool, source_read, &in), IOBUF_EINVAL);
    assert_status(iobuf_reader_init(&r, NULL, source_read, &in), IOBUF_EINVAL);
    assert_status(iobuf_reader_init(&r, pool, NULL, &in), IOBUF_EINVAL);
    assert_status(iobuf_reader_init_fd(NULL, pool, 0), IOBUF_EINVAL);
    assert_status(iobuf_reader_init_fd(&r, NULL, 0), IOBUF_EINVAL);
    assert_status(iobuf_reader_init_fd(&r, pool, -1), IOBUF_EINVAL);
    close_pool(pool, &b);
}

static void a_reader_reads_nothing_before_it_is_asked(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, "abc", NULL, 0);
    assert_size(f.in.calls, 0);
    assert_size(iobuf_reader_buffered(&f.r), 0);
    assert_int_equal(iobuf_reader_errno(&f.r), 0);
    assert_bufs(f.pool, 0, 0, 0);
    end(&f);
}

static void messages_are_cut_from_what_has_arrived(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, "onetwothree", NULL, 0);
    expect(&f, "one");
    assert_size(iobuf_reader_buffered(&f.r), 8);
    expect(&f, "two");
    expect(&f, "three");
    assert_size(iobuf_reader_buffered(&f.r), 0);
    assert_size(f.in.calls, 1);
    end(&f);
}

static void a_read_of_nothing_reads_nothing(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, "abc", NULL, 0);
    assert_ok(iobuf_reader_read(&f.r, 0, &s));
    assert_null(iobuf_slice_data(&s));
    assert_size(iobuf_slice_size(&s), 0);
    assert_ok(iobuf_reader_read_some(&f.r, 0, &s));
    assert_size(iobuf_slice_size(&s), 0);
    iobuf_slice_release(&s);
    assert_size(f.in.calls, 0);
    assert_bufs(f.pool, 0, 0, 0);
    end(&f);
}

static void slices_of_one_buf_are_adjacent_and_have_no_prefix(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[3];
    begin(&f, 4096, "onetwothree", NULL, 0);
    assert_ok(iobuf_reader_read(&f.r, 3, &s[0]));
    assert_ok(iobuf_reader_read(&f.r, 3, &s[1]));
    assert_ok(iobuf_reader_read(&f.r, 5, &s[2]));
    for (size_t i = 0; i < 3; i++) {
        assert_size(iobuf_slice_headroom(&s[i]), 0);
        assert_false(iobuf_slice_expand_front(&s[i], 1));
    }
    assert_size(iobuf_coalesce(s, 3, 4096), 1);
    assert_text(&s[0], "onetwothree");
    iobuf_slice_release(&s[0]);
    end(&f);
}

static void slices_outlive_their_reader(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, "onetwo", NULL, 0);
    assert_ok(iobuf_reader_read(&f.r, 3, &s));
    iobuf_reader_close(&f.r);
    assert_bufs(f.pool, 1, 1, 0);
    assert_text(&s, "one");
    iobuf_slice_release(&s);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f);
}

static void a_closed_reader_reads_nothing(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice out = iobuf_slice_borrow(&f, 1);
    const uint8_t *bytes = NULL;
    size_t size = 77;
    begin(&f, 4096, "onetwo", NULL, 0);
    expect(&f, "one");
    iobuf_reader_close(&f.r);
    iobuf_reader_close(&f.r); /* twice is harmless */
    expect_status(&f, 3, IOBUF_ECLOSED);
    assert_status(iobuf_reader_read_some(&f.r, 3, &out), IOBUF_ECLOSED);
    assert_status(iobuf_reader_peek(&f.r, 3, &bytes, &size), IOBUF_ECLOSED);
    assert_size(size, 77);
    assert_null(bytes);
    assert_size(iobuf_reader_buffered(&f.r), 0);
    assert_size(f.in.calls, 1);
    end(&f);
}

static void a_reader_of_a_closed_pool_hands_out_what_is_buffered(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 16, 0, 0);
    source in = {.bytes = (const uint8_t *)"0123456789abcdefghijklmnopqrstuvwxyz", .size = 36, .most = 10};
    iobuf_reader r;
    iobuf_slice s[3], out = iobuf_slice_borrow(&b, 1);
    assert_ok(iobuf_reader_init(&r, pool, source_read, &in));
    assert_ok(iobuf_reader_read(&r, 4, &s[0]));
    iobuf_pool_close(pool);
    assert_ok(iobuf_reader_read(&r, 6, &s[1])); /* buffered */
    assert_ok(iobuf_reader_read(&r, 6, &s[2])); /* fits the buf */
    assert_status(iobuf_reader_read(&r, 6, &out), IOBUF_ECLOSED);
    assert_ptr_equal(iobuf_slice_data(&out), &b);
    assert_text(&s[0], "0123");
    assert_text(&s[1], "456789");
    assert_text(&s[2], "abcdef");
    for (size_t i = 0; i < 3; i++)
        iobuf_slice_release(&s[i]);
    iobuf_reader_close(&r);
    assert_nothing_left(&b);
}

/* ---- the end of the stream ---- */

/* What the Go package's test of its reader checks: what was buffered when the source ended is handed out, then an error. */
static void what_was_buffered_when_the_source_ended_comes_first(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 4096, "Hello world", NULL, 0);
    expect(&f, "Hello");
    expect_status(&f, 7, IOBUF_EOF);
    assert_size(iobuf_reader_buffered(&f.r), 6);
    expect(&f, " world");
    expect_status(&f, 1, IOBUF_EOF);
    expect_status(&f, 1, IOBUF_EOF);
    assert_int_equal(iobuf_reader_errno(&f.r), 0);
    end(&f);
}

static void an_empty_stream_is_at_its_end(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice out = iobuf_slice_borrow(&f, 1);
    begin(&f, 4096, "", NULL, 0);
    expect_status(&f, 1, IOBUF_EOF);
    assert_status(iobuf_reader_read_some(&f.r, 1, &out), IOBUF_EOF);
    end(&f);
}

/* ---- errors ---- */

static void an_error_is_eio_with_its_errno_and_nothing_is_lost(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 4, 0}, {SOURCE_ERROR, 0, ECONNRESET}, {SOURCE_BYTES, 2, 0}};
    fixture f;
    begin(&f, 4096, "abcdefgh", steps, 3);
    expect_status(&f, 6, IOBUF_EIO);
    assert_int_equal(iobuf_reader_errno(&f.r), ECONNRESET);
    assert_size(iobuf_reader_buffered(&f.r), 4);
    expect(&f, "ab");
    expect(&f, "cdef");
    assert_int_equal(iobuf_reader_errno(&f.r), ECONNRESET); /* that of the last IOBUF_EIO */
    end(&f);
}

static void would_block_is_eagain_under_both_names(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_ERROR, 0, EAGAIN}, {SOURCE_ERROR, 0, EWOULDBLOCK}, {SOURCE_BYTES, 2, 0}};
    fixture f;
    begin(&f, 4096, "ab", steps, 3);
    expect_status(&f, 2, IOBUF_EAGAIN);
    expect_status(&f, 2, IOBUF_EAGAIN);
    assert_int_equal(iobuf_reader_errno(&f.r), 0);
    expect(&f, "ab");
    end(&f);
}

static void an_interrupted_read_is_repeated_inside(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_ERROR, 0, EINTR}, {SOURCE_ERROR, 0, EINTR}, {SOURCE_BYTES, 3, 0}};
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, "abcdef", steps, 3);
    assert_ok(iobuf_reader_read_some(&f.r, 10, &s)); /* one read, however often interrupted */
    assert_text(&s, "abc");
    assert_size(f.in.calls, 3);
    iobuf_slice_release(&s);
    end(&f);
}

static void a_failure_without_an_errno_is_eio(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_ERROR, 0, 0}};
    fixture f;
    begin(&f, 4096, "ab", steps, 1);
    expect_status(&f, 2, IOBUF_EIO);
    assert_int_equal(iobuf_reader_errno(&f.r), EIO);
    expect(&f, "ab");
    end(&f);
}

static void more_bytes_than_there_was_room_are_eio_and_unused(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 1, 0}, {SOURCE_TOO_MANY, 0, 0}};
    fixture f;
    begin(&f, 4096, "abc", steps, 2);
    expect_status(&f, 2, IOBUF_EIO);
    assert_int_equal(iobuf_reader_errno(&f.r), EIO);
    assert_size(iobuf_reader_buffered(&f.r), 1);
    expect(&f, "abc");
    end(&f);
}

static void bytes_together_with_an_error_are_both_kept(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES_AND, 4, EPIPE}};
    fixture f;
    begin(&f, 4096, "abcdefgh", steps, 1);
    expect(&f, "ab"); /* the bytes now, without the error */
    assert_int_equal(iobuf_reader_errno(&f.r), 0);
    expect(&f, "cd");
    const size_t calls = f.in.calls;
    expect_status(&f, 2, IOBUF_EIO); /* the error when more are needed */
    assert_size(f.in.calls, calls);
    assert_int_equal(iobuf_reader_errno(&f.r), EPIPE);
    expect(&f, "efgh"); /* and once */
    end(&f);
}

static void bytes_together_with_eagain_are_both_kept(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES_AND, 2, EAGAIN}};
    fixture f;
    begin(&f, 4096, "abcd", steps, 1);
    expect_status(&f, 3, IOBUF_EAGAIN);
    assert_size(iobuf_reader_buffered(&f.r), 2);
    expect(&f, "abcd");
    assert_int_equal(iobuf_reader_errno(&f.r), 0);
    end(&f);
}

static void a_read_without_memory_loses_nothing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 16, 32, 0);
    source in = {.bytes = (const uint8_t *)"0123456789abcdefghijklmnopqrstuvwxyz", .size = 36};
    iobuf_reader r;
    iobuf_slice s, out = iobuf_slice_borrow(&b, 1);
    assert_ok(iobuf_reader_init(&r, pool, source_read, &in));
    assert_ok(iobuf_reader_read(&r, 10, &s));
    assert_status(iobuf_reader_read(&r, 33, &out), IOBUF_ELIMIT);
    assert_status(iobuf_reader_read(&r, 20, &out), IOBUF_ELIMIT);
    assert_size(iobuf_reader_buffered(&r), 6);
    assert_ptr_equal(iobuf_slice_data(&out), &b);
    assert_ok(iobuf_reader_read(&r, 16, &out)); /* 16 and 16 are the limit */
    assert_text(&out, "abcdefghijklmnop");
    assert_text(&s, "0123456789");
    iobuf_slice_release(&s);
    iobuf_slice_release(&out);
    iobuf_reader_close(&r);
    close_pool(pool, &b);
}

/* ---- every byte offset ---- */

/* Messages of a length byte and so many bytes; bytes run through, so that a lost or doubled one shows. */
static size_t make_messages(uint8_t *stream)
{
    static const uint8_t lengths[] = {5, 0, 1, 17, 3, 30, 0, 16, 2};
    size_t size = 0;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        stream[size++] = lengths[i];
        for (size_t j = 0; j < lengths[i]; j++, size++)
            stream[size] = (uint8_t)(100 + size);
    }
    return size;
}

typedef struct outcome {
    size_t position; /* bytes handed out */
    size_t again, failed;
    int error; /* the last errno */
    bool ended;
} outcome;

/* Reads a message's length, then its bytes, calling again after EAGAIN and EIO, up to `size` or the end of the stream. Holds on to
 * all slices till then if `keep`. */
static outcome read_messages(iobuf_reader *r, const uint8_t *stream, size_t size, bool keep)
{
    outcome o = {0};
    iobuf_slice held[64];
    size_t held_count = 0, want = 1;
    bool is_length = true;
    while (o.position < size && !o.ended) {
        iobuf_slice s = iobuf_slice_borrow(&o, 1);
        size_t before = iobuf_reader_buffered(r);
        int status = iobuf_reader_read(r, want, &s);
        if (status != IOBUF_OK) {
            assert_ptr_equal(iobuf_slice_data(&s), &o);
            assert_true(iobuf_reader_buffered(r) >= before && iobuf_reader_buffered(r) < want);
            o.again += status == IOBUF_EAGAIN;
            o.failed += status == IOBUF_EIO;
            o.ended = status == IOBUF_EOF;
            if (status == IOBUF_EIO)
                o.error = iobuf_reader_errno(r);
            if (!o.ended && status != IOBUF_EAGAIN && status != IOBUF_EIO)
                fail_msg("status %d", status);
            continue;
        }
        assert_bytes(&s, stream + o.position, want);
        o.position += want;
        is_length = !is_length || iobuf_slice_data(&s)[0] == 0;
        want = is_length ? 1 : iobuf_slice_data(&s)[0];
        if (keep)
            held[held_count++] = s;
        else
            iobuf_slice_release(&s);
    }
    size_t at = 0;
    for (size_t i = 0; i < held_count; i++) {
        assert_bytes(&held[i], stream + at, iobuf_slice_size(&held[i]));
        at += iobuf_slice_size(&held[i]);
        iobuf_slice_release(&held[i]);
    }
    return o;
}

typedef struct setting {
    size_t min_size, most;
    bool keep;
} setting;

static const setting settings[] = {{4096, 0, false}, {4096, 1, true}, {16, 0, true}, {16, 1, false}, {16, 5, true}, {7, 3, false}};

/* One stream in which the source does `steps`; checked for every setting. */
static void run_stream(const uint8_t *stream, size_t size, const source_step *steps, size_t step_count, size_t again, size_t failed,
                       int error, size_t position)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        test_backing b = {0};
        iobuf_pool *pool = make_pool(&b, settings[i].min_size, 0, 0);
        source in = {.bytes = stream, .size = position, .steps = steps, .step_count = step_count, .most = settings[i].most};
        iobuf_reader r;
        assert_ok(iobuf_reader_init(&r, pool, source_read, &in));
        outcome o = read_messages(&r, stream, size, settings[i].keep);
        assert_size(o.again, again);
        assert_size(o.failed, failed);
        assert_int_equal(o.error, error);
        assert_int_equal(o.ended, position < size);
        /* At the end of a stream that broke off: what was left over, byte by byte, then the end again. */
        while (o.ended && o.position < position) {
            iobuf_slice s;
            assert_ok(iobuf_reader_read(&r, 1, &s));
            assert_bytes(&s, stream + o.position, 1);
            iobuf_slice_release(&s);
            o.position++;
        }
        assert_size(o.position, position);
        assert_size(iobuf_reader_buffered(&r), 0);
        iobuf_slice out;
        assert_status(iobuf_reader_read(&r, 1, &out), IOBUF_EOF);
        iobuf_reader_close(&r);
        assert_size(stats_of(pool).bufs_in_use, 0);
        close_pool(pool, &b);
    }
}

static void an_event_at_every_offset(const source_step *event, size_t events, size_t again, size_t failed, int error)
{
    uint8_t stream[128];
    const size_t size = make_messages(stream);
    source_step steps[4] = {{SOURCE_BYTES, 0, 0}};
    for (size_t i = 0; i < events; i++)
        steps[i + 1] = event[i];
    for (size_t offset = 0; offset < size; offset++) {
        steps[0].count = offset;
        run_stream(stream, size, steps, events + 1, again, failed, error, size);
    }
}

static void short_reads_at_every_offset(void **state)
{
    (void)state;
    an_event_at_every_offset(NULL, 0, 0, 0, 0);
}

static void eintr_at_every_offset(void **state)
{
    (void)state;
    static const source_step event[] = {{SOURCE_ERROR, 0, EINTR}, {SOURCE_ERROR, 0, EINTR}};
    an_event_at_every_offset(event, 2, 0, 0, 0);
}

static void eagain_at_every_offset(void **state)
{
    (void)state;
    static const source_step event[] = {{SOURCE_ERROR, 0, EAGAIN}, {SOURCE_ERROR, 0, EWOULDBLOCK}};
    an_event_at_every_offset(event, 2, 2, 0, 0);
}

static void an_error_at_every_offset(void **state)
{
    (void)state;
    static const source_step event[] = {{SOURCE_ERROR, 0, ECONNRESET}};
    an_event_at_every_offset(event, 1, 0, 1, ECONNRESET);
}

static void too_many_bytes_at_every_offset(void **state)
{
    (void)state;
    static const source_step event[] = {{SOURCE_TOO_MANY, 0, 0}};
    an_event_at_every_offset(event, 1, 0, 1, EIO);
}

static void the_end_of_the_stream_at_every_offset(void **state)
{
    (void)state;
    uint8_t stream[128];
    const size_t size = make_messages(stream);
    for (size_t offset = 0; offset <= size; offset++)
        run_stream(stream, size, NULL, 0, 0, 0, 0, offset);
}

static void bytes_with_an_error_at_every_offset(void **state)
{
    (void)state;
    uint8_t stream[128];
    const size_t size = make_messages(stream);
    for (size_t offset = 0; offset + 1 < size; offset++) {
        /* One byte and the error: it is due before the next byte, which some message needs. */
        const source_step steps[] = {{SOURCE_BYTES, offset, 0}, {SOURCE_BYTES_AND, 1, ENETDOWN}};
        run_stream(stream, size, steps, 2, 0, 1, ENETDOWN, size);
    }
}

/* ---- where bytes lie ---- */

static void buffered_bytes_move_to_the_start_of_a_buf_that_nobody_refers_to(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 14, 0}};
    fixture f;
    iobuf_slice s;
    begin(&f, 16, "0123456789abcdefghijklmnopqrstuvwxyz", steps, 1);
    assert_ok(iobuf_reader_read(&f.r, 10, &s));
    uint8_t *start = iobuf_slice_data(&s);
    iobuf_slice_release(&s);
    assert_ok(iobuf_reader_read(&f.r, 16, &s));
    assert_ptr_equal(iobuf_slice_data(&s), start);
    assert_text(&s, "abcdefghijklmnop");
    assert_size(f.in.last_room, 12);
    assert_bufs(f.pool, 1, 1, 0);
    iobuf_slice_release(&s);
    end(&f);
}

static void buffered_bytes_stay_behind_a_slice_that_lives(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 8, 0}};
    fixture f;
    iobuf_slice one, two;
    begin(&f, 16, "0123456789abcdefghijklmnopqrstuvwxyz", steps, 1);
    assert_ok(iobuf_reader_read(&f.r, 6, &one));
    assert_ok(iobuf_reader_read(&f.r, 10, &two)); /* fits behind it */
    assert_ptr_equal(iobuf_slice_data(&two), iobuf_slice_data(&one) + 6);
    assert_bufs(f.pool, 1, 1, 0);
    iobuf_slice_release(&one);
    iobuf_slice_release(&two);
    end(&f);
}

static void buffered_bytes_move_to_a_new_buf_when_a_slice_is_in_the_way(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 8, 0}};
    fixture f;
    iobuf_slice one, two;
    begin(&f, 16, "0123456789abcdefghijklmnopqrstuvwxyz", steps, 1);
    assert_ok(iobuf_reader_read(&f.r, 6, &one));
    assert_ok(iobuf_reader_read(&f.r, 11, &two));
    assert_text(&one, "012345");
    assert_text(&two, "6789abcdefg");
    assert_bufs(f.pool, 2, 2, 0);
    assert_size(f.in.last_room, 14);
    iobuf_slice_release(&one);
    assert_bufs(f.pool, 2, 1, 1);
    iobuf_slice_release(&two);
    end(&f);
}

static void a_message_larger_than_min_size_has_a_buf_that_fits(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 16, "0123456789abcdefghijklmnopqrstuvwxyz", NULL, 0);
    assert_ok(iobuf_reader_read(&f.r, 33, &s));
    assert_size(iobuf_slice_buf_size(&s), 48);
    assert_text(&s, "0123456789abcdefghijklmnopqrstuvw");
    iobuf_slice_release(&s);
    expect(&f, "xyz");
    end(&f);
}

static void a_buf_is_read_over_and_over_while_its_slices_are_released(void **state)
{
    (void)state;
    fixture f;
    static char stream[10001];
    for (size_t i = 0; i < 10000; i++)
        stream[i] = (char)('a' + i % 23);
    begin(&f, 64, stream, NULL, 0);
    for (size_t at = 0, size = 1; at + size <= 10000; at += size, size = size % 60 + 1) {
        iobuf_slice s;
        assert_ok(iobuf_reader_read(&f.r, size, &s));
        assert_bytes(&s, stream + at, size);
        iobuf_slice_release(&s);
    }
    assert_bufs(f.pool, 1, 1, 0);
    end(&f);
}

/* ---- read_some, peek ---- */

static void read_some_takes_what_is_buffered(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, "abcdefgh", NULL, 0);
    expect(&f, "ab");
    assert_ok(iobuf_reader_read_some(&f.r, 4, &s));
    assert_text(&s, "cdef");
    iobuf_slice_release(&s);
    assert_ok(iobuf_reader_read_some(&f.r, 4, &s));
    assert_text(&s, "gh");
    iobuf_slice_release(&s);
    assert_size(f.in.calls, 1);
    assert_status(iobuf_reader_read_some(&f.r, 4, &s), IOBUF_EOF);
    end(&f);
}

static void read_some_reads_once(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 3, 0}, {SOURCE_ERROR, 0, EAGAIN}, {SOURCE_BYTES, 5, 0}};
    fixture f;
    iobuf_slice s;
    begin(&f, 4096, "abcdefgh", steps, 3);
    assert_ok(iobuf_reader_read_some(&f.r, 100, &s));
    assert_text(&s, "abc");
    assert_size(f.in.calls, 1);
    iobuf_slice_release(&s);
    assert_status(iobuf_reader_read_some(&f.r, 100, &s), IOBUF_EAGAIN);
    assert_size(f.in.calls, 2);
    assert_ok(iobuf_reader_read_some(&f.r, 4, &s));
    assert_text(&s, "defg");
    assert_size(iobuf_reader_buffered(&f.r), 1);
    iobuf_slice_release(&s);
    end(&f);
}

static void peek_shows_and_consumes_nothing(void **state)
{
    (void)state;
    static const source_step steps[] = {{SOURCE_BYTES, 3, 0}, {SOURCE_BYTES, 3, 0}, {SOURCE_ERROR, 0, EAGAIN}};
    fixture f;
    const uint8_t *bytes = NULL;
    size_t size = 77;
    begin(&f, 4096, "abcdefgh", steps, 3);
    assert_ok(iobuf_reader_peek(&f.r, 0, &bytes, &size));
    assert_size(size, 0);
    assert_size(f.in.calls, 0);
    assert_ok(iobuf_reader_peek(&f.r, 2, &bytes, &size)); /* more than it wants */
    assert_size(size, 3);
    assert_memory_equal(bytes, "abc", 3);
    assert_ok(iobuf_reader_peek(&f.r, 3, &bytes, &size));
    assert_size(f.in.calls, 1);
    assert_ok(iobuf_reader_peek(&f.r, 8, &bytes, &size)); /* less than it wants */
    assert_size(size, 6);
    assert_memory_equal(bytes, "abcdef", 6);
    assert_size(f.in.calls, 2);
    size = 77;
    assert_status(iobuf_reader_peek(&f.r, 8, &bytes, &size), IOBUF_EAGAIN);
    assert_size(size, 77);
    assert_size(iobuf_reader_buffered(&f.r), 6);
    expect(&f, "abcdef");
    expect(&f, "gh");
    assert_status(iobuf_reader_peek(&f.r, 1, &bytes, &size), IOBUF_EOF);
    assert_ok(iobuf_reader_peek(&f.r, 0, &bytes, &size));
    assert_size(size, 0);
    end(&f);
}

static void peek_makes_room_for_what_it_wants(void **state)
{
    (void)state;
    fixture f;
    const uint8_t *bytes;
    size_t size;
    begin(&f, 16, "0123456789abcdefghijklmnopqrstuvwxyz", NULL, 0);
    assert_ok(iobuf_reader_peek(&f.r, 1, &bytes, &size));
    assert_size(size, 16);
    assert_ok(iobuf_reader_peek(&f.r, 30, &bytes, &size));
    assert_size(size, 32);
    assert_memory_equal(bytes, "0123456789abcdefghijklmnopqrstuv", 32);
    end(&f);
}

/* ---- real descriptors ---- */

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 64, 0, 0);
    uint8_t stream[128];
    const size_t size = make_messages(stream);
    int ends[2];
    iobuf_reader r;
    iobuf_slice s;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], stream, size), (ssize_t)size);
    close(ends[1]);
    assert_ok(iobuf_reader_init_fd(&r, pool, ends[0]));
    outcome o = read_messages(&r, stream, size, true);
    assert_size(o.position, size);
    assert_status(iobuf_reader_read(&r, 1, &s), IOBUF_EOF);
    iobuf_reader_close(&r);
    assert_int_equal(fcntl(ends[0], F_GETFD) >= 0, 1); /* the descriptor stays the caller's */
    close(ends[0]);
    close_pool(pool, &b);
}

static void a_socket_that_would_block_loses_nothing(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 16, 0, 0);
    uint8_t stream[128];
    const size_t size = make_messages(stream);
    int ends[2];
    iobuf_reader r;
    iobuf_slice s = iobuf_slice_borrow(&b, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_ok(iobuf_reader_init_fd(&r, pool, ends[0]));
    for (size_t i = 0; i < size; i++) {
        assert_status(iobuf_reader_read(&r, size, &s), IOBUF_EAGAIN);
        assert_size(iobuf_reader_buffered(&r), i);
        assert_int_equal(write(ends[1], stream + i, 1), 1);
    }
    assert_ok(iobuf_reader_read(&r, size, &s));
    assert_bytes(&s, stream, size);
    iobuf_slice_release(&s);
    close(ends[1]);
    assert_status(iobuf_reader_read(&r, 1, &s), IOBUF_EOF);
    iobuf_reader_close(&r);
    close(ends[0]);
    close_pool(pool, &b);
}

static void a_descriptor_that_fails_is_eio_with_its_errno(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 16, 0, 0);
    int ends[2];
    iobuf_reader r;
    iobuf_slice s;
    assert_int_equal(pipe(ends), 0);
    assert_ok(iobuf_reader_init_fd(&r, pool, ends[1])); /* the end that is written to */
    assert_status(iobuf_reader_read(&r, 1, &s), IOBUF_EIO);
    assert_int_equal(iobuf_reader_errno(&r), EBADF);
    iobuf_reader_close(&r);
    close(ends[0]);
    close(ends[1]);
    close_pool(pool, &b);
}

static void *write_slowly(void *argument)
{
    int fd = *(int *)argument;
    for (size_t i = 0; i < 5000; i++) {
        uint8_t byte = pattern_byte(0, i);
        thread_require(write(fd, &byte, 1) == 1);
    }
    close(fd);
    return NULL;
}

static void a_blocking_socket_is_waited_for(void **state)
{
    (void)state;
    test_backing b = {0};
    iobuf_pool *pool = make_pool(&b, 256, 0, 0);
    int ends[2];
    iobuf_reader r;
    iobuf_slice s;
    pthread_t writer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &ends[1]), 0);
    assert_ok(iobuf_reader_init_fd(&r, pool, ends[0]));
    for (size_t i = 0; i < 5000; i += 50) {
        assert_ok(iobuf_reader_read(&r, 50, &s));
        for (size_t j = 0; j < 50; j++)
            assert_int_equal(iobuf_slice_data(&s)[j], pattern_byte(0, i + j));
        iobuf_slice_release(&s);
    }
    assert_status(iobuf_reader_read(&r, 1, &s), IOBUF_EOF);
    assert_int_equal(pthread_join(writer, NULL), 0);
    iobuf_reader_close(&r);
    close(ends[0]);
    close_pool(pool, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_checks_its_arguments),
        cmocka_unit_test(a_reader_reads_nothing_before_it_is_asked),
        cmocka_unit_test(messages_are_cut_from_what_has_arrived),
        cmocka_unit_test(a_read_of_nothing_reads_nothing),
        cmocka_unit_test(slices_of_one_buf_are_adjacent_and_have_no_prefix),
        cmocka_unit_test(slices_outlive_their_reader),
        cmocka_unit_test(a_closed_reader_reads_nothing),
        cmocka_unit_test(a_reader_of_a_closed_pool_hands_out_what_is_buffered),
        cmocka_unit_test(what_was_buffered_when_the_source_ended_comes_first),
        cmocka_unit_test(an_empty_stream_is_at_its_end),
        cmocka_unit_test(an_error_is_eio_with_its_errno_and_nothing_is_lost),
        cmocka_unit_test(would_block_is_eagain_under_both_names),
        cmocka_unit_test(an_interrupted_read_is_repeated_inside),
        cmocka_unit_test(a_failure_without_an_errno_is_eio),
        cmocka_unit_test(more_bytes_than_there_was_room_are_eio_and_unused),
        cmocka_unit_test(bytes_together_with_an_error_are_both_kept),
        cmocka_unit_test(bytes_together_with_eagain_are_both_kept),
        cmocka_unit_test(a_read_without_memory_loses_nothing),
        cmocka_unit_test(short_reads_at_every_offset),
        cmocka_unit_test(eintr_at_every_offset),
        cmocka_unit_test(eagain_at_every_offset),
        cmocka_unit_test(an_error_at_every_offset),
        cmocka_unit_test(too_many_bytes_at_every_offset),
        cmocka_unit_test(the_end_of_the_stream_at_every_offset),
        cmocka_unit_test(bytes_with_an_error_at_every_offset),
        cmocka_unit_test(buffered_bytes_move_to_the_start_of_a_buf_that_nobody_refers_to),
        cmocka_unit_test(buffered_bytes_stay_behind_a_slice_that_lives),
        cmocka_unit_test(buffered_bytes_move_to_a_new_buf_when_a_slice_is_in_the_way),
        cmocka_unit_test(a_message_larger_than_min_size_has_a_buf_that_fits),
        cmocka_unit_test(a_buf_is_read_over_and_over_while_its_slices_are_released),
        cmocka_unit_test(read_some_takes_what_is_buffered),
        cmocka_unit_test(read_some_reads_once),
        cmocka_unit_test(peek_shows_and_consumes_nothing),
        cmocka_unit_test(peek_makes_room_for_what_it_wants),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(a_socket_that_would_block_loses_nothing),
        cmocka_unit_test(a_descriptor_that_fails_is_eio_with_its_errno),
        cmocka_unit_test(a_blocking_socket_is_waited_for),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
