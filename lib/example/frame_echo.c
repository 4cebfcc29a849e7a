/* Echoes frames on a port of 127.0.0.1, which it prints, until it is interrupted: frame_echo [PORT].
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "frame_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static frame_server server;
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
    frame_server_wake(&server);
}

static void echo(frame_connection *c, iobuf_slice *frame)
{
    frame_answer(c, frame, 1);
}

int main(int argc, char **argv)
{
    const iobuf_pool_options options = {.max_bytes = (size_t)64 << 20};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    iobuf_pool *pool;
    address.sin_port = htons((uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 || iobuf_pool_create(&options, &pool) != IOBUF_OK ||
        frame_server_open(&server, pool, listener, echo) != 0) {
        perror("frame_echo");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN); /* who has gone is told by iobuf_writev */
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!interrupted && frame_server_step(&server, -1) == 0)
        ;
    frame_server_close(&server);
    iobuf_pool_close(pool);
    close(listener);
    return 0;
}
