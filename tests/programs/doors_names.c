/*
 * The same doors under other names: by number, and by the aliases that glibc has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doors.h"

static char buf[64];
static struct iovec iov = {buf, sizeof(buf)};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

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

/* The child has a copy of the table, and leaves it alone. */
static void fork_by_number(void)
{
    const int fd = live();
    const pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        close(fd);
        syscall(SYS_exit_group, state(fd) == SLOT_LIVE && how(fd) == HOW_CONNECT ? 8 : 1);
    }
    int status = 0;
    must(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 8);
    must(state(fd) == SLOT_LIVE);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door_syscall(void)
{
    const int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    must(state(fd) == SLOT_MADE);
    must(syscall(SYS_connect, fd, &addr, sizeof(addr)) == 0 && state(fd) == SLOT_LIVE);
    const int accepted = (int)syscall(SYS_accept4, listener, NULL, NULL, 0);
    must(state(accepted) == SLOT_LIVE);
    const int copy = (int)syscall(SYS_dup, fd);
    must(state(copy) == SLOT_LIVE);
    must(syscall(SYS_dup3, 0, copy, 0) == copy && state(copy) == SLOT_FREE);
    must(syscall(SYS_fcntl, fd, F_DUPFD, 510) == 510 && state(510) == SLOT_LIVE);
    must(syscall(SYS_close, 510) == 0 && state(510) == SLOT_FREE);
    must(syscall(SYS_close_range, fd, fd, 0) == 0 && state(fd) == SLOT_FREE);
    close(copy);
    await_fin(accepted);
    must_leak(accepted, "eof-unread", "accept");
    read_through(number_read);
    read_through(number_readv);
    read_through(number_recvfrom);
    read_through(number_recvmsg);
    read_through(number_splice);
    must_fail(syscall(SYS_close, -1), EBADF);
    must_fail(syscall(SYS_bind, -1, &addr, sizeof(addr)), EBADF);
    must_fail(syscall(100000L), ENOSYS);
    fork_by_number();
    /* All six arguments. */
    char *at = (char *)syscall(MAP_NUMBER, NULL, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    at[4095] = 1;
    must(in_child(unshare_by_number) == 0);
}

void door___close(void)
{
    extern int __close(int fd);
    const int fd = live();
    must(__close(fd) == 0 && state(fd) == SLOT_FREE);
    close(peer);
}

void door___connect(void)
{
    extern int __connect(int fd, const struct sockaddr *to, socklen_t len);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(__connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && state(fd) == SLOT_LIVE);
    close(accept(listener, NULL, NULL));
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door___dup2(void)
{
    extern int __dup2(int from, int fd);
    const int fd = live();
    must_be_copy(fd, __dup2(fd, 460));
}

void door___fcntl(void)
{
    extern int __fcntl(int fd, int cmd, ...);
    const int fd = live();
    must_be_copy(fd, __fcntl(fd, F_DUPFD, 460));
}

static ssize_t alias_read(int fd, size_t len)
{
    extern ssize_t __read(int fd, void *to, size_t len);
    return __read(fd, buf, len);
}

void door___read(void)
{
    read_through(alias_read);
}

static ssize_t alias_recv(int fd, size_t len)
{
    extern ssize_t __recv(int fd, void *to, size_t len, int flags);
    return __recv(fd, buf, len, 0);
}

void door___recv(void)
{
    read_through(alias_recv);
}

void door__IO_fclose(void)
{
    extern int _IO_fclose(FILE * stream);
    const int fd = live();
    must(_IO_fclose(fdopen(fd, "r")) == 0 && state(fd) == SLOT_FREE);
    close(peer);
}

static int close_in_child(void *fd)
{
    return close(*(const int *)fd);
}

void door___clone(void)
{
    extern int __clone(int (*run)(void *), void *stack, int flags, void *with, ...);
    static _Alignas(16) char stack[65536];
    int fd = live();
    const pid_t pid =
        __clone(close_in_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &fd);
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    must(state(fd) == SLOT_LIVE);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

static ssize_t alias_write(int fd)
{
    extern ssize_t __write(int fd, const void *from, size_t len);
    return __write(fd, "hi", 2);
}

void door___write(void)
{
    write_through(alias_write);
}

static ssize_t alias_send(int fd)
{
    extern ssize_t __send(int fd, const void *from, size_t len, int flags);
    return __send(fd, "hi", 2, MSG_NOSIGNAL);
}

void door___send(void)
{
    write_through(alias_send);
}
