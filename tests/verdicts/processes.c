/* What happens to a descriptor: copies of it, and the processes that it goes to. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "end.h"

static int copy = -1;
static int flight[2];

void dup_it(const char *unused)
{
    (void)unused;
    copy = dup(fd);
}

void close_copy(const char *unused)
{
    (void)unused;
    close(copy);
}

void take(const char *number)
{
    fd = (int)strtol(number, NULL, 10);
}

/* The child goes on with the next step, the parent after "parent". */
static pid_t part(void)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0)
        return 0;
    while (*steps_left && strcmp(*steps_left, "parent") != 0)
        steps_left++;
    if (*steps_left)
        steps_left++;
    return pid;
}

void fork_child(const char *unused)
{
    (void)unused;
    part();
}

int wait_for_children(void)
{
    int failed = 0;
    int status = 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

static void send_descriptor(int over)
{
    char byte = 0;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {&byte, 1};
    const struct msghdr msg = {.msg_iov = &iov,
                               .msg_iovlen = 1,
                               .msg_control = control.room,
                               .msg_controllen = sizeof(control.room)};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(over, &msg, 0) != 1)
        fail("sendmsg");
    close(fd);
    fd = -1;
}

static void receive_descriptor(int over)
{
    char byte;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.room,
                         .msg_controllen = sizeof(control.room)};
    if (recvmsg(over, &msg, 0) != 1)
        fail("recvmsg");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
}

void to_flight(const char *unused)
{
    (void)unused;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, flight) != 0)
        fail("socketpair");
    send_descriptor(flight[0]);
}

void from_flight(const char *unused)
{
    (void)unused;
    receive_descriptor(flight[1]);
}

void scm_child(const char *unused)
{
    (void)unused;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, flight) != 0)
        fail("socketpair");
    if (part() == 0) {
        close(fd);
        receive_descriptor(flight[1]);
    } else {
        send_descriptor(flight[0]);
    }
}

void exec_rest(const char *unused)
{
    char taken[32];
    (void)unused;
    snprintf(taken, sizeof(taken), "take=%d", fd);
    char **argv = steps_left - 2; /* what was done before is not needed any more */
    argv[0] = "end";
    argv[1] = taken;
    execv("/proc/self/exe", argv);
    fail("exec");
}

void exec_bare(const char *unused)
{
    unsetenv("LD_PRELOAD");
    exec_rest(unused);
}

void borrow(const char *unused)
{
    (void)unused;
    const pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

void inetd(const char *command)
{
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(fd);
    fd = -1;
}
