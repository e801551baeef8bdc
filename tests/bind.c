/*
 * EADDRINUSE: rescued when the port is held by a leak of the program's own, explained when it is
 * not, and never blamed on the wrong one.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* A leaker that connects twice from one port; the test closes the first connection's peer. */
static int connect_twice(struct program *program, const char *options, char *word, int family)
{
    in_port_t port = 0;
    const int listener = peer_listen(family, &port);
    char *made = step(word, port);
    program_start(
        program, options,
        ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made, "wait"));
    peer_hang_up(meet(listener, program, made));
    return listener;
}

Test(bind, explains_and_changes_nothing_with_action_log)
{
    struct program program;
    connect_twice(&program, "action=log", "connect4", AF_INET);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 1);
    cr_expect_not_null(strstr(program.said, "bind: Address already in use"));
    cr_expect_not_null(strstr(program.reported,
                              " failed, address already in use: this program still holds the "
                              "port\n    fd 3  127.0.0.1:"));
    cr_expect_not_null(strstr(program.reported, "CLOSE_WAIT: the peer closed "));
    cr_expect_not_null(strstr(program.reported, "close(3) when the peer closes, or run with "
                                                "action=close\n"));
    cr_expect_not_null(
        strstr(program.reported,
               ": summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, 0 suppressed"));
}

Test(bind, is_rescued_at_once_with_any_other_action)
{
    static const struct {
        const char *options;
        char *step;
        int family;
    } rows[] = {
        {"action=close", "connect4", AF_INET},
        {"action=close-dead", "connect4", AF_INET},
        {"action=close", "connect6", AF_INET6},
        {"action=close", "mapped", AF_INET},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        const int listener = connect_twice(&program, rows[i].options, rows[i].step, rows[i].family);
        program_go_on(&program);
        const int peer = accept(listener, NULL, NULL);
        cr_expect_geq(peer, 0);
        program_must_report(&program, ": rescue: bind to ");
        program_must_report(&program, "bind works after ");
        cr_expect_eq(program_end(&program), 0, "%s", program.said);
        cr_expect_not_null(strstr(
            program.reported,
            ": summary: 1 socket leaked at 1 call site (0 growing), 1 reaped, 0 suppressed"));
        close(peer);
        close(listener);
    }
}

Test(bind, does_not_take_a_socket_with_unread_bytes)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "action=close",
                  ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made));
    const int peer = meet(listener, &program, made);
    cr_assert_eq(write(peer, "x", 1), 1);
    peer_hang_up(peer);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 1);
    cr_expect_not_null(strstr(program.said, "bind: Address already in use"));
    cr_expect_not_null(strstr(program.reported, "class data-unread"));
    cr_expect_not_null(strstr(program.reported, "never closed for the program"));
}

Test(bind, does_not_take_a_connection_that_is_open)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, "action=close",
                  ARGS(built("tests/leaker"), step("from", free_port()), made, "wait", made));
    const int peer = meet(listener, &program, made);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 1);
    cr_expect_not_null(strstr(program.reported, "this program itself holds the port, with a live "
                                                "connection that is not leaked (fd 3)\n"),
                       "%s", program.reported);
    cr_expect_eq(times(program.reported, "another process"), 0);
    cr_expect_eq(times(program.reported, "summary"), 0);
    close(peer);
}

/* The leaker wants a port that somebody else has. */
static void want(struct program *program, in_port_t taken)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(program, "action=close",
                  ARGS(built("tests/leaker"), step("from", taken), step("connect4", port)));
    cr_expect_eq(program_end(program), 1);
    cr_expect_not_null(strstr(program->said, "bind: Address already in use"));
    cr_expect_eq(times(program->reported, ": bind to 0.0.0.0:"), 1, "%s", program->reported);
    cr_expect_eq(times(program->reported, "leaked, "), 0, "%s", program->reported);
    close(listener);
}

/* "another process, 4711 (name), holds the port, with " what. */
static void must_blame(const struct program *program, pid_t pid, const char *what)
{
    char sentence[128];
    snprintf(sentence, sizeof(sentence), "another process, %d (", (int)pid);
    cr_expect_not_null(strstr(program->reported, sentence), "%s", program->reported);
    snprintf(sentence, sizeof(sentence), "), holds the port, with %s\n", what);
    cr_expect_not_null(strstr(program->reported, sentence), "%s", program->reported);
}

Test(bind, names_a_listener_of_another_process)
{
    in_port_t taken = 0;
    const int holder = peer_listen(AF_INET, &taken);
    struct program program;
    want(&program, taken);
    must_blame(&program, getpid(), "a listening socket");
    close(holder);
}

/* The first thing that its watcher is asked for: before whoever started it has come to itself. */
Test(bind, names_the_holder_however_early_it_is_asked)
{
    enum { TRIES = 40 };
    in_port_t taken = 0;
    const int holder = peer_listen(AF_INET, &taken);
    for (int i = 0; i < TRIES; i++) {
        struct program program;
        want(&program, taken);
        cr_assert_not_null(strstr(program.reported, "another process, "), "%d: %s", i,
                           program.reported);
    }
    close(holder);
}

Test(bind, names_a_socket_in_close_wait_of_another_process)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const in_port_t taken = free_port();
    struct program other;
    char *made = step("connect4", port);
    program_start(&other, NULL, ARGS(built("tests/leaker"), step("from", taken), made, "wait"));
    peer_hang_up(meet(listener, &other, made));
    struct program program;
    want(&program, taken);
    must_blame(&program, other.pid, "a socket in CLOSE_WAIT");
    program_end(&other);
}

