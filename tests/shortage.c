/*
 * The limit of open files: what is held is told when the program meets it, tombstones are given
 * back before that and then, and nothing else ever is.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

/*
 * What all the scripts begin with. There is nothing above the limit, and leak makes connections
 * that their peer leaves.
 */
#define PRELUDE                                                                                    \
    "import errno, os, resource, socket, sys, time\n"                                              \
    "LIMIT = 40\n"                                                                                 \
    "os.closerange(3, 4096)\n"                                                                     \
    "resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, 4096))\n"                                  \
    "listener = socket.create_server(('127.0.0.1', 0)); there = listener.getsockname()\n"          \
    "keep = []\n"                                                                                  \
    "def say(*what): print(*what, flush=True)\n"                                                   \
    "def wait(): say('ready'); sys.stdin.readline()\n"                                             \
    "def leak(n):\n"                                                                               \
    "    for i in range(n):\n"                                                                     \
    "        s = socket.create_connection(there); t, _ = listener.accept(); t.close()\n"           \
    "        keep.append(s)\n" /* At one stroke: the watcher may look while the numbers are taken. \
                                */                                                                 \
    "def fill(left=0):\n"                                                                          \
    "    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n"                               \
    "    while free() > left: keep.append(os.open('/dev/null', os.O_RDONLY))\n"                    \
    "    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, 4096))\n"                              \
    "def is_open(fd):\n"                                                                           \
    "    try: os.fstat(fd); return True\n"                                                         \
    "    except OSError: return False\n"                                                           \
    "def free(): return sum(not is_open(fd) for fd in range(LIMIT))\n"                             \
    "def attempt(what, *args):\n"                                                                  \
    "    try: keep.append(what(*args)); say('works')\n"                                            \
    "    except OSError as e: say(errno.errorcode[e.errno])\n"                                     \
    "def until(holds):\n"                                                                          \
    "    end = time.time() + 8\n"                                                                  \
    "    while not holds() and time.time() < end: time.sleep(0.02)\n"                              \
    "    if not holds(): say('never')\n"

static void start(struct program *program, const char *options, const char *script)
{
    static char whole[8192];
    char more[128];
    snprintf(whole, sizeof(whole), "%s%s", PRELUDE, script);
    snprintf(more, sizeof(more), "grace=100ms,%s", options);
    program_start(program, more, ARGS("python3", "-c", whole));
}

static void must_report(const struct program *program, const char *text)
{
    cr_expect_not_null(strstr(program->reported, text), "no '%s' in: %s", text, program->reported);
}

static void must_end(struct program *program, const char *said)
{
    cr_expect_eq(program_end(program), 0, "%s", program->reported);
    cr_expect_str_eq(program->said, said, "%s", program->reported);
}

Test(shortage, is_explained_with_what_is_held_by_call_site)
{
    struct program program;
    start(&program, "action=log,signal=USR2",
          "leak(16); wait()\n"
          "fill()\n"
          "attempt(socket.socket)\n"
          "wait()\n"
          "say(free(), all(s.recv(1) == b'' for s in keep[:16]))\n");
    program_must_report(&program, ": leak: 16 sockets by now");
    program_go_on(&program);
    program_must_report(&program, ": held now: ");
    must_report(&program, ": socket failed, too many open files: 40 of 40 descriptors in use, 16 "
                          "leaked sockets and 0 tombstones among them\n    called at:  #0");
    must_report(&program, ": held now: 16 sockets at site ");
    must_end(&program, "ready\nEMFILE\nready\n0 True\n");
}

Test(shortage, is_told_once_and_again_when_the_leaks_have_doubled)
{
    struct program program;
    start(&program, "action=log",
          "leak(8); wait()\n"
          "full = LIMIT\n"
          "def meet():\n"
          "    fill()\n"
          "    for i in range(50):\n"
          "        try: socket.socket()\n"
          "        except OSError: pass\n"
          "meet(); wait()\n"
          "for fd in keep[8:]: os.close(fd)\n"
          "del keep[8:]\n"
          "leak(8); wait(); meet()\n"
          "wait()\n");
    program_must_report(&program, ": leak: 8 sockets by now");
    program_go_on(&program);
    program_must_report(&program, ": socket failed, ");
    program_go_on(&program);
    program_must_report(&program, ": leak: 16 sockets by now");
    program_go_on(&program);
    program_must_report_times(&program, ": socket failed, ", 2);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": socket failed, "), 2, "%s", program.reported);
}

