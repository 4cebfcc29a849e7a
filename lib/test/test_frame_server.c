/* The example (lib/example): frames in pieces and in heaps, peers that do not read, that say nonsense, that go; and a pool without
 * memory. Server and clients are one thread, so that each test is the same every time.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame_server.h"
#include "support.h"

enum { LIMIT = 1 << 20, STEPS_MOST = 20000 };

static test_backing memory;
static iobuf_pool *pool;
static frame_server server;
static int listener;
static struct sockaddr_in address;
static size_t headroom;        /* of the last frame */
static frame_connection *kept; /* whose frame `later` keeps */
static iobuf_slice kept_frame;

static void echo(frame_connection *c, iobuf_slice *frame)
{
    headroom = iobuf_slice_headroom(frame);
    frame_answer(c, frame, 1);
}

static void later(frame_connection *c, iobuf_slice *frame)
{
    kept = c;
    kept_frame = *frame;
}

static void twice(frame_connection *c, iobuf_slice *frame)
{
    iobuf_slice parts[2];
    thread_require(iobuf_slice_share(frame, 0, iobuf_slice_size(frame), &parts[0]) == IOBUF_OK);
    parts[1] = *frame;
    frame_answer(c, parts, 2);
}

static void nothing(frame_connection *c, iobuf_slice *frame)
{
    iobuf_slice_release(frame);
    frame_answer(c, NULL, 0);
}

/* Small buffers, so that what a peer does not read soon waits in the server's queue; and segments that are small next to them, for
 * which TCP does not wait. What is accepted inherits it all. */
static int make_small(int fd)
{
    const int buffer = 8 << 10, segment = 1000;
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) |
           setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) |
           setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static int begin(void **state)
{
    socklen_t length = sizeof address;
    (void)state;
    memset(&memory, 0, sizeof memory);
    pool = make_pool(&memory, 0, LIMIT, 0);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return listener < 0 || make_small(listener) != 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
           listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0;
}

static int end(void **state)
{
    (void)state;
    frame_server_close(&server);
    close_pool(pool, &memory);
    return close(listener);
}

static void serve(frame_handler handler)
{
    assert_int_equal(frame_server_open(&server, pool, listener, handler), 0);
}

static void step(void)
{
    assert_int_equal(frame_server_step(&server, 1), 0);
}

#define step_until(condition)                                                                                                      \
    do {                                                                                                                           \
        for (int steps = 0; steps < STEPS_MOST && !(condition); steps++)                                                           \
            step();                                                                                                                \
        assert_true(condition);                                                                                                    \
    } while (0)

static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t before = server.counts.accepted;
    assert_int_equal(make_small(fd), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    step_until(server.counts.accepted > before);
    return fd;
}

/* A frame of `size` bytes; what it takes in all. */
static size_t frame_bytes(uint8_t *to, size_t size, size_t seed)
{
    for (size_t i = 0; i < FRAME_HEADER; i++)
        to[i] = (uint8_t)(size >> (24 - 8 * i) & 0xff);
    for (size_t i = 0; i < size; i++)
        to[FRAME_HEADER + i] = pattern_byte(seed, i);
    return FRAME_HEADER + size;
}

static void send_all(int fd, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0, steps = 0; at < size;) {
        ssize_t n = send(fd, bytes + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            at += (size_t)n;
        } else {
            assert_true(errno == EAGAIN && steps++ < STEPS_MOST);
            step();
        }
    }
}

/* The next `size` bytes that the server sends are these. */
static void expect(int fd, const uint8_t *want, size_t size)
{
    static uint8_t got[1 << 16];
    for (size_t at = 0, steps = 0; at < size;) {
        size_t left = size - at < sizeof got ? size - at : sizeof got;
        ssize_t n = recv(fd, got, left, MSG_DONTWAIT);
        if (n > 0) {
            assert_memory_equal(got, want + at, (size_t)n);
            at += (size_t)n;
        } else {
            assert_true(n < 0 && errno == EAGAIN && steps++ < STEPS_MOST);
            step();
        }
    }
}

