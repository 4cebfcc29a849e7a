/* The clients: plain sockets, which know nothing of iobuf, so that they can judge it. Each thread has several connections under
 * way, each of them with a temper: how many frames, how large, how far ahead of the answers, how slow, and how it ends. All of it
 * follows from the connection's seed. See soak.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soak.h"

enum { AT_ONCE_MOST = 128, CHUNK = 32 << 10, SLOW_BYTES = 2 << 10, PRESSED_BYTES = 600 << 10 };

typedef struct client {
    int fd;
    uint64_t seed;
    enum route route;
    enum ending ending;
    size_t most_bytes;
    uint32_t frames, ahead; /* to send; at most so many of them unanswered */
    bool slow;              /* reads nothing until it cannot send, and then a few bytes at a time */
    bool late;              /* as yet it reads nothing */
    bool sent_all;
    uint64_t end_at;       /* bytes sent at which it ends; UINT64_MAX: behind the last frame */
    uint64_t sent, got;    /* bytes */
    uint32_t sending, due; /* frames */
    size_t sending_at, due_at;
} client;

/* The n-th number below `bound` that a seed has for a purpose. */
static uint64_t below(uint64_t seed, uint64_t purpose, uint64_t bound)
{
    return mix(seed ^ mix(purpose + 1000003)) % bound;
}

/* A few are empty or small, a few as large as may be, most in between, so that all orders of magnitude are there. */
static frame frame_at(const client *c, uint32_t number)
{
    uint64_t r = mix(c->seed ^ mix(UINT64_C(77) << 32 ^ number));
    size_t least = c->route == ECHO ? 0 : FRAME_HEAD, most = c->most_bytes;
    frame f = {.seed = c->seed, .number = number, .route = c->route};
    switch (r % 8) {
    case 0:
        f.size = least + (r >> 8) % 4;
        break;
    case 1:
        f.size = most - (r >> 8) % 4;
        break;
    default:
        f.size = least + (size_t)((r >> 8) % (((most - least) >> (r >> 40) % 12) + 1));
    }
    return f;
}

static uint64_t stream_length(const client *c)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < c->frames; i++) {
        frame f = frame_at(c, i);
        length += frame_length(&f, false);
    }
    return length;
}

void socket_set(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) != 0)
        fail("a socket's option cannot be set: %s", strerror(errno));
}

/* Segments of a size that is small next to the buffers: those of a loopback are larger, and TCP then waits for a window that
 * never opens so far, for longer and longer. */
void socket_small(int fd)
{
    socket_set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
    socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void connect_to(client *c, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET}; /* from many addresses, as ports that were used rest for a minute */
    from.sin_addr.s_addr = htonl(UINT32_C(0x7f010000) | (uint32_t)(mix(c->seed) & 0x7fff));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("a client has no socket: %s", strerror(errno));
    socket_small(c->fd);
    if (c->slow)
        socket_set(c->fd, SOL_SOCKET, SO_RCVBUF, 8 << 10);
    (void)bind(c->fd, (struct sockaddr *)&from, sizeof from);
    while (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        if (errno != EINTR)
            fail("a client cannot connect: %s", strerror(errno));
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        fail("a client's socket cannot be made to not block: %s", strerror(errno));
}

static void begin(client *c, const client_job *job, size_t number)
{
    const phase *p = job->phase;
    uint64_t seed = mix(job->seed + number);
    *c = (client){.seed = seed, .most_bytes = p->most_bytes, .end_at = UINT64_MAX};
    c->route = (enum route)below(seed, 1, ROUTES);
    c->ending =
        below(seed, 2, 100) < p->killed ? RESET + (enum ending)below(seed, 3, ENDINGS - RESET) : (enum ending)below(seed, 3, RESET);
    c->frames = (uint32_t)below(seed, 4, p->frames + 1);
    c->ahead = 1 + (uint32_t)below(seed, 5, 64);
    c->slow = below(seed, 6, 100) < p->slow;
    c->late = c->slow && c->ending != OVERSIZE;
    if (c->slow)
        c->ahead = c->frames; /* it has to run into the server's limits */
    if (c->ending == HALF || c->ending == RESET || c->ending == ABANDON)
        c->end_at = below(seed, 7, stream_length(c) + 1);
    connect_to(c, job->port);
}

/* Ends the sending in the way that the client has. False: the connection is over. */
static bool end_sending(client *c)
{
    uint8_t header[FRAME_HEADER];
    c->sent_all = true;
    c->late = false;
    switch (c->ending) {
    case DRAIN:
    case HALF:
        if (shutdown(c->fd, SHUT_WR) != 0 && errno != ENOTCONN)
            fail("a client cannot end its stream: %s", strerror(errno));
        return true;
    case RESET: {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) != 0)
            fail("a client cannot be reset: %s", strerror(errno));
        return false;
    }
    case ABANDON:
        return false;
    case OVERSIZE: {
        uint64_t size = FRAME_MOST + 1 + below(c->seed, 8, UINT32_MAX - FRAME_MOST);
        for (int i = 0; i < FRAME_HEADER; i++)
            header[i] = (uint8_t)(size >> (24 - 8 * i) & 0xff);
        return send(c->fd, header, sizeof header, MSG_NOSIGNAL) == (ssize_t)sizeof header; /* else it goes without */
    }
    default:
        return true;
    }
}

/* Each frame that was sent to its end is answered. */
static bool all_answered(const client *c)
{
    return c->due == c->sending && c->due_at == 0;
}

static bool may_send(const client *c)
{
    return !c->sent_all && (c->sending == c->frames || c->sent >= c->end_at || c->sending - c->due < c->ahead);
}

