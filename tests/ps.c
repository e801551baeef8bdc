/*
 * closewait ps: what it lists, compared with ss, FIONREAD and what the test itself made.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "network.h"
#include "support.h"

enum { SAID = 256 * 1024 };

/* A client that connects, says "abc" and hangs up, and is never accepted. */
static void hang_up_in_queue(int family, in_port_t port)
{
    const int fd = dial(family, port);
    cr_assert_eq(send(fd, "abc", 3, 0), 3);
    close(fd);
}

/* Until that many connections to the port wait in CLOSE_WAIT, as ss counts them. */
struct queued {
    in_port_t port;
    int count;
};

static bool are_queued(const void *argument)
{
    const struct queued *queued = argument;
    char said[32];
    shell(said, sizeof(said), "ss -tanH state close-wait sport = :%d | wc -l", queued->port);
    return strtol(said, NULL, 10) == queued->count;
}

static void await_queued(in_port_t port, int count)
{
    cr_assert(eventually(are_queued, &(struct queued){port, count}));
}

/* A listener on any address, of a port that is given or free. */
static int listen_on(int family, bool any, in_port_t *port, int shared)
{
    const int on = 1;
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(*port),
                             .sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(*port),
                               .sin6_addr = any ? in6addr_any : in6addr_loopback};
    struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
    socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (shared)
        setsockopt(fd, SOL_SOCKET, shared, &on, sizeof(on));
    if (family == AF_INET6 && *port)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    cr_assert_eq(bind(fd, addr, len), 0);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, addr, &len), 0);
    *port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
    return fd;
}

enum { CHILDREN = 10, SOCKETS = 100 };

static _Noreturn void hold_sockets(in_port_t port, int ready)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < SOCKETS; i++)
        if (try_dial(AF_INET, port) < 0)
            _exit(1);
    if (write(ready, "", 1) == 1)
        for (;;)
            pause();
    _exit(1);
}

/* As "LOCAL PEER PID FD", sorted; ss gives all the processes of a socket on one line. */
static const char ss_lines[] =
    "ss -tanpH state close-wait | awk -v pids=' %s ' '{"
    " for (rest = $0; match(rest, /pid=[0-9]+,fd=[0-9]+/); rest = substr(rest, RSTART + RLENGTH)) {"
    "  split(substr(rest, RSTART, RLENGTH), a, /[=,]/);"
    "  if (index(pids, \" \" a[2] \" \")) print $3, $4, a[2], a[4]"
    " }}' | sort";
static const char ps_lines[] =
    "%s ps -n -o LOCAL,PEER,PID,FD | awk -v pids=' %s '"
    " 'NF == 4 && index(pids, \" \" $3 \" \") {print $1, $2, $3, $4}' | sort";

static bool all_half_closed(const void *pids)
{
    static char said[SAID];
    shell(said, sizeof(said), ss_lines, (const char *)pids);
    return times(said, "\n") == CHILDREN * SOCKETS;
}

Test(ps, agrees_with_ss_on_1000_sockets_in_ten_processes)
{
    static char ours[SAID];
    static char theirs[SAID];
    char pids[256] = "";
    pid_t children[CHILDREN];
    int ready[2];
    in_port_t port = 0;
    const int listener = listen_on(AF_INET, false, &port, 0);
    cr_assert_eq(listen(listener, CHILDREN * SOCKETS), 0);
    cr_assert_eq(pipe(ready), 0);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        cr_assert_geq(children[i], 0);
        if (children[i] == 0)
            hold_sockets(port, ready[1]);
        snprintf(pids + strlen(pids), sizeof(pids) - strlen(pids), "%d ", (int)children[i]);
    }
    for (int i = 0; i < CHILDREN * SOCKETS; i++) {
        const int fd = accept(listener, NULL, NULL);
        cr_assert_geq(fd, 0);
        close(fd);
    }
    char byte = 0;
    for (int i = 0; i < CHILDREN; i++)
        cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert(eventually(all_half_closed, pids));

    shell(theirs, sizeof(theirs), ss_lines, pids);
    cr_expect_eq(shell(ours, sizeof(ours), ps_lines, built("closewait"), pids), 0);
    cr_expect_eq(times(ours, "\n"), CHILDREN * SOCKETS, "%d lines", times(ours, "\n"));
    cr_expect(strcmp(ours, theirs) == 0, "closewait:\n%.2000s\nss:\n%.2000s", ours, theirs);
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

