/*
 * closewait reap on the test itself: which sockets it closes, which not, and what is on their
 * descriptors afterwards.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[64 * 1024];

/* Runs closewait reap on a process; its status. What it says is in said. */
static int reap(pid_t pid, const char *options, const char *fds)
{
    return shell(said, sizeof(said), "timeout 30 %s reap %s %d %s 2>&1", built("closewait"),
                 options, (int)pid, fds);
}

static int reap_own(const char *options, int fd)
{
    char fds[16];
    snprintf(fds, sizeof(fds), "%d", fd);
    return reap(getpid(), options, fds);
}

#define must_say_that(text) cr_expect_not_null(strstr(said, text), "no '%s' in:\n%s", text, said)

/* Both ends of a connection on the loopback. */
static int connection(int family, int *peer)
{
    in_port_t port = 0;
    const int listener = peer_listen(family, &port);
    const int fd = dial(family, port);
    *peer = accept(listener, NULL, NULL);
    cr_assert_geq(*peer, 0);
    close(listener);
    return fd;
}

static bool is_over(const void *argument)
{
    const int fd = *(const int *)argument;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info.tcpi_state == TCP_CLOSE;
}

/* A connection that the peer has reset. */
static int reset_connection(int family)
{
    int peer = -1;
    const struct linger at_once = {.l_onoff = 1};
    const int fd = connection(family, &peer);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(peer);
    cr_assert(eventually(is_over, &fd));
    return fd;
}

/* One that the peer has first closed, and then reset. */
static int closed_and_reset_connection(int family)
{
    int peer = -1;
    const struct linger at_once = {.l_onoff = 1};
    const int fd = connection(family, &peer);
    shutdown(peer, SHUT_WR);
    cr_assert(eventually(is_hung_up, &fd));
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(peer);
    cr_assert(eventually(is_over, &fd));
    return fd;
}

static int leaked(int family)
{
    int peer = -1;
    const int fd = connection(family, &peer);
    close(peer);
    cr_assert(eventually(is_hung_up, &fd));
    return fd;
}

static void pause_ms(int ms)
{
    const uint64_t begin = now_ms();
    while (now_ms() - begin < (uint64_t)ms)
        poll(NULL, 0, 10);
}

/* What a connection that has come to its end says to each call. */
static void must_be_ended(int fd)
{
    char byte = 0;
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0, "%s", strerror(errno));
    cr_expect_eq(send(fd, &byte, 1, MSG_NOSIGNAL), -1);
    cr_expect_eq(errno, EPIPE);
    cr_expect_eq(getpeername(fd, (struct sockaddr *)&addr, &len), -1);
    cr_expect_eq(errno, ENOTCONN);
}

Test(outside_sockets, puts_a_tombstone_of_either_family)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        const int fd = leaked(families[i]);
        cr_expect_eq(reap_own("--grace=1ms", fd), 0, "%s", said);
        must_say_that(": closed, and the connection is gone\n");
        must_be_ended(fd);
        int family = 0;
        socklen_t len = sizeof(family);
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
        cr_expect_eq(family, families[i]);
    }
}