/* False: the connection is over; *cut: the server ended it. */
static bool send_some(client *c, bool *cut)
{
    static _Thread_local uint8_t bytes[CHUNK];
    size_t chunk = c->slow || below(c->seed, c->sent, 4) == 0 ? 1 + (size_t)below(c->seed, ~c->sent, 300) : CHUNK, size = 0;
    client next = *c;
    if (c->slow && c->sent > SLOW_BYTES)
        chunk = CHUNK; /* slow in reading is enough */
    if (chunk > c->end_at - c->sent)
        chunk = (size_t)(c->end_at - c->sent);
    while (size < chunk && next.sending < c->frames && next.sending - c->due < c->ahead) {
        frame f = frame_at(c, next.sending);
        size_t left = frame_length(&f, false) - next.sending_at, part = left < chunk - size ? left : chunk - size;
        frame_bytes(&f, false, next.sending_at, bytes + size, part);
        size += part;
        next.sending_at += part;
        if (part == left) {
            next.sending++;
            next.sending_at = 0;
        }
    }
    if (size == 0)
        return end_sending(c);
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            c->late = false;
        else
            *cut = true;
        return !*cut;
    }
    c->sent += (uint64_t)n;
    for (size_t left = (size_t)n; left > 0;) {
        frame f = frame_at(c, c->sending);
        size_t part = frame_length(&f, false) - c->sending_at;
        if (part > left) {
            c->sending_at += left;
            break;
        }
        left -= part;
        c->sending++;
        c->sending_at = 0;
    }
    if (c->late && c->sent > PRESSED_BYTES)
        c->late = false;
    return true;
}

/* Compares what came with what has to come now. */
static void judge(client *c, const uint8_t *bytes, size_t size, client_counts *counts)
{
    static _Thread_local uint8_t want[CHUNK];
    for (size_t at = 0; at < size;) {
        if (c->due >= c->sending)
            fail("connection %016llx got an answer to frame %u, which it has not sent", (unsigned long long)c->seed, c->due);
        frame f = frame_at(c, c->due);
        size_t left = frame_length(&f, true) - c->due_at, part = left < size - at ? left : size - at;
        frame_bytes(&f, true, c->due_at, want, part);
        for (size_t i = 0; i < part; i++)
            if (bytes[at + i] != want[i])
                fail("connection %016llx (route %d): byte %zu of answer %u of %u is 0x%02x, not 0x%02x; the answer has %zu bytes",
                     (unsigned long long)c->seed, (int)c->route, c->due_at + i, c->due, c->frames, bytes[at + i], want[i],
                     frame_length(&f, true));
        at += part;
        c->due_at += part;
        if (part == left) {
            c->due++;
            c->due_at = 0;
            counts->frames++;
        }
    }
    c->got += size;
    counts->bytes += size;
}

/* As send_some. */
static bool receive_some(client *c, bool *cut, client_counts *counts)
{
    static _Thread_local uint8_t bytes[CHUNK];
    size_t chunk = c->slow && c->got < SLOW_BYTES ? 1 + (size_t)below(c->seed, c->got, 64) : CHUNK;
    ssize_t n = recv(c->fd, bytes, chunk, 0);
    if (n > 0) {
        judge(c, bytes, (size_t)n, counts);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    bool expected = c->ending == OVERSIZE ? c->sent_all : n == 0 && c->sent_all && all_answered(c);
    *cut = !expected;
    return false;
}

static bool turn(client *c, short events, bool *cut, client_counts *counts)
{
    bool alive = true;
    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0 && !c->late)
        alive = receive_some(c, cut, counts);
    if (alive && (events & (POLLOUT | POLLERR | POLLHUP)) != 0 && may_send(c))
        alive = send_some(c, cut);
    if (alive && !may_send(c))
        c->late = false;
    return alive && !(c->ending == CLOSE && c->sent_all && all_answered(c));
}

void *client_run(void *argument)
{
    client_job *job = argument;
    client clients[AT_ONCE_MOST];
    struct pollfd polled[AT_ONCE_MOST];
    size_t live = 0, begun = 0;
    const size_t at_once = job->phase->at_once < AT_ONCE_MOST ? job->phase->at_once : AT_ONCE_MOST;
    unsigned silent = 0;
    for (;;) {
        while (live < at_once && begun < job->connections && !atomic_load(&stopping))
            begin(&clients[live++], job, begun++);
        if (live == 0)
            return job;
        for (size_t i = 0; i < live; i++) {
            short events = (short)((clients[i].late ? 0 : POLLIN) | (may_send(&clients[i]) ? POLLOUT : 0));
            polled[i] = (struct pollfd){.fd = clients[i].fd, .events = events};
        }
        int ready = poll(polled, live, 1000);
        silent = ready == 0 ? silent + 1 : 0;
        if (silent >= job->patience)
            fail("nothing moved for %u s: connection %016llx (route %d) waits for answer %u of %u, having sent %llu bytes and got "
                 "%llu",
                 silent, (unsigned long long)clients[0].seed, (int)clients[0].route, clients[0].due, clients[0].frames,
                 (unsigned long long)clients[0].sent, (unsigned long long)clients[0].got);
        for (size_t i = live; ready > 0 && i-- > 0;) {
            bool cut = false;
            if (polled[i].revents == 0 || turn(&clients[i], polled[i].revents, &cut, &job->counts))
                continue;
            close(clients[i].fd);
            job->counts.connections++;
            job->counts.ended[clients[i].ending]++;
            job->counts.cut += cut;
            clients[i] = clients[--live];
            polled[i] = polled[live]; /* which has had its turn */
        }
    }
}
