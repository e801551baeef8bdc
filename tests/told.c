/*
 * What is told, and how often: by call site, retracted when it was too early, on a signal, and not
 * at all where a pattern says so.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static in_port_t port;
static int listener;

static void open_listener(void)
{
    listener = peer_listen(AF_INET, &port);
}

TestSuite(told, .init = open_listener);

static void hang_up(void)
{
    close(accept(listener, NULL, NULL));
}

/* A leaker that was told of, with these steps after its connection. */
static void start_told(struct program *program, const char *options, char *const steps[])
{
    char *argv[16] = {built("tests/leaker"), step("connect4", port)};
    for (int i = 0; steps[i]; i++)
        argv[i + 2] = steps[i];
    program_start(program, options, argv);
    hang_up();
    program_must_report(program, ": leak: fd 3 ");
}

static const char *file_with(const char *text)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/closewait-told.%d", (int)getpid());
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

/* 7, 2 and 1 of 10 come from three places; the 1st, 2nd, 4th, ... of each are told. */
Test(told, are_groups_by_call_site_with_counts_that_double)
{
    struct program program;
    program_start(&program, "grace=100ms,signal=USR2", ARGS(built("tests/flood"), "1", "100"));
    program_must_say(&program, "leaked 100\n");
    program_must_sum(&program, ": summary: 100 sockets leaked at 3 call sites ");
    cr_expect_eq(times(program.reported, ": leak: fd "), 3);
    cr_expect_eq(times(program.reported, "64 sockets by now at site "), 1);
    cr_expect_eq(times(program.reported, "8 sockets by now at site "), 3);
    cr_expect_eq(times(program.reported, "16 sockets by now at site "), 2);
    cr_expect_eq(times(program.reported, "32 sockets by now at site "), 1);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, "summary: 100 sockets leaked at 3 call sites "),
                       "%s", program.reported);
}

Test(told, are_retracted_when_the_program_closes_after_all)
{
    struct program program;
    start_told(&program, "grace=100ms", ARGS("wait", "close", "wait"));
    program_go_on(&program);
    program_must_report(&program, ": late close: fd 3  127.0.0.1:");
    cr_expect_not_null(strstr(program.reported, " was closed by the program after "));
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, ": no leak, but slower than grace; grace="), "%s",
                       program.reported);
    cr_expect_not_null(strstr(program.reported, " 0 suppressed, 1 closed late (grace="), "%s",
                       program.reported);
}

/* The socket is open until its last descriptor is closed. */
Test(told, are_not_retracted_while_a_copy_is_open)
{
    struct program program;
    start_told(&program, "grace=100ms", ARGS("dup2=50", "wait", "close", "wait"));
    program_go_on(&program);
    program_must_say(&program, "did close");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_null(strstr(program.reported, "late close"), "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, "fd 3 (also fd 50)  127.0.0.1:"), "%s",
                       program.reported);
}

Test(told, are_again_on_a_signal_with_what_is_held)
{
    struct program program;
    start_told(&program, "grace=100ms,signal=SIGUSR2", ARGS("wait"));
    kill(program.pid, SIGUSR2);
    program_must_report(&program, ": held now: 1 socket at site ");
    program_must_report(&program,
                        ": summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, "
                        "0 suppressed, 1 held now\n");
    cr_expect_eq(program_end(&program), 0);
}

/* A pool is full when it is first seen; what goes on after that is none. */
Test(told, are_judged_flat_or_growing_by_what_their_site_holds_over_time)
{
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=100ms,signal=USR2",
                  ARGS(built("tests/leaker"), made, made, made, "wait", made, "wait"));
    for (int i = 0; i < 3; i++)
        hang_up();
    program_must_say(&program, "did connect4");
    program_must_sum(&program, "3 sockets leaked at 1 call site (0 growing, 1 flat: often a pool)");
    program_must_report(&program, ": held now: 3 sockets at site ");
    cr_expect_not_null(strstr(program.reported, " (flat: often a pool), among them\n    fd 3 "),
                       "%s", program.reported);
    program_go_on(&program);
    hang_up();
    program_must_report(&program, ": leak: 4 sockets by now at site ");
    cr_expect_not_null(strstr(program.reported, " (growing); the last is fd 6 "), "%s",
                       program.reported);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, "4 sockets leaked at 1 call site (1 growing), "),
                       "%s", program.reported);
}

