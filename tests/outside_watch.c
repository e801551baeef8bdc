/*
 * closewait watch: what it reports of processes that already run, and closes, look after look.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[64 * 1024];

/* A statically linked program whose socket has lost its peer; it does more when it is let go. */
static void start_leaker(struct program *program, char *const argv[])
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *all[16] = {built("tests/leaker-static"), step("connect4", port), "wait"};
    for (int i = 0; argv[i]; i++)
        all[3 + i] = argv[i];
    program_start(program, NULL, all);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
}

static char *number(pid_t pid)
{
    static char text[16];
    snprintf(text, sizeof(text), "%d", (int)pid);
    return text;
}

#define must_have(where, text)                                                                     \
    cr_expect_not_null(strstr(where, text), "no '%s' in:\n%s", text, where)

Test(outside_watch, reports_a_leak_once_and_the_sum_at_the_end)
{
    struct program program;
    struct program watch;
    start_leaker(&program, ARGS("nothing"));
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=100ms", number(program.pid)));
    program_must_report(&watch, "or give closewait --action=close\n");
    must_have(watch.reported, ": leak: fd 3  127.0.0.1:");
    must_have(watch.reported, "  CLOSE_WAIT: the peer closed ");
    must_have(watch.reported, "    class eof-unread (it has not read since); 0 bytes unread, ");
    must_have(watch.reported,
              "    opened where closewait could not see it, so without a stack; found 0.");
    must_have(watch.reported,
              "    close(3) when the peer closes, or give closewait --action=close\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_eq(times(watch.reported, ": leak: "), 1, "%s", watch.reported);
    must_have(watch.reported, ": summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, 0 "
                              "suppressed, 1 held now\n");
}

Test(outside_watch, closes_with_leave_to)
{
    struct program program;
    struct program watch;
    start_leaker(&program, ARGS("probe"));
    program_start(
        &watch, NULL,
        ARGS(built("closewait"), "watch", "--action=close", "--grace=300ms", number(program.pid)));
    program_must_report(&watch, ": closed, and the connection is gone\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    must_have(program.said, "poll in hup, recv 0, send Broken pipe");
    cr_expect_eq(program_end(&watch), 0);
    must_have(watch.reported, ", 1 reaped, 0 suppressed\n");
    cr_expect_eq(times(watch.reported, ": reap: "), 1, "%s", watch.reported);
}

Test(outside_watch, takes_a_report_back_when_the_program_closes)
{
    struct program program;
    struct program watch;
    start_leaker(&program, ARGS("close", "wait", "nothing"));
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=100ms", number(program.pid)));
    program_must_report(&watch, ": leak: ");
    program_go_on(&program);
    program_must_report(&watch, ": late close: fd 3  127.0.0.1:");
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
    must_have(watch.reported, ", 1 closed late\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
}

/* A process gives its descriptors up before it is seen to have ended: here there are many. */
Test(outside_watch, calls_no_close_late_that_is_the_programs_end, .timeout = 60)
{
    enum { ROUNDS = 8 };
    for (int i = 0; i < ROUNDS; i++) {
        struct program program;
        struct program watch;
        program_start(&program, NULL, ARGS(built("tests/standing"), "1", "900"));
        program_must_say(&program, "leaked\n");
        program_start(&watch, NULL,
                      ARGS(built("closewait"), "watch", "--grace=1ms", number(program.pid)));
        program_must_report(&watch, ": leak: ");
        poll(NULL, 0, 7 * i);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_eq(program_end(&watch), 0);
        cr_expect_eq(times(watch.reported, ": late close: "), 0, "%d: %s", i, watch.reported);
    }
}

/* Its own table of descriptors is gone then, and the process's is not. */
Test(outside_watch, goes_on_when_the_first_thread_ends)
{
    static const struct {
        char *step;
        int late;
        const char *sum;
    } rows[] = {{"nothing", 0, ", 1 held now\n"}, {"close", 1, ", 1 closed late\n"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        struct program watch;
        start_leaker(&program, ARGS("hand_over", "doze", rows[i].step, "doze"));
        program_start(&watch, NULL,
                      ARGS(built("closewait"), "watch", "--grace=100ms", number(program.pid)));
        program_must_report(&watch, ": leak: ");
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_eq(program_end(&watch), 0);
        cr_expect_eq(times(watch.reported, ": late close: "), rows[i].late, "%s", watch.reported);
        must_have(watch.reported, rows[i].sum);
    }
}

Test(outside_watch, sees_that_a_program_reads_and_waits_on)
{
    enum { BYTES = 8 };
    in_port_t port = 0;
    struct program watch;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, BYTES);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=600ms", number(getpid())));
    for (int i = 0; i < BYTES; i++) {
        char byte = 0;
        const uint64_t begin = now_ms();
        cr_assert_eq(recv(fd, &byte, 1, 0), 1);
        while (now_ms() - begin < 200)
            usleep(10000);
    }
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_eq(times(watch.reported, ": leak: "), 0, "%s", watch.reported);
}

Test(outside_watch, finds_processes_by_name_also_those_to_come)
{
    struct program program;
    struct program watch;
    char path[128];
    char folder[] = "/tmp/closewait-watch.XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(shell(said, sizeof(said), "cp %s %s/cw-%d", built("tests/leaker-static"), folder,
                       (int)getpid()),
                 0);
    snprintf(path, sizeof(path), "--name=cw-%d", (int)getpid());
    program_start(&watch, NULL, ARGS(built("closewait"), "watch", "--grace=100ms", path));
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    snprintf(path, sizeof(path), "%s/cw-%d", folder, (int)getpid());
    program_start(&program, NULL, ARGS(path, step("connect4", port), "wait"));
    close(accept(listener, NULL, NULL));
    program_must_report(&watch, ": leak: fd 3  ");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    program_must_report(&watch, ": summary: 1 socket leaked");
    kill(watch.pid, SIGINT);
    cr_expect_eq(program_end(&watch), 0);
    shell(said, sizeof(said), "rm -r %s", folder);
}

Test(outside_watch, writes_json_as_the_schema_has_it)
{
    struct program program;
    struct program watch;
    char path[64] = "/tmp/closewait-watch.XXXXXX";
    char output[128];
    close(mkstemp(path));
    snprintf(output, sizeof(output), "--output=%s", path);
    start_leaker(&program, ARGS("nothing"));
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--action=close", "--grace=200ms",
                       "--format=json", output, number(program.pid)));
    while (shell(said, sizeof(said), "grep -c outcome %s", path) != 0)
        usleep(20000);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_str_empty(watch.reported);
    shell(said, sizeof(said),
          "/usr/bin/python3 -c '\n"
          "import json, jsonschema\n"
          "schema = json.load(open(\"docs/schema.json\"))\n"
          "lines = [json.loads(line) for line in open(\"%s\")]\n"
          "for line in lines: jsonschema.validate(line, schema)\n"
          "print(*[l[\"type\"] for l in lines], lines[0][\"how\"], lines[1][\"outcome\"])' 2>&1",
          path);
    cr_expect_str_eq(said, "leak reap summary found gone\n", "%s", said);
    cr_expect_eq(shell(said, sizeof(said), "%s report %s 2>&1", built("closewait"), path), 0);
    must_have(said, "total: 1 call site in 1 process: 1 leaked, 0 held now, 1 reaped");
    unlink(path);
}

