/*
 * docs/schema.json describes what the shim writes: real records of every type, from programs with
 * any name, are checked against it. And a line that is spoiled fails.
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

/* Where the records of a test go: its programs have a standard error of their own. */
static char folder[64];
static char lines[65536];

static void begin(void)
{
    strcpy(folder, "/tmp/closewait-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void end(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -r %s", folder);
}

TestSuite(schema, .init = begin, .fini = end);

static char *options_with(const char *more)
{
    static char options[256];
    snprintf(options, sizeof(options), "format=json,output=%s/lines,%s", folder, more);
    return options;
}

static bool is_written(const void *text)
{
    shell(lines, sizeof(lines), "cat %s/lines 2>/dev/null", folder);
    return strstr(lines, text) != NULL;
}

static void must_write(const char *text)
{
    cr_assert(eventually(is_written, text), "'%s' was never written: %s", text, lines);
}

/* Asks for the summary until it says so. */
static void must_sum(struct program *program, const char *text)
{
    const uint64_t start = now_ms();
    while (!is_written(text) && now_ms() - start < PATIENCE_MS) {
        kill(program->pid, SIGUSR2);
        poll(NULL, 0, 50);
    }
    must_write(text);
}

/* What tests/schema.py says of a file in the folder. */
static int check(const char *name, char *said, size_t size)
{
    return shell(said, size, "/usr/bin/python3 tests/schema.py --strict <%s/%s 2>&1", folder, name);
}

static void must_be_valid(int count)
{
    char said[8192];
    is_written("");
    cr_expect_geq(times(lines, "\n"), count, "%s", lines);
    cr_expect_eq(check("lines", said, sizeof(said)), 0, "%s\n%s", said, lines);
}

/* A leaker that takes these steps after its connection, whose peer it gets to know. */
#define START(program, more, family, word, ...)                                                    \
    ({                                                                                             \
        in_port_t port_ = 0;                                                                       \
        const int listener_ = peer_listen(family, &port_);                                         \
        char *made_ = step(word, port_);                                                           \
        program_start(program, options_with(more),                                                 \
                      ARGS(built("tests/leaker"), made_, __VA_ARGS__));                            \
        const int peer_ = meet(listener_, program, made_);                                         \
        close(listener_);                                                                          \
        peer_;                                                                                     \
    })

Test(schema, describes_a_leak_with_every_stack_and_the_answer_to_a_signal)
{
    struct program program;
    const int peer = START(&program, "grace=100ms,last=on,signal=USR2", AF_INET, "connect4", "send",
                           "wait", "read", "wait");
    program_must_say(&program, "did send");
    char byte = 0;
    cr_assert_eq(read(peer, &byte, 1), 1);
    close(peer);
    program_go_on(&program);
    must_write("\"type\":\"leak\"");
    cr_expect_not_null(strstr(lines, "\"open_stack\":[{\"module\":\"/"));
    cr_expect_not_null(strstr(lines, "\"eof_stack\":["));
    cr_expect_not_null(strstr(lines, "\"last_stack\":["));
    kill(program.pid, SIGUSR2);
    must_write("\"held\":1}");
    cr_expect_eq(program_end(&program), 0);
    must_write("\"type\":\"summary\"");
    must_be_valid(4);
}

Test(schema, describes_a_reap_and_a_late_close)
{
    struct program program;
    close(
        START(&program, "grace=100ms,action=close", AF_INET6, "connect6", "wait", "close", "wait"));
    must_write("\"why\":\"grace\",\"outcome\":\"gone\"");
    program_go_on(&program);
    must_write("\"type\":\"late-close\"");
    cr_expect_eq(program_end(&program), 0);
    must_write("\"type\":\"summary\"");
    must_be_valid(4);
}

/* A pool of two, one of which is closed late, as another is that comes when it is no longer new. */
Test(schema, describes_a_trend_and_the_grace_that_would_have_been_right)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(
        &program, options_with("grace=100ms,signal=USR2"),
        ARGS(built("tests/leaker"), made, made, "wait", "close", made, "wait", "close", "wait"));
    close(meet(listener, &program, made));
    close(accept(listener, NULL, NULL));
    must_sum(&program, "\"growing\":0,\"flat\":1,");
    cr_expect_not_null(strstr(lines, ",\"trend\":\"flat\",\"held\":2}"), "%s", lines);
    program_go_on(&program);
    must_write("\"type\":\"late-close\"");
    close(accept(listener, NULL, NULL));
    must_sum(&program, "\"leaked\":3,");
    program_go_on(&program);
    must_write("\"leaks\":3,\"grace_s\":");
    must_sum(&program, "\"late\":2,\"grace_s\":");
    cr_expect_not_null(strstr(lines, "\"held\":1,\"grace_s\":"), "%s", lines);
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(8);
    close(listener);
}

