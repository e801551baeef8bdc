/*
 * The one list of interposed calls. It has no include guard: define what you want made of every
 * line, include it, and you have made it (the real table, its stubs, the prototypes of the hooks,
 * the version script, the rows of the tests). calls_types.h has the types that it names.
 *
 *     CALL(returns, name, parameters, kernel)
 *         kernel is what stands in for libc's function until the constructor has found it, and
 *         for ever where libc has none: hooks run before our constructor does. A system call, or
 *         (late_...) a search at that moment where there is no such system call.
 *     AWAY(returns, name, parameters, arguments, kernel)
 *         a call that means every thread of the process, or wants to be its only one: the watcher
 *         is away meanwhile. Where it is not defined, it is a CALL.
 *     ALIAS(name, of)
 *         another name that glibc has for a CALL. Where it is not defined, nothing.
 *     GLIBC(name, version)
 *         a CALL or an ALIAS that only glibc has, and the version of its symbol there. Ours has
 *         the same version and is hidden: a program of glibc's finds it by that version, and to
 *         any other it stays absent (hooks.c). Where it is not defined, nothing.
 */
#ifndef AWAY
#define AWAY(returns, name, parameters, arguments, kernel) CALL(returns, name, parameters, kernel)
#endif
#ifndef ALIAS
#define ALIAS(name, of)
#endif
#ifndef GLIBC
#define GLIBC(name, version)
#endif

/* How a socket comes to be, and whose it is. */
CALL(int, socket, (int domain, int type, int protocol), raw3(SYS_socket, domain, type, protocol))
CALL(int, connect, (int fd, const struct sockaddr *addr, socklen_t len),
     raw3(SYS_connect, fd, (long)addr, (long)len))
CALL(int, accept, (int fd, struct sockaddr *addr, socklen_t *len),
     raw4(SYS_accept4, fd, (long)addr, (long)len, 0))
CALL(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     raw4(SYS_accept4, fd, (long)addr, (long)len, flags))
CALL(int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
     raw3(SYS_bind, fd, (long)addr, (long)len))
CALL(int, listen, (int fd, int backlog), raw2(SYS_listen, fd, backlog))
CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
     raw5(SYS_getsockopt, fd, level, name, (long)value, (long)len))
CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
     raw5(SYS_setsockopt, fd, level, name, (long)value, (long)len))

/* How a descriptor's number comes to mean something else. */
CALL(int, close, (int fd), raw1(SYS_close, fd))
CALL(int, close_range, (unsigned int first, unsigned int last, int flags),
     raw3(SYS_close_range, (long)first, (long)last, flags))
CALL(void, closefrom, (int first),
     raw3(SYS_close_range, first < 0 ? 0 : first, (long)UINT32_MAX, 0))
CALL(int, dup, (int from), raw1(SYS_dup, from))
CALL(int, dup2, (int from, int fd), raw_dup2(from, fd))
CALL(int, dup3, (int from, int fd, int flags), raw3(SYS_dup3, from, fd, flags))
CALL(int, fcntl, (int fd, int cmd, long arg), raw3(SYS_FCNTL, fd, cmd, arg))
CALL(int, fcntl64, (int fd, int cmd, long arg), raw3(SYS_FCNTL, fd, cmd, arg))
CALL(int, fclose, (FILE * stream), late_fclose(stream))
CALL(FILE *, freopen, (const char *filename, const char *modes, FILE *stream),
     late_freopen("freopen", filename, modes, stream))
CALL(FILE *, freopen64, (const char *filename, const char *modes, FILE *stream),
     late_freopen("freopen64", filename, modes, stream))

/* How the end of a stream is read. */
CALL(ssize_t, read, (int fd, void *buf, size_t len), raw3(SYS_read, fd, (long)buf, (long)len))
CALL(ssize_t, readv, (int fd, const struct iovec *iov, int n), raw3(SYS_readv, fd, (long)iov, n))
CALL(ssize_t, recv, (int fd, void *buf, size_t len, int flags),
     raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0))
CALL(ssize_t, recvfrom,
     (int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addr_len),
     raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, (long)addr, (long)addr_len))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
     raw3(SYS_recvmsg, fd, (long)msg, flags))
CALL(int, recvmmsg,
     (int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout),
     raw5(SYS_recvmmsg, fd, (long)msgs, (long)n, flags, (long)timeout))
