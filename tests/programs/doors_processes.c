/*
 * Doors by which processes begin and end, and change what they may do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doors.h"

static int failed_or(int status)
{
    return has_failed() ? 1 : status;
}

static void enter_alone(void)
{
    _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
}

/* What the kernel says to a process with one thread: in a chroot, and where it may not, no. */
int alone(void)
{
    return in_child(enter_alone);
}

static void end_by_exit(void)
{
    close(live());
    must_tell_conflict();
    _exit(failed_or(17));
}

static void end_by_Exit(void)
{
    close(live());
    must_tell_conflict();
    _Exit(failed_or(18));
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
    must_tell_conflict();
    quick_exit(failed_or(19));
}

void door__exit(void)
{
    must(in_child(end_by_exit) == 17);
}

void door__Exit(void)
{
    must(in_child(end_by_Exit) == 18);
}

void door_quick_exit(void)
{
    must(in_child(end_by_quick_exit) == 19);
}

/* After this a system call that is not read, write or exit is death. */
static void live_strictly(void)
{
    char buf[2];
    const int fd = ended("hi");
    must_tell(getpid(), "the program filters its system calls from now on (seccomp): not watched "
                        "any more");
    const int ret = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    const int right = ret == 0 && read(fd, buf, 2) == 2 && read(fd, buf, 2) == 0;
    syscall(SYS_exit, right ? 23 : 24);
}

void door_prctl(void)
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
    must_tell_conflict();
}

void door_setuid(void)
{
    must(in_child(change_ids) == 0);
}

#define BY(name)                                                                                   \
    void door_##name(void)                                                                         \
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
    must_tell_conflict();
    must_fail(unshare(-1), EINVAL);
    must_fail(setns(-1, 0), EBADF);
}

void door_unshare(void)
{
    must(in_child(enter_namespace) == 0);
}

void door_setns(void)
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

void door_fork(void)
{
    const int fd = live();
    must(dup2(fd, 200) == 200);
    must(in_child(own_table) == 0);
    must(state(200) == SLOT_LIVE && how(200) == HOW_CONNECT);
    close(200);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door___fork(void)
{
    extern pid_t __fork(void);
    const pid_t pid = __fork();
    if (pid == 0)
        _exit(7);
    int status = 0;
    must(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
}

void door_vfork(void)
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
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

/* Its child, and what that forks, pass through; the parent's table stays as it was. */
void door__Fork(void)
{
    const int fd = live();
    must(dup2(fd, 200) == 200);
    const pid_t pid = _Fork();
    if (pid == 0) {
        close(200);
        if (state(200) == SLOT_LIVE && fork() == 0)
            _exit(state(fd) == SLOT_LIVE && how(fd) == HOW_CONNECT ? 0 : 1);
        int status = 1;
        wait(&status);
        _exit(WEXITSTATUS(status) == 0 ? 6 : 1);
    }
    int status = 0;
    must(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 6);
    must(state(200) == SLOT_LIVE && close(200) == 0 && state(200) == SLOT_FREE);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door___vfork(void)
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

void door_clone(void)
{
    static _Alignas(16) char stack[65536];
    int fd = live();
    const pid_t pid = clone(borrow, stack + sizeof(stack), CLONE_VM | SIGCHLD, &fd);
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
    must(state(fd) == SLOT_LIVE);
    must_fail(clone(borrow, NULL, CLONE_VM, NULL), EINVAL);
    const pid_t copied = clone(borrow, stack + sizeof(stack), SIGCHLD, &fd);
    must(copied > 0 && waitpid(copied, &status, 0) == copied && WEXITSTATUS(status) == 5);
    must(state(fd) == SLOT_LIVE);
    close(peer);
    await_fin(fd);
    must_leak(fd, "eof-unread", "connect");
}

void door_dlclose(void)
{
    void *library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    must(library && dlclose(library) == 0);
}
