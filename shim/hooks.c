/*
 * One hook a call: tell track, call the real one. No errno is touched here but by the real call;
 * what track does is async-signal-safe, as the calls themselves are (signal-safety(7)).
 */
#include "calls_types.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdatomic.h>

#include "number.h"
#include "owner.h"
#include "pipe.h"
#include "quiet.h"
#include "real.h"
#include "reap.h"
#include "rescue.h"
#include "reuse.h"
#include "shortage.h"
#include "stack.h"
#include "track.h"
#include "watch.h"

#pragma GCC visibility push(default)

#define CALL(returns, name, parameters, kernel) returns name parameters;
#define ALIAS(name, of)                         __asm__(".globl " #name "\n\t.set " #name ", " #of);
#include "calls.h"
#undef ALIAS
#undef CALL

/*
 * With one @ the version is no default one: musl, which knows no versions, passes over such a
 * name (find_sym), and glibc takes it for the references that a program built with glibc has.
 */
#ifndef UNVERSIONED
#define CALL(returns, name, parameters, kernel)
#define GLIBC(name, version) __asm__(".symver " #name ", " #name "@" version ", remove");
#include "calls.h"
#undef CALL
#endif

/* The option last, which most do without: they pay a load. */
static inline void used(int fd, ssize_t n, struct caller caller)
{
    if (atomic_load_explicit(&track_last, memory_order_relaxed) && n > 0)
        track_used(fd, caller);
}

int socket(int domain, int type, int protocol)
{
    const int before = errno;
    int fd = real.socket(domain, type, protocol);
    if (fd < 0 && shortage_relieve(LIMITED_SOCKET, before, caller_here()))
        fd = real.socket(domain, type, protocol);
    track_socket(fd, domain, type, protocol);
    return fd;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int before = errno;
    const struct departure left = track_reconnect(fd);
    int ret = real.connect(fd, addr, len);
    if (ret != 0 && errno == EADDRNOTAVAIL)
        ret = rescue_connect(fd, addr, len, before, caller_here());
    watch_if(track_left(left, is_dissolved(addr, ret)));
    watch_if(track_connect(fd, addr, ret, caller_here()));
    reuse_connected(fd, left.word);
    return ret;
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    const int before = errno;
    int accepted = real.accept(fd, addr, len);
    if (accepted < 0 && shortage_relieve(LIMITED_ACCEPT, before, caller_here()))
        accepted = real.accept(fd, addr, len);
    watch_if(track_accept(fd, accepted, caller_here()));
    return accepted;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    const int before = errno;
    int accepted = real.accept4(fd, addr, len, flags);
    if (accepted < 0 && shortage_relieve(LIMITED_ACCEPT4, before, caller_here()))
        accepted = real.accept4(fd, addr, len, flags);
    watch_if(track_accept(fd, accepted, caller_here()));
    return accepted;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int before = errno;
    int ret = real.bind(fd, addr, len);
    if (ret != 0 && errno == EADDRINUSE)
        ret = rescue_bind(fd, addr, len, before, caller_here());
    reuse_bound(fd, addr, len, ret);
    return ret;
}

int listen(int fd, int backlog)
{
    reuse_listens(fd);
    const int ret = real.listen(fd, backlog);
    reuse_listened(fd, ret);
    watch_if(track_listen(fd, ret, caller_here()));
    return ret;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    track_option(fd, level, name);
    return real.getsockopt(fd, level, name, value, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    track_option(fd, level, name);
    return real.setsockopt(fd, level, name, value, len);
}

int close(int fd)
{
    const struct departure left = track_leave(fd);
    const int ret = real.close(fd);
    watch_if(track_left(left, true));
    return ret;
}

int close_range(unsigned int first, unsigned int last, int flags)
{
    const int unshared = (unsigned int)flags & CLOSE_RANGE_UNSHARE ? CLONE_FILES : 0;
    const bool left = watch_unshare(unshared);
    const bool told = track_leave_range(first, last, (unsigned int)flags);
    const int ret = real.close_range(first, last, flags);
    watch_if(track_left_range(told));
    watch_unshared(unshared, ret, left);
    return ret;
}

void closefrom(int first)
{
    const bool told = track_leave_range(first < 0 ? 0 : (unsigned int)first, UINT_MAX, 0);
    real.closefrom(first);
    watch_if(track_left_range(told));
}

int dup(int from)
{
    const int copy = real.dup(from);
    watch_if(track_copy(from, copy));
    return copy;
}

int dup2(int from, int fd)
{
    const struct departure left = track_replace(from, fd);
    const int copy = real.dup2(from, fd);
    watch_if(track_left(left, copy >= 0));
    watch_if(track_copy(from, copy));
    return copy;
}

int dup3(int from, int fd, int flags)
{
    const struct departure left = track_replace(from, fd);
    const int copy = real.dup3(from, fd, flags);
    watch_if(track_left(left, copy >= 0));
    watch_if(track_copy(from, copy));
    return copy;
}

int fcntl(int fd, int cmd, long arg)
{
    const int ret = real.fcntl(fd, cmd, arg);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        watch_if(track_copy(fd, ret));
    return ret;
}

int fcntl64(int fd, int cmd, long arg)
{
    const int ret = real.fcntl64(fd, cmd, arg);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        watch_if(track_copy(fd, ret));
    return ret;
}

int fclose(FILE *stream)
{
    const struct departure left = track_leave_stream(stream);
    const int ret = real.fclose(stream);
    watch_if(track_left(left, true));
    return ret;
}

FILE *freopen(const char *filename, const char *modes, FILE *stream)
{
    const struct departure left = track_leave_stream(stream);
    FILE *const reopened = real.freopen(filename, modes, stream);
    watch_if(track_left(left, true));
    return reopened;
}

FILE *freopen64(const char *filename, const char *modes, FILE *stream)
{
    const struct departure left = track_leave_stream(stream);
    FILE *const reopened = real.freopen64(filename, modes, stream);
    watch_if(track_left(left, true));
    return reopened;
}

ssize_t read(int fd, void *buf, size_t len)
{
    const ssize_t n = real.read(fd, buf, len);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, 0, caller_here()));
    return n;
}