Test(ps, counts_unread_bytes_as_the_program_can_read_them)
{
    static const struct {
        size_t sent;
        size_t read;
    } rows[] = {{0, 0}, {5, 0}, {5, 2}, {5, 5}, {0, 1}};
    char expected[256] = "";
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char bytes[8];
        int unread = -1;
        const int fd = half_closed(listener, port, rows[i].sent);
        if (rows[i].read > 0)
            cr_assert_geq(recv(fd, bytes, rows[i].read, 0), 0);
        cr_assert_eq(ioctl(fd, FIONREAD, &unread), 0);
        cr_assert_eq((size_t)unread, rows[i].sent > rows[i].read ? rows[i].sent - rows[i].read : 0);
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%d %d\n", fd,
                 unread);
    }
    char said[256];
    shell(said, sizeof(said), "%s ps --pid %d -n -o FD,UNREAD | sort -n | tr -s ' ' | sed 's/^ //'",
          built("closewait"), (int)getpid());
    cr_expect_str_eq(said, expected, "%s instead of %s", said, expected);
}

Test(ps, knows_when_the_peer_closed_and_begins_with_the_oldest)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int young = dial(AF_INET, port);
    const int peer_of_young = accept(listener, NULL, NULL);
    const uint64_t before = now_ms();
    const int old = half_closed(listener, port, 0);
    const uint64_t after = now_ms();
    while (now_ms() - after < 300)
        poll(NULL, 0, 10);
    close(peer_of_young);
    cr_assert(eventually(is_hung_up, &young));

    char expected[32];
    snprintf(expected, sizeof(expected), "%d\n%d\n", old, young);
    must_say(expected, own_pid("--pid %d -n -o FD | sed 's/^ *//'"));
    char said[256];
    shell(said, sizeof(said),
          "%s ps --pid %d --json | sed -n 's/.*\"age\": *\\([0-9.]*\\).*/\\1/p' | head -1",
          built("closewait"), (int)getpid());
    const double age_ms = strtod(said, NULL) * 1000;
    const double slack_ms = 20; /* the kernel counts in jiffies */
    cr_expect_geq(age_ms, 300 - slack_ms, "%s", said);
    cr_expect_leq(age_ms, (double)(now_ms() - before) + slack_ms, "%s", said);
}

Test(ps, gives_a_row_to_each_descriptor_that_shares_a_socket)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    const int copy = dup(fd);
    int held[2];
    cr_assert_eq(pipe(held), 0);
    const pid_t child = fork();
    if (child == 0) {
        char byte = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(held[1]);
        _exit(read(held[0], &byte, 1) != 0);
    }
    char expected[256];
    char arguments[64];
    snprintf(expected, sizeof(expected), "%d %d\n%d %d\n%d %d\n%d %d\n", (int)getpid(), fd,
             (int)getpid(), copy, (int)child, fd, (int)child, copy);
    snprintf(arguments, sizeof(arguments), "--pid %d -p %d -n -o PID,FD | tr -s ' '", (int)child,
             (int)getpid());
    must_say(expected, arguments);
    snprintf(arguments, sizeof(arguments), "--pid %d -n -o FD | tr -d ' '", (int)child);
    snprintf(expected, sizeof(expected), "%d\n%d\n", fd, copy);
    must_say(expected, arguments);
    close(held[1]);
    waitpid(child, NULL, 0);
}

static const char *own_comm(void)
{
    static char name[16];
    prctl(PR_GET_NAME, name);
    return name;
}

