/*
 * The one list of interposed calls. It has no include guard: define CALL, include it, and you
 * have made one thing of every call (the real table, its stubs, the prototypes of the hooks, the
 * version script, the export test). calls_types.h has the types that it names.
 *
 *     CALL(returns, name, parameters, kernel)
 *
 * kernel is the system call that stands in for libc's function until the constructor has found
 * it, and for ever where libc has none: hooks run before our constructor does.
 */
CALL(int, socket, (int domain, int type, int protocol), raw3(SYS_socket, domain, type, protocol))
CALL(int, connect, (int fd, const struct sockaddr *addr, socklen_t len),
     raw3(SYS_connect, fd, (long)addr, len))
CALL(int, accept, (int fd, struct sockaddr *addr, socklen_t *len),
     raw4(SYS_accept4, fd, (long)addr, (long)len, 0))
CALL(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     raw4(SYS_accept4, fd, (long)addr, (long)len, flags))
CALL(int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
     raw3(SYS_bind, fd, (long)addr, len))
CALL(int, listen, (int fd, int backlog), raw2(SYS_listen, fd, backlog))
CALL(int, close, (int fd), raw1(SYS_close, fd))
CALL(int, dup2, (int from, int fd), raw_dup2(from, fd))
CALL(int, dup3, (int from, int fd, int flags), raw3(SYS_dup3, from, fd, flags))
CALL(ssize_t, read, (int fd, void *buf, size_t len), raw3(SYS_read, fd, (long)buf, (long)len))
CALL(ssize_t, readv, (int fd, const struct iovec *iov, int n), raw3(SYS_readv, fd, (long)iov, n))
CALL(ssize_t, recv, (int fd, void *buf, size_t len, int flags),
     raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0))
CALL(ssize_t, recvfrom,
     (int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addr_len),
     raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, (long)addr, (long)addr_len))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
     raw3(SYS_recvmsg, fd, (long)msg, flags))
CALL(ssize_t, splice,
     (int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned int flags),
     raw6(SYS_splice, in, (long)in_at, out, (long)out_at, (long)len, flags))
