/*
 * closewait reap: what it closes in a process that already runs, and that the process does not
 * notice anything else.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { SAID = 64 * 1024 };

static char said[SAID];

/* A peer that closes each connection once it is there. */
static void hang_up(int listener)
{
    const int fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    close(fd);
}

/* Runs closewait reap on the program, with what it says in said. Returns its status. */
static int reap(const struct program *program, const char *arguments)
{
    return shell(said, sizeof(said), "timeout 30 %s reap %s %d 2>&1", built("closewait"), arguments,
                 (int)program->pid);
}

static bool is_leaked(const void *argument)
{
    const struct program *program = argument;
    reap(program, "--grace=1ms --dry-run");
    return strstr(said, "would be closed") != NULL;
}

/* Until there is a socket to close. */
static void await_leak(const struct program *program)
{
    cr_assert(eventually(is_leaked, program), "%s", said);
}

static void must_reap(const struct program *program)
{
    cr_assert_eq(reap(program, "--all --grace=1ms"), 0, "%s", said);
    cr_assert_not_null(strstr(said, ": closed, and the connection is gone"), "%s", said);
}

/* A leaker with a socket that is bound to the port own and leaked. */
static int start_leaker(struct program *program, const char *build, in_port_t own, char *last)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(program, NULL,
                  ARGS(built(build), step("from", own), step("connect4", port), "wait", "probe",
                       last ? last : step("connect4", port)));
    hang_up(listener);
    await_leak(program);
    return listener;
}

Test(outside, frees_the_port_of_a_program_however_it_is_linked)
{
    static const char *const builds[] = {"tests/leaker", "tests/leaker-static", "tests/leaker-musl",
                                         "tests/leaker-musl-static"};
    for (size_t i = 0; i < sizeof(builds) / sizeof(builds[0]); i++) {
        struct program program;
        const int listener = start_leaker(&program, builds[i], free_port(), NULL);
        must_reap(&program);
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0, "%s: %s", builds[i], program.said);
        cr_expect_not_null(
            strstr(program.said, "poll in hup, recv 0, send Broken pipe, getpeername"), "%s",
            program.said);
        cr_expect_eq(times(program.said, "did connect4"), 2, "%s", program.said);
        close(listener);
    }
}

Test(outside, changes_nothing_in_a_dry_run)
{
    struct program program;
    start_leaker(&program, "tests/leaker", free_port(), "nothing");
    cr_expect_eq(reap(&program, "--grace=1ms --dry-run"), 0, "%s", said);
    cr_expect_not_null(strstr(said, "leaked, class eof-unread; the peer closed "), "%s", said);
    cr_expect_not_null(strstr(said, "    would be closed\n"), "%s", said);
    cr_expect_eq(reap(&program, "--grace=1h --dry-run"), 0, "%s", said);
    cr_expect_not_null(strstr(said, "would be left alone: waiting: grace is 1h00m and is not over"),
                       "%s", said);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.said, "poll in, recv 0, send 1,"), "%s", program.said);
}

/* What each call gives in the end, with or without a stop of the process. */
static const struct {
    const char *call;
    const char *result;
    bool timed;   /* to its time, which is TIME_MS */
    bool renewed; /* after a stop that is in the middle, up to twice that */
} calls[] = {
    {"epoll", "1 -", false, false},
    {"epoll_timed", "0 -", true, true},
    {"futex", "0 -", false, false},
    {"futex_timed", "-1 ETIMEDOUT", true, false},
    {"nanosleep", "0 -", true, false},
    {"clock_nanosleep", "0 -", true, false},
    {"read", "1 -", false, false},
    {"accept", "0 -", false, false},
    {"poll", "1 -", false, false},
    {"poll_timed", "0 -", true, false},
    {"select_timed", "0 -", true, false},
    {"recv_timed", "-1 EAGAIN", true, true},
    {"read_timed", "-1 EAGAIN", true, true},
    {"pause", "-1 EINTR", false, false},
    {"sigsuspend", "-1 EINTR", false, false},
    {"sigtimedwait", "-1 EAGAIN", true, true},
    {"wait4", "0 -", false, false},
    {"semop", "0 -", false, false},
    {"semtimedop", "-1 EAGAIN", true, true},
    {"spin", "0 -", false, false},
};

enum { CALLS = sizeof(calls) / sizeof(calls[0]), TIME_MS = 1500, LATE_MS = 600, SLACK_MS = 500 };

static void must_have_returned(const struct program *program, size_t row)
{
    char begin[64];
    snprintf(begin, sizeof(begin), "%s: %s after ", calls[row].call, calls[row].result);
    const char *line = strstr(program->said, begin);
    cr_expect_not_null(line, "no '%s' in:\n%s", begin, program->said);
    if (!line || !calls[row].timed)
        return;
    const long ms = strtol(line + strlen(begin), NULL, 10);
    cr_expect_geq(ms, TIME_MS - 1, "%s: %ld ms", calls[row].call, ms);
    cr_expect_leq(ms, (calls[row].renewed ? 2 * TIME_MS : TIME_MS) + SLACK_MS, "%s: %ld ms",
                  calls[row].call, ms);
}

