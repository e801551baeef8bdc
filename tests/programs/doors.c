/*
 * Every door that a socket goes through: a row for each call of the list, which does what the
 * call does to a socket and looks at the slot, the errno and the return value afterwards. The
 * list of calls makes the table: a call without a function door_NAME does not link.
 *
 * The shim's own objects are linked in, so this program is one under the shim that can see the
 * table. It prints a line a door, and exits 1 when one of them is wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slots.h"

static const char *failure;

/* Notes the first thing that was wrong in a door. */
static void must_(int holds, const char *what)
{
    if (!holds && !failure)
        failure = what;
}
#define must(condition) must_(condition, #condition)

/* The call fails as it does without us: -1, with this errno. */
#define must_fail(call, why) (errno = 0, must((call) == -1), must(errno == (why)))

/* A slot that the watcher is looking at just now is a live one. */
static enum slot_state state(int fd)
{
    const enum slot_state now = slot_state(slot_word(slot_of(fd)));
    return now == SLOT_CLAIMED ? SLOT_LIVE : now;
}

static int eof_read(int fd)
{
    return (slot_word(slot_of(fd)) & SLOT_EOF_READ) != 0;
}

static enum how how(int fd)
{
    return slot_how(slot_word(slot_of(fd)));
}

static struct sockaddr_in addr; /* of the listener */
static int listener = -1;
static int peer = -1; /* the other end of what live() made */

static void open_listener(void)
{
    socklen_t len = sizeof(addr);
    addr = (struct sockaddr_in){.sin_family = AF_INET};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&addr, len) == 0);
    must(listen(listener, 64) == 0);
    getsockname(listener, (struct sockaddr *)&addr, &len);
}

/* A connection, within the watcher's reach. */
static int live(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    peer = accept(listener, NULL, NULL);
    must(state(fd) == SLOT_LIVE);
    return fd;
}

/* A connection whose peer has sent bytes, if any, and its FIN. */
static int ended(const char *bytes)
{
    const int fd = live();
    must(write(peer, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
    close(peer);
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
    must(poll(&polled, 1, 5000) == 1);
    return fd;
}

/* Exit status of what a child does; 128 + n when a signal ended it. */
static int in_child(void (*what)(void))
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        what();
        _exit(failure ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void door_socket(void)
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && state(fd) == SLOT_MADE);
    close(fd);
    const int other = socket(AF_UNIX, SOCK_STREAM, 0);
    must(other == fd && state(fd) == SLOT_FREE);
    close(other);
    must_fail(socket(AF_INET, 77, 0), EINVAL);
}

static void door_connect(void)
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
}

static void door_accept(void)
{
    const int fd = live();
    must(state(peer) == SLOT_LIVE && how(peer) == HOW_ACCEPT);
    close(fd);
    close(peer);
    must_fail(accept(fd, NULL, NULL), EBADF);
}

static void door_accept4(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    const int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    must(state(accepted) == SLOT_LIVE && how(accepted) == HOW_ACCEPT);
    must(fcntl(accepted, F_GETFD) == FD_CLOEXEC);
    close(fd);
    close(accepted);
    must_fail(accept4(listener, NULL, NULL, -1), EINVAL);
}

static void door_bind(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must_fail(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), EADDRINUSE);
    must_fail(bind(fd, (struct sockaddr *)&addr, 1), EINVAL);
    must(state(fd) == SLOT_MADE);
    close(fd);
    must_fail(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), EBADF);
}

static void door_listen(void)
{
    must(state(listener) == SLOT_MADE);
    must_fail(listen(0, 1), ENOTSOCK);
    must(state(0) == SLOT_FREE);
}

static void door_close(void)
{
    const int fd = live();
    /* A high number: the watcher has the lowest free one for some microseconds now and then. */
    must(dup2(fd, 300) == 300 && close(300) == 0 && state(300) == SLOT_FREE);
    must_fail(close(300), EBADF);
    must(close(fd) == 0 && state(fd) == SLOT_FREE);
    close(peer);
    must_fail(close(-1), EBADF);
}

static void door_close_range(void)
{
    const int fd = live();
    must(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC) == 0);
    must(state(fd) == SLOT_LIVE && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    must(close_range((unsigned)fd, (unsigned)peer, 0) == 0);
    must(state(fd) == SLOT_FREE && state(peer) == SLOT_FREE);
    must_fail(close_range(5, 4, 0), EINVAL);
    const int other = live();
    must(close_range((unsigned)other, ~0U, CLOSE_RANGE_UNSHARE) == 0);
    must(state(other) == SLOT_FREE && fcntl(other, F_GETFD) == -1);
}