Test(outside_watch, keeps_to_patterns)
{
    static const struct {
        const char *pattern;
        int told; /* leaks */
    } rows[] = {{"class:eof-unread", 0}, {"module:libpool.so*", 1}, {"function:f peer:*", 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        struct program watch;
        char path[64] = "/tmp/closewait-watch.XXXXXX";
        char option[128];
        close(mkstemp(path));
        shell(said, sizeof(said), "echo '%s' >%s", rows[i].pattern, path);
        snprintf(option, sizeof(option), "--suppress=%s", path);
        start_leaker(&program, ARGS("probe"));
        program_start(&watch, NULL,
                      ARGS(built("closewait"), "watch", "--action=close", "--grace=100ms", option,
                           number(program.pid)));
        const uint64_t begin = now_ms();
        while (now_ms() - begin < 500) /* several looks after grace */
            usleep(10000);
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0);
        must_have(program.said, "recv 0, send 1");
        cr_expect_eq(program_end(&watch), 0);
        cr_expect_eq(times(watch.reported, ": leak: "), rows[i].told, "%s", watch.reported);
        must_have(watch.reported, ", 0 reaped, ");
        must_have(watch.reported, "    suppression in line 1 (");
        unlink(path);
    }
}

/* The story's second take, by a program that no preload reaches. */
Test(outside_watch, lets_a_static_program_bind_its_port_again_under_run)
{
    struct program program;
    in_port_t port = 0;
    char own[32];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(own, sizeof(own), "from=%d", free_port());
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--action=close", "--grace=300ms",
                       "--error-exitcode=99", built("tests/leaker-static"), own,
                       step("connect4", port), "wait", step("connect4", port)));
    close(accept(listener, NULL, NULL));
    program_must_report(&program, ": closed, and the connection is gone\n");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    cr_expect_eq(times(program.said, "did connect4"), 2, "%s", program.said);
    must_have(program.reported, "closewait run: the shim does not serve ");
    must_have(program.reported, ": it is statically linked; it is watched from outside\n");
    must_have(program.reported, ": summary: 1 socket leaked at 1 call site (0 growing), 1 reaped");
}

