/*
 * The accept queue: connections that nobody accepts, of a real program and the kernel.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

/* A leaker that listens and does what the steps say. */
static in_port_t start(struct program *program, const char *options, char *const steps[])
{
    char *argv[64] = {built("tests/leaker")};
    for (int i = 0; steps[i]; i++)
        argv[i + 1] = steps[i];
    program_start(program, options, argv);
    return port_of(program);
}

/* So many connections, at least, in the order of their coming. */
static void dial_all(int *fds, int count, int family, in_port_t port)
{
    for (int i = 0; i < count; i++)
        fds[i] = dial(family, port);
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

Test(accept_queue, is_told_with_those_that_wait_and_those_that_hung_up)
{
    static const struct {
        char *listen;
        int family;
        const char *told;
    } rows[] = {
        {"listen=127.0.0.1", AF_INET, ": accept queue of 127.0.0.1:%d (fd 3): "},
        {"listen=::1", AF_INET6, ": accept queue of [::1]:%d (fd 3): "},
        {"listen=0.0.0.0", AF_INET, ": accept queue of 0.0.0.0:%d (fd 3): "},
        {"listen=::", AF_INET6, ": accept queue of [::]:%d (fd 3): "},
        {"listen=::", AF_INET, ": accept queue of [::]:%d (fd 3): "},
        {"listen=::ffff:127.0.0.1", AF_INET, ": accept queue of 127.0.0.1:%d (fd 3): "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fds[4];
        char expected[128];
        struct program program;
        const in_port_t port = start(&program, "grace=300ms", ARGS(rows[i].listen, "wait"));
        dial_all(fds, 4, rows[i].family, port);
        close(fds[1]);
        reset(fds[2]);
        snprintf(expected, sizeof(expected), rows[i].told, port);
        program_must_report(&program, expected);
        program_must_report(&program, "4 connections have waited up to 0.");
        program_must_report(&program, " s for an accept, 2 of them already hung up\n");
        program_must_report(&program, "    listen called at:  #0 leaker+0x");
        cr_expect_eq(program_end(&program), 0);
        cr_expect_null(strstr(program.reported, "summary"), "it is no leak: %s", program.reported);
        close(fds[0]);
        close(fds[3]);
    }
}

Test(accept_queue, is_told_when_grace_is_over_and_not_before)
{
    struct program program;
    const in_port_t port = start(&program, "grace=1s", ARGS("listen=127.0.0.1", "wait"));
    const int fd = dial(AF_INET, port);
    const uint64_t came = now_ms();
    program_must_report(&program, "1 connection has waited 1.");
    const uint64_t after = now_ms() - came;
    cr_expect(after >= 990, "told after %d ms", (int)after);
    program_must_report(&program, " s for an accept, none of them hung up\n");
    cr_expect_eq(program_end(&program), 0);
    close(fd);
}

Test(accept_queue, is_told_to_be_full)
{
    int fds[5]; /* listen has 4, and takes one more */
    struct program program;
    const in_port_t port = start(&program, "grace=200ms", ARGS("listen=127.0.0.1", "wait"));
    dial_all(fds, 5, AF_INET, port);
    program_must_report(&program, "5 connections have waited up to ");
    program_must_report(&program, "none of them hung up; the queue is full\n");
    cr_expect_eq(program_end(&program), 0);
    close_all(fds, 5);
}

/* Five graces long, and a duplicate of the listener is no second one. */
Test(accept_queue, is_told_once_while_the_same_connections_wait)
{
    int fds[2];
    struct program program;
    const in_port_t port =
        start(&program, "grace=200ms",
              ARGS("listen=127.0.0.1", "dup2=50", "wait", "doze", "admit", "doze", "wait"));
    dial_all(fds, 2, AF_INET, port);
    program_must_report(&program, ": accept queue of ");
    program_go_on(&program);
    program_must_say(&program, "did doze\ndid admit\ndid doze\n");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": accept queue of "), 1, "%s", program.reported);
    close_all(fds, 2);
}