static void door_closefrom(void)
{
    const int fd = live();
    closefrom(fd);
    must(state(fd) == SLOT_FREE && state(peer) == SLOT_FREE);
    must_fail(fcntl(peer, F_GETFD), EBADF);
}

static void must_be_copy(int fd, int copy)
{
    must(copy >= 0 && copy != fd && state(copy) == SLOT_LIVE && state(fd) == SLOT_LIVE);
    must(slot_word(slot_of(fd)) & SLOT_COPIED);
    close(copy);
    must(state(copy) == SLOT_FREE && state(fd) == SLOT_LIVE);
    close(fd);
    close(peer);
}

static void door_dup(void)
{
    const int fd = live();
    must_be_copy(fd, dup(fd));
    must_fail(dup(-1), EBADF);
}

static void door_dup2(void)
{
    const int fd = live();
    const int over = live();
    close(peer);
    must(dup2(fd, fd) == fd && state(fd) == SLOT_LIVE);
    must(dup2(0, over) == over && state(over) == SLOT_FREE);
    must(dup2(fd, over) == over);
    must_be_copy(fd, over);
    must_fail(dup2(-1, 5), EBADF);
}

static void door_dup3(void)
{
    const int fd = live();
    must_fail(dup3(fd, fd, 0), EINVAL);
    must(state(fd) == SLOT_LIVE);
    const int copy = dup3(fd, 70, O_CLOEXEC);
    must(copy == 70 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    must_be_copy(fd, copy);
}

static void door_fcntl(void)
{
    const int fd = live();
    must(fcntl(fd, F_GETFL) == O_RDWR);
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 80);
    must(copy >= 80);
    must_be_copy(fd, copy);
    must_fail(fcntl(fd, F_GETFL), EBADF);
}

static void door_fcntl64(void)
{
    const int fd = live();
    must_be_copy(fd, fcntl64(fd, F_DUPFD, 90));
    must_fail(fcntl64(fd, F_DUPFD, 0), EBADF);
}

static void door_fclose(void)
{
    const int fd = live();
    FILE *stream = fdopen(fd, "r+");
    errno = 0;
    must(fclose(stream) == 0 && errno == 0);
    must(state(fd) == SLOT_FREE);
    close(peer);
    char memory[4];
    must(fclose(fmemopen(memory, sizeof(memory), "w")) == 0 && errno == 0);
}

static void door_freopen(void)
{
    const int fd = live();
    FILE *stream = freopen("/dev/null", "r", fdopen(fd, "r+"));
    must(stream && fileno(stream) == fd && state(fd) == SLOT_FREE);
    fclose(stream);
    close(peer);
}

static void door_freopen64(void)
{
    const int fd = live();
    FILE *stream = freopen64("/no/such/file", "r", fdopen(fd, "r+"));
    must(!stream && errno == ENOENT && state(fd) == SLOT_FREE);
    close(peer);
}

static char buf[64];
static struct iovec iov = {buf, sizeof(buf)};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

static ssize_t by_read(int fd, size_t len)
{
    return read(fd, buf, len);
}

static ssize_t by_readv(int fd, size_t len)
{
    iov.iov_len = len;
    return readv(fd, &iov, 1);
}

static ssize_t by_recv(int fd, size_t len)
{
    return recv(fd, buf, len, 0);
}

static ssize_t by_recvfrom(int fd, size_t len)
{
    return recvfrom(fd, buf, len, 0, NULL, NULL);
}

static ssize_t by_recvmsg(int fd, size_t len)
{
    iov.iov_len = len;
    return recvmsg(fd, &msg, 0);
}

static ssize_t by_recvmmsg(int fd, size_t len)
{
    struct mmsghdr msgs = {.msg_hdr = msg};
    iov.iov_len = len;
    const int n = recvmmsg(fd, &msgs, 1, 0, NULL);
    return n == 1 ? (ssize_t)msgs.msg_len : n;
}

static ssize_t by_splice(int fd, size_t len)
{
    static int ends[2] = {-1, -1};
    if (ends[0] < 0)
        must(pipe(ends) == 0);
    return splice(fd, NULL, ends[1], NULL, len, 0);
}

