/*
 * Tombstones from within: what may be in the way of one, and what is left behind then.
 */
#define _GNU_SOURCE
#include "reap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "half_closed.h"
#include "kernel.h"
#include "owner.h"
#include "slots.h"
#include "support.h"

static void start(void)
{
    cr_assert(owner_init(slots_adopt));
}

TestSuite(reap, .init = start);

/* A socket in CLOSE_WAIT. */
static int leaked(void)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 0);
    close(listener);
    return fd;
}

static int bury(int fd)
{
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    const int error = reap_bury(fd, kernel_cookie(fd), REAP_AS_ENDED);
    slot_release(slot, error ? SLOT_LIVE : SLOT_BURIED, 0);
    return error;
}

static bool is_over(const void *fd)
{
    struct facts facts;
    return kernel_facts(*(const int *)fd, &facts) && facts.state == TCP_CLOSE;
}

/* 0 or the errno of asking for an option, and of setting it to what it is. */
struct answer {
    int got;
    int set;
};

static struct answer ask(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    const int got = getsockopt(fd, level, name, &value, &len) == 0 ? 0 : errno;
    const int set = setsockopt(fd, level, name, &value, len) == 0 ? 0 : errno;
    return (struct answer){.got = got, .set = set};
}

/* The number that the next descriptor gets. */
static int lowest_free(void)
{
    const int fd = dup(0);
    cr_assert_geq(fd, 0);
    close(fd);
    return fd;
}

Test(reap, buries_the_socket_that_was_judged_and_no_other)
{
    const int fd = leaked();
    struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
    cr_assert(slot_claim(slot));
    cr_expect_eq(reap_bury(fd, kernel_cookie(fd) + 1, REAP_AS_ENDED), ESTALE);
    slot_release(slot, SLOT_LIVE, 0);
    cr_expect(is_hung_up(&fd));
    cr_expect_eq(bury(fd), 0);
    char c;
    cr_expect_eq(read(fd, &c, 1), 0);
    cr_expect_eq(reap_strays(), 0);
}

Test(reap, of_a_reset_socket_reads_the_reset_once)
{
    const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        in_port_t port = 0;
        const int listener = peer_listen(families[i], &port);
        const int fd = dial(families[i], port);
        struct slot *slot = slot_publish(fd, SLOT_LIVE, HOW_CONNECT, 0);
        char c;
        cr_assert(slot_claim(slot));
        cr_expect_eq(reap_bury(fd, kernel_cookie(fd), REAP_AS_RESET), 0);
        slot_release(slot, SLOT_BURIED, 0);
        cr_expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        cr_expect(read(fd, &c, 1) == -1 && errno == ECONNRESET);
        cr_expect_eq(read(fd, &c, 1), 0);
        cr_expect(send(fd, "", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        close(fd);
        close(listener);
    }
}

/* What a program may ask of a connection that is over, and set. */
Test(reap, leaves_what_answers_as_a_connection_that_its_peer_had_reset)
{
    static const struct {
        int level;
        int name;
    } options[] = {
        {SOL_SOCKET, SO_ERROR},
        {SOL_SOCKET, SO_TYPE},
        {SOL_SOCKET, SO_DOMAIN},
        {SOL_SOCKET, SO_PROTOCOL},
        {SOL_SOCKET, SO_ACCEPTCONN},
        {SOL_SOCKET, SO_RCVBUF},
        {SOL_SOCKET, SO_SNDBUF},
        {SOL_SOCKET, SO_RCVLOWAT},
        {SOL_SOCKET, SO_KEEPALIVE},
        {SOL_SOCKET, SO_REUSEADDR},
        {SOL_SOCKET, SO_REUSEPORT},
        {SOL_SOCKET, SO_OOBINLINE},
        {SOL_SOCKET, SO_PRIORITY},
        {SOL_SOCKET, SO_BUSY_POLL},
        {SOL_SOCKET, SO_ZEROCOPY},
        {SOL_SOCKET, SO_TIMESTAMP},
        {SOL_SOCKET, SO_MARK},
        {IPPROTO_TCP, TCP_NODELAY},
        {IPPROTO_TCP, TCP_CORK},
        {IPPROTO_TCP, TCP_MAXSEG},
        {IPPROTO_TCP, TCP_KEEPIDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL},
        {IPPROTO_TCP, TCP_KEEPCNT},
        {IPPROTO_TCP, TCP_SYNCNT},
        {IPPROTO_TCP, TCP_LINGER2},
        {IPPROTO_TCP, TCP_QUICKACK},
        {IPPROTO_TCP, TCP_USER_TIMEOUT},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
        {IPPROTO_IP, IP_TOS},
        {IPPROTO_IP, IP_TTL},
        {IPPROTO_IP, IP_MTU_DISCOVER},
        {IPPROTO_IP, IP_RECVERR},
        {IPPROTO_IP, IP_FREEBIND},
    };
    const int tomb = leaked();
    const int reset = leaked();
    cr_assert_eq(bury(tomb), 0);
    /* A write to a peer that has closed: its kernel answers with RST. */
    cr_assert_eq(send(reset, "", 1, MSG_NOSIGNAL), 1);
    cr_assert(eventually(is_over, &reset));
    getsockopt(reset, SOL_SOCKET, SO_ERROR, &(int){0}, &(socklen_t){sizeof(int)});
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const struct answer of_reset = ask(reset, options[i].level, options[i].name);
        const struct answer of_tomb = ask(tomb, options[i].level, options[i].name);
        cr_expect(of_tomb.got == 0 || of_reset.got, "%d %d", options[i].level, options[i].name);
        cr_expect(of_tomb.set == 0 || of_reset.set, "%d %d", options[i].level, options[i].name);
    }
    const unsigned long controls[] = {FIONREAD, SIOCOUTQ, FIONBIO, SIOCATMARK};
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
        int value = 0;
        const int of_reset = ioctl(reset, controls[i], &value);
        cr_expect(ioctl(tomb, controls[i], &value) == 0 || of_reset, "control %lx", controls[i]);
    }
    struct sockaddr_storage name;
    cr_expect(getpeername(tomb, (struct sockaddr *)&name, &(socklen_t){sizeof(name)}) == -1 &&
              errno == ENOTCONN);
    cr_expect_eq(getsockname(tomb, (struct sockaddr *)&name, &(socklen_t){sizeof(name)}), 0);
    cr_expect(shutdown(tomb, SHUT_WR) == -1 && errno == ENOTCONN);
    cr_expect_eq(close(tomb), 0);
}