Test(accept_queue, is_told_again_when_it_filled_anew)
{
    int fds[4];
    struct program program;
    const in_port_t port =
        start(&program, "grace=200ms", ARGS("listen=127.0.0.1", "wait", "admit", "admit", "wait"));
    dial_all(fds, 2, AF_INET, port);
    program_must_report(&program, "2 connections have waited ");
    program_go_on(&program);
    program_must_say(&program, "did admit\ndid admit\n");
    dial_all(fds + 2, 1, AF_INET, port);
    program_must_report(&program, "1 connection has waited ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": accept queue of "), 2, "%s", program.reported);
    close_all(fds, 3);
}

/* What was accepted and leaks is another matter. */
Test(accept_queue, has_nothing_in_it_that_was_accepted)
{
    struct program program;
    const in_port_t port = start(&program, "grace=200ms", ARGS("listen=127.0.0.1", "keep", "wait"));
    close(dial(AF_INET, port));
    program_must_report(&program, ": leak: fd 4 ");
    const int fd = dial(AF_INET, port);
    program_must_report(&program, "1 connection has waited ");
    program_must_report(&program, "none of them hung up\n");
    cr_expect_eq(program_end(&program), 0);
    close(fd);
}

Test(accept_queue, that_is_drained_in_time_is_not_told)
{
    struct program program;
    const in_port_t port =
        start(&program, "grace=300ms", ARGS("listen=127.0.0.1", "admit", "wait", "doze", "wait"));
    close(dial(AF_INET, port));
    program_must_say(&program, "did admit\n");
    program_go_on(&program);
    program_must_say(&program, "did doze\n");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
}

/*
 * The queue always holds some, and one is accepted every STEP_MS: before the first steps, and then
 * one that comes for each that goes.
 */
static void serve_slowly(char *const first[], const char *options, int waiting, int steps,
                         int step_ms)
{
    char *argv[64];
    int fds[64];
    int n = 0;
    struct program program;
    for (int i = 0; first[i]; i++)
        argv[n++] = first[i];
    for (int i = 0; i < steps; i++) {
        argv[n++] = "wait";
        argv[n++] = "admit";
    }
    argv[n] = NULL;
    const in_port_t port = start(&program, options, argv);
    dial_all(fds, waiting, AF_INET, port);
    for (int i = 0; i < steps; i++) {
        poll(NULL, 0, step_ms); /* the program is slow: this is no waiting for anything */
        fds[waiting + i] = dial(AF_INET, port);
        program_go_on(&program);
    }
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.said, "did admit\n"), steps, "%s", program.said);
    cr_expect_eq(times(program.reported, ": accept queue of "), 0, "%s", program.reported);
    close_all(fds, waiting + steps);
}

/* Each waits for longer than grace, but there are always others that are accepted. */
Test(accept_queue, of_a_slow_program_that_accepts_is_not_told)
{
    serve_slowly(ARGS("listen=127.0.0.1"), "grace=1s", 4, 8, 300);
}

Test(accept_queue, that_is_accepted_from_by_a_duplicate_is_not_told)
{
    serve_slowly(ARGS("listen=127.0.0.1", "dup2=50"), "grace=1s", 4, 8, 300);
}

/* The parent accepts nothing, and never sees the queue empty: its child does. */
Test(accept_queue, that_another_process_accepts_from_is_not_told)
{
    serve_slowly(ARGS("listen=127.0.0.1", "fork"), "grace=1s", 1, 25, 100);
}

Test(accept_queue, of_an_inherited_listener_is_told)
{
    struct program program;
    const in_port_t port = start(&program, "grace=200ms", ARGS("listen=127.0.0.1", "exec", "wait"));
    const int fd = dial(AF_INET, port);
    program_must_report(&program, "1 connection has waited ");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": accept queue of "), 1);
    cr_expect_null(strstr(program.reported, "listen called at"), "%s", program.reported);
    close(fd);
}