extern ssize_t __read_chk(int fd, void *to, size_t len, size_t size);
extern ssize_t __recv_chk(int fd, void *to, size_t len, size_t size, int flags);
extern ssize_t __recvfrom_chk(int fd, void *to, size_t len, size_t size, int flags,
                              struct sockaddr *from, socklen_t *from_len);

static ssize_t by_read_chk(int fd, size_t len)
{
    return __read_chk(fd, buf, len, sizeof(buf));
}

static ssize_t by_recv_chk(int fd, size_t len)
{
    return __recv_chk(fd, buf, len, sizeof(buf), 0);
}

static ssize_t by_recvfrom_chk(int fd, size_t len)
{
    return __recvfrom_chk(fd, buf, len, sizeof(buf), 0, NULL, NULL);
}

/* Data, nothing asked for, the end of stream, nothing there yet, no such descriptor. */
static void read_through(ssize_t (*by)(int fd, size_t len))
{
    const int fd = ended("hi");
    must(by(fd, 2) == 2 && !eof_read(fd));
    must(by(fd, 0) == 0 && !eof_read(fd));
    must(by(fd, 2) == 0 && eof_read(fd));
    close(fd);
    const int open = live();
    fcntl(open, F_SETFL, O_NONBLOCK);
    must_fail(by(open, 2), EAGAIN);
    must(!eof_read(open));
    close(open);
    close(peer);
    must_fail(by(open, 2), EBADF);
}

static void door_read(void)
{
    read_through(by_read);
}

static void door_readv(void)
{
    read_through(by_readv);
}

static void door_recv(void)
{
    read_through(by_recv);
}

static void door_recvfrom(void)
{
    read_through(by_recvfrom);
}

static int send_rights(int from, int fd)
{
    char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct msghdr with = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&with);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    iov.iov_len = 1;
    return sendmsg(from, &with, 0) == 1 ? 0 : -1;
}

/* The number that came with a message, by recvmsg or recvmmsg. */
static int receive_rights(int from, int by_many)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct mmsghdr with = {.msg_hdr = {.msg_iov = &iov,
                                       .msg_iovlen = 1,
                                       .msg_control = control,
                                       .msg_controllen = sizeof(control)}};
    if (by_many)
        must(recvmmsg(from, &with, 1, 0, NULL) == 1);
    else
        must(recvmsg(from, &with.msg_hdr, 0) == 1);
    int fd = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&with.msg_hdr);
    must(header != NULL);
    if (header)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

static void pass_through(int by_many)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const int fd = live();
    must(send_rights(ends[0], fd) == 0);
    const int received = receive_rights(ends[1], by_many);
    must(received != fd && state(received) == SLOT_LIVE && how(received) == HOW_RECEIVED);
    close(received);
    must(send_rights(ends[0], 0) == 0);
    const int other = receive_rights(ends[1], by_many);
    must(other == received && state(other) == SLOT_FREE);
    close(other);
    close(fd);
    close(peer);
    close(ends[0]);
    close(ends[1]);
}

static void door_recvmsg(void)
{
    read_through(by_recvmsg);
    pass_through(0);
}

static void door_recvmmsg(void)
{
    read_through(by_recvmmsg);
    pass_through(1);
}

static void door_splice(void)
{
    read_through(by_splice);
}

static void door___read_chk(void)
{
    read_through(by_read_chk);
}

static void door___recv_chk(void)
{
    read_through(by_recv_chk);
}

static void door___recvfrom_chk(void)
{
    read_through(by_recvfrom_chk);
}

static ssize_t number_read(int fd, size_t len)
{
    return syscall(SYS_read, fd, buf, len);
}

static ssize_t number_readv(int fd, size_t len)
{
    iov.iov_len = len;
    return syscall(SYS_readv, fd, &iov, 1);
}

static ssize_t number_recvfrom(int fd, size_t len)
{
    return syscall(SYS_recvfrom, fd, buf, len, 0, NULL, NULL);
}

static ssize_t number_recvmsg(int fd, size_t len)
{
    iov.iov_len = len;
    return syscall(SYS_recvmsg, fd, &msg, 0);
}

static ssize_t number_splice(int fd, size_t len)
{
    static int ends[2] = {-1, -1};
    if (ends[0] < 0)
        must(pipe(ends) == 0);
    return syscall(SYS_splice, fd, NULL, ends[1], NULL, len, 0);
}

static void enter_alone(void)
{
    _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
}

