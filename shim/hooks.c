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
#include "tombs.h"
#include "track.h"
#include "vdso.h"
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

/*
 * What a read was asked for, in memory: what a hook keeps in registers over the real call it has to
 * save and restore, which is more than all else that it does when bytes come.
 */
struct reading {
    int fd;
    int flags;
    union {
        size_t room;
        struct msghdr *msg;
    };
};

static inline void keep_in_memory(struct reading *reading)
{
    __asm__("" : "+m"(*reading));
}

/* Whether track wants to hear nothing of it: it failed, or bytes came. One compare. */
static inline bool is_plain(ssize_t n)
{
    return (size_t)n > track_heeds;
}

static __attribute__((noinline)) ssize_t heed(const struct reading *reading, ssize_t n,
                                              const struct caller *caller)
{
    if (n > 0)
        track_used(reading->fd, caller);
    if (n == 0 && reading->room > 0)
        watch_if(track_eof(reading->fd, reading->flags, caller));
    return n;
}

static __attribute__((noinline)) ssize_t heed_message(const struct reading *message, ssize_t n,
                                                      const struct caller *caller)
{
    const struct reading reading = {
        .fd = message->fd, .flags = message->flags, .room = n == 0 && msg_has_room(message->msg)};
    watch_if(track_received(message->msg, n, caller));
    return heed(&reading, n, caller);
}

/* Whether a write is nothing to track or to pipe. */
static inline bool writes_freely(int fd)
{
    return track_heeds == 0 && pipe_is_clear(fd);
}

static ssize_t wrote(struct hush hush, ssize_t n, const struct caller *caller)
{
    pipe_hushed(hush, n);
    if (n > 0 && track_heeds > 0)
        track_used(hush.fd, caller);
    return n;
}

int socket(int domain, int type, int protocol)
{
    const int before = errno;
    int fd = real.socket(domain, type, protocol);
    if (fd < 0 && shortage_relieve(LIMITED_SOCKET, before, CALLER_HERE))
        fd = real.socket(domain, type, protocol);
    track_socket(fd, domain, type, protocol);
    return fd;
}

static __attribute__((noinline)) int reconnect(int fd, const struct sockaddr *addr, socklen_t len,
                                               const struct caller *caller)
{
    const int before = errno;
    struct departure left;
    track_leave(fd, &left);
    int ret = real.connect(fd, addr, len);
    if (ret != 0 && errno == EADDRNOTAVAIL)
        ret = rescue_connect(fd, addr, len, before, caller);
    watch_if(track_left(&left, is_dissolved(addr, ret)));
    watch_if(track_connect(fd, addr, ret, caller));
    reuse_connected(fd, left.word);
    return ret;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (track_is_connection(fd))
        return reconnect(fd, addr, len, CALLER_HERE);
    const int before = errno;
    int ret = real.connect(fd, addr, len);
    if (ret != 0 && errno == EADDRNOTAVAIL)
        ret = rescue_connect(fd, addr, len, before, CALLER_HERE);
    watch_if(track_connect(fd, addr, ret, CALLER_HERE));
    if (reuse_wanted)
        reuse_connected(fd, 0);
    return ret;
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    const int before = errno;
    int accepted = real.accept(fd, addr, len);
    if (accepted < 0 && shortage_relieve(LIMITED_ACCEPT, before, CALLER_HERE))
        accepted = real.accept(fd, addr, len);
    watch_if(track_accept(fd, accepted, CALLER_HERE));
    return accepted;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    const int before = errno;
    int accepted = real.accept4(fd, addr, len, flags);
    if (accepted < 0 && shortage_relieve(LIMITED_ACCEPT4, before, CALLER_HERE))
        accepted = real.accept4(fd, addr, len, flags);
    watch_if(track_accept(fd, accepted, CALLER_HERE));
    return accepted;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int before = errno;
    int ret = real.bind(fd, addr, len);
    if (ret != 0 && errno == EADDRINUSE)
        ret = rescue_bind(fd, addr, len, before, CALLER_HERE);
    reuse_bound(fd, addr, len, ret);
    return ret;
}

