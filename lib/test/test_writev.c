/* Unit tests of lib/src/writev.c: what went out is released, what did not is kept, byte for byte.
 *
 * The linker puts __wrap_writev in the place of writev(2), so that a test says how much of a write goes out.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* ---- the scripted writev ---- */

static struct {
    bool scripted;
    size_t most;    /* bytes that go out per call; 0: none left, `error` then */
    int interrupts; /* EINTR that come first */
    int error;      /* if not 0: what the call fails with */
    size_t calls;
    int largest_count; /* entries of the longest iovec */
    uint8_t out[4096];
    size_t out_size;
} wire;

ssize_t __real_writev(int fd, const struct iovec *iov, int count);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);

ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
    if (!wire.scripted)
        return __real_writev(fd, iov, count);
    wire.calls++;
    if (count > wire.largest_count)
        wire.largest_count = count;
    if (wire.interrupts > 0) {
        wire.interrupts--;
        errno = EINTR;
        return -1;
    }
    if (wire.error) {
        errno = wire.error;
        return -1;
    }
    size_t gone = 0;
    for (int i = 0; i < count && gone < wire.most; i++) {
        size_t size = iov[i].iov_len < wire.most - gone ? iov[i].iov_len : wire.most - gone;
        assert_true(size <= sizeof wire.out - wire.out_size);
        memcpy(wire.out + wire.out_size, iov[i].iov_base, size);
        wire.out_size += size;
        gone += size;
    }
    return (ssize_t)gone;
}

static void script(size_t most)
{
    memset(&wire, 0, sizeof wire);
    wire.scripted = true;
    wire.most = most;
}

static int real_again(void **state)
{
    (void)state;
    memset(&wire, 0, sizeof wire);
    return 0;
}

/* ---- slices to write ---- */

typedef struct fixture {
    test_backing b;
    iobuf_pool *pool;
    iobuf_allocator a;
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof *f);
    f->pool = make_pool(&f->b, 4096, 0, 0);
    assert_ok(iobuf_allocator_init(&f->a, f->pool, 0));
}

static void end(fixture *f, iobuf_slice *slices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        iobuf_slice_release(&slices[i]);
    iobuf_allocator_release(&f->a);
    assert_size(stats_of(f->pool).bufs_in_use, 0);
    close_pool(f->pool, &f->b);
}

static void cut_all(fixture *f, iobuf_slice *slices, size_t count, const char *const *texts)
{
    for (size_t i = 0; i < count; i++)
        assert_ok(iobuf_copy(&f->a, texts[i], strlen(texts[i]), &slices[i]));
}

static const char *const texts[] = {"abc", "", "defgh", "i", "", "jk"};
static const char all[] = "abcdefghijk";

enum { COUNT = COUNT_OF(texts), TOTAL = sizeof all - 1 };

static void assert_empties(const iobuf_slice *slices, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        assert_null(iobuf_slice_data(&slices[i]));
        assert_size(iobuf_slice_size(&slices[i]), 0);
        assert_size(iobuf_slice_buf_size(&slices[i]), 0);
    }
}

/* ---- iovec ---- */

static void an_iovec_lists_the_slices_in_order(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[COUNT];
    struct iovec iov[COUNT];
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    assert_size(iobuf_slices_to_iovec(s, COUNT, iov, COUNT), 4);
    const size_t entries[] = {0, 2, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(iov[i].iov_base, iobuf_slice_data(&s[entries[i]]));
        assert_size(iov[i].iov_len, strlen(texts[entries[i]]));
    }
    end(&f, s, COUNT);
}

static void an_iovec_is_filled_up_to_its_capacity(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[COUNT];
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    for (size_t capacity = 0; capacity <= 4; capacity++) {
        struct iovec iov[5];
        memset(iov, 0, sizeof iov);
        iov[capacity].iov_base = &f;
        assert_size(iobuf_slices_to_iovec(s, COUNT, iov, capacity), capacity);
        assert_ptr_equal(iov[capacity].iov_base, &f); /* nothing behind it is touched */
    }
    assert_size(iobuf_slices_to_iovec(s, COUNT, NULL, 0), 0);
    end(&f, s, COUNT);
}

