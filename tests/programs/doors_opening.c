/*
 * Doors by which a socket comes to be.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "doors.h"

void door_socket(void)
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && state(fd) == SLOT_MADE);
    close(fd);
    const int other = socket(AF_UNIX, SOCK_STREAM, 0);
    must(other == fd && state(fd) == SLOT_FREE);
    close(other);
    must_fail(socket(AF_INET, 77, 0), EINVAL);
}

void door_connect(void)
{
    const int fd = live();
    must(how(fd) == HOW_CONNECT);
    must_fail(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), EISCONN);
    must(state(fd) == SLOT_LIVE);
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    must(connect(fd, &none, sizeof(none)) == 0 && state(fd) == SLOT_MADE);
    close(fd);
    close(peer);
    must_fail(connect(-1, (struct sockaddr *)&addr, sizeof(addr)), EBADF);
    struct sockaddr_in closed = addr;
    closed.sin_port = htons(1);
    const int refused = socket(AF_INET, SOCK_STREAM, 0);
    must_fail(connect(refused, (struct sockaddr *)&closed, sizeof(closed)), ECONNREFUSED);
    must(state(refused) == SLOT_MADE);
    close(refused);
    must_leak(ended(""), "eof-unread", "connect");
}

void door_accept(void)
{
    const int fd = live();
    must(state(peer) == SLOT_LIVE && how(peer) == HOW_ACCEPT);
    close(fd);
    must_fail(accept(fd, NULL, NULL), EBADF);
    await_fin(peer);
    must_leak(peer, "eof-unread", "accept");
}

void door_accept4(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    const int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    must(state(accepted) == SLOT_LIVE && how(accepted) == HOW_ACCEPT);
    must(fcntl(accepted, F_GETFD) == FD_CLOEXEC);
    close(fd);
    must_fail(accept4(listener, NULL, NULL, -1), EINVAL);
    await_fin(accepted);
    must_leak(accepted, "eof-unread", "accept");
}

void door_bind(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must_tell_conflict();
    must_fail(bind(fd, (struct sockaddr *)&addr, 1), EINVAL);
    must(state(fd) == SLOT_MADE);
    close(fd);
    must_fail(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), EBADF);
}

void door_listen(void)
{
    must(state(listener) == SLOT_MADE);
    must_fail(listen(0, 1), ENOTSOCK);
    must(state(0) == SLOT_FREE);
}
