/*
 * The real line: an unmodified program, a real peer, the kernel, and what is said of them.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

/* Starts a leaker that connects and waits; its peer is closed after sending bytes. */
static void start_leak(struct program *program, const char *options, const char *bytes)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    program_start(program, options, ARGS(built("tests/leaker"), made, "wait", "probe", "wait"));
    const int peer = meet(listener, program, made);
    cr_assert_eq(write(peer, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    peer_hang_up(peer);
    close(listener);
}

Test(line, names_fd_ends_state_age_class_and_what_to_do)
{
    struct program program;
    start_leak(&program, "grace=300ms", "");
    program_must_report(&program, "or run with action=close\n");
    cr_expect_not_null(strstr(program.reported, ": leak: fd 3  127.0.0.1:"));
    cr_expect_not_null(strstr(program.reported, " -> 127.0.0.1:"));
    cr_expect_not_null(strstr(program.reported, "  CLOSE_WAIT: the peer closed "));
    cr_expect_not_null(strstr(program.reported, " s ago, the program never did\n"));
    cr_expect_not_null(strstr(program.reported, "class eof-unread (it has not read since); "
                                                "0 bytes unread, 0 unsent\n"));
    cr_expect_not_null(strstr(program.reported, "opened by connect "));
    cr_expect_not_null(strstr(program.reported, "close(3) when the peer closes"));
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": leak: "), 1);
    cr_expect_not_null(
        strstr(program.reported,
               ": summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, 0 suppressed"));
}

Test(line, reports_when_grace_is_over_and_not_before)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=1s", ARGS(built("tests/leaker"), made, "wait"));
    const int peer = meet(listener, &program, made);
    close(peer);
    const uint64_t closed = now_ms();
    program_must_report(&program, ": leak: ");
    const uint64_t after = now_ms() - closed;
    /* No upper bound: these machines are noisy, and a late answer is not a wrong one. */
    cr_expect(after >= 990, "reported %d ms after the FIN", (int)after);
    program_end(&program);
}

Test(line, knows_every_way_to_read_the_end_of_stream)
{
    static char *const ways[] = {"read", "readv", "recv", "recvfrom", "recvmsg", "splice", "drain"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        in_port_t port = 0;
        const int listener = peer_listen(AF_INET, &port);
        char *made = step("connect4", port);
        struct program program;
        program_start(&program, "grace=200ms",
                      ARGS(built("tests/leaker"), made, "wait", ways[i], "wait"));
        close(meet(listener, &program, made));
        program_go_on(&program);
        program_must_report(&program, "class eof-ignored (it read the end of stream and went on)");
        cr_expect_eq(program_end(&program), 0, "%s", ways[i]);
        close(listener);
    }
}

Test(line, knows_unread_bytes_and_never_closes_over_them)
{
    struct program program;
    start_leak(&program, "grace=200ms,action=close", "hello");
    program_must_report(&program, "class data-unread");
    cr_expect_not_null(strstr(program.reported, "; 5 bytes unread, 0 unsent\n"));
    program_go_on(&program);
    program_must_say(&program, "did probe");
    cr_expect_not_null(strstr(program.said, "recv 1,"), "%s", program.said);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": reap: "), 0);
}

Test(line, closes_when_asked_and_leaves_a_tombstone)
{
    struct program program;
    start_leak(&program, "grace=200ms,action=close", "");
    program_must_report(&program, ": reap: fd 3 ");
    program_must_report(&program, "closed, and the connection is gone\n");
    program_go_on(&program);
    program_must_say(&program, "did probe");
    cr_expect_not_null(strstr(program.said,
                              "poll in hup, recv 0, send Broken pipe, getpeername Transport "
                              "endpoint is not connected\n"),
                       "%s", program.said);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(
        strstr(program.reported,
               ": summary: 1 socket leaked at 1 call site (0 growing), 1 reaped, 0 suppressed"));
}

Test(line, sees_ipv6_and_mapped_addresses)
{
    static const struct {
        int family;
        const char *step;
        const char *ends;
    } rows[] = {
        {AF_INET6, "connect6", "fd 3  [::1]:"},
        {AF_INET, "mapped", "fd 3  127.0.0.1:"},
        {AF_INET, "nonblock", "fd 3  127.0.0.1:"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        in_port_t port = 0;
        const int listener = peer_listen(rows[i].family, &port);
        char *made = step(rows[i].step, port);
        struct program program;
        program_start(&program, "grace=200ms,action=close",
                      ARGS(built("tests/leaker"), made, "wait"));
        close(meet(listener, &program, made));
        program_must_report(&program, rows[i].ends);
        program_must_report(&program, "the connection is gone\n");
        cr_expect_eq(program_end(&program), 0);
        close(listener);
    }
}

static int dial(struct program *program, int family)
{
    const in_port_t port = port_of(program);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    in6.sin6_addr = in6addr_loopback;
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof(in))
                                   : connect(fd, (struct sockaddr *)&in6, sizeof(in6)),
                 0);
    return fd;
}

Test(line, sees_accepted_sockets)
{
    static const struct {
        char *step;
        int family;
    } rows[] = {{"accept", AF_INET}, {"accept4", AF_INET}, {"accept6", AF_INET6}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        program_start(&program, "grace=200ms", ARGS(built("tests/leaker"), rows[i].step, "wait"));
        close(dial(&program, rows[i].family));
        program_must_report(&program, ": leak: fd 4 ");
        program_must_report(&program, "opened by accept ");
        cr_expect_eq(program_end(&program), 0);
    }
}

