/*
 * output=journal: what arrives at systemd's journal, and what happens where there is none. The test
 * has a /run of its own, and is the journal.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

static const struct sockaddr_un place = {.sun_family = AF_UNIX,
                                         .sun_path = "/run/systemd/journal/socket"};

static void make_run(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/run", "tmpfs", 0, NULL) != 0)
        cr_skip_test("no mount namespace of our own (not root?)");
}

static int journal_listen(void)
{
    const int on = 1;
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    make_run();
    cr_assert(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&place, sizeof(place)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    return fd;
}

/* A datagram in its fields, as sd-journal(3) would have them. */
struct entry {
    char at[256 * 1024];
    size_t len;
    pid_t sender;
    char value[128 * 1024];
};

static struct entry entry;

static void receive(int journal)
{
    struct iovec part = {entry.at, sizeof(entry.at)};
    char control[CMSG_SPACE(sizeof(struct ucred))];
    struct msghdr datagram = {.msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof(control)};
    const ssize_t len = recvmsg(journal, &datagram, 0);
    cr_assert_gt(len, 0, "nothing came");
    struct ucred sender;
    cr_assert_not_null(CMSG_FIRSTHDR(&datagram));
    memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&datagram)), sizeof(sender));
    entry.len = (size_t)len;
    entry.sender = sender.pid;
}

/* The value of a field, NULL when it is not there; fails when the entry is none. Static storage. */
static const char *field(const char *name)
{
    bool found = false;
    const char *end = entry.at + entry.len;
    for (const char *at = entry.at; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        cr_assert_not_null(line_end, "a field has no end");
        const char *equals = memchr(at, '=', (size_t)(line_end - at));
        const char *name_end = equals ? equals : line_end;
        const char *value = name_end + 1;
        size_t len = (size_t)(line_end - value);
        if (!equals) {
            uint64_t size = 0;
            for (int i = 0; i < 8; i++)
                size |= (uint64_t)(unsigned char)value[i] << (8 * i);
            value += 8;
            len = size;
            cr_assert_leq(size, (uint64_t)(end - value));
            cr_assert_eq(value[size], '\n', "a value does not end where its length says");
        }
        if ((size_t)(name_end - at) == strlen(name) && memcmp(at, name, strlen(name)) == 0) {
            cr_expect_not(found, "two fields %s", name);
            found = true;
            snprintf(entry.value, sizeof(entry.value), "%.*s", (int)len, value);
        }
        at = value + len + 1;
    }
    return found ? entry.value : NULL;
}

#define must_be(name, expected)                                                                    \
    do {                                                                                           \
        const char *value_ = field(name);                                                          \
        cr_expect_str_eq(value_ ? value_ : "(none)", expected, "%s is %s", name,                   \
                         value_ ? value_ : "(none)");                                              \
    } while (0)

static const char *number(long long number)
{
    static char text[32];
    snprintf(text, sizeof(text), "%lld", number);
    return text;
}

/* A program with a leak, which goes on when it is told to. */
static in_port_t start_leaker(struct program *program, const char *options, char *const before[])
{
    in_port_t port = 0;
    char *all[16] = {NULL};
    int count = 0;
    const int listener = peer_listen(AF_INET, &port);
    for (; before[count]; count++)
        all[count] = before[count];
    all[count++] = step("connect4", port);
    all[count++] = "wait";
    program_start(program, options, all);
    close(accept(listener, NULL, NULL));
    close(listener);
    return port;
}

static void end(struct program *program)
{
    program_go_on(program);
    cr_expect_eq(program_end(program), 0);
}

