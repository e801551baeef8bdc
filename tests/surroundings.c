/*
 * Bad surroundings, and other ways to be built, to start, to change and to end. What the program
 * does is the same as without us, and what there is to tell is told.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static in_port_t port;
static int listener;
static char folder[] = "/tmp/closewait-test-XXXXXX";

static void set_up(void)
{
    listener = peer_listen(AF_INET, &port);
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -rf %s", folder);
}

TestSuite(surroundings, .init = set_up, .fini = tear_down);

/* Closes the peer of the connection that the program makes. */
static void hang_up(void)
{
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    peer_hang_up(peer);
}

static char *option(const char *format, const char *value)
{
    static char text[512];
    snprintf(text, sizeof(text), format, value);
    return text;
}

static char *in_folder(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void must_end_well(struct program *program)
{
    program_go_on(program);
    program_must_say(program, "did close");
    cr_expect_eq(program_end(program), 0, "%s", program->reported);
}

Test(surroundings, fortified_and_large_file_builds_are_heard)
{
    static const char *const names[] = {"tests/leaker-fortified", "tests/leaker-lfs"};
    static char *const ways[] = {"read", "recv", "recvfrom"};
    char said[4096];
    shell(said, sizeof(said), "nm -D %s", built(names[0]));
    cr_expect(strstr(said, "__read_chk") && strstr(said, "__recv_chk") &&
                  strstr(said, "__recvfrom_chk"),
              "%s", said);
    for (size_t i = 0; i < 6; i++) {
        struct program program;
        program_start(&program, "grace=100ms",
                      ARGS(built(names[i / 3]), step("connect4", port), ways[i % 3], "wait"));
        hang_up();
        program_must_report(&program, "class eof-ignored");
        cr_expect_eq(program_end(&program), 0);
    }
}

Test(surroundings, a_socket_over_exec_is_found)
{
    struct program program;
    program_start(&program, "grace=300ms",
                  ARGS(built("tests/leaker"), step("connect4", port), "exec", "nothing", "wait"));
    program_must_say(&program, "did nothing");
    hang_up();
    program_must_report(&program, "inherited over fork, or over exec without FD_CLOEXEC");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
}

Test(surroundings, a_socket_closed_as_a_stream_is_closed)
{
    struct program program;
    program_start(&program, "grace=10ms",
                  ARGS(built("tests/leaker"), step("connect4", port), "fclose", "wait"));
    program_must_say(&program, "did fclose");
    hang_up();
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
}

Test(surroundings, the_summary_is_told_however_the_program_ends)
{
    static char *const ways[] = {"_exit", "quick_exit", "pthread_exit", "nothing"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct program program;
        program_start(&program, "grace=100ms",
                      ARGS(built("tests/leaker"), step("connect4", port), "wait", ways[i]));
        hang_up();
        program_must_report(&program, ": leak: ");
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0, "%s", ways[i]);
        cr_expect_not_null(strstr(program.reported, ": summary: 1 socket leaked"), "%s: %s",
                           ways[i], program.reported);
    }
}

Test(surroundings, a_report_that_cannot_be_written_is_lost_and_nothing_else)
{
    const char *const outputs[] = {"/no/such/folder/log", "/dev/full", folder, in_folder("pipe")};
    cr_assert_eq(mkfifo(outputs[3], 0600), 0); /* which nobody reads */
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        struct program program;
        program_start(
            &program, option("action=close,grace=50ms,output=%s", outputs[i]),
            ARGS(built("tests/leaker"), step("connect4", port), "drain", "wait", "probe", "close"));
        hang_up();
        program_must_report(&program, "cannot write to the file of the option output");
        must_end_well(&program);
        cr_expect_eq(times(program.reported, "cannot write to the file of the option output"), 1,
                     "%s", program.reported);
        cr_expect_eq(times(program.reported, "\n"), 1, "%s", program.reported);
    }
}