/* What the kernel says to a process with one thread: in a chroot, and where it may not, no. */
static int alone(void)
{
    return in_child(enter_alone);
}

static void unshare_by_number(void)
{
    const int why = alone();
    close(live());
    must((syscall(SYS_unshare, CLONE_NEWUSER) == 0 ? 0 : errno) == why);
}

/* i386's first mmap takes a structure. */
#ifdef SYS_mmap2
#define MAP_NUMBER SYS_mmap2
#else
#define MAP_NUMBER SYS_mmap
#endif

static void door_syscall(void)
{
    const int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    must(state(fd) == SLOT_MADE);
    must(syscall(SYS_connect, fd, &addr, sizeof(addr)) == 0 && state(fd) == SLOT_LIVE);
    const int accepted = (int)syscall(SYS_accept4, listener, NULL, NULL, 0);
    must(state(accepted) == SLOT_LIVE);
    const int copy = (int)syscall(SYS_dup, fd);
    must(state(copy) == SLOT_LIVE);
    must(syscall(SYS_dup3, 0, copy, 0) == copy && state(copy) == SLOT_FREE);
    must(syscall(SYS_fcntl, fd, F_DUPFD, 100) == 100 && state(100) == SLOT_LIVE);
    must(syscall(SYS_close, 100) == 0 && state(100) == SLOT_FREE);
    must(syscall(SYS_close_range, fd, fd, 0) == 0 && state(fd) == SLOT_FREE);
    close(copy);
    close(accepted);
    read_through(number_read);
    read_through(number_readv);
    read_through(number_recvfrom);
    read_through(number_recvmsg);
    read_through(number_splice);
    must_fail(syscall(SYS_close, -1), EBADF);
    must_fail(syscall(SYS_bind, -1, &addr, sizeof(addr)), EBADF);
    must_fail(syscall(100000L), ENOSYS);
    /* All six arguments. */
    char *at = (char *)syscall(MAP_NUMBER, NULL, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    at[4095] = 1;
    must(in_child(unshare_by_number) == 0);
}

static void end_by_exit(void)
{
    close(live());
    _exit(17);
}

static void end_by_Exit(void)
{
    close(live());
    _Exit(18);
}

static void say_so(void)
{
    must(write(peer, "!", 1) == 1);
}

static void end_by_quick_exit(void)
{
    const int fd = live();
    must(at_quick_exit(say_so) == 0);
    (void)fd;
    quick_exit(failure ? 1 : 19);
}

static void door__exit(void)
{
    must(in_child(end_by_exit) == 17);
}

static void door__Exit(void)
{
    must(in_child(end_by_Exit) == 18);
}

static void door_quick_exit(void)
{
    must(in_child(end_by_quick_exit) == 19);
}

/* After this a system call that is not read, write or exit is death. */
static void live_strictly(void)
{
    const int fd = ended("hi");
    const int ret = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    const int right = ret == 0 && read(fd, buf, 2) == 2 && read(fd, buf, 2) == 0;
    syscall(SYS_exit, right ? 23 : 24);
}

static void door_prctl(void)
{
    char name[16] = "";
    must(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "doors") == 0);
    must_fail(prctl(-1, 0, 0, 0, 0), EINVAL);
    must(in_child(live_strictly) == 23);
}

/* What they do to the process is the kernel's; that they still do it with a watcher is ours. */
extern int capset(void *header, const void *data);

static void change_ids(void)
{
    const int fd = live();
    const gid_t group = getgid();
    const int root = geteuid() == 0;
    must(setgroups(1, &group) == (root ? 0 : -1));
    must(initgroups("root", group) == (root ? 0 : -1));
    must_fail(capset(NULL, NULL), EFAULT);
    must(setgid(group) == 0 && setegid(group) == 0 && setregid(group, group) == 0);
    must(setresgid(group, group, group) == 0);
    const uid_t user = root ? 65534 : getuid();
    must(seteuid(user) == 0 && geteuid() == user);
    must(setreuid(-1U, user) == 0 && setresuid(-1U, user, -1U) == 0);
    must(seteuid(getuid()) == 0 && setuid(user) == 0 && getuid() == user);
    if (root)
        must_fail(setuid(0), EPERM);
    must(state(fd) == SLOT_LIVE);
}

static void door_setuid(void)
{
    must(in_child(change_ids) == 0);
}

#define BY(name)                                                                                   \
    static void door_##name(void)                                                                  \
    {                                                                                              \
        must(in_child(change_ids) == 0);                                                           \
    }