Test(journal, gets_each_report_of_the_shim_with_its_fields)
{
    struct program program;
    char peer[32];
    const int journal = journal_listen();
    const in_port_t port =
        start_leaker(&program, "output=journal,grace=100ms", ARGS(built("tests/leaker")));
    receive(journal);
    cr_expect_eq(entry.sender, program.pid, "the journal would name %d", (int)entry.sender);
    must_be("PRIORITY", "4");
    must_be("SYSLOG_IDENTIFIER", "closewait");
    must_be("CLOSEWAIT_TYPE", "leak");
    must_be("CLOSEWAIT_CLASS", "eof-unread");
    must_be("CLOSEWAIT_COMM", "leaker");
    must_be("CLOSEWAIT_PID", number(program.pid));
    must_be("CLOSEWAIT_FD", "3");
    snprintf(peer, sizeof(peer), "127.0.0.1:%d", port);
    must_be("CLOSEWAIT_PEER", peer);
    cr_expect_not_null(field("CLOSEWAIT_SITE"));
    cr_expect_null(field("OBJECT_PID"));
    const char *message = field("MESSAGE");
    cr_assert_not_null(message);
    cr_expect_eq(strncmp(message, "leaker[", 7), 0, "%s", message);
    cr_expect_not_null(strstr(message, "]: leak: fd 3  127.0.0.1:"), "%s", message);
    cr_expect_not_null(strstr(message, "\n    class eof-unread "), "%s", message);
    cr_expect_neq(message[strlen(message) - 1], '\n');
    end(&program);
    receive(journal);
    must_be("PRIORITY", "6");
    must_be("CLOSEWAIT_TYPE", "summary");
    cr_expect_null(field("CLOSEWAIT_FD"));
    cr_expect_str_empty(program.reported);
}

Test(journal, gets_an_object_as_the_message_with_format_json)
{
    struct program program;
    const int journal = journal_listen();
    start_leaker(&program, "output=journal,grace=100ms,format=json", ARGS(built("tests/leaker")));
    receive(journal);
    json_t *json = json_loads(field("MESSAGE"), 0, NULL);
    cr_expect_str_eq(json_string_value(json_object_get(json, "type")), "leak");
    must_be("CLOSEWAIT_CLASS", "eof-unread");
    json_decref(json);
    end(&program);
}

Test(journal, gets_the_reports_of_those_who_look_from_outside_about_the_process)
{
    struct program program;
    struct program watch;
    char pid[16];
    const int journal = journal_listen();
    start_leaker(&program, NULL, ARGS(built("tests/leaker-static")));
    snprintf(pid, sizeof(pid), "%d", (int)program.pid);
    program_start(
        &watch, NULL,
        ARGS(built("closewait"), "watch", "--output=journal", "--grace=100ms", "--stacks", pid));
    receive(journal);
    cr_expect_eq(entry.sender, watch.pid);
    must_be("OBJECT_PID", pid);
    must_be("CLOSEWAIT_TYPE", "leak");
    must_be("CLOSEWAIT_COMM", "leaker-static");
    cr_expect_not_null(strstr(field("MESSAGE"), "read"), "no stack in %s", field("MESSAGE"));
    end(&program);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_str_empty(watch.reported);
}

Test(journal, gets_the_reports_of_run_with_functions)
{
    struct program run;
    const int journal = journal_listen();
    start_leaker(&run, NULL,
                 ARGS(built("closewait"), "run", "--output=journal", "--grace=100ms",
                      built("tests/leaker")));
    receive(journal);
    cr_expect_eq(entry.sender, run.pid);
    must_be("CLOSEWAIT_TYPE", "leak");
    cr_expect_not_null(field("OBJECT_PID"));
    cr_expect_not_null(strstr(field("MESSAGE"), "leaker.c:"), "%s", field("MESSAGE"));
    end(&run);
    cr_expect_str_empty(run.reported);
}

/* A process may call itself what it likes, and not write fields with it. */
Test(journal, keeps_a_name_with_a_newline_in_its_field)
{
    struct program program;
    char path[64];
    char said[512];
    char folder[] = "/tmp/closewait-journal.XXXXXX";
    const int journal = journal_listen();
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/x\nPRIORITY=0", folder);
    shell(said, sizeof(said), "cp %s '%s'", built("tests/leaker"), path);
    start_leaker(&program, "output=journal,grace=100ms", ARGS(path));
    receive(journal);
    must_be("PRIORITY", "4");
    must_be("CLOSEWAIT_COMM", "x?PRIORITY=0");
    end(&program);
    shell(said, sizeof(said), "rm -r %s", folder);
}