Test(surroundings, a_planted_link_is_not_followed)
{
    cr_assert_eq(symlink(in_folder("victim"), in_folder("log")), 0);
    struct program program;
    program_start(&program, option("grace=50ms,output=%s", in_folder("log")),
                  ARGS(built("tests/leaker"), step("connect4", port), "drain", "wait", "close"));
    hang_up();
    program_must_report(&program, "cannot write to the file of the option output");
    must_end_well(&program);
    cr_expect_neq(access(in_folder("victim"), F_OK), 0);
}

Test(surroundings, a_reader_of_standard_error_that_went_away_is_no_sigpipe)
{
    struct program program;
    program_start(&program, "grace=50ms",
                  ARGS(built("tests/leaker"), step("connect4", port), "wait", "close"));
    close(program.err);
    program.err = -1;
    hang_up();
    usleep(500000); /* some sweeps; that nothing comes has no other sign */
    must_end_well(&program);
}

/* A full pipe that nobody reads keeps whoever writes: not the watcher, nor who closes. */
Test(surroundings, a_full_standard_error_stops_nobody)
{
    char script[1024];
    snprintf(script, sizeof(script),
             "import os, socket, time\n"
             "os.set_blocking(2, False)\n"
             "try:\n"
             "    while True: os.write(2, b'x' * 512)\n"
             "except BlockingIOError: os.set_blocking(2, True)\n"
             "socks = [socket.create_connection(('127.0.0.1', %d)) for i in range(4)]\n"
             "print('open', flush=True)\n"
             "time.sleep(1)\n"
             "for sock in socks: sock.close()\n"
             "print('closed', flush=True)\n",
             port);
    char command[1200];
    snprintf(command, sizeof(command),
             "\"$@\" 2> >(exec sleep 20 >/dev/null); status=$?; kill $!; exit $status");
    struct program program;
    program_start(&program, NULL,
                  ARGS("bash", "-c", command, "bash", "env",
                       option("LD_PRELOAD=%s", built("libclosewait.so")),
                       "CLOSEWAIT_OPTIONS=grace=100ms", "python3", "-c", script));
    program_must_say(&program, "open");
    const int peers[] = {accept(listener, NULL, NULL), accept(listener, NULL, NULL),
                         accept(listener, NULL, NULL), accept(listener, NULL, NULL)};
    close(peers[1]);
    close(peers[3]);
    program_must_say(&program, "closed");
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
}

Test(surroundings, a_mistake_in_the_options_is_no_sigpipe)
{
    char said[256];
    cr_expect_eq(shell(said, sizeof(said),
                       "bash -c 'set -o pipefail; { sleep 0.2; LD_PRELOAD=%s "
                       "CLOSEWAIT_OPTIONS=bogus %s wait; } </dev/null 2>&1 >/dev/null | true'",
                       built("libclosewait.so"), built("tests/leaker")),
                 0);
}

/* inetd starts a server with its connection as standard error: that is the client's. */
Test(surroundings, a_connection_as_standard_error_is_never_written_to)
{
    char script[512];
    snprintf(script, sizeof(script),
             "exec 3<>/dev/tcp/127.0.0.1/%d; exec %s connect4=%d drain "
             "wait close <&3 >&3 2>&3 3>&-",
             port, built("tests/leaker"), port);
    struct program program;
    program_start(&program, "grace=50ms", ARGS("bash", "-c", script));
    const int client = accept(listener, NULL, NULL);
    hang_up();
    usleep(500000); /* some sweeps; that nothing comes has no other sign */
    cr_assert_eq(write(client, "\n", 1), 1);
    cr_expect_eq(program_end(&program), 0);
    char said[1024] = "";
    size_t len = 0;
    for (ssize_t n; (n = read(client, said + len, sizeof(said) - 1 - len)) > 0;)
        len += (size_t)n;
    cr_expect_not_null(strstr(said, "did close"), "%s", said);
    cr_expect_null(strstr(said, "closewait"), "%s", said);
}