int listen(int fd, int backlog)
{
    reuse_listens(fd);
    const int ret = real.listen(fd, backlog);
    reuse_listened(fd, ret);
    watch_if(track_listen(fd, ret, CALLER_HERE));
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

static __attribute__((noinline)) int close_and_tell(int fd, const struct departure *left)
{
    const int ret = real.close(fd);
    watch_if(track_left(left, true));
    return ret;
}

int close(int fd)
{
    struct departure left;
    if (!track_close(fd, &left))
        return close_and_tell(fd, &left);
    const int ret = real.close(fd);
    slot_departed(fd);
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
    struct departure left;
    track_replace(from, fd, &left);
    const int copy = real.dup2(from, fd);
    watch_if(track_left(&left, copy >= 0));
    watch_if(track_copy(from, copy));
    return copy;
}

int dup3(int from, int fd, int flags)
{
    struct departure left;
    track_replace(from, fd, &left);
    const int copy = real.dup3(from, fd, flags);
    watch_if(track_left(&left, copy >= 0));
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
    struct departure left;
    track_leave_stream(stream, &left);
    const int ret = real.fclose(stream);
    watch_if(track_left(&left, true));
    return ret;
}

FILE *freopen(const char *filename, const char *modes, FILE *stream)
{
    struct departure left;
    track_leave_stream(stream, &left);
    FILE *const reopened = real.freopen(filename, modes, stream);
    watch_if(track_left(&left, true));
    return reopened;
}

FILE *freopen64(const char *filename, const char *modes, FILE *stream)
{
    struct departure left;
    track_leave_stream(stream, &left);
    FILE *const reopened = real.freopen64(filename, modes, stream);
    watch_if(track_left(&left, true));
    return reopened;
}

ssize_t read(int fd, void *buf, size_t len)
{
    struct reading reading = {.fd = fd, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.read(fd, buf, len);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

ssize_t readv(int fd, const struct iovec *iov, int n_iov)
{
    const ssize_t n = real.readv(fd, iov, n_iov);
    if (is_plain(n))
        return n;
    const struct reading reading = {.fd = fd, .room = n == 0 && iov_has_room(iov, n_iov)};
    return heed(&reading, n, CALLER_HERE);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    struct reading reading = {.fd = fd, .flags = flags, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.recv(fd, buf, len, flags);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
                 socklen_t *addr_len)
{
    struct reading reading = {.fd = fd, .flags = flags, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.recvfrom(fd, buf, len, flags, addr, addr_len);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct reading message = {.fd = fd, .flags = flags, .msg = msg};
    keep_in_memory(&message);
    const ssize_t n = real.recvmsg(fd, msg, flags);
    if (is_plain(n) && (n < 0 || !msg_brings_control(message.msg)))
        return n;
    return heed_message(&message, n, CALLER_HERE);
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n_msgs, int flags, struct timespec *timeout)
{
    const int n = real.recvmmsg(fd, msgs, n_msgs, flags, timeout);
    if (n > 0 && track_heeds > 0)
        track_used(fd, CALLER_HERE);
    watch_if(track_eof_each(fd, msgs, n, flags, CALLER_HERE));
    watch_if(track_received_each(msgs, n, CALLER_HERE));
    return n;
}

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned int flags)
{
    const struct hush hush = pipe_hush(out);
    const ssize_t n = real.splice(in, in_at, out, out_at, len, flags);
    wrote(hush, n, CALLER_HERE);
    if (is_plain(n))
        return n;
    const struct reading reading = {.fd = in, .room = len};
    return heed(&reading, n, CALLER_HERE);
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
    struct reading reading = {.fd = fd, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.__read_chk(fd, buf, len, size);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
    struct reading reading = {.fd = fd, .flags = flags, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.__recv_chk(fd, buf, len, size, flags);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *addr,
                       socklen_t *addr_len)
{
    struct reading reading = {.fd = fd, .flags = flags, .room = len};
    keep_in_memory(&reading);
    const ssize_t n = real.__recvfrom_chk(fd, buf, len, size, flags, addr, addr_len);
    return is_plain(n) ? n : heed(&reading, n, CALLER_HERE);
}

int poll(struct pollfd *fds, unsigned long nfds, int timeout)
{
    int ready;
    return tombs_may_be() && quiet_poll(fds, nfds, timeout, &ready) ? ready
                                                                    : real.poll(fds, nfds, timeout);
}

int ppoll(struct pollfd *fds, unsigned long nfds, const struct timespec *timeout,
          const sigset_t *ss)
{
    int ready;
    return tombs_may_be() && quiet_ppoll(fds, nfds, timeout, ss, &ready)
               ? ready
               : real.ppoll(fds, nfds, timeout, ss);
}

int __poll_chk(struct pollfd *fds, unsigned long nfds, int timeout, size_t size)
{
    int ready;
    return tombs_may_be() && size / sizeof(*fds) >= nfds && quiet_poll(fds, nfds, timeout, &ready)
               ? ready
               : real.__poll_chk(fds, nfds, timeout, size);
}

int __ppoll_chk(struct pollfd *fds, unsigned long nfds, const struct timespec *timeout,
                const sigset_t *ss, size_t size)
{
    int ready;
    return tombs_may_be() && size / sizeof(*fds) >= nfds &&
                   quiet_ppoll(fds, nfds, timeout, ss, &ready)
               ? ready
               : real.__ppoll_chk(fds, nfds, timeout, ss, size);
}

static __attribute__((noinline)) ssize_t hushed_write(int fd, const void *buf, size_t len,
                                                      const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return wrote(hush, real.write(fd, buf, len), caller);
}

ssize_t write(int fd, const void *buf, size_t len)
{
    if (!writes_freely(fd))
        return hushed_write(fd, buf, len, CALLER_HERE);
    return real.write(fd, buf, len);
}

static __attribute__((noinline)) ssize_t hushed_writev(int fd, const struct iovec *iov, int n_iov,
                                                       const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return wrote(hush, real.writev(fd, iov, n_iov), caller);
}

ssize_t writev(int fd, const struct iovec *iov, int n_iov)
{
    if (!writes_freely(fd))
        return hushed_writev(fd, iov, n_iov, CALLER_HERE);
    return real.writev(fd, iov, n_iov);
}

static __attribute__((noinline)) ssize_t hushed_send(int fd, const void *buf, size_t len, int flags,
                                                     const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return wrote(hush, real.send(fd, buf, len, flags), caller);
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    if (!writes_freely(fd))
        return hushed_send(fd, buf, len, flags, CALLER_HERE);
    return real.send(fd, buf, len, flags);
}

static __attribute__((noinline)) ssize_t hushed_sendto(int fd, const void *buf, size_t len,
                                                       int flags, const struct sockaddr *addr,
                                                       socklen_t addr_len,
                                                       const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return wrote(hush, real.sendto(fd, buf, len, flags, addr, addr_len), caller);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
               socklen_t addr_len)
{
    if (!writes_freely(fd))
        return hushed_sendto(fd, buf, len, flags, addr, addr_len, CALLER_HERE);
    return real.sendto(fd, buf, len, flags, addr, addr_len);
}

static __attribute__((noinline)) ssize_t hushed_sendmsg(int fd, const struct msghdr *msg, int flags,
                                                        const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return wrote(hush, real.sendmsg(fd, msg, flags), caller);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (!writes_freely(fd))
        return hushed_sendmsg(fd, msg, flags, CALLER_HERE);
    return real.sendmsg(fd, msg, flags);
}

static __attribute__((noinline)) int hushed_sendmmsg(int fd, struct mmsghdr *msgs,
                                                     unsigned int n_msgs, int flags,
                                                     const struct caller *caller)
{
    const struct hush hush = pipe_hush(fd);
    return (int)wrote(hush, real.sendmmsg(fd, msgs, n_msgs, flags), caller);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n_msgs, int flags)
{
    if (!writes_freely(fd))
        return hushed_sendmmsg(fd, msgs, n_msgs, flags, CALLER_HERE);
    return real.sendmmsg(fd, msgs, n_msgs, flags);
}

static __attribute__((noinline)) ssize_t hushed_sendfile(int out, int in, off_t *at, size_t len,
                                                         const struct caller *caller)
{
    const struct hush hush = pipe_hush(out);
    return wrote(hush, real.sendfile(out, in, at, len), caller);
}

ssize_t sendfile(int out, int in, off_t *at, size_t len)
{
    if (!writes_freely(out))
        return hushed_sendfile(out, in, at, len, CALLER_HERE);
    return real.sendfile(out, in, at, len);
}

static __attribute__((noinline)) ssize_t hushed_sendfile64(int out, int in, loff_t *at, size_t len,
                                                           const struct caller *caller)
{
    const struct hush hush = pipe_hush(out);
    return wrote(hush, real.sendfile64(out, in, at, len), caller);
}

ssize_t sendfile64(int out, int in, loff_t *at, size_t len)
{
    if (!writes_freely(out))
        return hushed_sendfile64(out, in, at, len, CALLER_HERE);
    return real.sendfile64(out, in, at, len);
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
    watch_if(number_after(nr, &ret, args, begun, CALLER_HERE));
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
    if (option == PR_SET_TSC)
        vdso_forget();
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