/* The owner of what waits on the port, one line each. */
static void must_own(in_port_t port, const char *local, int listener, const char *address,
                     const char *more)
{
    char said[4096];
    char expected[512];
    shell(said, sizeof(said),
          "%s ps --pid %d -n -o LOCAL,UNREAD,PID,OWNER | grep -F '%s:%d ' | tr -s ' ' | uniq",
          built("closewait"), (int)getpid(), local, port);
    snprintf(expected, sizeof(expected), "%s:%d 3 %s[%d] fd %d %s:%d%s\n", local, port, own_comm(),
             (int)getpid(), listener, address, port, more);
    cr_expect_str_eq(said, expected, "%s instead of %s", said, expected);
}

Test(ps, names_the_listener_in_whose_accept_queue_a_socket_waits)
{
    in_port_t port = 0;
    const int listener = listen_on(AF_INET, false, &port, 0);
    hang_up_in_queue(AF_INET, port);
    dial(AF_INET, port);
    await_queued(port, 1);
    must_own(port, "127.0.0.1", listener, "127.0.0.1", "");

    char expected[128];
    char arguments[128];
    snprintf(expected, sizeof(expected), "%d %d 127.0.0.1:%d 2 1 64\n", (int)getpid(), listener,
             port);
    snprintf(arguments, sizeof(arguments),
             "--pid %d --listen -n -o PID,FD,LOCAL,WAITING,HUNG_UP,BACKLOG | tr -s ' '",
             (int)getpid());
    must_say(expected, arguments);
    must_say("true\n",
             own_pid("--pid %d -l -J | python3 -c 'import json, sys; "
                     "row, = json.load(sys.stdin)[\"listeners\"]; "
                     "print(str(row[\"waiting\"] == 2 and row[\"hung_up\"] == 1).lower())'"));
}

Test(ps, shows_a_mapped_address_as_the_ipv4_address)
{
    in_port_t port = 0;
    const int listener = listen_on(AF_INET6, true, &port, 0);
    hang_up_in_queue(AF_INET, port);
    hang_up_in_queue(AF_INET6, port);
    await_queued(port, 2);
    must_own(port, "127.0.0.1", listener, "[::]", "");
    must_own(port, "[::1]", listener, "[::]", "");
}

Test(ps, tells_listeners_of_one_port_apart)
{
    in_port_t port = 0;
    const int any = listen_on(AF_INET, true, &port, SO_REUSEPORT);
    const int six = listen_on(AF_INET6, true, &port, SO_REUSEPORT);
    hang_up_in_queue(AF_INET, port);
    hang_up_in_queue(AF_INET6, port);
    await_queued(port, 2);
    must_own(port, "127.0.0.1", any, "0.0.0.0", "");
    must_own(port, "[::1]", six, "[::]", "");
    /* What is for 127.0.0.1 comes to this one from now on. */
    close(accept(any, NULL, NULL));
    const int own = listen_on(AF_INET, false, &port, SO_REUSEPORT);
    const struct sockaddr_in other = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    const int elsewhere = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(elsewhere, (const struct sockaddr *)&other, sizeof(other)), 0);
    hang_up_in_queue(AF_INET, port);
    await_queued(port, 2);
    must_own(port, "127.0.0.1", own, "127.0.0.1", "");
}

Test(ps, says_when_a_listener_is_shared_or_cannot_be_told_from_another)
{
    enum { CLIENTS = 64 };
    in_port_t port = 0;
    const int first = listen_on(AF_INET, false, &port, SO_REUSEPORT);
    hang_up_in_queue(AF_INET, port);
    await_queued(port, 1);
    const int copy = dup(first);
    must_own(port, "127.0.0.1", first, "127.0.0.1", " shared by 2");
    close(copy);
    listen_on(AF_INET, false, &port, SO_REUSEPORT);
    for (int i = 1; i < CLIENTS; i++)
        hang_up_in_queue(AF_INET, port);
    await_queued(port, CLIENTS);
    must_say("64\n", own_pid("-p %d -n -o OWNER | grep -c ' or another of 2$'"));
    must_say("64 64\n", own_pid("-p %d -l -n -o WAITING,HUNG_UP | "
                                "awk '$1 == $2 && $1 > 0 {w += $1; h += $2} END {print w, h}'"));
}