/* The command's pipe is named by its inode: a path alone may be somebody else's file by now. */
Test(surroundings, a_file_under_the_commands_path_is_left_alone)
{
    char hello[200];
    char said[64];
    shell(said, sizeof(said), "echo precious >%s", in_folder("data"));
    snprintf(hello, sizeof(hello), "CLOSEWAIT_HELLO=%s 1", in_folder("data"));
    struct program program;
    program_start(&program, "action=log", ARGS("env", hello, built("tests/leaker"), "nothing"));
    cr_expect_eq(program_end(&program), 0);
    shell(said, sizeof(said), "cat %s", in_folder("data"));
    cr_expect_str_eq(said, "precious\n");
}

/* A sanitizer's clock_gettime and memcpy use thread-local storage, which the watcher has none of.
 */
Test(surroundings, a_program_of_the_thread_sanitizer)
{
    struct program program;
    program_start(&program, "grace=100ms,action=close",
                  ARGS(built("tests/leaker-tsan"), step("connect4", port), "wait", "close"));
    hang_up();
    program_must_report(&program, "the connection is gone");
    must_end_well(&program);
}

Test(surroundings, a_file_that_took_the_number_of_standard_error_is_never_written_to)
{
    char file[128];
    snprintf(file, sizeof(file), "take2=%s", in_folder("mine"));
    struct program program;
    program_start(
        &program, "grace=50ms",
        ARGS(built("tests/leaker"), file, step("connect4", port), "drain", "wait", "close"));
    hang_up();
    program_must_say(&program, "did drain");
    usleep(400000); /* two sweeps; that nothing comes has no other sign */
    must_end_well(&program);
    char said[256];
    shell(said, sizeof(said), "cat %s", in_folder("mine"));
    cr_expect_str_empty(said);
}

Test(surroundings, any_limit_of_descriptors_will_do)
{
    static const rlim_t limits[] = {64, 1000000000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char command[512];
        /* The kernel allows fs.nr_open at the most. */
        snprintf(command, sizeof(command),
                 "l=%lu; n=$(cat /proc/sys/fs/nr_open); [ $l -gt $n ] && l=$n; "
                 "ulimit -n $l || ulimit -n $(ulimit -Hn); exec %s connect4=%d wait close",
                 (unsigned long)limits[i], built("tests/leaker"), port);
        struct program program;
        program_start(&program, "grace=50ms,action=close", ARGS("sh", "-c", command));
        hang_up();
        program_must_report(&program, "the connection is gone");
        must_end_well(&program);
    }
}

static bool is_root(void)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    return geteuid() == 0;
}

Test(surroundings, without_proc)
{
    char command[512];
    if (!is_root())
        return;
    if (shell(command, sizeof(command), "unshare -m true 2>&1") != 0)
        cr_skip_test("no mount namespaces here (a chroot): %s", command);
    snprintf(command, sizeof(command),
             "mount -t tmpfs none /proc && exec %s from=%d connect4=%d wait connect4=%d",
             built("tests/leaker"), free_port(), port, port);
    struct program program;
    program_start(&program, "grace=50ms", ARGS("unshare", "-m", "sh", "-c", command));
    hang_up();
    program_must_report(&program, ": leak: fd 3 ");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 1);
    cr_expect_not_null(strstr(program.reported, "this program still holds the port"), "%s",
                       program.reported);
}

Test(surroundings, in_a_chroot)
{
    if (!is_root())
        return;
    struct program program;
    program_start(&program, "grace=50ms,action=close",
                  ARGS(built("tests/leaker"), option("chroot=%s", folder), step("connect4", port),
                       "wait", "close"));
    hang_up();
    program_must_report(&program, "the connection is gone");
    must_end_well(&program);
}

/* The watcher names itself, on its own thread. */
static bool has_a_watcher(const void *pid)
{
    char said[64];
    return shell(said, sizeof(said), "grep -qsx closewait /proc/%d/task/*/comm",
                 *(const pid_t *)pid) == 0;
}