static void an_iovec_of_no_slices_is_empty(void **state)
{
    (void)state;
    struct iovec iov[1];
    iobuf_slice empty[2] = {iobuf_slice_borrow(NULL, 0), iobuf_slice_borrow(iov, 0)};
    assert_size(iobuf_slices_to_iovec(NULL, 0, iov, 1), 0);
    assert_size(iobuf_slices_to_iovec(empty, 2, iov, 1), 0);
}

static void an_iovec_lists_borrowed_slices_too(void **state)
{
    (void)state;
    char bytes[] = "0123456789";
    struct iovec iov[2];
    iobuf_slice s[2] = {iobuf_slice_borrow(bytes, 4), iobuf_slice_borrow(bytes + 4, 6)};
    assert_size(iobuf_slices_to_iovec(s, 2, iov, 2), 2);
    assert_ptr_equal(iov[1].iov_base, bytes + 4);
    assert_size(iov[1].iov_len, 6);
}

/* ---- writev ---- */

static void writev_releases_all_that_it_writes(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[COUNT];
    size_t count = COUNT, written = 99;
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    iobuf_allocator_release(&f.a);
    script(SIZE_MAX);
    assert_ok(iobuf_writev(1, s, &count, &written));
    assert_size(count, 0);
    assert_size(written, TOTAL);
    assert_memory_equal(wire.out, all, TOTAL);
    assert_empties(s, 0, COUNT);
    assert_bufs(f.pool, 1, 0, 1);
    end(&f, s, 0);
}

static void a_short_write_keeps_the_rest_at_every_byte(void **state)
{
    (void)state;
    for (size_t most = 1; most <= TOTAL; most++) {
        fixture f;
        iobuf_slice s[COUNT];
        size_t count = COUNT, written = 99, rest = 0;
        begin(&f);
        cut_all(&f, s, COUNT, texts);
        script(most);
        assert_ok(iobuf_writev(1, s, &count, &written));
        assert_size(wire.calls, 1);
        assert_size(written, most);
        assert_memory_equal(wire.out, all, most);
        for (size_t i = 0; i < count; i++) {
            assert_memory_equal(iobuf_slice_data(&s[i]), all + most + rest, iobuf_slice_size(&s[i]));
            rest += iobuf_slice_size(&s[i]);
        }
        assert_size(rest, TOTAL - most);
        assert_empties(s, count, COUNT);
        end(&f, s, count);
    }
}

static void short_writes_in_a_row_write_everything_once(void **state)
{
    (void)state;
    for (size_t most = 1; most <= TOTAL; most++) {
        fixture f;
        iobuf_slice s[COUNT];
        size_t count = COUNT, sum = 0, written;
        begin(&f);
        cut_all(&f, s, COUNT, texts);
        iobuf_allocator_release(&f.a);
        script(most);
        while (count > 0) {
            assert_ok(iobuf_writev(1, s, &count, &written));
            assert_true(written <= most);
            sum += written;
        }
        assert_size(sum, TOTAL);
        assert_size(wire.out_size, TOTAL);
        assert_memory_equal(wire.out, all, TOTAL);
        assert_bufs(f.pool, 1, 0, 1);
        end(&f, s, 0);
    }
}

static void what_was_written_in_part_is_free_prefix(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[COUNT];
    size_t count = COUNT;
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    script(5);
    assert_ok(iobuf_writev(1, s, &count, NULL)); /* written may be NULL */
    assert_text(&s[0], "fgh");
    assert_size(iobuf_slice_headroom(&s[0]), 2);
    end(&f, s, count);
}

static void an_interrupted_write_is_repeated(void **state)
{
    (void)state;
    fixture f;
    iobuf_slice s[COUNT];
    size_t count = COUNT, written = 0;
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    script(SIZE_MAX);
    wire.interrupts = 3;
    assert_ok(iobuf_writev(1, s, &count, &written));
    assert_size(wire.calls, 4);
    assert_size(written, TOTAL);
    end(&f, s, count);
}

