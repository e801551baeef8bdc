/*
 * A port that is held by more than one descriptor, socket or process; and a connection that cannot
 * be made because a leak of the program's own is that very connection.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network.h"
#include "support.h"

static in_port_t own_port;
static in_port_t port;
static int listener;

static void open_listener(void)
{
    listener = peer_listen(AF_INET, &port);
    own_port = free_port();
}

TestSuite(rescue, .init = open_listener);

/* What all the scripts begin with. Each says "ready" and then waits for a line. */
#define PRELUDE                                                                                    \
    "import errno, os, socket, sys\n"                                                              \
    "own, server = int(sys.argv[1]), ('127.0.0.1', int(sys.argv[2]))\n"                            \
    "def made(reuse=0, **more):\n"                                                                 \
    "    s = socket.socket()\n"                                                                    \
    "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)\n"                            \
    "    s.bind(('0.0.0.0', own))\n"                                                               \
    "    return s\n"                                                                               \
    "def say(*what): print(*what, flush=True)\n"                                                   \
    "def wait(): say('ready'); sys.stdin.readline()\n"                                             \
    "def attempt(what, *args):\n"                                                                  \
    "    try: what(*args); say('works')\n"                                                         \
    "    except OSError as e: say(errno.errorcode[e.errno])\n"

static void start(struct program *program, const char *options, const char *script)
{
    static char whole[8192];
    char own[16];
    char server[16];
    snprintf(whole, sizeof(whole), "%s%s", PRELUDE, script);
    snprintf(own, sizeof(own), "%d", own_port);
    snprintf(server, sizeof(server), "%d", port);
    program_start(program, options, ARGS("python3", "-c", whole, own, server));
}

/* The program has made this many connections; all of them are left by their peer. */
static void hang_up(struct program *program, int connections)
{
    program_must_say(program, "ready");
    for (int i = 0; i < connections; i++)
        close(accept(listener, NULL, NULL));
}

static void must_report(const struct program *program, const char *text)
{
    cr_expect_not_null(strstr(program->reported, text), "no '%s' in: %s", text, program->reported);
}

static void must_end(struct program *program, const char *said)
{
    cr_expect_eq(program_end(program), 0, "%s", program->reported);
    cr_expect_not_null(strstr(program->said, said), "%s\n%s", program->said, program->reported);
}