CALL(ssize_t, splice,
     (int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned int flags),
     raw6(SYS_splice, in, (long)in_at, out, (long)out_at, (long)len, (long)flags))
CALL(ssize_t, __read_chk, (int fd, void *buf, size_t len, size_t size),
     len > size ? -EFAULT : raw3(SYS_read, fd, (long)buf, (long)len))
CALL(ssize_t, __recv_chk, (int fd, void *buf, size_t len, size_t size, int flags),
     len > size ? -EFAULT : raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0))
CALL(ssize_t, __recvfrom_chk,
     (int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *addr,
      socklen_t *addr_len),
     len > size ? -EFAULT
                : raw6(SYS_recvfrom, fd, (long)buf, (long)len, flags, (long)addr, (long)addr_len))

/* Where a socket was used last, and what must not raise SIGPIPE before its time. */
CALL(ssize_t, write, (int fd, const void *buf, size_t len),
     raw3(SYS_write, fd, (long)buf, (long)len))
CALL(ssize_t, writev, (int fd, const struct iovec *iov, int n), raw3(SYS_writev, fd, (long)iov, n))
CALL(ssize_t, send, (int fd, const void *buf, size_t len, int flags),
     raw6(SYS_sendto, fd, (long)buf, (long)len, flags, 0, 0))
CALL(ssize_t, sendto,
     (int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
      socklen_t addr_len),
     raw6(SYS_sendto, fd, (long)buf, (long)len, flags, (long)addr, (long)addr_len))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
     raw3(SYS_sendmsg, fd, (long)msg, flags))
CALL(int, sendmmsg, (int fd, struct mmsghdr *msgs, unsigned int n, int flags),
     raw4(SYS_sendmmsg, fd, (long)msgs, (long)n, flags))
CALL(ssize_t, sendfile, (int out, int in, off_t *at, size_t len),
     raw4(SYS_sendfile, out, in, (long)at, (long)len))
CALL(ssize_t, sendfile64, (int out, int in, loff_t *at, size_t len),
     raw4(SYS_SENDFILE64, out, in, (long)at, (long)len))

/* What a tombstone must not wake. */
CALL(int, poll, (struct pollfd * fds, unsigned long n, int timeout_ms),
     raw_poll((long)fds, (long)n, timeout_ms))
CALL(int, ppoll,
     (struct pollfd * fds, unsigned long n, const struct timespec *timeout, const sigset_t *mask),
     raw_ppoll((long)fds, (long)n, timeout, (long)mask))
CALL(int, __poll_chk, (struct pollfd * fds, unsigned long n, int timeout_ms, size_t size),
     size / 8 < n ? -EFAULT : raw_poll((long)fds, (long)n, timeout_ms))
CALL(int, __ppoll_chk,
     (struct pollfd * fds, unsigned long n, const struct timespec *timeout, const sigset_t *mask,
      size_t size),
     size / 8 < n ? -EFAULT : raw_ppoll((long)fds, (long)n, timeout, (long)mask))

/* A child that adopts the table at once: one of its own vfork children must not do it first. */
CALL(pid_t, fork, (void), late_fork())

/* A child that runs in our memory, and must not touch the table. */
CALL(pid_t, vfork, (void), late_fork())

/* A child with a copy of our memory that is not fork's: it only passes through. */
CALL(pid_t, _Fork, (void), late_Fork())
CALL(int, clone,
     (int (*run)(void *), void *stack, int flags, void *with, pid_t *parent, void *tls,
      pid_t *child),
     late_clone(run, stack, flags, with, parent, tls, child))

/* How code comes to lie where other code was. */
CALL(int, dlclose, (void *library), late_dlclose(library))

/* Any of these, by number. */
CALL(long, syscall, (long nr, long a, long b, long c, long d, long e, long f),
     raw6(nr, a, b, c, d, e, f))

/* How a process ends without its destructors, and how it forbids itself system calls. */
CALL(void, _exit, (int status), raw1(SYS_exit_group, status))
CALL(void, _Exit, (int status), raw1(SYS_exit_group, status))
CALL(void, quick_exit, (int status), late_quick_exit(status))
CALL(int, prctl, (int option, long a, long b, long c, long d), raw5(SYS_prctl, option, a, b, c, d))

/* What gives one thread descriptors of its own, and wants to be the only thread. */
CALL(int, unshare, (int flags), raw1(SYS_unshare, flags))