Test(schema, describes_a_reset_whose_error_waits)
{
    struct program program;
    const int peer = START(&program, "grace=100ms,action=close-dead", AF_INET, "connect4", "wait",
                           "recv", "wait");
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(peer);
    must_write("\"error\":true");
    program_go_on(&program);
    must_write("\"why\":\"dead\"");
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(2);
}

Test(schema, describes_copies_and_sockets_that_were_inherited)
{
    struct program program;
    const int peer =
        START(&program, "grace=200ms", AF_INET, "connect4", "dup2=77", "fork", "exec", "wait");
    program_must_say(&program, "did fork");
    close(peer);
    must_write("\"fds\":[77]");
    must_write("\"how\":\"inherited\"");
    must_write("\"how\":\"connect\"");
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(3);
}

static void write_file(const char *name, const char *text, size_t times_over)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    for (size_t i = 0; i < times_over; i++)
        fputs(text, file);
    fclose(file);
}

/* Its peer waits for an answer, which comes after grace: what was told is in use again. */
Test(schema, describes_the_answer_to_a_signal_about_a_socket_that_is_in_use_again)
{
    struct program program;
    const int peer =
        START(&program, "grace=2s,signal=USR2", AF_INET, "connect4", "wait", "send", "wait");
    cr_assert_eq(shutdown(peer, SHUT_WR), 0);
    must_write("\"type\":\"leak\"");
    program_go_on(&program);
    program_must_say(&program, "did send");
    kill(program.pid, SIGUSR2);
    must_write("\"type\":\"summary\"");
    cr_expect_eq(times(lines, "\"type\":\"leak\""), 1, "%s", lines);
    close(peer);
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(2);
}

/* A leak that nobody wants to hear of is a socket like another when it holds a port. */
Test(schema, describes_a_conflict_with_a_leak_that_is_suppressed)
{
    char more[160];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    write_file("patterns", "class:*\n", 1);
    snprintf(more, sizeof(more), "grace=100ms,signal=USR2,suppress=%s/patterns", folder);
    program_start(&program, options_with(more),
                  ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made));
    close(meet(listener, &program, made));
    must_sum(&program, "\"suppressed\":1,");
    program_go_on(&program);
    program_end(&program);
    must_write("\"type\":\"bind-conflict\"");
    cr_expect_not_null(strstr(lines, "\"holder\":\"this process\",\"state\":\"CLOSE_WAIT\""), "%s",
                       lines);
    cr_expect_null(strstr(lines, "\"leak\":{"), "%s", lines);
    must_be_valid(2);
    close(listener);
}

/* Two connections from one port, the first of which leaks. */
static void connect_twice(const char *more, const char *outcome)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, options_with(more),
                  ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made));
    peer_hang_up(meet(listener, &program, made));
    program_go_on(&program);
    program_end(&program);
    must_write(outcome);
    close(listener);
}

Test(schema, describes_a_rescue_and_a_conflict_with_a_leak)
{
    connect_twice("action=close", "\"type\":\"rescue\"");
    connect_twice("action=log", "\"holder\":\"this process\",\"fd\":3,\"fds\":[3],\"leak\":{");
    must_be_valid(4);
}

/* The connection is there already, and a child has the socket as well. */
static void reconnect(const char *more, char *fork, const char *outcome)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(
        &program, options_with(more),
        ARGS(built("tests/leaker"), "reuse", step("from", free_port()), made, fork, "wait", made));
    close(meet(listener, &program, made));
    program_go_on(&program);
    program_end(&program);
    must_write(outcome);
    close(listener);
}

Test(schema, describes_a_connection_that_is_there_already)
{
    reconnect("action=close", "nothing", "\"call\":\"connect\",\"local\":\"0.0.0.0:");
    reconnect("action=close", "fork", "\"holder_comm\":\"leaker\",\"shared\":true");
    must_write("\"outcome\":\"works\"");
    must_write("\"connect_stack\":[");
    must_be_valid(4);
}

