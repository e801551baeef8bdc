/* How an end gets its socket. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "end.h"

static int family = AF_INET;
static int protocol;
static int mapped;
static in_port_t port = PORT;
static in_port_t own_port;
static int listener = -1;

/* Both families have the port in the same place. */
struct address {
    struct sockaddr_in6 in6;
    socklen_t len;
};

static struct address address_of(const char *ip, in_port_t number)
{
    struct address address = {.in6.sin6_family = (sa_family_t)family, .len = sizeof(address.in6)};
    address.in6.sin6_port = htons(number);
    if (family == AF_INET6) {
        inet_pton(AF_INET6, *ip ? ip : mapped ? "::ffff:127.0.0.1" : "::1", &address.in6.sin6_addr);
        return address;
    }
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(number)};
    inet_pton(AF_INET, *ip ? ip : "127.0.0.1", &in.sin_addr);
    memcpy(&address.in6, &in, sizeof(in));
    address.len = sizeof(in);
    return address;
}

static void must_bind(int sock, in_port_t number)
{
    const struct address any = address_of(family == AF_INET6 ? "::" : "0.0.0.0", number);
    if (bind(sock, (const struct sockaddr *)&any.in6, any.len) != 0)
        fail("bind");
}

void use_port(const char *number)
{
    port = (in_port_t)strtol(number, NULL, 10);
}

void use_ipv6(const char *unused)
{
    (void)unused;
    family = AF_INET6;
}

void use_mapped(const char *unused)
{
    (void)unused;
    family = AF_INET6;
    mapped = 1;
}

void use_mptcp(const char *unused)
{
    (void)unused;
    protocol = IPPROTO_MPTCP;
}

void bind_from(const char *number)
{
    own_port = (in_port_t)strtol(number, NULL, 10);
}

void listen_only(const char *backlog)
{
    listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
    if (listener < 0)
        fail("socket");
    must_bind(listener, port);
    if (listen(listener, *backlog ? (int)strtol(backlog, NULL, 10) : 16) != 0)
        fail("listen");
}

void accept_some(const char *count)
{
    for (long left = *count ? strtol(count, NULL, 10) : 1; left > 0; left--) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail("accept");
    }
}

void serve(const char *unused)
{
    (void)unused;
    listen_only("");
    accept_some("");
    close(listener);
}

void dial(const char *ip)
{
    const struct address peer = address_of(ip, port);
    for (const long long start = now_ms();; pause_ms(10)) {
        fd = socket(family, SOCK_STREAM, protocol);
        if (fd < 0)
            fail("socket");
        if (own_port)
            must_bind(fd, own_port);
        if (connect(fd, (const struct sockaddr *)&peer.in6, peer.len) == 0)
            return;
        if (errno != ECONNREFUSED)
            fail("connect");
        close(fd);
        bear(start, "dial");
    }
}

void crowd(const char *count)
{
    for (long left = strtol(count, NULL, 10); left > 0; left--)
        dial("");
}

void dial_nonblock(const char *ip)
{
    const struct address peer = address_of(ip, port);
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, protocol);
    say("connect %s", result(connect(fd, (const struct sockaddr *)&peer.in6, peer.len)));
}

void unix_pair(const char *unused)
{
    int ends[2];
    (void)unused;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        fail("socketpair");
    close(ends[1]);
    fd = ends[0];
}

void udp(const char *unused)
{
    const struct address peer = address_of("", port);
    (void)unused;
    fd = socket(family, SOCK_DGRAM, 0);
    if (connect(fd, (const struct sockaddr *)&peer.in6, peer.len) != 0)
        fail("connect");
}
