/*
 * One hook a call: tell track, call the real one. No errno is touched here but by the real call;
 * what track does is async-signal-safe, as the calls themselves are (signal-safety(7)).
 */
#include "calls_types.h"

#include <errno.h>

#include "real.h"
#include "rescue.h"
#include "track.h"
#include "watch.h"

#pragma GCC visibility push(default)

#define CALL(returns, name, parameters, kernel) returns name parameters;
#include "calls.h"
#undef CALL

int socket(int domain, int type, int protocol)
{
    const int fd = real.socket(domain, type, protocol);
    track_socket(fd, domain, type, protocol);
    return fd;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int ret = real.connect(fd, addr, len);
    if (track_connect(fd, addr, ret))
        watch_start();
    return ret;
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    const int accepted = real.accept(fd, addr, len);
    if (track_accept(fd, accepted))
        watch_start();
    return accepted;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    const int accepted = real.accept4(fd, addr, len, flags);
    if (track_accept(fd, accepted))
        watch_start();
    return accepted;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int ret = real.bind(fd, addr, len);
    return ret == 0 || errno != EADDRINUSE ? ret : rescue_bind(fd, addr, len);
}

int listen(int fd, int backlog)
{
    const int ret = real.listen(fd, backlog);
    track_listen(fd, ret);
    return ret;
}

int close(int fd)
{
    track_leave(fd);
    return real.close(fd);
}

int dup2(int from, int fd)
{
    if (from != fd)
        track_leave(fd);
    const int copy = real.dup2(from, fd);
    if (track_copy(from, copy))
        watch_start();
    return copy;
}

int dup3(int from, int fd, int flags)
{
    if (from != fd)
        track_leave(fd);
    const int copy = real.dup3(from, fd, flags);
    if (track_copy(from, copy))
        watch_start();
    return copy;
}

ssize_t read(int fd, void *buf, size_t len)
{
    const ssize_t n = real.read(fd, buf, len);
    if (n == 0 && len > 0)
        track_eof(fd);
    return n;
}

ssize_t readv(int fd, const struct iovec *iov, int n_iov)
{
    const ssize_t n = real.readv(fd, iov, n_iov);
    if (n == 0 && iov_has_room(iov, n_iov))
        track_eof(fd);
    return n;
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    const ssize_t n = real.recv(fd, buf, len, flags);
    if (n == 0 && len > 0)
        track_eof(fd);
    return n;
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
                 socklen_t *addr_len)
{
    const ssize_t n = real.recvfrom(fd, buf, len, flags, addr, addr_len);
    if (n == 0 && len > 0)
        track_eof(fd);
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    const ssize_t n = real.recvmsg(fd, msg, flags);
    if (n == 0 && msg_has_room(msg))
        track_eof(fd);
    return n;
}

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned int flags)
{
    const ssize_t n = real.splice(in, in_at, out, out_at, len, flags);
    if (n == 0 && len > 0)
        track_eof(in);
    return n;
}
