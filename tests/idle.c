/*
 * What the shim costs a program that has nothing to do with TCP, or no more: nothing. strace
 * counts the system calls of every thread.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "support.h"

static void trace(struct program *program, const char *log, char *const steps[])
{
    char preload[600];
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", built("libclosewait.so"));
    char *argv[16] = {"strace", "-f", "-o", (char *)log, "-E", preload, built("tests/leaker")};
    int n = 7;
    for (int i = 0; steps[i]; i++)
        argv[n++] = steps[i];
    argv[n] = "wait";
    program_start(program, NULL, argv);
}

/* The program sleeps for a second; whatever else happens in it is ours. */
Test(idle, no_thread_and_no_wake_up_without_a_tcp_socket)
{
    char *log = built("tests/idle-none.strace");
    char said[8192];
    struct program program;
    trace(&program, log, ARGS("udp", "doze"));
    program_must_say(&program, "did doze");
    cr_expect_eq(program_end(&program), 0);
    cr_assert_eq(shell(said, sizeof(said),
                       "grep -cE ' (clone3?|v?fork)\\(' %s; sed -n '/did udp/,$p' %s", log, log),
                 0);
    cr_expect(said[0] == '0', "%s", said);
    cr_expect_eq(times(said, "\n"), 7,
                 "the count, write, nanosleep, write, read, exit_group, exited:\n%s", said);
}

/* The last thing that the watcher did, whatever the program's own thread does beside it. */
static bool dozes(const void *log)
{
    char said[512];
    return shell(said, sizeof(said),
                 "grep -E 'futex|ppoll' %s | tail -n 1 | "
                 "grep -q 'FUTEX_WAIT_PRIVATE, [0-9]*, NULL'",
                 (const char *)log) == 0;
}

Test(idle, no_timer_when_the_last_socket_is_closed)
{
    in_port_t port = 0;
    peer_listen(AF_INET, &port);
    char *log = built("tests/idle-doze.strace");
    struct program program;
    trace(&program, log, ARGS(step("connect4", port), "close"));
    program_must_say(&program, "did close");
    cr_expect(eventually(dozes, log), "the watcher never sleeps without a timer");
    cr_expect_eq(program_end(&program), 0);
}

/*
 * The peer is another program's end; what the first thread does between is the program's own. The
 * first connection of a stack is left out: it is unwound, and asks what of it can be read.
 */
Test(idle, a_connection_costs_no_system_call)
{
    in_port_t port = 0;
    peer_listen(AF_INET, &port);
    char *log = built("tests/idle-cost.strace");
    char said[8192];
    struct program program;
    trace(&program, log, ARGS(step("connect4", port), "close", step("connect4", port), "close"));
    program_must_say(&program, "did close\ndid connect4");
    cr_expect_eq(program_end(&program), 0);
    shell(said, sizeof(said),
          "awk 'NR == 1 { first = $1 } $1 == first' %s | "
          "awk '/ socket\\(/ { n++ } n == 2; n == 2 && /did close/ { exit }'",
          log);
    cr_expect(strstr(said, " connect(") && strstr(said, " close("), "the wrong slice: %s", said);
    /* What the shim would ask the kernel; the program itself asks none of it. */
    static const char *const asked[] = {
        "process_vm_readv", "getpid",      "clock_gettime", "getsockopt",
        "getsockname",      "getpeername", "ioctl",         "ppoll"};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        char call[32];
        snprintf(call, sizeof(call), " %s(", asked[i]);
        cr_expect_eq(times(said, call), 0, "%s: %s", asked[i], said);
    }
}