ssize_t readv(int fd, const struct iovec *iov, int n_iov)
{
    const ssize_t n = real.readv(fd, iov, n_iov);
    used(fd, n, caller_here());
    if (n == 0 && iov_has_room(iov, n_iov))
        watch_if(track_eof(fd, 0, caller_here()));
    return n;
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    const ssize_t n = real.recv(fd, buf, len, flags);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, flags, caller_here()));
    return n;
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
                 socklen_t *addr_len)
{
    const ssize_t n = real.recvfrom(fd, buf, len, flags, addr, addr_len);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, flags, caller_here()));
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    const ssize_t n = real.recvmsg(fd, msg, flags);
    used(fd, n, caller_here());
    if (n == 0 && msg_has_room(msg))
        watch_if(track_eof(fd, flags, caller_here()));
    watch_if(track_received(msg, n, caller_here()));
    return n;
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n_msgs, int flags, struct timespec *timeout)
{
    const int n = real.recvmmsg(fd, msgs, n_msgs, flags, timeout);
    used(fd, n, caller_here());
    watch_if(track_eof_each(fd, msgs, n, flags, caller_here()));
    watch_if(track_received_each(msgs, n, caller_here()));
    return n;
}

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned int flags)
{
    const struct hush hush = pipe_hush(out);
    const ssize_t n = real.splice(in, in_at, out, out_at, len, flags);
    pipe_hushed(hush, n);
    used(in, n, caller_here());
    used(out, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(in, 0, caller_here()));
    return n;
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
    const ssize_t n = real.__read_chk(fd, buf, len, size);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, 0, caller_here()));
    return n;
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
    const ssize_t n = real.__recv_chk(fd, buf, len, size, flags);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, flags, caller_here()));
    return n;
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *addr,
                       socklen_t *addr_len)
{
    const ssize_t n = real.__recvfrom_chk(fd, buf, len, size, flags, addr, addr_len);
    used(fd, n, caller_here());
    if (n == 0 && len > 0)
        watch_if(track_eof(fd, flags, caller_here()));
    return n;
}

int poll(struct pollfd *fds, unsigned long nfds, int timeout)
{
    int ready;
    return quiet_poll(fds, nfds, timeout, &ready) ? ready : real.poll(fds, nfds, timeout);
}

int ppoll(struct pollfd *fds, unsigned long nfds, const struct timespec *timeout,
          const sigset_t *ss)
{
    int ready;
    return quiet_ppoll(fds, nfds, timeout, ss, &ready) ? ready : real.ppoll(fds, nfds, timeout, ss);
}

int __poll_chk(struct pollfd *fds, unsigned long nfds, int timeout, size_t size)
{
    int ready;
    return size / sizeof(*fds) >= nfds && quiet_poll(fds, nfds, timeout, &ready)
               ? ready
               : real.__poll_chk(fds, nfds, timeout, size);
}

int __ppoll_chk(struct pollfd *fds, unsigned long nfds, const struct timespec *timeout,
                const sigset_t *ss, size_t size)
{
    int ready;
    return size / sizeof(*fds) >= nfds && quiet_ppoll(fds, nfds, timeout, ss, &ready)
               ? ready
               : real.__ppoll_chk(fds, nfds, timeout, ss, size);
}

