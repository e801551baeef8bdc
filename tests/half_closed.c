#define _GNU_SOURCE
#include "half_closed.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

int try_dial(int family, in_port_t port)
{
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int ret = family == AF_INET ? connect(fd, (const struct sockaddr *)&in, sizeof(in))
                                      : connect(fd, (const struct sockaddr *)&in6, sizeof(in6));
    if (ret == 0)
        return fd;
    perror("connect");
    close(fd);
    return -1;
}

int dial(int family, in_port_t port)
{
    const int fd = try_dial(family, port);
    cr_assert_geq(fd, 0);
    return fd;
}

bool is_hung_up(const void *fd)
{
    struct pollfd polled = {.fd = *(const int *)fd, .events = POLLRDHUP};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLRDHUP);
}

int half_closed(int listener, in_port_t port, size_t bytes)
{
    static const char zeros[64];
    const int fd = dial(AF_INET, port);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    cr_assert_eq(send(peer, zeros, bytes, 0), (ssize_t)bytes);
    close(peer);
    cr_assert(eventually(is_hung_up, &fd));
    return fd;
}

in_port_t local_port(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof(in);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

void must_say(const char *expected, const char *arguments)
{
    char said[8192];
    const int status =
        shell(said, sizeof(said), "%s ps %s 2>&1 | sed 's/ *$//'", built("closewait"), arguments);
    cr_expect_eq(status, 0);
    cr_expect_str_eq(said, expected, "%s: '%s' instead of '%s'", arguments, said, expected);
}

char *own_pid(const char *format)
{
    static char text[256];
    snprintf(text, sizeof(text), format, (int)getpid());
    return text;
}