/* Of three, the second and the third: 1 of 2 is no more than half of them. */
Test(told, advise_a_grace_when_most_of_a_site_are_closed_late)
{
    char *made = step("connect4", port);
    struct program program;
    program_start(
        &program, "grace=100ms,signal=USR2",
        ARGS(built("tests/leaker"), made, made, "wait", "close", made, "wait", "close", "wait"));
    hang_up();
    hang_up();
    program_must_say(&program, "did connect4");
    program_must_sum(&program, ": summary: 2 sockets leaked ");
    program_go_on(&program);
    program_must_report(&program, ": late close: fd 4 ");
    hang_up();
    program_must_sum(&program, ": summary: 3 sockets leaked ");
    cr_expect_null(strstr(program.reported, "would have been right"), "%s", program.reported);
    program_go_on(&program);
    program_must_report_times(&program, ": late close: fd 4 ", 2);
    const char *second = strstr(strstr(program.reported, ": late close: ") + 1, ": late close: ");
    cr_expect_not_null(strstr(second, "; 2 of 3 leaks of this site were closed late: grace="), "%s",
                       second);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, ", 2 closed late (grace="), "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, " would have been right), 1 held now\n"), "%s",
                       program.reported);
}

/* It was closed for its port, long before grace was over: that says nothing of grace. */
Test(told, advise_no_grace_after_a_rescue)
{
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "action=close",
                  ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made,
                       "dup2=3", "wait"));
    peer_hang_up(meet(listener, &program, made));
    program_go_on(&program);
    program_must_report(&program, ": late close: fd 3 ");
    program_must_report(&program, ": its port had been wanted before\n");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_null(strstr(program.reported, "would have been right"), "%s", program.reported);
}

Test(told, have_the_stacks_of_opening_of_the_end_and_of_the_last_use)
{
    struct program program;
    program_start(&program, "grace=100ms,last=on",
                  ARGS(built("tests/leaker"), step("connect4", port), "recv", "drain", "wait"));
    const int peer = accept(listener, NULL, NULL);
    cr_assert_eq(write(peer, "x", 1), 1);
    close(peer);
    program_must_report(&program, " ago, at:  #0 leaker+0x");
    program_must_report(&program, "    end of stream read at:  #0 leaker+0x");
    program_must_report(&program, "    last read or written at:  #0 leaker+0x");
    cr_expect_eq(program_end(&program), 0);
}