static void expect_end(int fd)
{
    uint8_t byte;
    ssize_t n = -1;
    step_until((n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    assert_true(n <= 0);
    close(fd);
}

static void a_frame_comes_back_with_its_header_in_front_of_it(void **state)
{
    uint8_t bytes[2000];
    (void)state;
    serve(echo);
    int fd = client();
    size_t size = frame_bytes(bytes, 1000, 1);
    send_all(fd, bytes, size);
    expect(fd, bytes, size);
    assert_size(headroom, FRAME_HEADER);
    assert_bufs(pool, 1, 0, 1); /* none for a header, and none for a connection that is idle */
    close(fd);
}

static void frames_may_come_in_pieces(void **state)
{
    uint8_t bytes[1000];
    (void)state;
    serve(echo);
    int fd = client();
    size_t size = frame_bytes(bytes, 0, 1);
    size += frame_bytes(bytes + size, 1, 2);
    size += frame_bytes(bytes + size, 300, 3);
    for (size_t i = 0; i < size; i++) {
        send_all(fd, bytes + i, 1);
        step();
    }
    expect(fd, bytes, size);
    assert_size(server.counts.frames, 3);
    close(fd);
}

static void frames_that_come_together_go_out_as_one(void **state)
{
    uint8_t bytes[1000];
    size_t size = 0;
    (void)state;
    serve(echo);
    int fd = client();
    for (size_t i = 0; i < 5; i++)
        size += frame_bytes(bytes + size, 20 * i, i);
    send_all(fd, bytes, size);
    expect(fd, bytes, size);
    assert_size(server.counts.joined, 4);
    close(fd);
}

static void an_answer_that_shares_bytes_gets_a_header_of_its_own(void **state)
{
    uint8_t bytes[1000];
    (void)state;
    serve(twice);
    int fd = client();
    send_all(fd, bytes, frame_bytes(bytes, 300, 1));
    size_t size = frame_bytes(bytes, 600, 1);
    for (size_t i = 0; i < 300; i++)
        bytes[FRAME_HEADER + 300 + i] = pattern_byte(1, i);
    expect(fd, bytes, size);
    close(fd);
}

static void an_answer_may_be_empty(void **state)
{
    uint8_t bytes[100];
    (void)state;
    serve(nothing);
    int fd = client();
    send_all(fd, bytes, frame_bytes(bytes, 10, 1));
    expect(fd, bytes, frame_bytes(bytes, 0, 1));
    close(fd);
}

static void who_ends_his_stream_still_gets_his_answers(void **state)
{
    static uint8_t bytes[FRAME_HEADER + FRAME_MOST];
    (void)state;
    serve(echo);
    int fd = client();
    size_t size = frame_bytes(bytes, FRAME_MOST, 1);
    send_all(fd, bytes, size);
    send_all(fd, bytes, 3); /* and a part of a header */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect(fd, bytes, size);
    expect_end(fd);
    step_until(server.connections == NULL);
}

static void a_frame_too_large_ends_its_connection_alone(void **state)
{
    const uint8_t most[] = {0xff, 0xff, 0xff, 0xff};
    uint8_t bytes[100];
    (void)state;
    serve(echo);
    int good = client(), bad = client();
    send_all(bad, most, sizeof most);
    expect_end(bad);
    size_t size = frame_bytes(bytes, 50, 1);
    send_all(good, bytes, size);
    expect(good, bytes, size);
    assert_size(stats_of(pool).bytes_peak, 4096); /* no memory was taken for what it announced */
    close(good);
}

static void a_peer_that_does_not_read_is_not_read_from(void **state)
{
    static uint8_t bytes[LIMIT * 8];
    const size_t each = FRAME_HEADER + 3000, most = sizeof bytes / each * each;
    size_t sent = 0;
    (void)state;
    serve(echo);
    int fd = client();
    for (size_t at = 0; at < most; at += each)
        frame_bytes(bytes + at, each - FRAME_HEADER, at);
    for (int refused = 0; refused < 100;) { /* until nobody takes any more */
        ssize_t n = sent < most ? send(fd, bytes + sent, most - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
        refused = n < 0 ? refused + 1 : 0;
        sent += n > 0 ? (size_t)n : 0;
        step();
    }
    assert_true(sent < most);
    const frame_connection *c = server.connections;
    assert_true(c->bytes > 0 && c->bytes < FRAME_QUEUE_BYTES + each && c->count <= FRAME_QUEUE);
    assert_true(stats_of(pool).bytes_in_use < FRAME_QUEUE_BYTES + 20 * 4096);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect(fd, bytes, sent - sent % each);
    expect_end(fd);
    assert_true(server.counts.short_writes > 0);
}

static void without_memory_reading_stops_until_there_is_some(void **state)
{
    uint8_t bytes[1000];
    iobuf_slice all = lone_slice(pool, LIMIT);
    (void)state;
    serve(echo);
    int fd = client();
    size_t size = frame_bytes(bytes, 500, 1);
    send_all(fd, bytes, size);
    step_until(server.starving);
    for (int i = 0; i < 5; i++)
        step();
    assert_size(server.counts.starved, 1);
    assert_size(server.counts.frames, 0);
    iobuf_slice_release(&all);
    expect(fd, bytes, size);
    assert_false(server.starving);
    assert_size(server.counts.shed, 0);
    close(fd);
}

static void who_is_reset_gives_its_memory_back_though_reading_has_stopped(void **state)
{
    uint8_t bytes[5000];
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    iobuf_slice most = lone_slice(pool, LIMIT - 4096);
    (void)state;
    serve(echo);
    int fd = client();
    frame_bytes(bytes, 4990, 1);
    send_all(fd, bytes, 100);
    step_until(server.starving);
    assert_size(stats_of(pool).bufs_in_use, 2);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
    step_until(server.connections == NULL);
    assert_size(stats_of(pool).bufs_in_use, 1);
    assert_size(server.counts.shed, 0);
    iobuf_slice_release(&most);
}

static void where_all_wait_for_memory_one_has_to_go(void **state)
{
    static uint8_t bytes[FRAME_HEADER + FRAME_MOST];
    iobuf_slice most = lone_slice(pool, LIMIT - 2 * 4096);
    int fds[2];
    (void)state;
    serve(echo);
    size_t size = frame_bytes(bytes, 6000, 1);
    for (int i = 0; i < 2; i++) {
        fds[i] = client();
        send_all(fds[i], bytes, FRAME_HEADER);
        step_until(stats_of(pool).bufs_in_use == 2 + (size_t)i); /* each has its header, and no room for the rest */
    }
    step_until(server.counts.shed == 1);
    assert_size(server.counts.frames, 0);
    iobuf_slice_release(&most);
    step_until(server.connections != NULL && server.connections->next == NULL);
    int answered = 0;
    for (int i = 0; i < 2; i++) {
        uint8_t byte;
        bool alive = recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
        if (alive) {
            send_all(fds[i], bytes + FRAME_HEADER, size - FRAME_HEADER);
            expect(fds[i], bytes, size);
            answered++;
        }
        close(fds[i]);
    }
    assert_int_equal(answered, 1);
}

static void an_answer_to_who_has_gone_is_released(void **state)
{
    uint8_t bytes[1000];
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    serve(later);
    int fd = client();
    send_all(fd, bytes, frame_bytes(bytes, 500, 1));
    kept = NULL;
    step_until(kept != NULL);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
    step_until(kept->fd < 0);
    assert_ptr_equal(server.connections, kept); /* as long as the answer is awaited */
    frame_answer(kept, &kept_frame, 1);
    step_until(server.connections == NULL);
    assert_size(stats_of(pool).bufs_in_use, 0);
}

static size_t woken;

static void count_wake(frame_server *s)
{
    (void)s;
    woken++;
}

static void a_wake_ends_a_step_that_waits(void **state)
{
    (void)state;
    serve(echo);
    server.woken = count_wake;
    woken = 0;
    frame_server_wake(&server);
    frame_server_wake(&server);
    assert_int_equal(frame_server_step(&server, -1), 0);
    assert_size(woken, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_comes_back_with_its_header_in_front_of_it, begin, end),
        cmocka_unit_test_setup_teardown(frames_may_come_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(frames_that_come_together_go_out_as_one, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_that_shares_bytes_gets_a_header_of_its_own, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_may_be_empty, begin, end),
        cmocka_unit_test_setup_teardown(who_ends_his_stream_still_gets_his_answers, begin, end),
        cmocka_unit_test_setup_teardown(a_frame_too_large_ends_its_connection_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_is_not_read_from, begin, end),
        cmocka_unit_test_setup_teardown(without_memory_reading_stops_until_there_is_some, begin, end),
        cmocka_unit_test_setup_teardown(who_is_reset_gives_its_memory_back_though_reading_has_stopped, begin, end),
        cmocka_unit_test_setup_teardown(where_all_wait_for_memory_one_has_to_go, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_to_who_has_gone_is_released, begin, end),
        cmocka_unit_test_setup_teardown(a_wake_ends_a_step_that_waits, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