/* A child of its own has the socket as well, and keeps it. */
Test(schema, describes_a_rescue_that_failed)
{
    in_port_t port = 0;
    char number[2][16];
    char script[] = "import os, socket, sys\n"
                    "own, server = int(sys.argv[1]), int(sys.argv[2])\n"
                    "s = socket.socket()\n"
                    "s.bind(('', own))\n"
                    "s.connect(('127.0.0.1', server))\n"
                    "r, w = os.pipe()\n"
                    "if os.fork() == 0: os.close(w); os.read(r, 1); os._exit(0)\n"
                    "os.close(r)\n"
                    "print('did it', flush=True)\n"
                    "sys.stdin.readline()\n"
                    "try: socket.socket().bind(('', own))\n"
                    "except OSError: pass\n";
    const int listener = peer_listen(AF_INET, &port);
    struct program program;
    snprintf(number[0], sizeof(number[0]), "%d", free_port());
    snprintf(number[1], sizeof(number[1]), "%d", port);
    program_start(&program, options_with("action=close"),
                  ARGS("python3", "-c", script, number[0], number[1]));
    close(meet(listener, &program, "it"));
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    must_write("\"outcome\":\"failed\",\"holder\":\"other process\",\"state\":\"CLOSE_WAIT\","
               "\"holder_pid\":");
    must_be_valid(2);
    close(listener);
}

/* A bind to a port that is taken. */
static void want(in_port_t taken, const char *outcome)
{
    struct program program;
    program_start(&program, options_with("action=close"),
                  ARGS(built("tests/leaker"), step("from", taken), step("connect4", 1)));
    cr_expect_eq(program_end(&program), 1);
    must_write(outcome);
}

Test(schema, describes_conflicts_with_others)
{
    in_port_t taken = 0;
    const int other = peer_listen(AF_INET, &taken);
    want(taken, "\"holder\":\"other process\",\"state\":\"LISTEN\"");
    struct program program;
    const in_port_t own = free_port();
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    program_start(&program, NULL,
                  ARGS(built("tests/leaker"), step("from", own), made, "close", "wait"));
    const int peer = meet(listener, &program, made);
    program_must_say(&program, "did close");
    close(peer);
    await_time_wait(own);
    program_end(&program);
    want(own, "\"left_s\":");
    must_be_valid(2);
    close(other);
    close(listener);
}

static void leak_under(const char *pattern, size_t times_over, const char *outcome)
{
    struct program program;
    char more[160];
    write_file("patterns", pattern, times_over);
    snprintf(more, sizeof(more), "grace=100ms,signal=USR2,suppress=%s/patterns", folder);
    close(START(&program, more, AF_INET, "connect4", "wait"));
    must_sum(&program, outcome);
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(1);
}

Test(schema, describes_suppressions)
{
    leak_under("peer:127.0.0.* class:eof-unread # \"on purpose\"\nmodule:a\\\"\x01\xff\n", 1,
               "\"suppressions\":[{\"line\":1,\"pattern\":\"peer:127.0.0.* class:eof-unread\","
               "\"matched\":1},{\"line\":2,");
}

Test(schema, describes_the_summary_of_more_patterns_than_fit_into_a_line)
{
    char odd[201] = "";
    char pattern[256];
    memset(odd, '\x01', sizeof(odd) - 1);
    snprintf(pattern, sizeof(pattern), "file:%s\n", odd);
    leak_under(pattern, 256, "\"leaked\":1,\"sites\":1,");
}

/* Names in which a quote, a backslash, an end of line and half a letter are. */
Test(schema, describes_programs_of_any_name)
{
    static const struct {
        const char *name;
        const char *comm;
    } rows[] = {
        {"a\"b\\c\x01\n\x7f", "\"comm\":\"a\\\"b\\\\c\\u0001\\u000a\\u007f\""},
        {"\xff\xc3(\xed\xa0\x80\xc3\xa9",
         "\"comm\":\"\\u00ff\\u00c3(\\u00ed\\u00a0\\u0080\xc3\xa9\""},
        {"0123456789abcd\xc3\xa9", "\"comm\":\"0123456789abcd\\u00c3\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char said[256];
        char path[256];
        in_port_t port = 0;
        const int listener = peer_listen(AF_INET, &port);
        char *made = step("connect4", port);
        snprintf(path, sizeof(path), "%s/%s", folder, rows[i].name);
        cr_assert_eq(shell(said, sizeof(said), "cp %s '%s'", built("tests/leaker"), path), 0);
        program_start(&program, options_with("grace=100ms"), ARGS(path, made, "wait"));
        close(meet(listener, &program, made));
        must_write(rows[i].comm);
        cr_expect_eq(program_end(&program), 0);
        close(listener);
    }
    must_be_valid(6);
}

Test(schema, describes_what_the_command_adds)
{
    char output[128];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    snprintf(output, sizeof(output), "--output=%s/lines", folder);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--format=json", "--grace=100ms", output,
                       built("tests/leaker"), made, "wait"));
    close(meet(listener, &program, made));
    must_write("\"symbol\":\"main\",\"file\":\"");
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(2);
    close(listener);
}