static void pause_ms(int ms)
{
    const uint64_t begin = now_ms();
    while (now_ms() - begin < (uint64_t)ms)
        poll(NULL, 0, 10);
}

Test(outside, lets_every_blocking_call_go_on, .timeout = 60)
{
    struct program program;
    in_port_t port = 0;
    char number[16];
    char *argv[CALLS + 3] = {built("tests/blocked"), number};
    const int listener = peer_listen(AF_INET, &port);
    snprintf(number, sizeof(number), "%d", port);
    for (size_t i = 0; i < CALLS; i++)
        argv[2 + i] = (char *)calls[i].call;
    program_start(&program, NULL, argv);
    hang_up(listener);
    program_must_say(&program, "leaked");
    pause_ms(LATE_MS);
    must_reap(&program);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    for (size_t i = 0; i < CALLS; i++)
        must_have_returned(&program, i);
    cr_expect_not_null(strstr(program.said, "over\n"));
}

/* The one thread is the one that makes our calls. Some programs at a time. */
Test(outside, lets_the_call_go_on_of_the_thread_that_it_uses, .timeout = 60)
{
    enum { GROUP = 2 };
    static struct program programs[CALLS];
    in_port_t port = 0;
    char number[16];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(number, sizeof(number), "%d", port);
    for (size_t first = 0; first < CALLS; first += GROUP) {
        for (size_t i = first; i < first + GROUP && i < CALLS; i++) {
            program_start(&programs[i], NULL,
                          ARGS(built("tests/blocked"), number, (char *)calls[i].call));
            hang_up(listener);
            program_must_say(&programs[i], "leaked");
        }
        pause_ms(LATE_MS);
        for (size_t i = first; i < first + GROUP && i < CALLS; i++)
            must_reap(&programs[i]);
        for (size_t i = first; i < first + GROUP && i < CALLS; i++) {
            program_go_on(&programs[i]);
            cr_expect_eq(program_end(&programs[i]), 0);
            must_have_returned(&programs[i], i);
        }
    }
}

/*
 * Closes a socket. A process that executes another program has no descriptors for a moment: then it
 * is said in a line, and is tried again, as a user would.
 */
static void must_reap_fd(const struct program *program, int fd, int tries)
{
    int status = 1;
    while (status != 0 && tries-- > 0) {
        status = shell(said, sizeof(said), "timeout 30 %s reap --grace=1ms %d %d 2>&1",
                       built("closewait"), (int)program->pid, fd);
        cr_assert_leq(status, 1, "%s", said);
        cr_assert_eq(strncmp(said, "closewait", 9), 0, "%s", said);
    }
    cr_assert_eq(status, 0, "fd %d: %s", fd, said);
}

/* Closes one leaked socket after the other, each in a stop of its own. */
static void must_bear_reaps(const char *kind, int tries)
{
    enum { REAPS = 200, FIRST = 3 };
    struct program program;
    in_port_t port = 0;
    char number[16];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(number, sizeof(number), "%d", port);
    program_start(&program, NULL, ARGS(built("tests/restless"), number, "200", (char *)kind));
    for (int i = 0; i < REAPS; i++)
        hang_up(listener);
    program_must_say(&program, "leaked");
    for (int i = 0; i < REAPS; i++)
        must_reap_fd(&program, FIRST + i, tries);
    while (reap(&program, "--dry-run --grace=1ms") != 0 && tries-- > 0) {
    }
    cr_expect_not_null(strstr(said, ": nothing to close: no socket is leaked or dead\n"), "%s",
                       said);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0, "%s: %s", kind, program.reported);
    cr_expect_not_null(strstr(program.said, "fine\n"));
}

Test(outside, stops_a_program_that_makes_and_ends_threads, .timeout = 100)
{
    must_bear_reaps("threads", 1);
}

Test(outside, loses_and_doubles_no_signal, .timeout = 100)
{
    must_bear_reaps("signals", 1);
}

Test(outside, bears_a_program_that_executes_itself, .timeout = 100)
{
    must_bear_reaps("execs", 50);
}

Test(outside, bears_a_program_that_forks_and_spawns, .timeout = 100)
{
    must_bear_reaps("forks", 1);
}

/* A signal to the command waits until the program goes on again. */
Test(outside, may_be_interrupted_at_any_time, .timeout = 60)
{
    enum { REAPS = 100, FIRST = 3 };
    struct program program;
    in_port_t port = 0;
    char number[16];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(number, sizeof(number), "%d", port);
    program_start(&program, NULL, ARGS(built("tests/restless"), number, "100", "signals"));
    for (int i = 0; i < REAPS; i++)
        hang_up(listener);
    program_must_say(&program, "leaked");
    for (int i = 0; i < REAPS; i++)
        shell(
            said, sizeof(said),
            "{ %s reap --grace=1ms %d %d & sleep 0.0%02d; kill -%s $!; wait $!; } >/dev/null 2>&1",
            built("closewait"), (int)program.pid, FIRST + i, i / 5, i % 2 ? "TERM" : "HUP");
    cr_expect_eq(reap(&program, "--all --grace=1ms"), 0, "%s", said);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_not_null(strstr(program.said, "fine\n"));
}