/* A program that has heard of the end of the stream, and waits for something else. */
Test(reap, wakes_nobody_who_waits)
{
    static const uint32_t events[] = {EPOLLIN | EPOLLET, EPOLLIN | EPOLLRDHUP | EPOLLET,
                                      EPOLLIN | EPOLLONESHOT, EPOLLIN};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        const int fd = leaked();
        const int set = epoll_create1(0);
        struct epoll_event event = {.events = events[i]};
        cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
        cr_expect_eq(epoll_wait(set, &event, 1, 0), 1);
        cr_expect_eq(bury(fd), 0);
        cr_expect_eq(epoll_wait(set, &event, 1, 50), 0, "%x", events[i]);
        cr_expect(epoll_ctl(set, EPOLL_CTL_DEL, fd, &event) == -1 && errno == ENOENT);
        close(set);
        close(fd);
    }
}

Test(reap, waits_for_nobody_who_forks)
{
    const int fd = leaked();
    reap_pause();
    cr_expect_eq(bury(fd), EAGAIN);
    reap_resume();
    cr_expect_eq(bury(fd), 0);
}

/* Two threads forked at once: the child of one has the other's count, and nobody to lower it. */
Test(reap, goes_on_in_a_child_whose_parent_was_forking_twice)
{
    int status = -1;
    reap_pause();
    reap_pause();
    const pid_t pid = fork();
    if (pid == 0) {
        reap_resume();
        reap_adopt();
        _exit(bury(leaked()) != 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
    reap_resume();
    reap_resume();
    cr_expect_eq(bury(leaked()), 0);
}

/* The hooks of fork and those of adoption come in either order. */
Test(reap, is_not_confused_by_a_fork_that_is_over_twice)
{
    reap_resume();
    reap_pause();
    cr_expect_eq(bury(leaked()), EAGAIN);
    reap_resume();
    cr_expect_eq(bury(leaked()), 0);
}

Test(reap, leaves_a_number_that_a_call_departs_from_to_that_call_and_tidies_later)
{
    const int fd = leaked();
    const int number = lowest_free();
    slot_depart(number, slot_of(number));
    cr_expect_eq(bury(fd), EAGAIN);
    cr_expect_eq(reap_strays(), 1);
    cr_expect_geq(fcntl(number, F_GETFD), 0);
    cr_expect_eq(bury(fd), EAGAIN, "there is one behind already");
    cr_expect_eq(reap_strays(), 1);
    slot_departed(number);
    reap_tidy();
    cr_expect_eq(reap_strays(), 0);
    cr_expect_eq(fcntl(number, F_GETFD), -1);
    cr_expect_eq(bury(fd), 0);
}

/* What the program puts there meanwhile is the program's. */
Test(reap, forgets_a_stray_that_was_replaced)
{
    const int fd = leaked();
    const int number = lowest_free();
    slot_depart(number, slot_of(number));
    cr_expect_eq(bury(fd), EAGAIN);
    cr_assert_eq(dup2(0, number), number);
    slot_departed(number);
    reap_tidy();
    cr_expect_eq(reap_strays(), 0);
    cr_expect_geq(fcntl(number, F_GETFD), 0);
}

Test(reap, leaves_the_standard_numbers_free_also_when_a_call_departs_from_one)
{
    const int fds[] = {leaked(), leaked()};
    const int kept[] = {dup(1), dup(2)};
    close(1);
    close(2);
    const int first = bury(fds[0]);
    const bool left = fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1;
    slot_depart(2, slot_of(2));
    const int second = bury(fds[1]);
    const int strays = reap_strays();
    slot_departed(2);
    reap_tidy();
    const bool tidied = fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1;
    dup2(kept[0], 1);
    dup2(kept[1], 2);
    cr_expect_eq(first, 0);
    cr_expect(left);
    cr_expect_eq(second, 0);
    cr_expect_eq(strays, 1);
    cr_expect_eq(reap_strays(), 0);
    cr_expect(tidied);
}
