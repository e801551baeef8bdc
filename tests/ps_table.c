/*
 * closewait ps: its options, its table and its JSON, in a pipe and on a terminal.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

Test(ps_table, answers_bad_usage_with_one_clear_line_and_status_2)
{
#define LISTS   ": closewait ps --help lists the options\n"
#define SECONDS ": expected seconds from 0.1 to 86400, such as 2 or 0.5\n"
#define PIDS    ": expected process ids, such as 4711 or 4711,4712\n"
#define COLUMNS                                                                                    \
    ": expected COMMAND, PID, FD, LOCAL, PEER, AGE, UNREAD, UNSENT, OWNER, CONTAINER, STATE, "     \
    "INODE, COOKIE, "                                                                              \
    "NETNS or UID\n"
    static const struct {
        const char *arguments;
        const char *said;
    } rows[] = {
        {"--bogus", "unknown option '--bogus'" LISTS},
        {"-z", "unknown option '-z'" LISTS},
        {"-nz", "unknown option '-z'" LISTS},
        {"--pid", "option '--pid' needs a value" LISTS},
        {"--json=yes", "option '--json=yes' takes no value" LISTS},
        {"--pid=x", "--pid is 'x'" PIDS},
        {"--pid=1,,2", "--pid is '1,,2'" PIDS},
        {"--pid=0", "--pid is '0'" PIDS},
        {"--pid=", "--pid is ''" PIDS},
        {"--pid=4294967297", "--pid is '4294967297'" PIDS},
        {"--watch=0", "--watch is '0'" SECONDS},
        {"--watch=86401", "--watch is '86401'" SECONDS},
        {"--watch=inf", "--watch is 'inf'" SECONDS},
        {"--watch=1.2.3", "--watch is '1.2.3'" SECONDS},
        {"--watch=", "--watch is ''" SECONDS},
        {"--output=PID,FOO", "unknown column 'FOO'" COLUMNS},
        {"--output=", "unknown column ''" COLUMNS},
        {"--output=+PID,", "unknown column ''" COLUMNS},
        {"--output=HUNG_UP", "unknown column 'HUNG_UP'" COLUMNS},
        {"--output=PEER --listen",
         "unknown column 'PEER': expected COMMAND, PID, FD, LOCAL, WAITING, HUNG_UP, BACKLOG, AGE, "
         "CONTAINER, STATE, INODE, COOKIE, NETNS or UID\n"},
        {"4711", "'4711' is no option: closewait ps --help lists them, and --pid takes process "
                 "ids\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        char expected[512];
        const int status =
            shell(said, sizeof(said), "%s ps %s 2>&1", built("closewait"), rows[i].arguments);
        snprintf(expected, sizeof(expected), "closewait ps: %s", rows[i].said);
        cr_expect_eq(status, 2, "%s: %d", rows[i].arguments, status);
        cr_expect_str_eq(said, expected, "%s: %s", rows[i].arguments, said);
    }
}

Test(ps_table, prints_the_columns_that_are_asked_for)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    char expected[512];
    snprintf(expected, sizeof(expected),
             "FD LOCAL PEER STATE UNSENT\n%d 127.0.0.1:%d "
             "127.0.0.1:%d CLOSE_WAIT 0\n",
             fd, local_port(fd), port);
    must_say(expected, own_pid("--pid=%d --output fd,Local,PEER,STATE,UNSENT,FD | tr -s ' ' | "
                               "sed 's/^ //'"));
    must_say("COMMAND PID FD LOCAL PEER AGE UNREAD OWNER UID INODE\n",
             own_pid("--pid=%d -o +UID,PID,INODE | head -1 | tr -s ' '"));
    must_say("COMMAND PID FD LOCAL PEER AGE UNREAD OWNER\n", own_pid("--pid=%d | head -1 | "
                                                                     "tr -s ' '"));
    char inode[64];
    shell(inode, sizeof(inode), "stat -L -c %%i /proc/%d/fd/%d", (int)getpid(), fd);
    must_say(inode, own_pid("--pid=%d -n -o INODE"));
}

Test(ps_table, prints_json_that_parses_whatever_a_process_is_called)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    prctl(PR_SET_NAME, "q\"b\\s\nn\033");
    const int fd = half_closed(listener, port, 5);
    char script[1024];
    snprintf(script, sizeof(script),
             "--pid=%d --json --output=+UID | python3 -c 'import json, sys; "
             "row, = json.load(sys.stdin)[\"sockets\"]; "
             "assert row[\"pid\"] == %d and row[\"fd\"] == %d and row[\"unread\"] == 5, row; "
             "assert type(row[\"age\"]) is float and 0 <= row[\"age\"] < 60, row; "
             "assert row[\"local\"] == \"127.0.0.1:%d\" and row[\"uid\"] == %d, row; "
             "assert row[\"owner\"] is None, row; "
             "assert row[\"command\"].startswith(\"q\\\"b\\\\s\"), row; print(\"good\")'",
             (int)getpid(), (int)getpid(), fd, local_port(fd), (int)getuid());
    must_say("good\n", script);
    must_say("1\n", own_pid("--pid=%d -n | wc -l"));
}

/* The names of a process, as JSON and as a table have them. */
Test(ps_table, shows_what_is_no_text_by_escapes_or_as_latin_1)
{
    static const struct {
        const char *name;
        const char *json;  /* as Python writes it */
        const char *shown; /* NULL: that depends on the locale */
    } rows[] = {
        {"a\xff", "'a\\xff'", "a\\xff"},
        {"t\xe9 \xe2\x82", "'t\\xe9 \\xe2\\x82'", "t\\xe9 \\xe2\\x82"},
        {"\xc3\xa9", "'\\xe9'", NULL},
        {"\x1b[1m\n\x7f", "'\\x1b[1m\\n\\x7f'", "\\x1b[1m\\x0a\\x7f"},
    };
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    half_closed(listener, port, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[128];
        prctl(PR_SET_NAME, rows[i].name);
        snprintf(expected, sizeof(expected), "%s\n", rows[i].json);
        must_say(expected, own_pid("--pid=%d -J | python3 -c 'import json, sys; print(ascii("
                                   "json.loads(sys.stdin.buffer.read().decode(\"utf-8\"))"
                                   "[\"sockets\"][0][\"command\"]))'"));
        snprintf(expected, sizeof(expected), "%s\n", rows[i].shown);
        if (rows[i].shown)
            must_say(expected, own_pid("--pid=%d -n -o COMMAND"));
    }
}