Test(ps, says_once_that_it_may_not_see_everything)
{
    if (geteuid() != 0)
        cr_skip_test("needs root to become another user");
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    char said[SAID];
    shell(said, sizeof(said),
          "d=$(mktemp -d) && chmod 755 $d && cp %s $d && cd $d && "
          "setpriv --reuid=65534 --regid=65534 --clear-groups ./closewait ps -n -o LOCAL,PID 2>&1; "
          "setpriv --reuid=65534 --regid=65534 --clear-groups ./closewait ps -p %d 2>&1; "
          "echo status $?; rm -r $d",
          built("closewait"), (int)getpid());
    char expected[128];
    snprintf(expected, sizeof(expected), "127.0.0.1:%d", local_port(fd));
    cr_expect_not_null(strstr(said, expected), "%s", said);
    cr_expect_eq(times(said, " could not be read: root sees all\n"), 1, "%s", said);
    snprintf(expected, sizeof(expected),
             "closewait ps: cannot read the descriptors of process %d: Permission denied: run as "
             "root\nstatus 1\n",
             (int)getpid());
    cr_expect_not_null(strstr(said, expected), "%s", said);
}

/* The test goes into a namespace of its own, and the command looks from that of Criterion. */
Test(ps, sees_the_network_namespaces_of_containers)
{
    in_port_t port = 0;
    struct stat st;
    network_own(60);
    const int listener = listen_on(AF_INET, false, &port, 0);
    half_closed(listener, port, 0);
    cr_assert_eq(stat("/proc/self/ns/net", &st), 0);
    char said[256];
    char expected[64];
    shell(said, sizeof(said),
          "nsenter --net=/proc/%d/ns/net %s ps -n -o PID,NETNS | tr -s ' ' | sed 's/^ //' | "
          "grep '^%d '",
          (int)getppid(), built("closewait"), (int)getpid());
    snprintf(expected, sizeof(expected), "%d %lu\n", (int)getpid(), (unsigned long)st.st_ino);
    cr_expect_str_eq(said, expected, "%s instead of %s", said, expected);
}

/* Connections that are in CLOSE_WAIT for some milliseconds, as on a busy server. */
static _Noreturn void churn(int listener, in_port_t port)
{
    enum { RING = 64 };
    int ring[RING] = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0;; i = (i + 1) % RING) {
        /* Reset, or they would fill the machine's ports with TIME_WAIT. */
        const struct linger reset = {.l_onoff = 1};
        if (ring[i] > 0) {
            setsockopt(ring[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
            close(ring[i]);
        }
        ring[i] = try_dial(AF_INET, port);
        close(accept(listener, NULL, NULL));
    }
}

Test(ps, does_not_list_as_nobodys_what_was_closed_while_it_looked)
{
    enum { LOOKS = 10 };
    in_port_t port = 0;
    const int listener = listen_on(AF_INET, false, &port, 0);
    half_closed(listener, port, 0);
    const pid_t child = fork();
    if (child == 0)
        churn(listener, port);
    char said[SAID];
    shell(said, sizeof(said),
          "for i in $(seq %d); do %s ps -n -o LOCAL,PEER,STATE,PID; done | grep -F ':%d '", LOOKS,
          built("closewait"), port);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    char theirs[16];
    char ours[16];
    snprintf(theirs, sizeof(theirs), " %d\n", (int)child);
    snprintf(ours, sizeof(ours), " %d\n", (int)getpid());
    cr_expect_eq(times(said, ours), LOOKS, "%s", said);
    cr_expect_eq(times(said, "\n"), LOOKS + times(said, theirs), "%s", said);
}