/* A cut stream must not look like a whole one: the tombstone says what the socket would have. */
Test(line, sees_a_reset_and_closes_it_with_the_error_that_the_program_has_yet_to_read)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=200ms,action=close-dead",
                  ARGS(built("tests/leaker"), made, "wait", "recv", "recv", "close", "wait"));
    const int peer = meet(listener, &program, made);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(peer);
    program_must_report(&program, "CLOSE: the connection has been over for ");
    program_must_report(&program, "class reset-ignored");
    program_must_report(&program, ": reap: fd 3 ");
    program_go_on(&program);
    program_must_say(&program, "recv Connection reset by peer\ndid recv\nrecv 0\n");
    program_must_say(&program, "did close");
    cr_expect_eq(program_end(&program), 0);
}

Test(line, lets_a_half_closed_peer_have_its_answer)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=3s,action=close",
                  ARGS(built("tests/leaker"), made, "drain", "send", "close", "wait"));
    const int peer = meet(listener, &program, made);
    shutdown(peer, SHUT_WR);
    char byte = 1;
    cr_expect_eq(read(peer, &byte, 1), 1);
    cr_expect_eq(read(peer, &byte, 1), 0);
    program_must_say(&program, "did close");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
}

Test(line, says_nothing_of_a_program_that_closes)
{
    char both[128];
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=1ms,action=close",
                  ARGS(built("tests/leaker"), made, "close", made, "close", "wait"));
    snprintf(both, sizeof(both), "did close\ndid %s\ndid close\n", made);
    program_must_say(&program, both);
    close(accept(listener, NULL, NULL));
    close(accept(listener, NULL, NULL));
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
}

Test(line, follows_a_duplicate_and_tells_one_socket_once)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=200ms,action=close",
                  ARGS(built("tests/leaker"), made, "dup2=77", "wait"));
    const int peer = meet(listener, &program, made);
    program_must_say(&program, "did dup2");
    close(peer);
    program_must_report(&program, ": reap: fd 3 ");
    program_must_report(&program, ": reap: fd 77 ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, "still holds the connection"), 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, "the connection is gone"), 1, "%s", program.reported);
}

Test(line, gives_a_forked_child_its_own_table)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *first = step("connect4", port);
    char *second = step("mapped", port);
    struct program program;
    program_start(&program, "grace=200ms",
                  ARGS(built("tests/leaker"), first, "fork", second, "wait"));
    close(meet(listener, &program, first));
    close(meet(listener, &program, second));
    program_must_report(&program,
                        "inherited over fork, or over exec without FD_CLOEXEC; first seen ");
    /* The parent has one, the child two, and each speaks for itself. */
    program_must_report_times(&program, ": leak: ", 3);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": summary: 2 sockets leaked"), 1, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": summary: 1 socket leaked"), 1, "%s", program.reported);
}

Test(line, is_not_misled_by_a_vfork_child_that_closes)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=200ms", ARGS(built("tests/leaker"), made, "vfork", "wait"));
    const int peer = meet(listener, &program, made);
    program_must_say(&program, "did vfork");
    close(peer);
    program_must_report(&program, ": leak: fd 3 ");
    cr_expect_eq(program_end(&program), 0);
}

Test(line, writes_to_a_file_of_its_own_when_asked)
{
    char folder[] = "/tmp/closewait-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char options[256];
    snprintf(options, sizeof(options), "grace=100ms,output=%s/log.%%p", folder);
    struct program program;
    start_leak(&program, options, "");
    char path[256];
    snprintf(path, sizeof(path), "%s/log.%d", folder, (int)program.pid);
    char said[4096] = "";
    const uint64_t start = now_ms();
    while (!strstr(said, ": leak: ") && now_ms() - start < PATIENCE_MS)
        shell(said, sizeof(said), "cat %s 2>/dev/null", path);
    cr_expect_not_null(strstr(said, ": leak: "));
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
    shell(said, sizeof(said), "rm -r %s", folder);
}

Test(line, leaves_a_program_alone_whose_options_are_wrong)
{
    static char *const wrong[] = {"action=kill", "grace=10", "output=", "colour=red"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct program program;
        start_leak(&program, wrong[i], "");
        program_go_on(&program);
        program_must_say(&program, "did probe");
        cr_expect_not_null(strstr(program.said, "poll in, recv 0, send 1"), "%s", program.said);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_eq(times(program.reported, "\n"), 1, "%s", program.reported);
        cr_expect_not_null(strstr(program.reported, "]: CLOSEWAIT_OPTIONS: "));
        cr_expect_not_null(strstr(program.reported, "expected "));
    }
}

/* vfork borrows the memory of a forked child that has not made the table its own yet. */
Test(line, follows_a_forked_child_that_vforks)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "grace=200ms",
                  ARGS(built("tests/leaker"), made, "fork", "vfork", "read", "wait"));
    const int peer = meet(listener, &program, made);
    program_must_say(&program, "did vfork");
    close(peer);
    program_must_say(&program, "did read");
    program_must_report(&program, "inherited over fork");
    cr_expect_eq(program_end(&program), 0);
}

/* Its FIN is older than grace when the program gets it: there was nothing to close before. */
Test(line, gives_grace_to_what_waited_in_the_accept_queue)
{
    struct program program;
    program_start(&program, "action=close,grace=2s",
                  ARGS("python3", "-c",
                       "import socket, time\n"
                       "listener = socket.create_server(('127.0.0.1', 0))\n"
                       "socket.create_connection(listener.getsockname()).close()\n"
                       "time.sleep(2.5)\n"
                       "client, _ = listener.accept()\n"
                       "time.sleep(0.3)\n"
                       "client.getpeername()\n"
                       "client.close()\n"));
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_null(strstr(program.reported, ": leak: "), "%s", program.reported);
    cr_expect_null(strstr(program.reported, ": reap: "), "%s", program.reported);
}
