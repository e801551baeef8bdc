/*
 * --stacks: what the threads of a program do, that is watched from outside, when it leaks.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[64 * 1024];

#define must_have(where, text)                                                                     \
    cr_expect_not_null(strstr(where, text), "no '%s' in:\n%s", text, where)

/* The peer's end of the program's next connection. */
static int meet_at(int listener)
{
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    return peer;
}

Test(outside_stacks, of_a_static_program_with_functions_and_lines_and_once)
{
    struct program program;
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=100ms", "--stacks",
                       built("tests/leaker-static"), step("connect4", port), "wait",
                       step("connect4", port), "wait"));
    close(meet_at(listener));
    program_must_report(&program, "  what its threads did at that moment:\n      1 thread: ");
    program_must_report(&program, " main  leaker.c:");
    program_go_on(&program);
    close(meet_at(listener));
    program_must_report(&program, ": leak: 2 sockets by now");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    must_have(program.reported, "        #0 ");
    must_have(program.reported, "  leaker-static\n        #1 take  leaker.c:");
    cr_expect_eq(times(program.reported, "what its threads did"), 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, "_start"), 0, "%s", program.reported);
}

Test(outside_stacks, of_a_go_program_with_functions_and_lines)
{
    struct program program;
    if (access(built("tests/go-server"), X_OK) != 0)
        cr_skip_test("no Go");
    program_start(
        &program, NULL,
        ARGS(built("closewait"), "run", "--grace=100ms", "--stacks", built("tests/go-server")));
    program_must_say(&program, "\n");
    const in_port_t port = (in_port_t)strtol(strstr(program.said, "port ") + 5, NULL, 10);
    const int fd = dial(AF_INET, port);
    cr_assert_eq(send(fd, "L", 1, 0), 1);
    close(fd);
    program_must_report(&program, " main.main.func1  server.go:");
    program_must_report(&program, " runtime.futex  sys_linux_");
    cr_expect_eq(program_end(&program), 0);
}

static bool is_watched(const void *watch_and_pid)
{
    const pid_t *pids = watch_and_pid;
    return shell(said, sizeof(said), "grep -q 'Pid:[[:space:]]%d$' /proc/%d/fdinfo/* 2>/dev/null",
                 (int)pids[1], (int)pids[0]) == 0;
}

Test(outside_stacks, that_are_the_same_are_told_once_with_their_threads)
{
    struct program program;
    struct program watch;
    char pid[16];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char number[8];
    snprintf(number, sizeof(number), "%d", port);
    program_start(&program, NULL, ARGS(built("tests/blocked"), number, "poll", "poll", "poll"));
    const int peer = meet_at(listener);
    snprintf(pid, sizeof(pid), "%d", (int)program.pid);
    program_start(&watch, NULL, ARGS(built("closewait"), "watch", "--grace=1s", "--stacks", pid));
    cr_assert(eventually(is_watched, (const pid_t[]){watch.pid, program.pid}));
    close(peer);
    program_must_report(&watch, "      3 threads: ");
    program_must_report(&watch, " do_poll  blocked.c:");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_eq(times(watch.reported, " do_poll  "), 1, "%s", watch.reported);
}

Test(outside_stacks, are_in_the_record_as_the_schema_has_them)
{
    struct program program;
    char path[64] = "/tmp/closewait-stacks.XXXXXX";
    char output[128];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    close(mkstemp(path));
    snprintf(output, sizeof(output), "--output=%s", path);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=100ms", "--stacks", "--format=json",
                       output, built("tests/leaker-static"), step("connect4", port), "wait"));
    close(meet_at(listener));
    while (shell(said, sizeof(said), "grep -c threads %s", path) != 0)
        usleep(20000);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(
        shell(said, sizeof(said), "/usr/bin/python3 tests/schema.py --strict <%s 2>&1", path), 0,
        "%s", said);
    shell(said, sizeof(said),
          "head -n 1 %s | /usr/bin/python3 -c '\n"
          "import json, sys\n"
          "leak = json.load(sys.stdin)\n"
          "[threads] = leak[\"threads\"]\n"
          "at = {frame[\"symbol\"]: frame for frame in threads[\"stack\"]}\n"
          "print(threads[\"tids\"] == [leak[\"pid\"]], at[\"main\"][\"file\"][-9:],\n"
          "      at[\"_start\"][\"module\"][-14:])' 2>&1",
          path);
    cr_expect_str_eq(said, "True /leaker.c /leaker-static\n", "%s", said);
    unlink(path);
}

Test(outside_stacks, of_a_program_with_a_tracer_are_missing_and_that_is_said)
{
    struct program program;
    struct program watch;
    char pid[16];
    char told[128];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(&program, NULL,
                  ARGS(built("tests/leaker-static"), step("connect4", port), "wait"));
    const int peer = meet_at(listener);
    snprintf(pid, sizeof(pid), "%d", (int)program.pid);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=100ms", "--stacks", pid));
    cr_assert(eventually(is_watched, (const pid_t[]){watch.pid, program.pid}));
    cr_assert_eq(ptrace(PTRACE_SEIZE, program.pid, NULL, NULL), 0);
    close(peer);
    program_must_report(&watch, ": leak: fd 3  ");
    snprintf(told, sizeof(told),
             "closewait: no stacks of the threads: process %d is traced by process %d",
             (int)program.pid, (int)getpid());
    must_have(watch.reported, told);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
}
