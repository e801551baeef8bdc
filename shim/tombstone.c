#define _GNU_SOURCE
#include "tombstone.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "raw.h"

static int family_of(int fd)
{
    int family = AF_INET;
    socklen_t len = sizeof(family);
    raw5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&family, (long)&len);
    return family;
}

static bool is_nonblocking(int fd)
{
    const long flags = raw2(SYS_fcntl, fd, F_GETFL);
    return flags > 0 && (flags & O_NONBLOCK);
}

/* Says ENOTCONN and takes effect all the same (inet_shutdown sets sk_shutdown first). */
static void shut(long tomb)
{
    raw2(SYS_shutdown, tomb, SHUT_RDWR);
}

long tombstone_make(int fd)
{
    const int nonblock = is_nonblocking(fd) ? SOCK_NONBLOCK : 0;
    const long tomb = raw3(SYS_socket, family_of(fd), SOCK_STREAM | SOCK_CLOEXEC | nonblock, 0);
    if (!raw_failed(tomb))
        shut(tomb);
    return tomb;
}

/*
 * Connected with itself, or on the way there, and then told to forget it: the kernel notes
 * ECONNRESET on a socket that it disconnects in either state (tcp_disconnect), and gives back the
 * port that it had chosen. Nothing leaves the machine.
 */
static void disconnect(long tomb, int family)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } own = {.any.sa_family = (sa_family_t)family};
    socklen_t len = family == AF_INET6 ? sizeof(own.in6) : sizeof(own.in);
    raw3(SYS_bind, tomb, (long)&own, (long)len);
    raw3(SYS_getsockname, tomb, (long)&own, (long)&len);
    if (family == AF_INET6)
        own.in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    else
        own.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw3(SYS_connect, tomb, (long)&own, (long)len);
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    raw3(SYS_connect, tomb, (long)&none, sizeof(none));
}

static bool has_error(long tomb)
{
    struct pollfd polled = {.fd = (int)tomb};
    const struct timespec at_once = {0};
    raw5(SYS_ppoll, (long)&polled, 1, (long)&at_once, 0, 0);
    return polled.revents & POLLERR;
}

long tombstone_make_reset(int fd)
{
    const int family = family_of(fd);
    const long tomb = raw3(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (raw_failed(tomb))
        return tomb;
    disconnect(tomb, family);
    if (!has_error(tomb)) { /* a network namespace without a loopback interface */
        raw1(SYS_close, tomb);
        return -EADDRNOTAVAIL;
    }
    shut(tomb);
    if (!is_nonblocking(fd))
        raw3(SYS_fcntl, tomb, F_SETFL, O_RDWR);
    return tomb;
}
