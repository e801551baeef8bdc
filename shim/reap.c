#define _GNU_SOURCE
#include "reap.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>

#include "kernel.h"
#include "raw.h"
#include "slots.h"

static int option_of(int fd, int name, int otherwise)
{
    int value = otherwise;
    socklen_t len = sizeof(value);
    raw5(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&value, (long)&len);
    return value;
}

/*
 * With SO_LINGER the last close of a connection waits until the peer has acknowledged our FIN
 * (tcp_close, sk_stream_wait_close), and we would wait with the slot claimed. Zero seconds mean
 * an RST at once and stay as they are.
 */
static void forget_linger(int fd)
{
    struct linger linger = {0};
    socklen_t len = sizeof(linger);
    raw5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, (long)&linger, (long)&len);
    if (!linger.l_onoff || linger.l_linger == 0)
        return;
    linger.l_onoff = 0;
    raw5(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, (long)&linger, sizeof(linger));
}

/* Of the family and with the flags of the socket that it stands in for. */
static long tombstone_for(int fd)
{
    const long flags = raw2(SYS_fcntl, fd, F_GETFL);
    const int nonblock = flags > 0 && (flags & O_NONBLOCK) ? SOCK_NONBLOCK : 0;
    return raw3(SYS_socket, option_of(fd, SO_DOMAIN, AF_INET),
                SOCK_STREAM | SOCK_CLOEXEC | nonblock, 0);
}

static int put_down(int tomb, int fd)
{
    /* Says ENOTCONN and takes effect all the same (inet_shutdown sets sk_shutdown first). */
    raw2(SYS_shutdown, tomb, SHUT_RDWR);
    forget_linger(fd);
    const long flags = raw2(SYS_fcntl, fd, F_GETFD);
    const long ret = raw3(SYS_dup3, tomb, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
    raw1(SYS_close, tomb);
    return ret < 0 ? (int)-ret : 0;
}

/* A call under way on the number, or on one of its class, is over in some microseconds. */
static bool await_steady(int fd)
{
    const struct timespec pause = {.tv_nsec = 100000};
    for (int i = 0; i < 20; i++) {
        if (slot_is_steady(fd))
            return true;
        raw2(SYS_nanosleep, (long)&pause, 0);
    }
    return false;
}

/*
 * For a few system calls the tombstone has a number of its own, the lowest free one: there is no
 * call that makes a socket on a given number. The slot of that number is guarded meanwhile, so
 * that a close or dup2 of the program's on it waits, and one that came before the guard is seen:
 * unless it ends soon the tombstone stays where it is, for that call to close. A program that
 * closes a number and counts on its next open() to get the same one can miss it. README names
 * this limit.
 */
int reap_bury(int fd, uint64_t cookie)
{
    if (!await_steady(fd))
        return EAGAIN;
    if (kernel_cookie(fd) != cookie)
        return ESTALE;
    const long tomb = tombstone_for(fd);
    if (raw_failed(tomb))
        return (int)-tomb;
    const uint64_t own = kernel_cookie((int)tomb);
    struct slot *guard = slot_guard((int)tomb);
    const bool steady = await_steady((int)tomb);
    const bool ours = own != 0 && kernel_cookie((int)tomb) == own;
    const int error = steady && ours ? put_down((int)tomb, fd) : EAGAIN;
    if (guard)
        slot_release(guard, ours && !steady ? SLOT_BURIED : SLOT_FREE, 0);
    return error;
}
