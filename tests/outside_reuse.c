/*
 * Another process that gets the id of one that closewait looks at: it is not touched, whatever it
 * has.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[64 * 1024];

#define must_have(where, text)                                                                     \
    cr_expect_not_null(strstr(where, text), "no '%s' in:\n%s", text, where)

/* As fork(2), with that id for the child; 0: the next. Skips the test where that is not allowed. */
static pid_t fork_as(pid_t pid)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD,
                                   .set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0,
                                   .set_tid_size = pid ? 1 : 0};
    const pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child < 0 && (errno == EPERM || errno == ENOSYS || errno == EEXIST))
        cr_skip_test("no process id of our choice: %s", strerror(errno));
    cr_assert_geq(child, 0);
    return child;
}

/* A child that alone holds a socket whose peer has closed, until it is killed. */
static pid_t start_leaking(pid_t pid)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int leaked = half_closed(listener, port, 0);
    close(listener);
    const pid_t child = fork_as(pid);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    close(leaked);
    return child;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    cr_expect_eq(waitpid(pid, NULL, 0), pid);
}

/* The process is gone, and another is there in its place. */
static void replace(pid_t pid)
{
    end(pid);
    cr_assert_eq(start_leaking(pid), pid);
}

static void must_be_untouched(pid_t pid)
{
    cr_expect_eq(shell(said, sizeof(said), "%s reap --dry-run --grace=1ms %d 2>&1",
                       built("closewait"), (int)pid),
                 0);
    must_have(said, "    would be closed\n");
    cr_expect_eq(process_state(pid), 'S');
}

/* closewait reap, held where it is about to stop the process: with the thread that does so. */
static pid_t hold_reap(pid_t pid, const int out[2])
{
    int status = 0;
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)pid);
    const pid_t reap = fork();
    if (reap == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl(built("closewait"), "closewait", "reap", "--all", "--grace=1ms", number, NULL);
        _exit(127);
    }
    cr_assert_eq(waitpid(reap, &status, 0), reap);
    cr_assert(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, reap, NULL, (void *)(PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
    ptrace(PTRACE_CONT, reap, NULL, NULL);
    cr_assert_eq(waitpid(reap, &status, 0), reap);
    cr_assert_eq(status >> 8, SIGTRAP | (PTRACE_EVENT_CLONE << 8), "%x", (unsigned)status);
    return reap;
}

static int release_reap(pid_t reap)
{
    unsigned long thread = 0;
    int status = 0;
    ptrace(PTRACE_GETEVENTMSG, reap, NULL, &thread);
    cr_assert_eq(waitpid((pid_t)thread, &status, __WALL), (pid_t)thread);
    ptrace(PTRACE_DETACH, (pid_t)thread, NULL, NULL);
    ptrace(PTRACE_DETACH, reap, NULL, NULL);
    cr_assert_eq(waitpid(reap, &status, 0), reap);
    return WEXITSTATUS(status);
}

Test(outside_reuse, of_the_id_between_the_look_and_the_stop_is_told)
{
    int out[2];
    char expected[64];
    const pid_t pid = start_leaking(0);
    cr_assert_eq(pipe(out), 0);
    const pid_t reap = hold_reap(pid, out);
    replace(pid);
    cr_expect_eq(release_reap(reap), 1);
    const ssize_t len = read(out[0], said, sizeof(said) - 1);
    said[len > 0 ? len : 0] = '\0';
    snprintf(expected, sizeof(expected), "closewait reap: process %d has ended\n", (int)pid);
    must_have(said, expected);
    must_have(said, "left alone: the process could not be stopped\n");
    must_be_untouched(pid);
    end(pid);
}

Test(outside_reuse, of_the_id_between_two_looks_ends_the_watch)
{
    struct program watch;
    char number[16];
    const pid_t pid = start_leaking(0);
    snprintf(number, sizeof(number), "%d", (int)pid);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--action=close", "--grace=1s", number));
    poll(NULL, 0, 200);
    kill(watch.pid, SIGSTOP);
    replace(pid);
    poll(NULL, 0, 1200); /* it would be leaked by now */
    kill(watch.pid, SIGCONT);
    cr_expect_eq(program_end(&watch), 0);
    must_have(watch.reported, ": summary: 0 sockets leaked");
    cr_expect_eq(times(watch.reported, "\n"), 1, "%s", watch.reported);
    must_be_untouched(pid);
    end(pid);
}
