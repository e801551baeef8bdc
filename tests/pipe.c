/*
 * SIGPIPE and tombstones: a program is not ended by a write that would have succeeded.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* Starts a leaker whose socket is reaped, and that then does the steps. */
static void start_reaped(struct program *program, char *const steps[])
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *argv[32] = {built("tests/leaker"), step("connect4", port), "wait"};
    for (int i = 0; steps[i]; i++)
        argv[3 + i] = steps[i];
    program_start(program, "action=close,grace=200ms", argv);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
    program_must_report(program, ": reap: fd 3 ");
}

Test(pipe, is_not_signalled_by_the_first_write_to_a_tombstone)
{
    char *const ways[] = {"write", "writev", "send", "sendmsg", "sendfile", "number"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct program program;
        char said[64];
        start_reaped(&program, ARGS(ways[i], "wait"));
        program_go_on(&program);
        snprintf(said, sizeof(said), "%s Broken pipe\n", ways[i]);
        program_must_say(&program, said);
        cr_expect_eq(program_end(&program), 0, "%s", ways[i]);
    }
}

Test(pipe, is_signalled_by_the_second_as_on_any_connection_that_is_over)
{
    struct program program;
    start_reaped(&program, ARGS("write", "write", "wait"));
    program_go_on(&program);
    program_must_say(&program, "write Broken pipe\n");
    cr_expect_eq(program_end(&program), 128 + SIGPIPE);
}

/* A child has its parent's tombstones. */
Test(pipe, is_not_signalled_in_a_child_either)
{
    struct program program;
    start_reaped(&program, ARGS("fork", "write", "wait"));
    program_go_on(&program);
    program_must_say(&program, "write Broken pipe\n");
    cr_expect_eq(program_end(&program), 0);
}

Test(pipe, is_not_signalled_whatever_way_the_tombstone_was_come_by)
{
    char *const ways[][5] = {
        {"copy", "write", "wait", NULL}, {"lend", "wait", NULL}, {"exec", "fd=3", "write", "wait"}};
    static const char *const said[] = {"write Broken pipe\n", "lend 0\n", "write Broken pipe\n"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct program program;
        start_reaped(&program, ways[i]);
        program_go_on(&program);
        program_must_say(&program, said[i]);
        cr_expect_eq(program_end(&program), 0, "%s", ways[i][0]);
    }
}

/* One that is blocked and waits is the program's. */
Test(pipe, leaves_a_signal_that_waited_before)
{
    struct program program;
    start_reaped(&program, ARGS("hold_pipe", "write", "release_pipe", "wait"));
    program_go_on(&program);
    program_must_say(&program, "write Broken pipe\n");
    cr_expect_eq(program_end(&program), 128 + SIGPIPE);
}
