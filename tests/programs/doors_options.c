/*
 * Doors by which a program asks for the options of a socket, and sets them: while the watcher
 * probes it, they say what the program has set.
 */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <unistd.h>

#include "doors.h"
#include "probe.h"
#include "raw.h"

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