/* Static, no shim can be loaded into it; dynamic, the shim scans: one of the two tells, and once.
 */
Test(outside_watch, serves_a_go_program_under_run_from_within_or_from_outside)
{
    static const struct {
        const char *build;
        char *scan;
        const char *told;
    } rows[] = {
        {"tests/go-server", "--scan=auto",
         ": it is statically linked; it is watched from outside\n"},
        {"tests/go-server-dynamic", "--scan=auto",
         "go-server-dynamic: it is a Go program, which makes its system calls itself\n"},
        {"tests/go-server-dynamic", "--scan=off",
         ": it is a Go program, which makes its system calls itself, and scan is off; it is "
         "watched from outside\n"},
    };
    if (access(built("tests/go-server"), X_OK) != 0)
        cr_skip_test("no Go");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        program_start(&program, NULL,
                      ARGS(built("closewait"), "run", "--grace=100ms", "--action=close",
                           "--error-exitcode=99", rows[i].scan, built(rows[i].build)));
        program_must_say(&program, "\n");
        const in_port_t port = (in_port_t)strtol(strstr(program.said, "port ") + 5, NULL, 10);
        program_must_report(&program, rows[i].told);
        const int fd = dial(AF_INET, port);
        cr_assert_eq(send(fd, "L", 1, 0), 1);
        close(fd);
        program_must_report(&program, ": closed, and the connection is gone\n");
        const uint64_t begin = now_ms();
        while (now_ms() - begin < 400) /* several looks more */
            usleep(10000);
        cr_expect_eq(program_end(&program), 99, "%s", program.reported);
        cr_expect_eq(times(program.reported, "closewait run: "), 1, "%s", program.reported);
        cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
        cr_expect_eq(times(program.reported, ": reap: "), 1, "%s", program.reported);
    }
}

Test(outside_watch, arguments_that_are_wrong_are_told_in_a_line)
{
    static const struct {
        const char *arguments;
        const char *told;
    } rows[] = {
        {"", "no process: expected closewait watch [OPTION...] PID..., or --name=NAME\n"},
        {"x", "'x' is no process id: expected one, such as 4711\n"},
        {"--name=", "--name is empty: expected a name, as ps -o comm shows it\n"},
        {"--name=x 1", "--name and process ids exclude each other: give one of them\n"},
        {"--grace=never 1", "grace is 'never': expected "},
        {"--format=xml 1", "format is 'xml': expected text or json\n"},
        {"--walk", "unknown option '--walk': closewait watch --help lists the options\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int status =
            shell(said, sizeof(said), "%s watch %s 2>&1", built("closewait"), rows[i].arguments);
        cr_expect_eq(status, 2, "%s: %d %s", rows[i].arguments, status, said);
        must_have(said, rows[i].told);
        cr_expect_eq(times(said, "\n"), 1, "%s", said);
    }
    cr_expect_eq(shell(said, sizeof(said), "%s watch 2 2>&1", built("closewait")), 1);
    must_have(said, "closewait watch: process 2 is a thread of the kernel's\n");
}