Test(ps_table, says_nothing_where_there_is_nothing)
{
    must_say("", own_pid("--pid %d"));
    must_say("", own_pid("--pid %d --listen"));
    must_say("0\n", own_pid("--pid %d --json | python3 -c 'import json, sys; "
                            "print(len(json.load(sys.stdin)[\"sockets\"]))'"));
}

Test(ps_table, ends_with_1_and_a_line_when_it_cannot_tell)
{
    static const struct {
        const char *before;
        const char *arguments;
        const char *said;
    } rows[] = {
        {"", "--pid 4194305",
         "closewait ps: no process has the id 4194305: ps -e lists those that run\n"},
        {"", "--json >/dev/full",
         "closewait ps: cannot write to standard output: No space left on device\n"},
        {"strace -qq -o /dev/null -e trace=socket -e inject=socket:error=EPROTONOSUPPORT", "",
         "closewait ps: cannot ask the kernel for its sockets (NETLINK_SOCK_DIAG): Protocol not "
         "supported: look whether a sandbox forbids it\n"},
        {"strace -qq -o /dev/null -e trace=sendto -e inject=sendto:error=ENOENT", "",
         "closewait ps: the kernel does not list its TCP sockets: No such file or directory: load "
         "its module, with modprobe tcp_diag\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        const int status = shell(said, sizeof(said), "exec 2>&1; %s %s ps %s", rows[i].before,
                                 built("closewait"), rows[i].arguments);
        cr_expect_eq(status, 1, "%s: %d", rows[i].arguments, status);
        cr_expect_str_eq(said, rows[i].said, "%s: %s", rows[i].arguments, said);
    }
}

Test(ps_table, prints_again_until_interrupted)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    half_closed(listener, port, 0);
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    struct program program;
    program_start(&program, NULL,
                  ARGS(built("closewait"), "ps", "--pid", pid, "--watch", "0.1", "-o", "STATE"));
    program_must_say(&program, "STATE\nCLOSE_WAIT\n\nSTATE\nCLOSE_WAIT\n\nSTATE\nCLOSE_WAIT\n");
    kill(program.pid, SIGINT);
    cr_expect_eq(program_end(&program), 128 + SIGINT);
    cr_expect_str_empty(program.reported);
}

/* What the command prints on a terminal, until it has printed text, or has ended. */
static void on_terminal(char *said, size_t size, const char *until, char *const argv[])
{
    struct winsize window = {.ws_row = 12, .ws_col = 120};
    int terminal = -1;
    const pid_t child = forkpty(&terminal, NULL, NULL, &window);
    cr_assert_geq(child, 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], argv);
        _exit(127);
    }
    const uint64_t start = now_ms();
    said[0] = '\0';
    for (size_t len = 0; !strstr(said, until) && now_ms() - start < PATIENCE_MS;) {
        struct pollfd polled = {.fd = terminal, .events = POLLIN};
        if (poll(&polled, 1, 100) == 0)
            continue;
        const ssize_t n = read(terminal, said + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        said[len] = '\0';
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(terminal);
    cr_expect_not_null(strstr(said, until), "%s", said);
}

Test(ps_table, has_colours_on_a_terminal_unless_no_color_is_set)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    half_closed(listener, port, 5);
    char pid[16];
    char said[8192];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    char **const command = ARGS(built("closewait"), "ps", "-n", "-p", pid, "-o", "UNREAD,STATE");
    on_terminal(said, sizeof(said), "CLOSE_WAIT", command);
    cr_expect_not_null(strchr(said, '\033'), "%s", said);
    setenv("NO_COLOR", "1", 1);
    on_terminal(said, sizeof(said), "CLOSE_WAIT", command);
    cr_expect_null(strchr(said, '\033'), "%s", said);
    unsetenv("NO_COLOR");
    must_say("5 CLOSE_WAIT\n", own_pid("-n -p %d -o UNREAD,STATE | sed 's/^ *//'"));
}

Test(ps_table, keeps_the_oldest_on_the_screen)
{
    enum { MANY = 20 };
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    for (int i = 0; i < MANY; i++)
        half_closed(listener, port, 0);
    char pid[16];
    char said[8192];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    on_terminal(said, sizeof(said), "and 14 more\r\n",
                ARGS(built("closewait"), "ps", "-p", pid, "--watch=0.1"));
    cr_expect_eq(strncmp(said, "\033[H\033[2J", 7), 0, "%s", said);
    cr_expect_not_null(strstr(said, "every 0.1 s: 20 rows\r\n"), "%s", said);
}