ssize_t write(int fd, const void *buf, size_t len)
{
    const struct hush hush = pipe_hush(fd);
    const ssize_t n = real.write(fd, buf, len);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

ssize_t writev(int fd, const struct iovec *iov, int n_iov)
{
    const struct hush hush = pipe_hush(fd);
    const ssize_t n = real.writev(fd, iov, n_iov);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    const struct hush hush = pipe_hush(fd);
    const ssize_t n = real.send(fd, buf, len, flags);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
               socklen_t addr_len)
{
    const struct hush hush = pipe_hush(fd);
    const ssize_t n = real.sendto(fd, buf, len, flags, addr, addr_len);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    const struct hush hush = pipe_hush(fd);
    const ssize_t n = real.sendmsg(fd, msg, flags);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n_msgs, int flags)
{
    const struct hush hush = pipe_hush(fd);
    const int n = real.sendmmsg(fd, msgs, n_msgs, flags);
    pipe_hushed(hush, n);
    used(fd, n, caller_here());
    return n;
}

ssize_t sendfile(int out, int in, off_t *at, size_t len)
{
    const struct hush hush = pipe_hush(out);
    const ssize_t n = real.sendfile(out, in, at, len);
    pipe_hushed(hush, n);
    used(out, n, caller_here());
    return n;
}

ssize_t sendfile64(int out, int in, loff_t *at, size_t len)
{
    const struct hush hush = pipe_hush(out);
    const ssize_t n = real.sendfile64(out, in, at, len);
    pipe_hushed(hush, n);
    used(out, n, caller_here());
    return n;
}

pid_t fork(void)
{
    reap_pause();
    const pid_t pid = real.fork();
    reap_resume();
    if (pid == 0)
        owner_here();
    return pid;
}

pid_t _Fork(void)
{
    owner_clones(0);
    reap_pause();
    const pid_t pid = real._Fork();
    reap_resume();
    if (pid != 0)
        owner_cloned(0);
    return pid;
}

/*
 * Notes that a child may run in our memory from now on (owner_lends), and jumps to the real one:
 * the child returns from that first, and a frame of ours would be gone when the parent returns
 * after it. So it cannot be written in C.
 */
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, %function\n"
        "vfork:\n"
#if defined(__x86_64__)
        "    endbr64\n"
        "    movb $1, owner_lent(%rip)\n"
        "    jmp *vfork_next(%rip)\n"
#elif defined(__i386__)
        "    endbr32\n"
        "    call 1f\n"
        "1:  popl %ecx\n"
        "    addl $_GLOBAL_OFFSET_TABLE_+(.-1b), %ecx\n"
        "    movb $1, owner_lent@GOTOFF(%ecx)\n"
        "    jmp *vfork_next@GOTOFF(%ecx)\n"
#elif defined(__aarch64__)
        "    hint #34\n"
        "    adrp x16, owner_lent\n"
        "    mov w17, #1\n"
        "    strb w17, [x16, #:lo12:owner_lent]\n"
        "    adrp x16, vfork_next\n"
        "    ldr x16, [x16, #:lo12:vfork_next]\n"
        "    br x16\n"
#endif
        ".size vfork, .-vfork\n");

int clone(int (*run)(void *), void *stack, int flags, void *with, pid_t *parent, void *tls,
          pid_t *child)
{
    watch_clones((unsigned long)flags);
    owner_clones((unsigned long)flags);
    reap_pause();
    const int pid = real.clone(run, stack, flags, with, parent, tls, child);
    reap_resume();
    owner_cloned((unsigned long)flags);
    return pid;
}

int dlclose(void *library)
{
    stack_forget();
    const int ret = real.dlclose(library);
    stack_forget();
    return ret;
}

long syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    const long args[] = {a, b, c, d, e, f};
    const struct number begun = number_before(nr, args);
    long ret = real.syscall(nr, a, b, c, d, e, f);
    watch_if(number_after(nr, &ret, args, begun, caller_here()));
    return ret;
}

void _exit(int status)
{
    watch_finish();
    for (;;)
        real._exit(status);
}

void _Exit(int status)
{
    watch_finish();
    for (;;)
        real._Exit(status);
}

void quick_exit(int status)
{
    watch_finish();
    for (;;)
        real.quick_exit(status);
}

int unshare(int flags)
{
    const bool left = watch_unshare(flags);
    const int ret = real.unshare(flags);
    watch_unshared(flags, ret, left);
    return ret;
}

int prctl(int option, long a, long b, long c, long d)
{
    if (option == PR_SET_SECCOMP && (a == SECCOMP_MODE_STRICT || (a == SECCOMP_MODE_FILTER && b)))
        watch_retire(RETIRED_FILTER);
    return real.prctl(option, a, b, c, d);
}

#define CALL(returns, name, parameters, kernel)
#define AWAY(returns, name, parameters, arguments, kernel)                                         \
    returns name parameters                                                                        \
    {                                                                                              \
        const bool left = watch_leave();                                                           \
        const returns ret = real.name arguments;                                                   \
        watch_return(left);                                                                        \
        return ret;                                                                                \
    }
#include "calls.h"
#undef CALL