/* A child that accepts watches the listener that it has from its parent, too. */
Test(accept_queue, of_a_listener_from_before_fork_is_told_by_each_process)
{
    struct program program;
    const in_port_t port =
        start(&program, "grace=200ms", ARGS("listen=127.0.0.1", "fork", "admit", "wait"));
    int fds[2] = {dial(AF_INET, port), -1};
    program_must_say(&program, "did admit\n");
    fds[1] = dial(AF_INET, port);
    program_must_report_times(&program, "1 connection has waited ", 2);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": accept queue of "), 2, "%s", program.reported);
    close_all(fds, 2);
}

/* How many connections the program says that its queues hold. */
static int waiting_of(const struct program *program)
{
    int sum = 0;
    for (const char *at = program->reported; (at = strstr(at, "): ")); at++)
        sum += (int)strtol(at + strlen("): "), NULL, 10);
    return sum;
}

/* The kernel spreads them as it likes, and does not say where they are. */
Test(accept_queue, of_listeners_that_share_a_port_are_told_for_what_each_holds)
{
    int fds[5];
    struct program program;
    const in_port_t port = start(&program, "grace=300ms",
                                 ARGS("reuseport", step("from", free_port()), "listen=127.0.0.1",
                                      "listen=127.0.0.1", "wait", "doze", "wait"));
    program_must_say(&program, "did listen=127.0.0.1\nport ");
    dial_all(fds, 5, AF_INET, port);
    close_all(fds, 5);
    program_must_report(&program, ": accept queue of ");
    program_go_on(&program);
    program_must_say(&program, "did doze\n");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(waiting_of(&program), 5, "%s", program.reported);
    cr_expect_eq(times(program.reported, ", 5 of them") + times(program.reported, ", 4 of them") +
                     times(program.reported, ", 3 of them"),
                 1, "%s", program.reported);
}

static int dial_second_address(in_port_t port)
{
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

Test(accept_queue, of_two_addresses_with_one_port_are_told_apart)
{
    int fds[3];
    struct program program;
    const in_port_t port =
        start(&program, "grace=300ms",
              ARGS(step("from", free_port()), "listen=127.0.0.1", "listen=127.0.0.2", "wait"));
    program_must_say(&program, "did listen=127.0.0.2\n");
    const int other = dial_second_address(port);
    dial_all(fds, 3, AF_INET, port);
    close_all(fds, 3);
    program_must_report(&program, "(fd 3): 3 connections have waited up to ");
    program_must_report(&program, ", 3 of them already hung up\n");
    program_must_report(&program, "(fd 4): 1 connection has waited ");
    program_must_report(&program, ", none of them hung up\n");
    cr_expect_eq(program_end(&program), 0);
    close(other);
}

/* What it costs is a look each grace/2, and nothing between. */
Test(accept_queue, that_is_empty_costs_one_wake_up_in_half_a_grace)
{
    char said[4096];
    char preload[600];
    struct program program;
    char *log = built("tests/accept_queue.strace");
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", built("libclosewait.so"));
    program_start(&program, NULL,
                  ARGS("strace", "-f", "-o", log, "-E", preload, "-E",
                       "CLOSEWAIT_OPTIONS=grace=800ms", built("tests/leaker"), "listen=127.0.0.1",
                       "doze", "wait"));
    program_must_say(&program, "did doze");
    cr_expect_eq(program_end(&program), 0);
    shell(said, sizeof(said), "sed '/did doze/,$d' %s | grep -c 'TCP_INFO, *\"'", log);
    const int looks = (int)strtol(said, NULL, 10);
    cr_expect(looks >= 2 && looks <= 4, "%d looks in 1 s", looks);
    shell(said, sizeof(said),
          "sed '/did doze/,$d' %s | grep -cE 'FUTEX_WAIT_PRIVATE|futex resumed'", log);
    const int naps = (int)strtol(said, NULL, 10);
    cr_expect(naps <= 2 * looks, "%d naps for %d looks", naps, looks);
}