Test(journal, that_is_not_there_is_told_once_and_reports_go_to_standard_error)
{
    struct program program;
    make_run();
    start_leaker(&program, "output=journal,grace=100ms", ARGS(built("tests/leaker")));
    program_must_report(&program, ": leak: fd 3  ");
    end(&program);
    cr_expect_eq(times(program.reported, ": no journal can be reached at "
                                         "/run/systemd/journal/socket: reports go to standard "
                                         "error\n"),
                 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": leak: fd 3  "), 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": summary: 1 socket leaked"), 1, "%s", program.reported);
}

Test(journal, that_is_not_there_is_told_once_by_the_command_too)
{
    struct program run;
    make_run();
    start_leaker(&run, NULL,
                 ARGS(built("closewait"), "run", "--output=journal", "--grace=100ms",
                      built("tests/leaker")));
    program_must_report(&run, ": leak: fd 3  ");
    end(&run);
    cr_expect_eq(times(run.reported, "closewait run: --output: no journal can be reached at "), 1,
                 "%s", run.reported);
    cr_expect_eq(times(run.reported, ": summary: 1 socket leaked"), 1, "%s", run.reported);
}

Test(journal, that_is_behind_does_not_keep_the_program)
{
    struct program program;
    journal_listen();
    const int flooder = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    while (sendto(flooder, "X=1\n", 4, 0, (const struct sockaddr *)&place, sizeof(place)) == 4) {
    }
    const uint64_t begin = now_ms();
    start_leaker(&program, "output=journal,grace=100ms,signal=USR2", ARGS(built("tests/leaker")));
    while (now_ms() - begin < 500) /* a leak is told, and waits */
        usleep(10000);
    end(&program);
    cr_expect_lt(now_ms() - begin, 3000);
    cr_expect_str_empty(program.reported);
}

static bool has_counted(const void *unused)
{
    char said[256];
    (void)unused;
    return shell(said, sizeof(said), "grep '^closewait_leaks_total{.*} 1$' /run/watch.prom") == 0;
}

Test(journal, that_is_behind_costs_a_watch_reports_which_the_summary_counts)
{
    struct program program;
    struct program watch;
    char pid[16];
    int waiting = 0;
    const int journal = journal_listen();
    const int flooder = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    while (sendto(flooder, "X=1\n", 4, 0, (const struct sockaddr *)&place, sizeof(place)) == 4)
        waiting++;
    start_leaker(&program, NULL, ARGS(built("tests/leaker-static")));
    snprintf(pid, sizeof(pid), "%d", (int)program.pid);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--output=journal", "--grace=100ms",
                       "--metrics=/run/watch.prom", pid));
    cr_assert(eventually(has_counted, NULL)); /* it is written after the report was lost */
    for (; waiting > 0; waiting--)
        receive(journal);
    kill(watch.pid, SIGTERM);
    receive(journal);
    must_be("CLOSEWAIT_TYPE", "summary");
    cr_expect_not_null(strstr(field("MESSAGE"), ", 1 report lost"), "%s", field("MESSAGE"));
    cr_expect_eq(program_end(&watch), 0);
    end(&program);
}

Test(journal, costs_the_program_no_descriptor)
{
    struct program program;
    char said[256];
    const int journal = journal_listen();
    start_leaker(&program, "output=journal,grace=100ms", ARGS(built("tests/leaker")));
    receive(journal);
    shell(said, sizeof(said), "ls /proc/%d/fd | tr '\\n' ' '", (int)program.pid);
    cr_expect_str_eq(said, "0 1 2 3 ", "%s", said);
    end(&program);
}