Test(rescue, buries_every_duplicate_of_the_leaked_socket)
{
    struct program program;
    start(&program, "action=close",
          "s = made(); s.connect(server); two, three = os.dup(s.fileno()), os.dup(s.fileno())\n"
          "wait()\n"
          "attempt(made)\n"
          "for fd in (s.fileno(), two, three): say('read', os.read(fd, 1))\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "works\nread b''\nread b''\nread b''\n");
    must_report(&program,
                "met a leaked socket of this program, which was closed for it; bind works");
    must_report(&program, "fd 3 (also fd 4, 5)  127.0.0.1:");
    must_report(&program, ": summary: 1 socket leaked at 1 call site (0 growing), 1 reaped");
}

Test(rescue, buries_every_leaked_socket_that_holds_the_port)
{
    struct program program;
    start(&program, "action=close",
          "other = socket.create_server(('127.0.0.1', 0))\n"
          "s, t = made(1), made(1)\n"
          "s.connect(server); t.connect(other.getsockname())\n"
          "copy = os.dup(s.fileno())\n"
          "other.accept()[0].close()\n"
          "wait()\n"
          "attempt(made)\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "works\n");
    must_report(&program,
                "met 2 leaked sockets of this program, which were closed for it; bind works");
    must_report(&program, "    and 1 more leaked socket holds the port\n");
    must_report(&program, ": summary: 2 sockets leaked at 1 call site (0 growing), 2 reaped");
}

Test(rescue, of_one_of_two_that_hold_the_port_is_none)
{
    struct program program;
    start(&program, "action=close",
          "other = socket.create_server(('127.0.0.1', 0))\n"
          "s, t = made(1), made(1)\n"
          "s.connect(server); t.connect(other.getsockname())\n"
          "wait()\n"
          "attempt(made)\n"
          "s.send(b'x'); say('sent')\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "EADDRINUSE\nsent\n");
    must_report(&program, "this program still holds the port\n    fd 4  ");
    must_report(&program, "    in the way as well: this program itself holds the port, with a live "
                          "connection that is not leaked (fd 5)\n");
    cr_expect_eq(times(program.reported, "rescue"), 0, "%s", program.reported);
}

/* Its parent still has the connection: what the child has of it is none of the port's. */
Test(rescue, of_a_child_spares_what_its_parent_has_as_well)
{
    static const char *const options[] = {"action=close", "action=log"};
    char sentence[96];
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct program program;
        own_port = free_port();
        start(&program, options[i],
              "s = made(); s.connect(server)\n"
              "if os.fork() == 0:\n"
              "    wait()\n"
              "    attempt(made)\n"
              "    s.send(b'x'); say('sent')\n"
              "else: os.wait()\n");
        hang_up(&program, 1);
        program_go_on(&program);
        snprintf(
            sentence, sizeof(sentence),
            "    another process, %d (python3), has the same socket open: both must close it\n",
            (int)program.pid);
        program_must_report(&program, "bind called at:");
        must_end(&program, "EADDRINUSE\nsent\n");
        must_report(&program, sentence);
        must_report(&program, "inherited over fork");
        cr_expect_eq(times(program.reported, "rescue"), 0, "%s", program.reported);
    }
}

Test(rescue, comes_to_a_child_that_is_the_last_to_hold_the_port)
{
    struct program program;
    start(&program, "action=close",
          "s = made(); s.connect(server)\n"
          "pipe = os.pipe()\n"
          "if os.fork() == 0:\n"
          "    os.read(pipe[0], 1)\n"
          "    wait()\n"
          "    attempt(made)\n"
          "else: s.close(); os.write(pipe[1], b'x'); os.wait()\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "works\n");
    must_report(&program, "rescue: bind to ");
    must_report(&program, "inherited over fork");
}

/* What /proc hides of the parent is no sign that it has closed its own (proc(5), hidepid). */
Test(rescue, of_a_child_leaves_what_a_parent_may_have_that_proc_does_not_show)
{
    static const struct {
        const char *parent;
        const char *said;
    } rows[] = {
        {"os.wait(); os._exit(0)", "ready\nEADDRINUSE\nworks\n"},
        {"os._exit(0)", "ready\nworks\nEPIPE\n"}, /* it is gone */
    };
    network_own(60);
    open_listener();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char script[8192];
        char own[16];
        char server[16];
        snprintf(script, sizeof(script),
                 PRELUDE "pipe = os.pipe()\n"
                         "if os.fork(): os.close(pipe[1]); os.wait(); os.read(pipe[0], 1); exit()\n"
                         "s = made(); s.connect(server); parent = os.getpid()\n"
                         "if os.fork(): %s\n"
                         "try:\n"
                         "    while %zu: os.kill(parent, 0)\n"
                         "except OSError: pass\n"
                         "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                         "wait()\n"
                         "attempt(made)\n"
                         "attempt(s.send, b'x')\n",
                 rows[i].parent, i);
        snprintf(own, sizeof(own), "%d", free_port());
        snprintf(server, sizeof(server), "%d", port);
        program_start(&program, "action=close",
                      ARGS("unshare", "-m", "sh", "-c",
                           "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"", "sh", "python3",
                           "-c", script, own, server));
        hang_up(&program, 1);
        program_go_on(&program);
        must_end(&program, rows[i].said);
    }
}

/* Nobody could know of it before: the parent buries its own, and that frees nothing. */
Test(rescue, of_a_parent_names_the_child_that_has_the_socket_as_well)
{
    struct program program;
    start(&program, "action=close",
          "s = made(); s.connect(server)\n"
          "pipe = os.pipe()\n"
          "pid = os.fork()\n"
          "if pid == 0: os.read(pipe[0], 1); os._exit(0)\n"
          "say('child', pid)\n"
          "wait()\n"
          "attempt(made)\n"
          "sys.stdin.readline(); os.write(pipe[1], b'x'); os.wait()\n");
    hang_up(&program, 1);
    program_go_on(&program);
    program_must_report(&program, "bind still fails after 1");
    must_report(&program, " has the same socket open: both must close it\n");
    must_end(&program, "EADDRINUSE\n");
}

/* A client of its parent's, which half-closed and waits. */
Test(rescue, of_a_child_does_not_take_what_its_parent_has_accepted)
{
    struct program program;
    char answer[8] = "";
    start(
        &program, "action=close",
        "address = ('127.0.0.1', own)\n"
        "listener = socket.create_server(address)\n"
        "say('listening')\n"
        "client, _ = listener.accept()\n"
        "pipe = os.pipe()\n"
        "if os.fork() != 0: client.close(); listener.close(); os.write(pipe[1], b'x'); os.wait()\n"
        "else:\n"
        "    os.read(pipe[0], 1); listener.close()\n"
        "    while client.recv(100): pass\n"
        "    attempt(socket.socket().bind, address)\n"
        "    client.sendall(b'answer')\n");
    program_must_say(&program, "listening");
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_port = htons(own_port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (const struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(shutdown(client, SHUT_WR), 0);
    cr_expect_eq(recv(client, answer, sizeof(answer) - 1, MSG_WAITALL), 6);
    cr_expect_str_eq(answer, "answer");
    close(client);
    must_end(&program, "EADDRINUSE\n");
    cr_expect_eq(times(program.reported, "rescue"), 0, "%s", program.reported);
}

/* bind works, since all set SO_REUSEADDR; the connection is there already. */
Test(rescue, lets_a_connection_be_made_that_a_leak_still_is)
{
    static const struct {
        const char *how;
        const char *said;
    } rows[] = {
        {"", "works\n"},
        {"t.setblocking(False)\n", "EINPROGRESS\n"},
        {"fd = os.dup(s.fileno())\n", "works\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char script[512];
        open_listener();
        snprintf(script, sizeof(script),
                 "s = made(1); s.connect(server)\n"
                 "wait()\n"
                 "t = made(1)\n"
                 "%s"
                 "attempt(t.connect, server)\n",
                 rows[i].how);
        start(&program, "action=close-dead", script);
        hang_up(&program, 1);
        program_go_on(&program);
        must_end(&program, rows[i].said);
        must_report(&program, "rescue: connect from 0.0.0.0:");
        must_report(&program, "met a leaked socket of this program, which was closed for it; "
                              "connect works after ");
        must_report(&program, "    connect called at:  #0");
    }
}

Test(rescue, only_explains_a_connection_that_cannot_be_made_with_action_log)
{
    struct program program;
    start(&program, "action=log",
          "s = made(1); s.connect(server)\n"
          "wait()\n"
          "attempt(made(1).connect, server)\n"
          "say('read', s.recv(1))\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "EADDRNOTAVAIL\nread b''\n");
    must_report(&program, " failed, cannot assign requested address: this program still holds that "
                          "connection\n    fd 3  127.0.0.1:");
}

Test(rescue, of_a_connection_leaves_one_that_is_alive)
{
    struct program program;
    start(&program, "action=close",
          "s = made(1); s.connect(server)\n"
          "t = made(1)\n"
          "attempt(t.connect, server)\n"
          "s.send(b'x'); say('sent')\n"
          "wait()\n");
    program_must_report(&program, "connect called at:");
    must_end(&program, "EADDRNOTAVAIL\nsent\n");
    must_report(&program,
                "this program itself holds that connection, with a live connection that is "
                "not leaked (fd 3)\n");
}

/* What the shim writes for the command, the command tells in the same words. */
Test(rescue, is_told_by_the_command_as_by_the_shim)
{
    struct program program;
    char number[2][16];
    snprintf(number[0], sizeof(number[0]), "%d", own_port);
    snprintf(number[1], sizeof(number[1]), "%d", port);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--action=close", "--", "python3", "-c",
                       PRELUDE "s = made(1); s.connect(server)\n"
                               "wait()\n"
                               "if os.fork(): os.wait()\n"
                               "else: attempt(made(1).connect, server); sys.exit()\n"
                               "t = made(1)\n"
                               "attempt(t.connect, server)\n"
                               "u = made(1)\n"
                               "attempt(u.connect, server)\n"
                               "attempt(made)\n"
                               "wait()\n",
                       number[0], number[1]));
    hang_up(&program, 1);
    program_go_on(&program);
    program_must_report(&program, "bind called at:");
    must_end(&program, "EADDRNOTAVAIL\nworks\nEADDRNOTAVAIL\nEADDRINUSE\nready\n");
    must_report(&program, " failed, cannot assign requested address: this program still holds that "
                          "connection\n    fd 3  127.0.0.1:");
    must_report(&program, " (python3), has the same socket open: both must close it\n");
    must_report(&program, "    connect called at:  #0");
    must_report(&program, "connect works after ");
    must_report(&program,
                "this program itself holds that connection, with a live connection that is "
                "not leaked (fd 4)\n");
}

/* taken: another process, which the shim does not see, holds the port. */
#define ELSEWHERE                                                                                  \
    "import ctypes, subprocess\n"                                                                  \
    "V6ONLY, DEVICE = (41, 26, 1), (1, 25, b'v0')\n"                                               \
    "code = '''import socket, sys\n"                                                               \
    "s = socket.socket(FAMILY)\n"                                                                  \
    "if OPTION: s.setsockopt(*OPTION)\n"                                                           \
    "s.bind((ADDRESS, OWN)); s.listen(); print(flush=True); sys.stdin.read()'''\n"                 \
    "def taken(family, address, option=None):\n"                                                   \
    "    of = dict(FAMILY=int(family), OPTION=option, ADDRESS=address, OWN=own)\n"                 \
    "    start = ''.join('%s = %r\\n' % each for each in of.items())\n"                            \
    "    other = subprocess.Popen([sys.executable, '-c', start + code], env={},\n"                 \
    "                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"                \
    "    keep.append(other); other.stdout.readline()\n"                                            \
    "def wanted(family, address, option=None):\n"                                                  \
    "    s = socket.socket(family)\n"                                                              \
    "    if option: s.setsockopt(*option)\n"                                                       \
    "    s.bind((address, own))\n"                                                                 \
    "keep = []\n"

/* The peer has half-closed, and waits for the answer: to close it would free nothing. */
Test(rescue, leaves_what_is_not_in_the_way_of_another_family_interface_or_namespace)
{
    static const char *const rows[] = {
        "taken(socket.AF_INET6, '::', V6ONLY); attempt(wanted, socket.AF_INET6, '::', V6ONLY)\n",
        "s.setsockopt(1, 25, b'lo')\n"
        "taken(socket.AF_INET, '', DEVICE); attempt(wanted, socket.AF_INET, '', DEVICE)\n",
        "ctypes.CDLL(None).unshare(0x40000000)\n"
        "taken(socket.AF_INET, ''); attempt(wanted, socket.AF_INET, '')\n",
    };
    char said[256];
    network_own(60);
    cr_assert_eq(shell(said, sizeof(said), "ip link add v0 type veth peer name v1"), 0, "%s", said);
    open_listener();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char script[4096];
        own_port = free_port();
        snprintf(script, sizeof(script), "%s%s%s%s", ELSEWHERE,
                 "s = made(); s.connect(server)\nwait()\n", rows[i],
                 "s.send(b'answer'); say('sent')\n"
                 "for other in keep: other.communicate()\n");
        start(&program, "action=close", script);
        program_must_say(&program, "ready");
        const int peer = accept(listener, NULL, NULL);
        cr_assert_eq(shutdown(peer, SHUT_WR), 0);
        usleep(100000);
        program_go_on(&program);
        must_end(&program, "EADDRINUSE\nsent\n");
        cr_expect_eq(times(program.reported, "rescue"), 0, "%s", program.reported);
        close(peer);
    }
}

/* It stays, and is no reason not to close the leak. */
Test(rescue, is_not_kept_from_a_port_by_a_socket_that_is_for_ipv6_alone)
{
    struct program program;
    start(&program, "action=close",
          ELSEWHERE "s = made(); s.connect(server)\n"
                    "six = socket.socket(socket.AF_INET6); six.setsockopt(*V6ONLY)\n"
                    "six.bind(('::', own))\n"
                    "wait()\n"
                    "attempt(made)\n");
    hang_up(&program, 1);
    program_go_on(&program);
    must_end(&program, "works\n");
}

/* What a child has of the connection is its own affair again. */
Test(rescue, puts_the_settings_back_that_a_probe_has_changed)
{
    struct program program;
    start(&program, "action=close-dead,grace=100ms",
          "s = made(); s.connect(server)\n"
          "pipe = os.pipe()\n"
          "if os.fork() == 0:\n"
          "    os.read(pipe[0], 1); os.set_inheritable(s.fileno(), True)\n"
          "    os.execve(sys.executable, ['python3', '-c', 'import socket; print(\"kept\", socket."
          "socket(fileno=%d).getsockopt(1, 9))' % s.fileno()], {})\n"
          "wait()\n"
          "attempt(made)\n"
          "os.write(pipe[1], b'x'); os.wait()\n");
    program_must_say(&program, "ready");
    const int peer = accept(listener, NULL, NULL);
    cr_assert_eq(shutdown(peer, SHUT_WR), 0);
    program_must_report(&program, ": leak: fd 3");
    program_go_on(&program);
    must_end(&program, "EADDRINUSE\nkept 0\n");
    must_report(&program, "bind still fails after 1");
    close(peer);
}

/* Any other cause of EADDRNOTAVAIL is the program's own affair. */
Test(rescue, says_nothing_of_an_address_that_is_not_there)
{
    struct program program;
    start(&program, "action=close",
          "s = socket.socket()\n"
          "attempt(s.connect, server)\n"
          "attempt(socket.socket().connect, ('255.255.255.255', 1))\n"
          "t = socket.socket(socket.AF_INET6)\n"
          "attempt(t.bind, ('2001:db8::1', 0))\n");
    must_end(&program, "works\n");
    cr_expect_null(strstr(program.reported, "failed"), "%s", program.reported);
}

/* Without timestamps the kernel cannot tell a new connection from the one before. */
Test(rescue, tells_a_connection_in_time_wait)
{
    struct program program;
    char script[] =
        "ip link set lo up && sysctl -qw net.ipv4.tcp_timestamps=0 && exec python3 -c \""
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "def dial():\n"
        "    s = socket.socket()\n"
        "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "    s.bind(('127.0.0.1', 10001))\n"
        "    s.connect(server.getsockname())\n"
        "    return s\n"
        "s = dial(); t, _ = server.accept(); s.close(); t.recv(1); t.close()\n"
        "try: dial()\n"
        "except OSError as e: print(e.errno, flush=True)\n"
        "import sys; sys.stdin.read()\n"
        "\"";
    program_start(&program, "action=close", ARGS("unshare", "-n", "sh", "-c", script));
    program_must_say(&program, "99\n");
    program_must_report(&program, "that connection is in TIME_WAIT for ");
    must_report(&program, "with TCP timestamps at both ends");
    cr_expect_eq(program_end(&program), 0);
}

/* Neither listens nor is connected. */
Test(rescue, names_a_process_that_has_only_bound_the_port)
{
    struct program program;
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(own_port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    start(&program, "action=close", "attempt(made)\n");
    must_end(&program, "EADDRINUSE\n");
    must_report(&program, "bind to 0.0.0.0:");
    /* Before Linux 6.8 sock_diag tells nothing of such a socket. */
    if (!strstr(program.reported, "who holds the port is not known"))
        must_report(&program, " holds the port, with a socket without a connection\n");
    close(fd);
}
