/*
 * Probing: what it asks of the kernel, what it proves, and that the program does not notice.
 */
#define _GNU_SOURCE
#include "keepalive.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "network.h"
#include "support.h"

Test(probe, takes_silence_for_an_end_no_sooner_than_the_kernel_itself_would)
{
    static const uint32_t graces_ms[] = {1, 999, 1000, 5999, 10000, 60000, 75000, 3600000};
    for (size_t i = 0; i < sizeof(graces_ms) / sizeof(graces_ms[0]); i++) {
        const struct keepalive settings = keepalive_of_probe(graces_ms[i]);
        cr_expect_geq(settings.count * settings.interval_s, PROBE_SILENCE_S, "%u", graces_ms[i]);
        cr_expect_leq(settings.count, PROBE_COUNT_MAX, "%u", graces_ms[i]);
        cr_expect(settings.idle_s >= 1 && settings.idle_s <= PROBE_INTERVAL_S, "%u", graces_ms[i]);
        cr_expect_leq(settings.interval_s, PROBE_INTERVAL_S, "%u", graces_ms[i]);
        cr_expect_eq(settings.on, 1);
        cr_expect_eq(settings.user_timeout_ms, 0);
    }
}

/* A client that is connected to us, in a network where a peer is forgotten after a second. */
static int start_client(struct program *program, const char *options, char *const steps[])
{
    in_port_t port = 0;
    char *argv[32] = {built("tests/leaker")};
    network_own(1);
    const int listener = peer_listen(AF_INET, &port);
    argv[1] = step("connect4", port);
    for (int i = 0; steps[i]; i++)
        argv[2 + i] = steps[i];
    program_start(program, options, argv);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(listener);
    return peer;
}

static bool is_probed(const void *said)
{
    char *text = (char *)(uintptr_t)said;
    return shell(text, 4096, "ss -Htno state close-wait") == 0 && strstr(text, "keepalive");
}

static bool is_not_probed(const void *said)
{
    return !is_probed(said);
}

Test(probe, proves_a_peer_that_has_closed_to_be_gone_and_only_then_is_the_socket_reaped)
{
    struct program program;
    const int peer =
        start_client(&program, "action=close-dead,grace=300ms", ARGS("wait", "probe", "wait"));
    close(peer);
    program_must_report(&program, "class eof-unread");
    program_must_report(&program, "closed for the program once its peer is proven gone");
    program_must_report(&program, ": reap: fd 3 ");
    cr_expect_not_null(strstr(program.reported, "  dead for "), "%s", program.reported);
    program_go_on(&program);
    program_must_say(&program, "poll in hup, recv 0, send Broken pipe");
    cr_expect_eq(program_end(&program), 0);
}

/* Longer than the timeout, and than several probes. */
Test(probe, leaves_a_peer_that_waits_for_its_answer_its_connection)
{
    struct program program;
    char said[4096];
    char answer = 'x';
    const int peer =
        start_client(&program, "action=close-dead,grace=1s", ARGS("wait", "send", "wait"));
    shutdown(peer, SHUT_WR);
    program_must_report(&program, ": leak: ");
    cr_expect(eventually(is_probed, said), "%s", said);
    sleep(4);
    program_go_on(&program);
    program_must_say(&program, "send 1");
    cr_expect_eq(read(peer, &answer, 1), 1);
    cr_expect_eq(answer, '\0');
    cr_expect(eventually(is_not_probed, said), "%s", said);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.reported, ": reap: "), 0, "%s", program.reported);
    close(peer);
}

Test(probe, lets_the_program_see_its_own_settings)
{
    static const struct {
        char *set;
        const char *said;
    } rows[] = {{"nothing", "keepalive 0, idle 7200\n"},
                {"keepalive=99", "keepalive 1, idle 99\n"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char said[4096];
        const int peer = start_client(&program, "action=close-dead,grace=200ms",
                                      ARGS(rows[i].set, "wait", "options", "wait"));
        shutdown(peer, SHUT_WR);
        program_must_report(&program, ": leak: ");
        cr_expect(eventually(is_probed, said), "%s", said);
        program_go_on(&program);
        program_must_say(&program, rows[i].said);
        cr_expect_eq(program_end(&program), 0);
        close(peer);
    }
}

/* Another process that shares the socket goes on with it: here the test itself. */
Test(probe, gives_the_settings_back_when_the_program_closes_or_ends)
{
    char *const rows[][3] = {{"wait", "close", NULL}, {"wait", "nothing", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char said[4096];
        const int peer = start_client(&program, "action=close-dead,grace=200ms", rows[i]);
        const int process = (int)syscall(SYS_pidfd_open, program.pid, 0);
        const int shared = (int)syscall(SYS_pidfd_getfd, process, 3, 0);
        cr_assert_geq(shared, 0);
        shutdown(peer, SHUT_WR);
        program_must_report(&program, ": leak: ");
        cr_expect(eventually(is_probed, said), "%s", said);
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0);
        int value = -1;
        cr_expect_eq(getsockopt(shared, SOL_SOCKET, SO_KEEPALIVE, &value, &(socklen_t){4}), 0);
        cr_expect_eq(value, 0, "%s", rows[i][1]);
        cr_expect_eq(getsockopt(shared, IPPROTO_TCP, TCP_KEEPIDLE, &value, &(socklen_t){4}), 0);
        cr_expect_eq(value, 7200, "%s", rows[i][1]);
        close(shared);
        close(process);
        close(peer);
    }
}

Test(probe, is_not_made_with_action_log_nor_where_bytes_are_unread)
{
    static const struct {
        const char *options;
        const char *bytes;
    } rows[] = {{"grace=200ms", ""}, {"grace=200ms,action=close-dead", "bytes"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        char said[4096];
        const int peer = start_client(&program, rows[i].options, ARGS("wait"));
        cr_assert_eq(write(peer, rows[i].bytes, strlen(rows[i].bytes)),
                     (ssize_t)strlen(rows[i].bytes));
        shutdown(peer, SHUT_WR);
        program_must_report(&program, ": leak: ");
        cr_expect(!is_probed(said), "%s", said);
        cr_expect_eq(program_end(&program), 0);
        close(peer);
    }
}
