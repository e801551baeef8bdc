/*
 * The program of end.h: the table of its steps, and those that wait, end and ask.
 */
#define _GNU_SOURCE
#include "end.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int fd = -1;
char **steps_left;

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "end: %s: %s\n", what, strerror(errno));
    exit(1);
}

const char *result(ssize_t n)
{
    static char text[32];
    if (n < 0)
        return strerrorname_np(errno);
    snprintf(text, sizeof(text), "%zd", n);
    return text;
}

long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

void bear(long long start_ms, const char *what)
{
    errno = ETIMEDOUT;
    if (now_ms() - start_ms > patience_ms())
        fail(what);
}

static long number_of(const char *variable, long otherwise)
{
    const char *text = getenv(variable);
    return text ? strtol(text, NULL, 10) : otherwise;
}

int patience_ms(void)
{
    return (int)number_of("PATIENCE_S", 60) * 1000;
}

long grace_ms(void)
{
    return number_of("GRACE_MS", 1000);
}

/* ---- waiting: events are files in the folder that all ends of a scenario share ---- */

static void tell(const char *name)
{
    const int file = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        fail(name);
    close(file);
}

static void await(const char *name)
{
    for (const long long start = now_ms(); access(name, F_OK) != 0; pause_ms(5))
        bear(start, name);
}

/* Until the runner has seen what it wants to see. */
static void hold(const char *unused)
{
    (void)unused;
    tell("holding");
    await("judged");
    say("held");
}

/* And for some time longer: what a reap does to a poll shows only then. */
static int is_held(long long *end)
{
    if (*end == 0 && access("judged", F_OK) == 0)
        *end = now_ms() + 200;
    return *end == 0 || now_ms() < *end;
}

/* The same with the socket in a poll that has no news for a program in CLOSE_WAIT. */
static void hold_in_poll(const char *unused)
{
    int woken = 0;
    (void)unused;
    tell("holding");
    for (long long end = 0; is_held(&end);) {
        struct pollfd polled = {.fd = fd, .events = POLLPRI};
        const int ready = poll(&polled, 1, 20);
        woken += end > 0 && ready > 0;
    }
    say("held in poll, %s", woken > 10 ? "spinning" : "quietly");
}

static void hold_in_epoll(const char *unused)
{
    int woken = 0;
    const int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    (void)unused;
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
    tell("holding");
    for (long long end = 0; is_held(&end);) {
        const int ready = epoll_wait(set, &event, 1, 20);
        woken += end > 0 && ready > 0;
    }
    close(set);
    say("held in epoll, %s", woken > 10 ? "spinning" : "quietly");
}

static void pass(const char *graces)
{
    pause_ms((long)(strtod(graces, NULL) * (double)grace_ms()));
}

/* Busy, not asleep. */
static void compute(const char *graces)
{
    const long long end = now_ms() + (long long)(strtod(graces, NULL) * (double)grace_ms());
    for (volatile unsigned n = 0; now_ms() < end; n++) {
    }
}

/* Until the peer's FIN or RST is here. */
static void gone(const char *unused)
{
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
    (void)unused;
    if (poll(&polled, 1, patience_ms()) != 1)
        fail("gone");
}

/* Until the kernel has given the connection up. */
static void dead(const char *unused)
{
    (void)unused;
    for (const long long start = now_ms();; pause_ms(5)) {
        struct tcp_info info = {0};
        socklen_t len = sizeof(info);
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
            fail("TCP_INFO");
        if (info.tcpi_state == TCP_CLOSE)
            return;
        bear(start, "dead");
    }
}

/* Until somebody of this network namespace listens on the port: a connection would be noise. */
static void listening(const char *port)
{
    char command[256];
    snprintf(command, sizeof(command),
             "grep -qi '^ *[0-9]*: [0-9A-F]*:%04lX [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6",
             *port ? strtoul(port, NULL, 10) : PORT);
    for (const long long start = now_ms(); system(command) != 0; pause_ms(20))
        bear(start, "listening");
}

/* ---- ending ---- */

static void fin(const char *unused)
{
    (void)unused;
    shutdown(fd, SHUT_WR);
}