/* Runs out of descriptors with four leaks, before or after they are found to be leaked. */
static void run_out(const char *more, char *when, const char *outcome)
{
    char script[] = "import os, resource, socket, sys, time\n"
                    "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
                    "there = socket.create_server(('127.0.0.1', 0))\n"
                    "keep = []\n"
                    "for i in range(4):\n"
                    "    s = socket.create_connection(there.getsockname()); keep.append(s)\n"
                    "    there.accept()[0].close()\n"
                    "if sys.argv[1] == 'after': time.sleep(0.6)\n"
                    "try:\n"
                    "    while True: keep.append(os.open('/dev/null', os.O_RDONLY))\n"
                    "except OSError: pass\n"
                    "if sys.argv[1] == 'before': time.sleep(0.6)\n"
                    "try: socket.socket()\n"
                    "except OSError: pass\n"
                    "sys.stdin.read()\n";
    struct program program;
    program_start(&program, options_with(more), ARGS("python3", "-c", script, when));
    must_write(outcome);
    cr_expect_eq(program_end(&program), 0);
}

Test(schema, describes_the_limit_of_descriptors_and_what_is_given_back)
{
    run_out("grace=100ms,action=log", "after", "\"type\":\"descriptor-limit\"");
    must_write("\"held\":4}");
    run_out("grace=100ms,action=close", "after", "\"what\":\"descriptors\",\"fds\":[4,");
    run_out("grace=100ms,action=close", "before", "\"why\":\"descriptors\",\"outcome\":\"gone\"");
    must_be_valid(12);
}

Test(schema, describes_an_accept_queue)
{
    struct program program;
    program_start(&program, options_with("grace=200ms"),
                  ARGS(built("tests/leaker"), "listen=127.0.0.1", "wait"));
    const int peer = dial(AF_INET, port_of(&program));
    must_write("\"type\":\"accept-queue\"");
    cr_expect_not_null(strstr(lines, "\"waiting\":1,\"hung_up\":0,\"backlog\":4,\"age_s\":"), "%s",
                       lines);
    cr_expect_not_null(strstr(lines, "\"open_stack\":[{\"module\":\"/"), "%s", lines);
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(1);
    close(peer);
}

/* The first line with one text in place of another. */
static void add_spoiled(FILE *file, const char *text, const char *instead)
{
    const char *at = strstr(lines, text);
    const char *line_end = strchr(lines, '\n');
    cr_assert(at && at < line_end, "%s: %s", text, lines);
    fprintf(file, "%.*s%s%.*s\n", (int)(at - lines), lines, instead,
            (int)(line_end - at - (long)strlen(text)), at + strlen(text));
}

Test(schema, refuses_what_is_spoiled)
{
    static const struct {
        const char *text;
        const char *instead;
    } rows[] = {
        {"\"type\":\"leak\"", "\"type\":\"leek\""},
        {"\"pid\":", "\"pit\":"},
        {"\"pid\":", "\"pid\":-"},
        {"\"time\":\"2", "\"time\":\"1 2"},
        {"Z\"", "+00:00\""},
        {"\"fd\":3,", ""},
        {"\"fd\":3,", "\"fd\":\"3\","},
        {"\"fd\":3,", "\"fd\":3,\"fd\":3,"},
        {"eof-unread", "eof-unknown"},
        {"CLOSE_WAIT", "close_wait"},
        {"127.0.0.1:", "127.0.0.1"},
        {"\"how\":\"connect\"", "\"how\":\"connect\",\"opener_pid\":1"},
        {"\"fin_age_s\":", "\"fin_age_s\":-1"},
        {"\"unread\":0", "\"unread\":null"},
        {"\"site\":\"", "\"site\":\"x"},
        {"\"offset\":", "\"offset\":-"},
        {"\"symbol\":\"\"", "\"symbol\":\"\",\"file\":\"a.c\""},
        {"\"build_id\":\"", "\"build_id\":\"0"},
        {"\"since\":0", "\"since\":NaN"},
        {"\"count\":1", "\"count\":1,\"unheard_of\":1"},
        {"}]", "}"},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct program program;
    char said[65536];
    char path[128];
    close(START(&program, "grace=100ms", AF_INET, "connect4", "wait"));
    must_write("\"type\":\"leak\"");
    cr_expect_eq(program_end(&program), 0);
    must_be_valid(2);
    snprintf(path, sizeof(path), "%s/spoiled", folder);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    for (int i = 0; i < ROWS; i++)
        add_spoiled(file, rows[i].text, rows[i].instead);
    fclose(file);
    cr_expect_eq(check("spoiled", said, sizeof(said)), 1);
    for (int i = 0; i < ROWS; i++) {
        char complaint[32];
        snprintf(complaint, sizeof(complaint), "line %d: ", i + 1);
        cr_expect_not_null(strstr(said, complaint), "%s became %s and passed", rows[i].text,
                           rows[i].instead);
    }
}