BY(setgid)
BY(seteuid)
BY(setegid)
BY(setreuid)
BY(setregid)
BY(setresuid)
BY(setresgid)
BY(setgroups)
BY(initgroups)
BY(capset)

static void enter_namespace(void)
{
    const int why = alone();
    const int fd = live();
    must((unshare(CLONE_NEWUSER) == 0 ? 0 : errno) == why);
    must(state(fd) == SLOT_LIVE);
    must_fail(unshare(-1), EINVAL);
    must_fail(setns(-1, 0), EBADF);
}

static void door_unshare(void)
{
    must(in_child(enter_namespace) == 0);
}

static void door_setns(void)
{
    must(in_child(enter_namespace) == 0);
}

static void own_table(void)
{
    const int fd = 200;
    must(state(fd) == SLOT_LIVE && how(fd) == HOW_INHERITED);
    close(fd);
    must(state(fd) == SLOT_FREE);
}

static void door_fork(void)
{
    const int fd = live();
    must(dup2(fd, 200) == 200);
    must(in_child(own_table) == 0);
    must(state(200) == SLOT_LIVE && how(200) == HOW_CONNECT);
    close(200);
    close(fd);
    close(peer);
}

static void door___fork(void)
{
    extern pid_t __fork(void);
    const pid_t pid = __fork();
    if (pid == 0)
        _exit(7);
    int status = 0;
    must(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
}

static void door_vfork(void)
{
    const int fd = live();
    const pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        _exit(3);
    }
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    must(state(fd) == SLOT_LIVE);
    close(fd);
    close(peer);
    must(state(fd) == SLOT_FREE);
}

static void door___vfork(void)
{
    extern pid_t __vfork(void) __attribute__((returns_twice));
    const pid_t pid = __vfork();
    if (pid == 0)
        _exit(4);
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4);
}

static int borrow(void *fd)
{
    close(*(const int *)fd);
    return 5;
}

static void door_clone(void)
{
    static _Alignas(16) char stack[65536];
    int fd = live();
    const pid_t pid = clone(borrow, stack + sizeof(stack), CLONE_VM | SIGCHLD, &fd);
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
    must(state(fd) == SLOT_LIVE);
    close(fd);
    close(peer);
    must_fail(clone(borrow, NULL, CLONE_VM, NULL), EINVAL);
}

static void door___close(void)
{
    extern int __close(int fd);
    const int fd = live();
    must(__close(fd) == 0 && state(fd) == SLOT_FREE);
    close(peer);
}

static void door___connect(void)
{
    extern int __connect(int fd, const struct sockaddr *to, socklen_t len);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(__connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && state(fd) == SLOT_LIVE);
    close(fd);
    close(accept(listener, NULL, NULL));
}

static void door___dup2(void)
{
    extern int __dup2(int from, int fd);
    const int fd = live();
    must_be_copy(fd, __dup2(fd, 60));
}

static void door___fcntl(void)
{
    extern int __fcntl(int fd, int cmd, ...);
    const int fd = live();
    must_be_copy(fd, __fcntl(fd, F_DUPFD, 60));
}

static ssize_t alias_read(int fd, size_t len)
{
    extern ssize_t __read(int fd, void *to, size_t len);
    return __read(fd, buf, len);
}

static void door___read(void)
{
    read_through(alias_read);
}

static ssize_t alias_recv(int fd, size_t len)
{
    extern ssize_t __recv(int fd, void *to, size_t len, int flags);
    return __recv(fd, buf, len, 0);
}

static void door___recv(void)
{
    read_through(alias_recv);
}

static void door__IO_fclose(void)
{
    extern int _IO_fclose(FILE * stream);
    const int fd = live();
    must(_IO_fclose(fdopen(fd, "r")) == 0 && state(fd) == SLOT_FREE);
    close(peer);
}

static const struct {
    const char *name;
    void (*go)(void);
} doors[] = {
#define CALL(returns, name, parameters, kernel) {#name, door_##name},
#define ALIAS(name, of)                         {#name, door_##name},
#include "calls.h"
#undef CALL
};

int main(void)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        failure = NULL;
        open_listener();
        doors[i].go();
        close(listener);
        printf("%s %s%s%s\n", failure ? "not ok" : "ok", doors[i].name, failure ? ": " : "",
               failure ? failure : "");
        wrong += failure != NULL;
    }
    return wrong ? 1 : 0;
}