Test(outside_sockets, replaces_every_descriptor_and_keeps_its_flags)
{
    const int fd = leaked(AF_INET);
    const int copy = fcntl(fd, F_DUPFD, 50);
    cr_assert_eq(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
    cr_assert_eq(fcntl(copy, F_SETFD, 0), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    const int waiting = leaked(AF_INET);
    cr_assert_eq(fcntl(waiting, F_SETFL, O_RDWR), 0);
    cr_expect_eq(reap_own("--grace=1ms", copy), 0, "%s", said);
    must_say_that(" (also fd 50)");
    must_say_that("another descriptor or process still holds"); /* the shell has inherited it */
    cr_expect_eq(reap_own("--grace=1ms", waiting), 0, "%s", said);
    must_be_ended(fd);
    must_be_ended(copy);
    cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_expect_eq(fcntl(copy, F_GETFD), 0);
    cr_expect_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
    cr_expect_eq(fcntl(waiting, F_GETFL), O_RDWR);
}

Test(outside_sockets, says_that_another_process_holds_it_still)
{
    int hold[2];
    const int fd = leaked(AF_INET);
    cr_assert_eq(pipe(hold), 0);
    const pid_t child = fork();
    if (child == 0) {
        char byte = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0);
    }
    cr_expect_eq(reap_own("--grace=1ms", fd), 0, "%s", said);
    must_say_that("closed here, but another descriptor or process still holds the connection\n");
    close(hold[1]);
    waitpid(child, NULL, 0);
}

Test(outside_sockets, leaves_what_would_lose_something_unless_forced)
{
    int peer = -1;
    const int fd = connection(AF_INET, &peer);
    cr_assert_eq(send(peer, "abc", 3, 0), 3);
    close(peer);
    cr_assert(eventually(is_hung_up, &fd));
    cr_expect_eq(reap_own("--grace=1ms", fd), 1);
    must_say_that("class data-unread");
    must_say_that("left alone: bytes lie unread, and would be lost\n");
    char bytes[4];
    cr_expect_eq(recv(fd, bytes, 1, 0), 1);
    cr_expect_eq(reap_own("--grace=1ms --force --dry-run", fd), 0);
    must_say_that("lost: 2 unread bytes");
    cr_expect_eq(recv(fd, bytes, 1, 0), 1);
    cr_expect_eq(reap_own("--grace=1ms --force", fd), 0, "%s", said);
    must_say_that("lost: 1 unread bytes");
    must_be_ended(fd);
}

/* They never will: the kernel has thrown them away with the connection. */
Test(outside_sockets, closes_a_dead_one_whose_last_bytes_never_arrived)
{
    int peer = -1;
    const int fd = connection(AF_INET, &peer);
    close(peer);
    cr_assert(eventually(is_hung_up, &fd));
    cr_assert_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    cr_assert(eventually(is_over, &fd));
    pause_ms(50);
    cr_expect_eq(reap_own("--grace=1ms", fd), 0, "%s", said);
    must_be_ended(fd);
}

Test(outside_sockets, leaves_what_is_in_use_or_waits_unless_forced)
{
    int peer = -1;
    const int fd = connection(AF_INET, &peer);
    shutdown(peer, SHUT_WR);
    cr_assert(eventually(is_hung_up, &fd));
    pause_ms(300);
    cr_expect_eq(reap_own("--grace=1h", fd), 1);
    must_say_that("left alone: waiting: grace is 1h00m and is not over\n");
    cr_assert_eq(send(fd, "x", 1, 0), 1);
    cr_expect_eq(reap_own("--grace=1h", fd), 1);
    must_say_that(
        "left alone: in use: the program has sent something within grace, which is 1h00m\n");
    cr_expect_eq(send(fd, "x", 1, 0), 1);
    cr_expect_eq(reap_own("--grace=1h --force", fd), 0, "%s", said);
    must_be_ended(fd);
}

Test(outside_sockets, never_touches_what_is_healthy_or_no_connection)
{
    int peer = -1;
    const int fd = connection(AF_INET, &peer);
    const int fresh = socket(AF_INET, SOCK_STREAM, 0);
    cr_expect_eq(reap_own("--grace=1ms --force", fd), 1);
    must_say_that(
        "ESTABLISHED\n    healthy; 0 bytes unread, 0 unsent\n    left alone: its peer has not "
        "closed\n");
    cr_expect_eq(reap_own("--grace=1ms --force", fresh), 1);
    must_say_that("left alone: it was never connected\n");
    cr_expect_eq(reap_own("--grace=1ms --force", 0), 1);
    must_say_that("is no TCP socket\n");
    cr_expect_eq(send(fd, "x", 1, 0), 1);
}

Test(outside_sockets, keeps_the_error_of_a_cut_stream)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        char byte = 0;
        const int fd = reset_connection(families[i]);
        pause_ms(50);
        cr_expect_eq(reap_own("--grace=1ms --dead-only", fd), 0, "%s", said);
        must_say_that("  dead for ");
        cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        cr_expect_eq(errno, ECONNRESET, "%s", strerror(errno));
        must_be_ended(fd);
    }
}

Test(outside_sockets, makes_no_error_of_a_stream_that_was_whole)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        const int fd = closed_and_reset_connection(families[i]);
        pause_ms(50);
        cr_expect_eq(reap_own("--grace=1ms --dead-only", fd), 0, "%s", said);
        must_be_ended(fd);
    }
}

Test(outside_sockets, leaves_an_unread_error_that_two_processes_share)
{
    int hold[2];
    char byte = 0;
    const int fd = reset_connection(AF_INET);
    cr_assert_eq(pipe(hold), 0);
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0);
    }
    pause_ms(50);
    cr_expect_eq(reap_own("--grace=1ms", fd), 1);
    must_say_that("left alone: another process shares it");
    cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    cr_expect_eq(errno, ECONNRESET);
    cr_expect_eq(reap_own("--grace=1ms", fd), 0, "%s", said);
    close(hold[1]);
    waitpid(child, NULL, 0);
}