static void a_write_that_fails_changes_nothing(void **state)
{
    (void)state;
    const struct {
        int error, status;
    } cases[] = {{EAGAIN, IOBUF_EAGAIN}, {EWOULDBLOCK, IOBUF_EAGAIN}, {EPIPE, IOBUF_EIO}, {EBADF, IOBUF_EIO}, {EINVAL, IOBUF_EIO}};
    const char *const front_empty[] = {"", "", "abc", "de"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fixture f;
        iobuf_slice s[4];
        size_t count = 4, written = 99;
        begin(&f);
        cut_all(&f, s, 4, front_empty);
        uint8_t *data = iobuf_slice_data(&s[0]);
        script(0);
        wire.error = cases[i].error;
        errno = 0;
        assert_status(iobuf_writev(1, s, &count, &written), cases[i].status);
        if (cases[i].status == IOBUF_EIO)
            assert_int_equal(errno, cases[i].error);
        assert_size(count, 4);
        assert_size(written, 0);
        assert_ptr_equal(iobuf_slice_data(&s[0]), data);
        assert_text(&s[2], "abc");
        assert_text(&s[3], "de");
        end(&f, s, 4);
    }
}

static void empty_slices_count_as_written(void **state)
{
    (void)state;
    fixture f;
    const char *const none[] = {"", "", ""};
    iobuf_slice s[3];
    size_t count = 3, written = 99;
    begin(&f);
    cut_all(&f, s, 3, none);
    script(SIZE_MAX);
    assert_ok(iobuf_writev(1, s, &count, &written));
    assert_size(count, 0);
    assert_size(written, 0);
    assert_empties(s, 0, 3);
    end(&f, s, 0);
}

static void no_slices_are_written_at_once(void **state)
{
    (void)state;
    iobuf_slice none = iobuf_slice_borrow(NULL, 0);
    size_t count = 0, written = 99;
    script(SIZE_MAX);
    assert_ok(iobuf_writev(1, &none, &count, &written));
    assert_size(written, 0);
    assert_size(count, 0);
}

static void writev_checks_its_arguments(void **state)
{
    (void)state;
    iobuf_slice s = iobuf_slice_borrow(&wire, 1);
    size_t count = 1, written = 99;
    script(SIZE_MAX);
    assert_status(iobuf_writev(1, NULL, &count, &written), IOBUF_EINVAL);
    assert_size(written, 0);
    written = 99;
    assert_status(iobuf_writev(1, &s, NULL, &written), IOBUF_EINVAL);
    assert_size(written, 0);
    assert_size(wire.calls, 0);
}

static void one_call_writes_at_most_1024_slices(void **state)
{
    (void)state;
    enum { MANY = 2500 };
    fixture f;
    static iobuf_slice s[MANY];
    size_t count = MANY, written, calls = 0, sum = 0;
    begin(&f);
    for (size_t i = 0; i < MANY; i++) {
        uint8_t byte = pattern_byte(0, i);
        assert_ok(iobuf_copy(&f.a, &byte, 1, &s[i]));
    }
    script(SIZE_MAX);
    assert_ok(iobuf_writev(1, s, &count, &written));
    assert_size(written, 1024);
    assert_size(count, MANY - 1024);
    assert_empties(s, count, MANY);
    for (sum = written, calls = 1; count > 0; calls++, sum += written)
        assert_ok(iobuf_writev(1, s, &count, &written));
    assert_size(calls, 3);
    assert_size(sum, MANY);
    assert_int_equal(wire.largest_count, 1024);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(wire.out[i], pattern_byte(0, i));
    end(&f, s, 0);
}

/* ---- real descriptors ---- */