/* All leaks are tombstones: the oldest make room, until a tenth is free. */
Test(shortage, gives_tombstones_back_to_a_call_that_needs_a_number)
{
    static const struct {
        const char *call;
        const char *name;
    } rows[] = {
        {"socket.socket", "socket"},
        {"libc.accept, listener.fileno(), None, None", "accept"},
        {"listener._accept", "accept4"},
        {"libc.syscall, 41, 2, 1, 0", "socket"},
        {"libc.syscall, 288, listener.fileno(), None, None, 0", "accept4"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char script[1024];
        char report[128];
        snprintf(script, sizeof(script),
                 "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
                 "leak(8); wait()\n"
                 "fds = [s.fileno() for s in keep]\n"
                 "peer = socket.socket(); peer.connect(there)\n"
                 "soft = free()\n"
                 "while True:\n" /* faster than the watcher looks */
                 "    try: keep.append(os.open('/dev/null', os.O_RDONLY))\n"
                 "    except OSError: break\n"
                 "ctypes.set_errno(77)\n"
                 "attempt(%s)\n"
                 "say(keep[-1] not in (-1, None), ctypes.get_errno())\n"
                 "say(free() >= 3)\n",
                 rows[i].call);
        start(&program, "action=close", script);
        program_must_report(&program, "; 8 by now at site ");
        program_go_on(&program);
        must_end(&program, "ready\nworks\nTrue 77\nTrue\n");
        snprintf(report, sizeof(report), ": rescue: %s met too many open files; ", rows[i].name);
        must_report(&program, report);
    }
}

Test(shortage, is_prevented_while_there_are_tombstones)
{
    struct program program;
    start(&program, "action=close",
          "leak(8); first = keep[0].fileno(); last = keep[-1].fileno()\n"
          "wait()\n"
          "fill(1)\n"
          "until(lambda: free() >= 4)\n"
          "say(free(), is_open(first), is_open(last))\n"
          "time.sleep(1.3)\n"
          "say(free())\n");
    program_must_report(&program, "; 8 by now at site ");
    program_go_on(&program);
    must_end(&program, "ready\n4 False True\n4\n");
    must_report(&program, ": rescue: less than a tenth of the descriptors was left; 3 numbers that "
                          "leaked sockets had were given back (fd 4, 5, 6)\n    before: 39 of 40 ");
}

Test(shortage, gives_nothing_back_while_a_tenth_is_left)
{
    struct program program;
    start(&program, "action=close",
          "leak(8); fds = [s.fileno() for s in keep]\n"
          "wait()\n"
          "fill(4)\n"
          "time.sleep(2.3)\n"
          "say(free(), all(is_open(fd) for fd in fds))\n");
    program_must_report(&program, "; 8 by now at site ");
    program_go_on(&program);
    must_end(&program, "ready\n4 True\n");
}

/* As a program does that wants no more of them (a sandbox). */
Test(shortage, gives_nothing_back_under_a_limit_of_none)
{
    struct program program;
    start(&program, "action=close",
          "leak(8); fds = [s.fileno() for s in keep]\n"
          "wait()\n"
          "resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n"
          "time.sleep(2.3)\n"
          "say(all(is_open(fd) for fd in fds))\n");
    program_must_report(&program, "; 8 by now at site ");
    program_go_on(&program);
    must_end(&program, "ready\nTrue\n");
}

/* However many tombstones go, the limit is below what the program has besides. */
Test(shortage, gives_nothing_back_under_a_limit_that_is_out_of_reach)
{
    struct program program;
    start(&program, "action=close",
          "leak(8); fds = [s.fileno() for s in keep]\n"
          "wait()\n"
          "resource.setrlimit(resource.RLIMIT_NOFILE, (1, 4096))\n"
          "attempt(socket.socket)\n"
          "time.sleep(2.3)\n"
          "say(all(is_open(fd) for fd in fds))\n");
    program_must_report(&program, "; 8 by now at site ");
    program_go_on(&program);
    must_end(&program, "ready\nEMFILE\nTrue\n");
}

Test(shortage, is_nothing_to_tell_of_a_program_that_leaks_nothing)
{
    struct program program;
    start(&program, "action=close",
          "fill()\n"
          "attempt(socket.socket)\n");
    must_end(&program, "EMFILE\n");
    cr_expect_str_empty(program.reported);
}

/* What the program has put on the number since is none of ours. */
Test(shortage, gives_no_number_back_that_has_another_socket_by_now)
{
    struct program program;
    start(&program, "action=close",
          "leak(8)\n"
          "wait()\n"
          "pair = socket.socketpair()\n"
          "for s in keep[:7]: os.dup2(pair[0].fileno(), s.fileno())\n"
          "keep[7].detach()\n"
          "fill()\n"
          "until(lambda: free() >= 1)\n"
          "say(free(), all(is_open(s.fileno()) for s in keep[:7]))\n");
    program_must_report(&program, "; 8 by now at site ");
    program_go_on(&program);
    must_end(&program, "ready\n1 True\n");
}

/* No number is free to make a tombstone of. */
Test(shortage, closes_a_leaked_socket_where_there_is_no_room_for_a_tombstone)
{
    struct program program;
    start(&program, "action=close",
          "leak(4); fill()\n"
          "wait()\n"
          "attempt(socket.socket)\n"
          "say(sum(not is_open(s.fileno()) for s in keep[:4]))\n");
    program_must_report(&program, "could not be closed (errno 24); 4 by now");
    program_go_on(&program);
    must_end(&program, "ready\nworks\n0\n");
    must_report(&program, ": rescue: socket met too many open files; 1 number that a leaked socket "
                          "had was given back (fd 4)\n");
    must_report(&program, ": summary: 4 sockets leaked at 1 call site (0 growing), 1 reaped");
}

/* As io_uring does it: nothing of the old connection counts for the new one. */
Test(shortage, leaves_what_has_come_to_a_number_by_a_close_that_no_hook_saw)
{
    struct program program;
    start(&program, "action=close",
          "import ctypes, struct; unseen = ctypes.CDLL('libc.so.6')\n"
          "leak(1); fill()\n"
          "wait()\n"
          "fd = keep[0].fileno(); unseen.close(fd); say(unseen.socket(2, 1, 0) == fd)\n"
          "unseen.connect(fd, struct.pack('=HH4s8x', 2, socket.htons(there[1]), "
          "b'\\x7f\\0\\0\\1'), 16)\n"
          "resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT + 1, 4096))\n"
          "t, _ = listener.accept(); t.close()\n"
          "resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, 4096))\n"
          "attempt(socket.socket); attempt(socket.socket)\n"
          "say(is_open(fd))\n");
    program_must_report(&program, "could not be closed (errno 24)");
    program_go_on(&program);
    must_end(&program, "ready\nTrue\nEMFILE\nEMFILE\nTrue\n");
}

Test(shortage, spares_what_the_judge_spares)
{
    struct program program;
    start(&program, "action=close-dead",
          "leak(4); fill()\n"
          "wait()\n"
          "attempt(socket.socket)\n"
          "say(all(is_open(s.fileno()) for s in keep[:4]))\n");
    program_must_report(&program, ": leak: 4 sockets by now");
    program_go_on(&program);
    must_end(&program, "ready\nEMFILE\nTrue\n");
    must_report(&program, ": socket failed, too many open files: 40 of 40 descriptors in use, 4 ");
}

Test(shortage, is_told_by_the_command_as_by_the_shim)
{
    struct program program;
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--action=log", "--grace=100ms", "--", "python3",
                       "-c",
                       PRELUDE "leak(4); time.sleep(0.6)\n"
                               "fill()\n"
                               "attempt(socket.socket)\n"
                               "wait()\n"));
    program_must_report(&program, ": held now: 4 sockets at site ");
    must_report(&program, ": socket failed, too many open files: 40 of 40 descriptors in use, 4 "
                          "leaked sockets and 0 tombstones among them\n    called at:  #0 ");
    must_end(&program, "EMFILE\nready\n");
}