Test(outside_sockets, closes_only_what_is_dead_when_told_so)
{
    const int half = leaked(AF_INET);
    const int dead = reset_connection(AF_INET);
    pause_ms(50);
    cr_expect_eq(reap(getpid(), "--grace=1ms --dead-only --all", ""), 0, "%s", said);
    cr_expect_eq(times(said, ": reap: "), 1, "%s", said);
    must_say_that("  dead for ");
    cr_expect_eq(reap_own("--grace=1ms --dead-only", half), 1);
    must_say_that("left alone: leaked, but not proven dead\n");
    cr_expect_eq(send(half, "x", 1, MSG_NOSIGNAL), 1);
    close(dead);
}

/* Just what a leak leads to. */
Test(outside_sockets, needs_no_descriptor_that_the_process_has_not)
{
    struct rlimit before;
    struct rlimit after;
    const int fd = leaked(AF_INET);
    getrlimit(RLIMIT_NOFILE, &before);
    for (before.rlim_cur = 0; fcntl((int)before.rlim_cur, F_GETFD) >= 0; before.rlim_cur++) {
    }
    /* Standard input and output of the shell are made by then; popen needs two for a moment. */
    char command[256];
    snprintf(command, sizeof(command), "sleep 0.3; timeout 30 %s reap --grace=1ms %d %d 2>&1",
             built("closewait"), (int)getpid(), fd);
    FILE *pipe = popen(command, "re");
    while (dup(0) >= 0 && fcntl(60, F_GETFD) < 0) {
    }
    for (before.rlim_cur = 0; fcntl((int)before.rlim_cur, F_GETFD) >= 0; before.rlim_cur++) {
    }
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_assert_eq(dup(0), -1);
    cr_assert_eq(errno, EMFILE);
    said[fread(said, 1, sizeof(said) - 1, pipe)] = '\0';
    must_say_that(": closed, and the connection is gone\n");
    getrlimit(RLIMIT_NOFILE, &after);
    cr_expect_eq(after.rlim_cur, before.rlim_cur);
    cr_expect_eq(after.rlim_max, before.rlim_max);
    must_be_ended(fd);
}

Test(outside_sockets, does_not_wait_for_a_peer_that_a_socket_would_linger_for)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 60};
    const int fd = leaked(AF_INET);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    const uint64_t begin = now_ms();
    cr_expect_eq(reap_own("--grace=1ms", fd), 0, "%s", said);
    cr_expect_lt(now_ms() - begin, 5000);
    must_be_ended(fd);
}

Test(outside_sockets, agrees_with_ss_on_a_hundred_and_leaves_none)
{
    enum { SOCKETS = 100 };
    int fds[SOCKETS];
    char theirs[16];
    const int healthy = leaked(AF_INET);
    (void)healthy;
    for (int i = 0; i < SOCKETS; i++)
        fds[i] = leaked(i % 2 ? AF_INET : AF_INET6);
    shell(theirs, sizeof(theirs), "ss -tanpH state close-wait | grep -c 'pid=%d,'", (int)getpid());
    cr_expect_eq(reap(getpid(), "--grace=1ms --dry-run --all", ""), 0);
    cr_expect_eq(times(said, "would be closed\n"), strtol(theirs, NULL, 10), "%s", said);
    cr_expect_eq(reap(getpid(), "--grace=1ms --all", ""), 0);
    cr_expect_eq(times(said, ": closed, and the connection is gone\n"), SOCKETS + 1, "%s", said);
    shell(theirs, sizeof(theirs), "ss -tanpH state close-wait | grep -c 'pid=%d,'", (int)getpid());
    cr_expect_eq(strtol(theirs, NULL, 10), 0);
    for (int i = 0; i < SOCKETS; i++)
        must_be_ended(fds[i]);
}

Test(outside_sockets, tells_in_json_with_one_object_a_line)
{
    const int fd = leaked(AF_INET);
    const int dead = reset_connection(AF_INET);
    pause_ms(50);
    static const char *const modes[] = {"--dry-run", "", ""};
    static const char *const expected[] = {"would close would close - -", "closed closed gone gone",
                                           ""};
    for (int i = 0; i < 3; i++) {
        shell(said, sizeof(said),
              "timeout 30 %s reap --all --grace=1ms --format=json %s %d | python3 -c '\n"
              "import json, sys\n"
              "lines = [json.loads(line) for line in sys.stdin]\n"
              "assert all(l[\"pid\"] == %d and l[\"fds\"] for l in lines)\n"
              "assert [l[\"verdict\"] for l in lines] in ([\"leaked\", \"dead\"], [])\n"
              "print(*[l[\"act\"] for l in lines], *[l.get(\"outcome\", \"-\") for l in lines])' "
              "2>&1",
              built("closewait"), modes[i], (int)getpid(), (int)getpid());
        said[strcspn(said, "\n")] = '\0';
        cr_expect_str_eq(said, expected[i], "%s", said);
    }
    must_be_ended(fd);
    close(dead);
}