/* Every thread of a program that gave its privileges up has given them up. */
Test(surroundings, the_watcher_becomes_who_the_program_becomes)
{
    if (!is_root())
        return;
    struct program program;
    program_start(
        &program, "grace=50ms",
        ARGS(built("tests/leaker"), step("connect4", port), "setuid=65534", "wait", "close"));
    program_must_say(&program, "did setuid");
    cr_expect(eventually(has_a_watcher, &program.pid));
    char said[1024];
    shell(said, sizeof(said), "cat /proc/%d/task/*/status | grep -E '^(Name|Uid):'",
          (int)program.pid);
    cr_expect_eq(times(said, "Name:"), 2, "%s", said);
    cr_expect_eq(times(said, "Uid:\t65534\t65534\t65534\t65534"), 2, "%s", said);
    hang_up();
    program_must_report(&program, ": leak: ");
    must_end_well(&program);
}

static bool is_told(const void *path)
{
    char said[256];
    return shell(said, sizeof(said), "grep -qs ': leak: ' %s", (const char *)path) == 0;
}

/* One table of ours cannot stand for two of theirs. */
Test(surroundings, a_thread_with_descriptors_of_its_own_ends_the_watch)
{
    struct program program;
    program_start(&program, "grace=200ms,action=close",
                  ARGS(built("tests/leaker"), step("connect4", port), "part", "wait", "close"));
    program_must_say(&program, "did part");
    hang_up();
    program_must_report(&program, "a thread has descriptors of its own from now on");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, "closewait: "), 1, "%s", program.reported);
}

Test(surroundings, a_daemon_that_closes_everything_is_watched_on)
{
    struct program program;
    program_start(&program, option("grace=50ms,output=%s", in_folder("log")),
                  ARGS(built("tests/leaker"), step("connect4", port), "daemon",
                       step("connect4", port), "drain", "wait"));
    program_must_say(&program, "did daemon");
    hang_up();
    hang_up();
    cr_expect(eventually(is_told, in_folder("log")));
    cr_expect_eq(program_end(&program), 0);
    char said[4096];
    shell(said, sizeof(said), "cat %s", in_folder("log"));
    cr_expect_eq(times(said, ": leak: "), 1, "%s", said);
}

Test(surroundings, an_allocator_that_reads_and_closes_itself)
{
    char found[512];
    cr_assert_eq(shell(found, sizeof(found), "ls /usr/lib/*/libjemalloc.so.2 | tr -d '\\n'"), 0);
    for (int first = 0; first <= 1; first++) {
        char preload[1200];
        snprintf(preload, sizeof(preload), "LD_PRELOAD=%s:%s",
                 first ? built("libclosewait.so") : found,
                 first ? found : built("libclosewait.so"));
        struct program program;
        program_start(&program, NULL,
                      ARGS("env", preload, "CLOSEWAIT_OPTIONS=grace=50ms,action=close",
                           built("tests/leaker"), step("connect4", port), "wait", "close"));
        hang_up();
        program_must_report(&program, "the connection is gone");
        must_end_well(&program);
    }
}

Test(surroundings, a_library_with_sockets_before_main_and_after_it)
{
    for (int first = 0; first <= 1; first++) {
        char preload[1200];
        char early[64];
        snprintf(preload, sizeof(preload), "LD_PRELOAD=%s:%s",
                 built(first ? "libclosewait.so" : "tests/early.so"),
                 built(first ? "tests/early.so" : "libclosewait.so"));
        snprintf(early, sizeof(early), "EARLY_PORT=%d", port);
        struct program program;
        program_start(&program, NULL,
                      ARGS("env", preload, early, "CLOSEWAIT_OPTIONS=grace=50ms",
                           built("tests/leaker"), "wait"));
        program_must_say(&program, "early connect 0");
        hang_up();
        program_must_report(&program, ": leak: ");
        cr_expect_eq(program_end(&program), 0);
        program_must_say(&program, "late recv 0\nlate close 0\n");
    }
}

/* On one processor and above all others, a thread that spun for a claim would never get it. */
Test(surroundings, a_real_time_storm_on_one_processor_ends, .timeout = 60)
{
    if (!is_root())
        return;
    char said[1024];
    shell(said, sizeof(said),
          "CLOSEWAIT_OPTIONS=action=close,grace=1ms,output=/dev/null "
          "taskset 1 chrt -r 10 timeout 40 %s 2 4 2>&1",
          built("tests/storm"));
    cr_expect_not_null(strstr(said, "no other descriptor was touched"), "%s", said);
}
