/*
 * closewait watch: what it does when a leaked socket cannot be closed.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* A static program that has leaked a socket, and no descriptor left until it is let go. */
static void start_exhausted(struct program *program)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(program, NULL,
                  ARGS("/bin/sh", "-c", "exec 4</dev/null; ulimit -n 5; exec \"$@\"", "sh",
                       built("tests/leaker-static"), step("connect4", port), "wait", "fd=4",
                       "close", "wait"));
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
}

/* Without the right to raise a hard limit, which root has. */
static void start_watch(struct program *watch, pid_t pid)
{
    static char number[16];
    char *const all[] = {"/usr/bin/setpriv",
                         "--bounding-set=-sys_resource",
                         "--inh-caps=-sys_resource",
                         built("closewait"),
                         "watch",
                         "--action=close",
                         "--grace=100ms",
                         number,
                         NULL};
    const size_t own = geteuid() == 0 ? 0 : 3;
    snprintf(number, sizeof(number), "%d", (int)pid);
    program_start(watch, NULL, all + own);
}

Test(outside_retries, a_failure_is_told_once_with_its_remedy_and_tried_again)
{
    struct program program;
    struct program watch;
    start_exhausted(&program);
    start_watch(&watch, program.pid);
    program_must_report(&watch, ": what has leaked cannot be closed: Too many open files: it has "
                                "no descriptor left: run closewait with CAP_SYS_RESOURCE, ");
    const uint64_t begin = now_ms();
    while (now_ms() - begin < 500) /* ten looks */
        usleep(10000);
    program_go_on(&program);
    program_must_report(&watch, ": closed, and the connection is gone\n");
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_eq(times(watch.reported, " could not be closed (errno 24)\n"), 1, "%s",
                 watch.reported);
    cr_expect_eq(times(watch.reported, " cannot be closed: "), 1, "%s", watch.reported);
    cr_expect_not_null(strstr(watch.reported, ", 1 reaped, "), "%s", watch.reported);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
}
