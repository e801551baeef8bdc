/*
 * The option reuseaddr: TIME_WAIT keeps no port, and nothing else of a program changes by it.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* What all the scripts begin with: close_first leaves own in TIME_WAIT. */
#define PRELUDE                                                                                    \
    "import errno, os, socket, sys\n"                                                              \
    "from socket import SOL_SOCKET, SO_REUSEADDR, AF_UNSPEC\n"                                     \
    "own = int(sys.argv[1])\n"                                                                     \
    "server = socket.create_server(('127.0.0.1', 0)); there = server.getsockname()\n"              \
    "def made():\n"                                                                                \
    "    s = socket.socket(); s.bind(('127.0.0.1', own)); return s\n"                              \
    "def dialed():\n"                                                                              \
    "    s = made(); s.connect(there); return s\n"                                                 \
    "def close_first(s):\n"                                                                        \
    "    t, _ = server.accept(); s.close(); t.recv(1); t.close()\n"                                \
    "def say(*what): print(*what, flush=True)\n"                                                   \
    "def attempt(what, *args):\n"                                                                  \
    "    try: got = what(*args); say('works'); return got\n"                                       \
    "    except OSError as e: say(errno.errorcode[e.errno])\n"                                     \
    "def reuse(s): return s.getsockopt(SOL_SOCKET, SO_REUSEADDR)\n"

static void run(struct program *program, const char *options, const char *script)
{
    static char whole[4096];
    char own[16];
    snprintf(whole, sizeof(whole), "%s%s", PRELUDE, script);
    snprintf(own, sizeof(own), "%d", free_port());
    program_start(program, options, ARGS("python3", "-c", whole, own));
    cr_expect_eq(program_end(program), 0, "%s", program->reported);
}

static void must_say(const char *options, const char *script, const char *said)
{
    struct program program;
    run(&program, options, script);
    cr_expect_str_eq(program.said, said, "%s", program.reported);
}

Test(reuse, lets_a_client_that_closes_first_connect_from_its_port_again)
{
    static const char script[] = "for i in range(3):\n"
                                 "    s = attempt(dialed)\n"
                                 "    if s: close_first(s)\n";
    struct program program;
    must_say("reuseaddr=on", script, "works\nworks\nworks\n");
    must_say("reuseaddr=on,action=close", script, "works\nworks\nworks\n");
    run(&program, "reuseaddr=off", script);
    cr_expect_str_eq(program.said, "works\nEADDRINUSE\nEADDRINUSE\n");
    cr_expect_not_null(strstr(program.reported, "bind would work: run with reuseaddr=on\n"), "%s",
                       program.reported);
}

/* What one process leaves another one finds: a client that is started anew. */
Test(reuse, outlives_the_process_that_closed)
{
    must_say("reuseaddr=on",
             "s = dialed()\n"
             "if os.fork() == 0: os.kill(os.getpid(), 9)\n"
             "os.wait()\n"
             "if os.fork() == 0: close_first(s); os._exit(0)\n"
             "s.close()\n"
             "os.wait()\n"
             "s = attempt(dialed)\n",
             "works\n");
}

Test(reuse, is_nothing_that_a_program_finds_on_a_socket)
{
    must_say("reuseaddr=on",
             "s = dialed(); copy = s.dup()\n"
             "say(reuse(copy), reuse(s))\n"
             "s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)\n"
             "say(reuse(copy), reuse(s))\n"
             "copy.setsockopt(SOL_SOCKET, SO_REUSEADDR, 0)\n"
             "say(reuse(s))\n",
             "0 0\n1 1\n0\n");
    must_say("reuseaddr=on", "close_first(dialed()); s = made(); say(reuse(s))\n", "0\n");
}

Test(reuse, leaves_alone_what_the_program_set)
{
    must_say("reuseaddr=on",
             "s = socket.socket(); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)\n"
             "s.bind(('127.0.0.1', own)); s.connect(there)\n"
             "say(reuse(s))\n",
             "1\n");
}

/* By what the kernel says, past the hook of getsockopt. */
Test(reuse, is_for_sockets_with_a_port_of_the_programs_choice_and_a_connection)
{
    must_say("reuseaddr=on",
             "import fcntl, struct, subprocess\n"
             "def marked(s):\n"
             "    if os.fork() == 0:\n"
             "        os.set_inheritable(s.fileno(), True)\n"
             "        os.execve(sys.executable, ['python3', '-c', 'import socket; print(socket."
             "socket(fileno=%d).getsockopt(1, 2))' % s.fileno()], {})\n"
             "    os.wait()\n"
             "bound, any, free = made(), socket.socket(), socket.socket()\n"
             "marked(bound)\n"
             "bound.connect(there); any.bind(('127.0.0.1', 0)); any.connect(there)\n"
             "free.connect(there)\n"
             "for s in (bound, any, free): marked(s)\n"
             "import ctypes\n"
             "say(ctypes.CDLL(None).connect(bound.fileno(), bytes(16), 16))\n"
             "marked(bound)\n"
             "bound.listen(); marked(bound)\n",
             "0\n1\n0\n0\n0\n0\n0\n");
}