Test(told, are_without_a_stack_where_none_is_kept)
{
    struct program program;
    start_told(&program, "grace=100ms,stack=0", ARGS("drain", "wait"));
    program_must_report(&program, "opened by connect ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_null(strstr(program.reported, " at:  #0"), "%s", program.reported);
}

static void must_be_suppressed(const char *patterns, const char *summary)
{
    char options[128];
    struct program program;
    const char *path = file_with(patterns);
    snprintf(options, sizeof(options), "grace=100ms,action=close,signal=USR2,suppress=%s", path);
    program_start(&program, options,
                  ARGS(built("tests/leaker"), step("connect4", port), "wait", "probe"));
    program_must_say(&program, "did connect4");
    hang_up();
    program_must_sum(&program, ", 1 suppressed");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    unlink(path);
    cr_expect_null(strstr(program.reported, ": leak: "), "%s", program.reported);
    cr_expect_not_null(strstr(program.said, "send 1, "), "it was not reaped: %s", program.said);
    cr_expect_not_null(strstr(program.reported, summary), "%s", program.reported);
}

Test(told, are_not_where_a_pattern_matches)
{
    must_be_suppressed("# a comment\n\npeer:10.* class:*\nclass:eof-* module:leak*\n",
                       "    suppression in line 3 (peer:10.* class:*) matched nothing\n"
                       "    suppression in line 4 (class:eof-* module:leak*) matched 1 leak\n");
    must_be_suppressed("function:main\npeer:127.0.0.1:*\n",
                       "    suppression in line 1 (function:main) was not tried: functions and "
                       "files are known under closewait run\n"
                       "    suppression in line 2 (peer:127.0.0.1:*) matched 1 leak\n");
}

/* An end of line would make a line of ours of what follows it. */
Test(told, keep_to_their_line_whatever_the_program_is_called)
{
    char said[256];
    struct program program;
    char *path = "/tmp/closewait-told\ncl\x1b[1m";
    cr_assert_eq(shell(said, sizeof(said), "cp %s '%s'", built("tests/leaker"), path), 0, "%s",
                 said);
    program_start(&program, "grace=100ms", ARGS(path, step("connect4", port), "wait"));
    hang_up();
    program_must_report(&program, ": leak: fd 3 ");
    cr_expect_eq(program_end(&program), 0);
    unlink(path);
    cr_expect_not_null(strstr(program.reported, "closewait: closewait-told?["), "%s",
                       program.reported);
    cr_expect_not_null(strstr(program.reported, "#0 closewait-told?cl?[1m+0x"), "%s",
                       program.reported);
}

Test(told, nothing_when_the_file_of_patterns_is_broken)
{
    char options[128];
    struct program program;
    const char *path = file_with("class:eof-unread\nfunktion:main\n");
    snprintf(options, sizeof(options), "grace=10ms,suppress=%s", path);
    program_start(&program, options,
                  ARGS(built("tests/leaker"), step("connect4", port), "drain", "close"));
    hang_up();
    cr_expect_eq(program_end(&program), 0);
    unlink(path);
    cr_expect_not_null(strstr(program.reported, ": CLOSEWAIT_OPTIONS: suppress: "));
    cr_expect_not_null(strstr(program.reported, ":2: expected module:, function:, file:, peer: or "
                                                "class:, found 'funktion'\n"),
                       "%s", program.reported);
    cr_expect_eq(times(program.reported, "\n"), 1, "%s", program.reported);
}

/* Asks for the summary until the last of them says so. */
static void must_have_leaked(const struct program *program, const char *log, int count)
{
    const uint64_t start = now_ms();
    char said[64];
    do {
        cr_assert_lt(now_ms() - start, PATIENCE_MS, "never %d", count);
        kill(program->pid, SIGUSR2);
        poll(NULL, 0, 100);
    } while (shell(said, sizeof(said), "tail -n 5 %s | grep -q '\"leaked\":%d,'", log, count) != 0);
}

/* Each is counted, few have a line, and what is kept does not grow with them. */
Test(told, are_a_hundred_thousand_leaks_in_few_lines, .timeout = 120)
{
    enum { ROUNDS = 10, SOCKETS = 10000 };
    char said[8192];
    char options[128];
    const char *log = file_with("");
    struct program program;
    snprintf(options, sizeof(options), "format=json,grace=100ms,signal=USR2,output=%s", log);
    program_start(&program, options, ARGS(built("tests/flood"), "10", "10000"));
    program_must_say(&program, "leaked ");
    for (int round = 1; round <= ROUNDS; round++) {
        must_have_leaked(&program, log, round * SOCKETS);
        program_go_on(&program);
    }
    cr_expect_eq(program_end(&program), 0);
    const int status = shell(
        said, sizeof(said),
        "python3 - %s <<'END'\n"
        "import collections, json, sys\n"
        "lines = [json.loads(line) for line in open(sys.argv[1])]\n"
        "sites = collections.Counter()\n"
        "seconds = collections.Counter()\n"
        "for line in lines:\n"
        "    seconds[line['time'][:19]] += line['type'] != 'summary'\n"
        "    if line['type'] == 'leak' and 'held' not in line:\n"
        "        assert line['count'] > sites[line['site']]\n"
        "        sites[line['site']] = line['count']\n"
        "print(sorted(sites.values()), max(seconds.values()) < 100, len(lines) < 3000)\n"
        "print(lines[-1]['leaked'], lines[-1]['sites'], lines[-1]['late'], lines[-1]['lost'])\n"
        "END\n",
        log);
    unlink(log);
    cr_expect_eq(status, 0, "%s", said);
    cr_expect_str_eq(said, "[10000, 20000, 70000] True True\n100000 3 100000 0\n");
}
