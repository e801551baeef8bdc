/*
 * Doors by which a program asks for the options of a socket, and sets them: while the watcher
 * probes it, they say what the program has set. And those by which it waits: a tombstone wakes
 * nobody whom a half-closed connection would not wake.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "doors.h"
#include "kernel.h"
#include "probe.h"
#include "raw.h"
#include "reap.h"
#include "signals.h"
#include "tombs.h"

static int by_kernel(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    raw5(SYS_getsockopt, fd, level, name, (long)&value, (long)&len);
    return value;
}

static int by_libc(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    must(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

/* As the watcher does to what is leaked. */
static void start_probe(int fd)
{
    struct slot *slot = slot_of(fd);
    must(slot_claim_patiently(slot));
    probe_begin(fd, slot);
    slot_release(slot, SLOT_LIVE, 0);
    must(by_kernel(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
}

void door_getsockopt(void)
{
    const int fd = live();
    const int idle = by_libc(fd, IPPROTO_TCP, TCP_KEEPIDLE);
    start_probe(fd);
    must(by_libc(fd, IPPROTO_TCP, TCP_NODELAY) == 0);
    must(by_kernel(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    const int copy = dup(fd);
    must(by_libc(copy, SOL_SOCKET, SO_KEEPALIVE) == 0);
    must(by_kernel(fd, IPPROTO_TCP, TCP_KEEPIDLE) == idle);
    close(copy);
    close(fd);
    close(peer);
    must_fail(getsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &(int){0}, &(socklen_t){4}), EBADF);
}

void door_setsockopt(void)
{
    const int fd = live();
    must(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){7}, sizeof(int)) == 0);
    start_probe(fd);
    must(by_kernel(fd, IPPROTO_TCP, TCP_KEEPCNT) != 7);
    must(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){99}, sizeof(int)) == 0);
    must(by_kernel(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 99);
    must(by_kernel(fd, IPPROTO_TCP, TCP_KEEPCNT) == 7);
    must(by_kernel(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    close(fd);
    close(peer);
    must_fail(setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &(int){0}, sizeof(int)), EBADF);
}

static int by_poll(struct pollfd *fds, nfds_t n)
{
    return poll(fds, n, 20);
}

static int by_ppoll(struct pollfd *fds, nfds_t n)
{
    const struct timespec wait = {.tv_nsec = 20000000};
    sigset_t none;
    sigemptyset(&none);
    return ppoll(fds, n, &wait, &none);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                size_t size);

static int by_poll_chk(struct pollfd *fds, nfds_t n)
{
    return __poll_chk(fds, n, 20, n * sizeof(*fds));
}

static int by_ppoll_chk(struct pollfd *fds, nfds_t n)
{
    const struct timespec wait = {.tv_nsec = 20000000};
    return __ppoll_chk(fds, n, &wait, NULL, n * sizeof(*fds));
}

/* As the watcher does, of a socket with that flag. */
static void bury(int fd, uint32_t flag)
{
    struct slot *slot = slot_of(fd);
    const uint64_t mask = signals_block();
    must(slot_claim_patiently(slot));
    int error = EAGAIN;
    for (int i = 0; i < 1000 && error == EAGAIN; i++) /* the watcher may be at another */
        error = reap_bury(fd, kernel_cookie(fd), REAP_AS_ENDED);
    must(error == 0);
    tombs_note(fd, slot);
    slot_release(slot, SLOT_BURIED, SLOT_QUIET | flag);
    signals_restore(mask);
}

static void wait_through(int (*by)(struct pollfd *fds, nfds_t n))
{
    const int half = live();
    close(peer);
    const int over = live();
    close(peer);
    await_fin(half);
    await_fin(over);
    bury(half, SLOT_FIN);
    bury(over, 0);
    struct pollfd fds[] = {{.fd = half, .events = POLLPRI}, {.fd = -1}};
    must(by(fds, 2) == 0 && fds[0].fd == half && fds[0].revents == 0);
    fds[0].events = POLLIN | POLLPRI;
    must(by(fds, 2) == 1 && (fds[0].revents & POLLIN));
    fds[1] = (struct pollfd){.fd = over, .events = POLLPRI};
    fds[0].events = 0;
    must(by(fds, 2) == 1 && fds[0].revents == 0 && (fds[1].revents & POLLHUP));
    must_fail(by((struct pollfd *)16, 1), EFAULT);
    close(half);
    close(over);
}

void door_poll(void)
{
    wait_through(by_poll);
}

int __poll(struct pollfd *fds, nfds_t n, int timeout_ms);

static int by___poll(struct pollfd *fds, nfds_t n)
{
    return __poll(fds, n, 20);
}

void door___poll(void)
{
    wait_through(by___poll);
}

void door_ppoll(void)
{
    wait_through(by_ppoll);
}

void door___poll_chk(void)
{
    wait_through(by_poll_chk);
}

void door___ppoll_chk(void)
{
    wait_through(by_ppoll_chk);
}