Test(bind, tells_time_wait_and_the_time_left)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const in_port_t taken = free_port();
    struct program first;
    char *made = step("connect4", port);
    program_start(&first, NULL,
                  ARGS(built("tests/leaker"), step("from", taken), made, "close", "wait"));
    const int peer = meet(listener, &first, "close");
    close(peer);
    await_time_wait(taken);
    program_end(&first);
    struct program program;
    want(&program, taken);
    cr_expect_not_null(strstr(program.reported, "the port is in TIME_WAIT for "), "%s",
                       program.reported);
}

Test(bind, answers_a_program_that_tries_again_and_again_at_powers_of_two)
{
    in_port_t taken = 0;
    const int holder = peer_listen(AF_INET, &taken);
    struct program program;
    char script[512];
    snprintf(script, sizeof(script),
             "import socket\n"
             "for i in range(20):\n"
             "    s = socket.socket()\n"
             "    try: s.bind(('127.0.0.1', %d))\n"
             "    except OSError as e: assert e.errno == 98\n"
             "    s.close()\n",
             taken);
    program_start(&program, "action=close", ARGS("python3", "-c", script));
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": bind to 127.0.0.1:"), 5, "%s", program.reported);
    close(holder);
}

/* Runs a Python script under the shim with the test's port as its argument. */
static void start_script(struct program *program, const char *options, char *script, in_port_t port)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", port);
    program_start(program, options, ARGS("python3", "-c", script, number));
}

static int dial(in_port_t port)
{
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static void must_receive(int fd, const char *text)
{
    char said[256] = "";
    size_t len = 0;
    for (ssize_t n; (n = read(fd, said + len, sizeof(said) - 1 - len)) > 0;)
        len += (size_t)n;
    cr_expect_str_eq(said, text);
    close(fd);
}

/* Its client half-closes and waits; the second bind is the server's own mistake. */
Test(bind, of_a_server_does_not_take_a_client_that_waits_for_its_answer)
{
    const in_port_t port = free_port();
    struct program program;
    start_script(&program, "action=close",
                 "import socket, sys, time\n"
                 "address = ('127.0.0.1', int(sys.argv[1]))\n"
                 "listener = socket.create_server(address)\n"
                 "print('listening', flush=True)\n"
                 "client, _ = listener.accept()\n"
                 "while client.recv(100): pass\n"
                 "second = socket.socket()\n"
                 "try: second.bind(address)\n"
                 "except OSError as error: print(error.errno)\n"
                 "client.sendall(b'answer')\n"
                 "client.close()\n",
                 port);
    program_must_say(&program, "listening");
    const int client = dial(port);
    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    must_receive(client, "answer");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.said, "98\n"), "%s", program.said);
    cr_expect_eq(times(program.reported, "rescue"), 0, "%s", program.reported);
}

/* The answer and its acknowledgement come between the FIN and the watcher's first look. */
Test(bind, does_not_take_a_connection_that_is_being_answered)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    struct program program;
    start_script(&program, "action=close",
                 "import socket, sys, time\n"
                 "server = socket.socket()\n"
                 "server.bind(('127.0.0.1', 0))\n"
                 "server.connect(('127.0.0.1', int(sys.argv[1])))\n"
                 "while server.recv(100): pass\n"
                 "time.sleep(0.03)\n"
                 "server.sendall(b'part1')\n"
                 "time.sleep(0.06)\n"
                 "second = socket.socket()\n"
                 "try: second.bind(server.getsockname())\n"
                 "except OSError as error: print(error.errno)\n"
                 "server.sendall(b'part2')\n"
                 "server.close()\n",
                 port);
    const int client = accept(listener, NULL, NULL);
    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    must_receive(client, "part1part2");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.said, "98\n"), "%s", program.said);
}

/* The usual retry. That it was told, long before grace was over, is no fault of the program's. */
Test(bind, is_no_reason_to_call_a_close_within_grace_a_late_one)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    struct program program;
    start_script(&program, "signal=USR2",
                 "import socket, sys\n"
                 "first = socket.socket()\n"
                 "first.bind(('127.0.0.1', 0))\n"
                 "first.connect(('127.0.0.1', int(sys.argv[1])))\n"
                 "while first.recv(100): pass\n"
                 "own = first.getsockname()\n"
                 "second = socket.socket()\n"
                 "try: second.bind(own)\n"
                 "except OSError as error: print(error.errno, flush=True)\n"
                 "first.close()\n"
                 "while True:\n"
                 "    try: second.bind(own); break\n"
                 "    except OSError: pass\n"
                 "print('works', flush=True)\n"
                 "sys.stdin.read()\n",
                 port);
    close(accept(listener, NULL, NULL));
    program_must_say(&program, "98\nworks\n");
    program_must_sum(&program, ": summary: 1 socket leaked ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_null(strstr(program.reported, "late"), "%s", program.reported);
    cr_expect_null(strstr(program.reported, "1 held now"), "%s", program.reported);
    close(listener);
}

Test(bind, names_the_listener_that_blocks_and_not_a_socket_of_ours_beside_it)
{
    in_port_t taken = 0;
    const int holder = peer_listen(AF_INET, &taken);
    struct program program;
    start_script(&program, "action=close",
                 "import socket, sys\n"
                 "port = int(sys.argv[1])\n"
                 "six = socket.socket(socket.AF_INET6)\n"
                 "six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
                 "six.bind(('::', port))\n"
                 "six.listen()\n"
                 "four = socket.socket()\n"
                 "try: four.bind(('127.0.0.1', port))\n"
                 "except OSError as error: print(error.errno)\n"
                 "import time; sys.stdin.read()\n",
                 taken);
    program_must_report(&program, ": bind to ");
    must_blame(&program, getpid(), "a listening socket");
    cr_expect_eq(program_end(&program), 0);
    close(holder);
}