/* What changes every thread, or needs a process that has one. */
AWAY(int, setuid, (uid_t id), (id), raw1(SYS_SETUID, (long)id))
AWAY(int, setgid, (gid_t id), (id), raw1(SYS_SETGID, (long)id))
AWAY(int, seteuid, (uid_t id), (id), raw3(SYS_SETRESUID, -1, (long)id, -1))
AWAY(int, setegid, (gid_t id), (id), raw3(SYS_SETRESGID, -1, (long)id, -1))
AWAY(int, setreuid, (uid_t ruid, uid_t euid), (ruid, euid),
     raw2(SYS_SETREUID, (long)ruid, (long)euid))
AWAY(int, setregid, (gid_t rgid, gid_t egid), (rgid, egid),
     raw2(SYS_SETREGID, (long)rgid, (long)egid))
AWAY(int, setresuid, (uid_t ruid, uid_t euid, uid_t suid), (ruid, euid, suid),
     raw3(SYS_SETRESUID, (long)ruid, (long)euid, (long)suid))
AWAY(int, setresgid, (gid_t rgid, gid_t egid, gid_t sgid), (rgid, egid, sgid),
     raw3(SYS_SETRESGID, (long)rgid, (long)egid, (long)sgid))
AWAY(int, setgroups, (size_t n, const gid_t *groups), (n, groups),
     raw2(SYS_SETGROUPS, (long)n, (long)groups))
AWAY(int, initgroups, (const char *user, gid_t group), (user, group), late_initgroups(user, group))
AWAY(int, capset, (void *header, const void *data), (header, data),
     raw2(SYS_capset, (long)header, (long)data))
AWAY(int, setns, (int fd, int type), (fd, type), raw2(SYS_setns, fd, type))

ALIAS(__clone, clone)
ALIAS(__close, close)
ALIAS(__connect, connect)
ALIAS(__dup2, dup2)
ALIAS(__fcntl, fcntl)
ALIAS(__fork, fork)
ALIAS(__poll, poll)
ALIAS(__read, read)
ALIAS(__recv, recv)
ALIAS(__vfork, vfork)
ALIAS(__write, write)
ALIAS(__send, send)
ALIAS(_IO_fclose, fclose)

/* The oldest version there is for a processor; what is older elsewhere has it as well. */
#if defined(__x86_64__)
#define GLIBC_FIRST(i386)   "GLIBC_2.2.5"
#define GLIBC_SINCE(number) "GLIBC_" number
#elif defined(__i386__)
#define GLIBC_FIRST(i386)   "GLIBC_" i386
#define GLIBC_SINCE(number) "GLIBC_" number
#elif defined(__aarch64__)
#define GLIBC_FIRST(i386)   "GLIBC_2.17"
#define GLIBC_SINCE(number) "GLIBC_2.17"
#endif

GLIBC(__read_chk, GLIBC_SINCE("2.4"))
GLIBC(__recv_chk, GLIBC_SINCE("2.4"))
GLIBC(__recvfrom_chk, GLIBC_SINCE("2.4"))
GLIBC(__poll_chk, GLIBC_SINCE("2.16"))
GLIBC(__ppoll_chk, GLIBC_SINCE("2.16"))
GLIBC(fcntl64, "GLIBC_2.28")
GLIBC(close_range, "GLIBC_2.34")
GLIBC(closefrom, "GLIBC_2.34")
GLIBC(__vfork, GLIBC_FIRST("2.1.2"))
GLIBC(__clone, GLIBC_FIRST("2.0"))
GLIBC(__close, GLIBC_FIRST("2.0"))
GLIBC(__connect, GLIBC_FIRST("2.0"))
GLIBC(__dup2, GLIBC_FIRST("2.0"))
GLIBC(__fcntl, GLIBC_FIRST("2.0"))
GLIBC(__fork, GLIBC_FIRST("2.0"))
GLIBC(__poll, GLIBC_FIRST("2.1"))
GLIBC(__read, GLIBC_FIRST("2.0"))
GLIBC(__recv, "GLIBC_PRIVATE")
GLIBC(__write, GLIBC_FIRST("2.0"))
GLIBC(__send, GLIBC_FIRST("2.0"))
GLIBC(_IO_fclose, GLIBC_FIRST("2.1"))

#undef GLIBC_FIRST
#undef GLIBC_SINCE
#undef GLIBC
#undef ALIAS
#undef AWAY