static void shut_read(const char *unused)
{
    (void)unused;
    shutdown(fd, SHUT_RD);
}

static void close_it(const char *unused)
{
    (void)unused;
    say("close %s", result(close(fd)));
}

static void reset(const char *unused)
{
    const struct linger linger = {.l_onoff = 1};
    (void)unused;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void exit_with(const char *status)
{
    exit((int)strtol(status, NULL, 10));
}

/* What is not of TCP: ss -K, ip link. */
static void run(const char *command)
{
    fflush(stdout);
    if (system(command) != 0)
        fail(command);
}

/* ---- options of the socket ---- */

static void set(int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) != 0)
        fail("setsockopt");
}

static int get(int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    getsockopt(fd, level, name, &value, &len);
    return value;
}

/* A peer that does not answer is given up after two to three seconds. */
static void keepalive(const char *unused)
{
    (void)unused;
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, 2);
}

static void ask(const char *unused)
{
    (void)unused;
    say("keepalive %d, idle %d, interval %d, count %d, user timeout %d",
        get(SOL_SOCKET, SO_KEEPALIVE), get(IPPROTO_TCP, TCP_KEEPIDLE),
        get(IPPROTO_TCP, TCP_KEEPINTVL), get(IPPROTO_TCP, TCP_KEEPCNT),
        get(IPPROTO_TCP, TCP_USER_TIMEOUT));
}

static void linger(const char *seconds)
{
    const struct linger linger = {1, (int)strtol(seconds, NULL, 10)};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0)
        fail("SO_LINGER");
}

static void user_timeout(const char *ms)
{
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, (int)strtol(ms, NULL, 10));
}

static const struct {
    const char *name;
    step *take;
} steps[] = {
    {"ipv6", use_ipv6},
    {"mapped", use_mapped},
    {"mptcp", use_mptcp}, /* */
    {"from", bind_from},
    {"serve", serve},
    {"listen", listen_only},
    {"accept", accept_some},
    {"port", use_port},
    {"dial", dial},
    {"crowd", crowd},
    {"dial-nonblock", dial_nonblock},
    {"unix", unix_pair},
    {"udp", udp}, /* */
    {"read", read_once},
    {"read-error", read_error},
    {"read-half", read_half},
    {"read-nothing", read_nothing},
    {"drain", drain},
    {"peek", peek},
    {"sip", sip}, /* */
    {"arrived", arrived},
    {"send", send_text},
    {"write", write_text},
    {"pour", pour},
    {"fill", fill},
    {"trickle", trickle},
    {"urgent", urgent},
    {"fin", fin},
    {"shut-read", shut_read},
    {"close", close_it},
    {"reset", reset},
    {"exit", exit_with},
    {"hold", hold},
    {"hold-in-poll", hold_in_poll},
    {"hold-in-epoll", hold_in_epoll},
    {"tell", tell},
    {"await", await},
    {"pass", pass},
    {"compute", compute},
    {"gone", gone},
    {"dead", dead},
    {"listening", listening},
    {"keepalive", keepalive},
    {"user-timeout", user_timeout},
    {"linger", linger},
    {"ask", ask},
    {"dup", dup_it},
    {"close-copy", close_copy},
    {"fork", fork_child},
    {"scm", scm_child},
    {"to-flight", to_flight},
    {"from-flight", from_flight},
    {"vfork", borrow},
    {"exec", exec_rest},
    {"bare", exec_bare},
    {"take", take},
    {"inetd", inetd},
    {"run", run},
};

static void do_step(const char *text)
{
    const size_t len = strcspn(text, "=");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strlen(steps[i].name) == len && strncmp(text, steps[i].name, len) == 0) {
            steps[i].take(text[len] ? text + len + 1 : "");
            return;
        }
    }
    fprintf(stderr, "end: unknown step '%s'\n", text);
    exit(2);
}

int main(int argc, char **argv)
{
    (void)argc;
    for (steps_left = argv + 1; *steps_left && strcmp(*steps_left, "parent") != 0;)
        do_step(*steps_left++);
    return wait_for_children();
}
