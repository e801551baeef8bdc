#define _GNU_SOURCE
#include "reap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "clock.h"
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

/* How often a call that is in the way is waited for, 100 us each. */
enum { STEADY_TURNS = 20, PATIENCE_TURNS = 1000 };

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
    for (int i = 0; i < STEADY_TURNS; i++) {
        if (slot_is_steady(fd))
            return true;
        clock_sleep_us(100);
    }
    return false;
}

/*
 * A number that a call under way may be about to close or replace is left to that call, with our
 * tombstone on it: what is on it a moment later we could not know. It is used for the next one.
 */
static _Atomic int stray = -1;
static _Atomic uint64_t stray_cookie;

/* Forks wait until no tombstone is made, and none is made while one forks: the child would keep a
 * descriptor that nobody there knows of. */
static _Atomic int burying;
static _Atomic int forking;

/* Guards the slot of a number that the kernel has just given us: what it says is out of date. */
static struct slot *guard(int fd)
{
    slot_vacate(slot_of(fd));
    return slot_guard(fd);
}

static bool is_ours(int fd, uint64_t cookie)
{
    return cookie != 0 && kernel_cookie(fd) == cookie;
}

/* Closes what was left behind, once it is quiet there. */
static void tidy(void)
{
    const int fd = atomic_exchange(&stray, -1);
    const uint64_t cookie = atomic_load(&stray_cookie);
    struct slot *slot = fd < 0 || !slot_is_steady(fd) ? NULL : slot_guard(fd);
    if (slot && slot_is_steady(fd)) {
        if (is_ours(fd, cookie))
            raw1(SYS_close, fd);
    } else if (fd >= 0) {
        atomic_store(&stray, fd);
    }
    if (slot)
        slot_release(slot, SLOT_FREE, 0);
}

/*
 * A program that has closed 0, 1 or 2 may still write to it, and gets EBADF: from a tombstone with
 * that number it would get SIGPIPE. A descriptor of O_PATH says EBADF to both read and write.
 */
static int plug(int plugs[3])
{
    int count = 0;
    while (count < 3) {
        const long fd = raw4(SYS_openat, AT_FDCWD, (long)"/", O_PATH | O_CLOEXEC, 0);
        if (fd < 0)
            break;
        if (fd > 2) {
            raw1(SYS_close, fd);
            break;
        }
        plugs[count++] = (int)fd;
    }
    return count;
}

static bool is_plug(int fd)
{
    const long flags = raw2(SYS_fcntl, fd, F_GETFL);
    return flags > 0 && (flags & O_PATH);
}

static bool has_standard_fds(void)
{
    return raw2(SYS_fcntl, 0, F_GETFD) >= 0 && raw2(SYS_fcntl, 1, F_GETFD) >= 0 &&
           raw2(SYS_fcntl, 2, F_GETFD) >= 0;
}

/*
 * For a few system calls the tombstone has a number of its own, the lowest free one above 2: there
 * is no call that makes a socket on a given number. The slot of that number is guarded meanwhile,
 * so that a close or dup2 of the program's on it waits, and one that came before the guard is seen.
 * A program that closes a number and counts on its next open() to get the same one can miss it.
 * README names this limit.
 */
static int bury(int fd)
{
    const long tomb = tombstone_for(fd);
    if (raw_failed(tomb))
        return (int)-tomb;
    const uint64_t own = kernel_cookie((int)tomb);
    struct slot *slot = guard((int)tomb);
    int error = EAGAIN;
    if (slot && await_steady((int)tomb)) {
        if (is_ours((int)tomb, own))
            error = put_down((int)tomb, fd);
    } else if (is_ours((int)tomb, own)) {
        atomic_store(&stray_cookie, own);
        atomic_store(&stray, (int)tomb);
    }
    if (slot)
        slot_release(slot, SLOT_FREE, 0);
    return error;
}

static int bury_plugged(int fd)
{
    int plugs[3];
    const int count = has_standard_fds() ? 0 : plug(plugs);
    const int error = bury(fd);
    for (int i = 0; i < count; i++)
        if (is_plug(plugs[i]))
            raw1(SYS_close, plugs[i]);
    return error;
}

int reap_bury(int fd, uint64_t cookie)
{
    int error = EAGAIN;
    atomic_fetch_add(&burying, 1);
    if (atomic_load(&forking) == 0) {
        tidy();
        if (atomic_load(&stray) < 0 && await_steady(fd))
            error = kernel_cookie(fd) == cookie ? bury_plugged(fd) : ESTALE;
    }
    atomic_fetch_sub(&burying, 1);
    return error;
}

void reap_tidy(void)
{
    if (atomic_load_explicit(&stray, memory_order_relaxed) < 0)
        return;
    atomic_fetch_add(&burying, 1);
    if (atomic_load(&forking) == 0)
        tidy();
    atomic_fetch_sub(&burying, 1);
}

void reap_pause(void)
{
    atomic_fetch_add(&forking, 1);
    for (int i = 0; i < PATIENCE_TURNS && atomic_load(&burying) > 0; i++)
        clock_sleep_us(100);
}

void reap_resume(void)
{
    atomic_fetch_sub(&forking, 1);
}

void reap_adopt(void)
{
    atomic_store(&burying, 0);
}