Test(reuse, lets_no_second_server_in)
{
    must_say("reuseaddr=on",
             "first = socket.socket(); first.bind(('127.0.0.1', own)); first.listen()\n"
             "attempt(made)\n"
             "if os.fork() == 0:\n"
             "    first.close()\n"
             "    attempt(made); os._exit(0)\n"
             "os.wait()\n"
             "first.close()\n"
             "first = socket.create_server(('127.0.0.1', own))\n"
             "attempt(made)\n",
             "EADDRINUSE\nEADDRINUSE\nEADDRINUSE\n");
}

/* A server of another program has the port and SO_REUSEADDR, and is about to listen. */
Test(reuse, keeps_no_server_of_another_program_from_listening)
{
    static const char *const rows[] = {
        "s = attempt(made); say('ready'); sys.stdin.readline()\n",
        "s = attempt(made); attempt(s.listen); say('ready'); sys.stdin.readline()\n",
    };
    static const char *const said[] = {"works\nready\n", "works\nEADDRINUSE\nready\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int one = 1;
        const struct sockaddr_in in = {.sin_family = AF_INET,
                                       .sin_port = htons(free_port()),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
        cr_assert_eq(bind(server, (const struct sockaddr *)&in, sizeof(in)), 0);
        struct program program;
        static char whole[4096];
        char own[16];
        snprintf(whole, sizeof(whole), "%s%s", PRELUDE, rows[i]);
        snprintf(own, sizeof(own), "%d", ntohs(in.sin_port));
        program_start(&program, "reuseaddr=on", ARGS("python3", "-c", whole, own));
        program_must_say(&program, "ready");
        cr_expect_eq(listen(server, 1), 0, "%s", program.reported);
        cr_expect_eq(program_end(&program), 0, "%s", program.reported);
        cr_expect_str_eq(program.said, said[i], "%s", program.reported);
        close(server);
    }
}

/* A port of a connection that lives is the program's own affair. */
Test(reuse, lets_no_second_client_in_while_the_first_is_connected)
{
    must_say("reuseaddr=on", "s = dialed(); attempt(made)\n", "EADDRINUSE\n");
    must_say("reuseaddr=on,action=log",
             "s = dialed(); server.accept()[0].close(); s.recv(1); attempt(made)\n",
             "EADDRINUSE\n");
}

/* Of a connection that was made by a call that no hook saw. */
Test(reuse, is_not_advised_where_it_is_on)
{
    struct program program;
    run(&program, "reuseaddr=on",
        "import ctypes, struct; unseen = ctypes.CDLL('libc.so.6')\n"
        "def at(port): return struct.pack('=HH4s8x', 2, socket.htons(port), b'\\x7f\\0\\0\\1')\n"
        "s = socket.socket(fileno=unseen.socket(2, 1, 0))\n"
        "unseen.bind(s.fileno(), at(own), 16); unseen.connect(s.fileno(), at(there[1]), 16)\n"
        "close_first(s)\n"
        "attempt(made)\n");
    cr_expect_str_eq(program.said, "EADDRINUSE\n");
    cr_expect_not_null(
        strstr(program.reported, "the connection that closed was made without SO_REUSEADDR"), "%s",
        program.reported);
    cr_expect_null(strstr(program.reported, "run with"), "%s", program.reported);
}

/* The kernel can tell a new connection from the one before by TCP timestamps alone. */
Test(reuse, needs_tcp_timestamps)
{
    struct program program;
    static char whole[4096];
    snprintf(
        whole, sizeof(whole),
        "ip link set lo up && sysctl -qw net.ipv4.tcp_timestamps=0 && exec python3 -c \"%s%s\" "
        "10001",
        PRELUDE,
        "close_first(dialed()); s = attempt(made); attempt(s.connect, there)\n"
        "sys.stdin.read()\n");
    program_start(&program, "reuseaddr=on", ARGS("unshare", "-n", "sh", "-c", whole));
    program_must_report(&program, "that connection is in TIME_WAIT for ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_eq(program.said, "works\nEADDRNOTAVAIL\n", "%s", program.reported);
}
