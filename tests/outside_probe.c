/*
 * Probing from outside: as the shim does (probe.c), on a program that is not stopped for it.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "network.h"
#include "support.h"

static struct program program;
static struct program watch;

#define must_have(where, text)                                                                     \
    cr_expect_not_null(strstr(where, text), "no '%s' in:\n%s", text, where)

/* A static client that is connected to us and watched; a peer is forgotten after a second. */
static int start(char *grace, char *const steps[])
{
    in_port_t port = 0;
    char number[16];
    char *argv[32] = {built("tests/leaker-static")};
    network_own(1);
    const int listener = peer_listen(AF_INET, &port);
    argv[1] = step("connect4", port);
    for (int i = 0; steps[i]; i++)
        argv[2 + i] = steps[i];
    program_start(&program, NULL, argv);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(listener);
    snprintf(number, sizeof(number), "%d", (int)program.pid);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--action=close-dead", grace, number));
    return peer;
}

static void end_watch(void)
{
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);
}

static bool is_probed(const void *unused)
{
    char said[4096];
    (void)unused;
    return shell(said, sizeof(said), "ss -Htno state close-wait") == 0 && strstr(said, "keepalive");
}

static bool is_not_probed(const void *unused)
{
    return !is_probed(unused);
}

Test(outside_probe, proves_a_peer_that_has_closed_to_be_gone_and_only_then_is_the_socket_reaped)
{
    const int peer = start("--grace=300ms", ARGS("wait", "probe", "wait"));
    close(peer);
    program_must_report(&watch, "class eof-unread");
    program_must_report(&watch, "closed for the program once its peer is proven gone");
    program_must_report(&watch, ": reap: fd 3 ");
    must_have(watch.reported, "  dead for ");
    program_go_on(&program);
    program_must_say(&program, "poll in hup, recv 0, send Broken pipe");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
}

/* A program that has sat on a leak for all of grace has had it: no second one begins. */
Test(outside_probe, closes_at_once_what_was_told_and_is_proven_over)
{
    const int peer = start("--grace=3s", ARGS("wait"));
    close(peer);
    program_must_report(&watch, ": leak: ");
    const uint64_t told = now_ms();
    program_must_report(&watch, ": reap: fd 3 ");
    cr_expect_lt(now_ms() - told,
                 5500); /* the probe comes after 3 s, and another grace would be 6 */
    end_watch();
    cr_expect_eq(program_end(&program), 0);
}

/* Longer than the timeout, and than several probes. */
Test(outside_probe, leaves_a_peer_that_waits_for_its_answer_its_connection)
{
    char answer = 'x';
    const int peer = start("--grace=1s", ARGS("wait", "send", "wait"));
    shutdown(peer, SHUT_WR);
    program_must_report(&watch, ": leak: ");
    cr_expect(eventually(is_probed, NULL));
    sleep(4);
    program_go_on(&program);
    program_must_say(&program, "send 1");
    cr_expect_eq(read(peer, &answer, 1), 1);
    cr_expect_eq(answer, '\0');
    cr_expect(eventually(is_not_probed, NULL));
    end_watch();
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(watch.reported, ": reap: "), 0, "%s", watch.reported);
    close(peer);
}

Test(outside_probe, puts_the_programs_settings_back_when_the_watch_ends)
{
    static const struct {
        char *set;
        const char *said;
    } rows[] = {{"nothing", "keepalive 0, idle 7200\n"},
                {"keepalive=99", "keepalive 1, idle 99\n"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int peer = start("--grace=200ms", ARGS(rows[i].set, "wait", "options", "wait"));
        shutdown(peer, SHUT_WR);
        program_must_report(&watch, ": leak: ");
        cr_expect(eventually(is_probed, NULL));
        end_watch();
        program_go_on(&program);
        program_must_say(&program, rows[i].said);
        cr_expect_eq(program_end(&program), 0);
        close(peer);
    }
}

Test(outside_probe, leaves_what_the_program_has_set_meanwhile)
{
    const int peer = start("--grace=200ms", ARGS("wait", "keepalive=50", "wait", "options"));
    shutdown(peer, SHUT_WR);
    program_must_report(&watch, ": leak: ");
    cr_expect(eventually(is_probed, NULL));
    program_go_on(&program);
    program_must_say(&program, "did keepalive=50\n");
    end_watch();
    program_go_on(&program);
    program_must_say(&program, "keepalive 1, idle 50\n");
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}

/* Another process that shares the socket goes on with it: here the test itself. */
Test(outside_probe, puts_the_settings_back_when_the_program_closes_or_ends)
{
    char *const rows[][4] = {{"wait", "close", "wait", NULL}, {"wait", "nothing", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int peer = start("--grace=200ms", rows[i]);
        const int process = (int)syscall(SYS_pidfd_open, program.pid, 0);
        const int shared = (int)syscall(SYS_pidfd_getfd, process, 3, 0);
        cr_assert_geq(shared, 0);
        shutdown(peer, SHUT_WR);
        program_must_report(&watch, ": leak: ");
        cr_expect(eventually(is_probed, NULL));
        program_go_on(&program);
        cr_expect(eventually(is_not_probed, NULL), "%s", rows[i][1]);
        int value = -1;
        cr_expect_eq(getsockopt(shared, IPPROTO_TCP, TCP_KEEPIDLE, &value, &(socklen_t){4}), 0);
        cr_expect_eq(value, 7200, "%s", rows[i][1]);
        close(shared);
        close(process);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_eq(program_end(&watch), 0);
        close(peer);
    }
}

Test(outside_probe, is_not_made_with_action_log_nor_where_bytes_are_unread)
{
    char number[16];
    const int peer = start("--grace=200ms", ARGS("wait"));
    cr_expect_eq(send(peer, "x", 1, 0), 1);
    shutdown(peer, SHUT_WR);
    program_must_report(&watch, "class data-unread");
    sleep(1);
    cr_expect(is_not_probed(NULL));
    end_watch();
    snprintf(number, sizeof(number), "%d", (int)program.pid);
    program_start(&watch, NULL, ARGS(built("closewait"), "watch", "--grace=200ms", number));
    program_must_report(&watch, ": leak: ");
    sleep(1);
    cr_expect(is_not_probed(NULL));
    end_watch();
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}