static void a_real_pipe_gets_the_bytes(void **state)
{
    (void)state;
    fixture f;
    int ends[2];
    char in[TOTAL + 1] = {0};
    iobuf_slice s[COUNT];
    size_t count = COUNT, written = 0;
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    assert_int_equal(pipe(ends), 0);
    assert_ok(iobuf_writev(ends[1], s, &count, &written));
    assert_size(written, TOTAL);
    assert_int_equal(read(ends[0], in, TOTAL), TOTAL);
    assert_string_equal(in, all);
    close(ends[0]);
    close(ends[1]);
    end(&f, s, 0);
}

static void a_full_socket_is_eagain_and_goes_on_later(void **state)
{
    (void)state;
    enum { MANY = 200, SIZE = 10000 };
    fixture f;
    int ends[2];
    static iobuf_slice s[MANY];
    static uint8_t in[65536];
    size_t count = MANY, got = 0, status_again = 0, written;
    begin(&f);
    for (size_t i = 0; i < MANY; i++) {
        assert_ok(iobuf_alloc(&f.a, SIZE, &s[i]));
        pattern_fill(&s[i], i);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (got < (size_t)MANY * SIZE) {
        if (count > 0) {
            int status = iobuf_writev(ends[1], s, &count, &written);
            if (status == IOBUF_OK)
                continue;
            assert_status(status, IOBUF_EAGAIN);
            status_again++;
        }
        ssize_t n = read(ends[0], in, sizeof in);
        assert_true(n > 0);
        for (size_t i = 0; i < (size_t)n; i++, got++)
            if (in[i] != pattern_byte(got / SIZE, got % SIZE))
                fail_msg("byte %zu is %u", got, in[i]);
    }
    assert_size(count, 0);
    assert_true(status_again > 0);
    close(ends[0]);
    close(ends[1]);
    end(&f, s, 0);
}

static void a_closed_peer_is_eio_with_its_errno(void **state)
{
    (void)state;
    fixture f;
    int ends[2];
    iobuf_slice s[COUNT];
    size_t count = COUNT, written = 99;
    begin(&f);
    cut_all(&f, s, COUNT, texts);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    assert_status(iobuf_writev(ends[1], s, &count, &written), IOBUF_EIO);
    assert_int_equal(errno, EPIPE);
    assert_size(count, COUNT);
    assert_size(written, 0);
    signal(SIGPIPE, before);
    close(ends[1]);
    assert_status(iobuf_writev(ends[1], s, &count, &written), IOBUF_EIO);
    assert_int_equal(errno, EBADF);
    end(&f, s, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_iovec_lists_the_slices_in_order),
        cmocka_unit_test(an_iovec_is_filled_up_to_its_capacity),
        cmocka_unit_test(an_iovec_of_no_slices_is_empty),
        cmocka_unit_test(an_iovec_lists_borrowed_slices_too),
        cmocka_unit_test_teardown(writev_releases_all_that_it_writes, real_again),
        cmocka_unit_test_teardown(a_short_write_keeps_the_rest_at_every_byte, real_again),
        cmocka_unit_test_teardown(short_writes_in_a_row_write_everything_once, real_again),
        cmocka_unit_test_teardown(what_was_written_in_part_is_free_prefix, real_again),
        cmocka_unit_test_teardown(an_interrupted_write_is_repeated, real_again),
        cmocka_unit_test_teardown(a_write_that_fails_changes_nothing, real_again),
        cmocka_unit_test_teardown(empty_slices_count_as_written, real_again),
        cmocka_unit_test_teardown(no_slices_are_written_at_once, real_again),
        cmocka_unit_test_teardown(writev_checks_its_arguments, real_again),
        cmocka_unit_test_teardown(one_call_writes_at_most_1024_slices, real_again),
        cmocka_unit_test(a_real_pipe_gets_the_bytes),
        cmocka_unit_test(a_full_socket_is_eagain_and_goes_on_later),
        cmocka_unit_test(a_closed_peer_is_eio_with_its_errno),
    };
    return cmocka_run_group_tests_name("writev", tests, NULL, NULL);
}
