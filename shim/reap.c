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
#include "tombstone.h"

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

/* How often a call that is in the way is waited for, 100 us each. */
enum { STEADY_TURNS = 20, PATIENCE_TURNS = 1000 };

static int put_down(int tomb, int fd)
{
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
 * A number of ours in the program's table, and what makes sure that it still is: the cookie of a
 * tombstone; 0 for a plug, which is a descriptor of O_PATH.
 */
struct own {
    int fd;
    uint64_t cookie;
};

static bool is_still(struct own own)
{
    const long flags = raw2(SYS_fcntl, own.fd, F_GETFL);
    return own.cookie ? kernel_cookie(own.fd) == own.cookie : flags > 0 && (flags & O_PATH);
}

/*
 * One at a time buries: the watcher, or a thread of the program's that needs a port. It is held for
 * some system calls, with signals blocked, and nobody waits for it but a fork.
 */
static _Atomic bool burying;

/* Forks that are under way. The child would keep a descriptor that nobody there knows of. */
static _Atomic int forking;

static bool begin(void)
{
    bool no = false;
    if (!atomic_compare_exchange_strong(&burying, &no, true))
        return false;
    /* seq_cst with the fork's two: either we see that it forks, or it sees that we bury. */
    if (atomic_load(&forking) == 0)
        return true;
    atomic_store(&burying, false);
    return false;
}

static void end(void)
{
    atomic_store(&burying, false);
}

/*
 * A number that a call under way may be about to close or replace is left to that call, with what
 * is ours on it: what is on it a moment later we could not know. It is closed when it is quiet
 * there. One burial leaves four at the most, and there is none while there are any.
 */
enum { STRAYS = 4 };
static struct own strays[STRAYS];
static _Atomic int strays_count;

static void keep(struct own own)
{
    const int count = reap_strays();
    strays[count] = own;
    atomic_store_explicit(&strays_count, count + 1, memory_order_relaxed);
}

/* False while a call may be about to change what is on that number. */
static bool drop(struct own own)
{
    if (!is_still(own))
        return true;
    struct slot *slot = slot_guard(own.fd);
    if (!slot)
        return false;
    const bool steady = await_steady(own.fd);
    if (steady && is_still(own))
        raw1(SYS_close, own.fd);
    slot_release(slot, SLOT_FREE, 0);
    return steady;
}

static void tidy(void)
{
    int kept = 0;
    for (int i = 0; i < reap_strays(); i++)
        if (!drop(strays[i]))
            strays[kept++] = strays[i];
    atomic_store_explicit(&strays_count, kept, memory_order_relaxed);
}

/*
 * A program that has closed 0, 1 or 2 may still write to it, and gets EBADF: from a tombstone with
 * that number it would get SIGPIPE. A descriptor of O_PATH says EBADF to both read and write.
 */
static int plug(struct own plugs[3])
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
        plugs[count++] = (struct own){.fd = (int)fd};
    }
    return count;
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
static int bury(int fd, long (*make)(int fd))
{
    const long tomb = make(fd);
    if (raw_failed(tomb))
        return (int)-tomb;
    const struct own own = {.fd = (int)tomb, .cookie = kernel_cookie((int)tomb)};
    /* The kernel has just given us the number: out of date. Claimed, it could wait for a thread
     * that is frozen. */
    if (slot_state(slot_word(slot_of(own.fd))) != SLOT_CLAIMED)
        slot_vacate(slot_of(own.fd));
    struct slot *slot = slot_guard(own.fd);
    const bool steady = slot && await_steady(own.fd);
    const bool ours = own.cookie && is_still(own);
    const int error = steady && ours ? put_down(own.fd, fd) : EAGAIN;
    if (ours && !steady)
        keep(own);
    if (slot)
        slot_release(slot, SLOT_FREE, 0);
    return error;
}

static int bury_plugged(int fd, long (*make)(int fd))
{
    struct own plugs[3];
    const int count = has_standard_fds() ? 0 : plug(plugs);
    const int error = bury(fd, make);
    for (int i = 0; i < count; i++)
        if (!drop(plugs[i]))
            keep(plugs[i]);
    return error;
}

int reap_bury(int fd, uint64_t cookie, enum reap_as as)
{
    long (*const make)(int) = as == REAP_AS_RESET ? tombstone_make_reset : tombstone_make;
    int error = EAGAIN;
    if (!begin())
        return error;
    tidy();
    if (reap_strays() == 0 && await_steady(fd))
        error = kernel_cookie(fd) == cookie ? bury_plugged(fd, make) : ESTALE;
    end();
    return error;
}

int reap_drop(int fd, uint64_t cookie)
{
    if (!await_steady(fd))
        return EAGAIN;
    if (kernel_cookie(fd) != cookie)
        return ESTALE;
    forget_linger(fd);
    raw1(SYS_close, fd);
    return 0;
}

int reap_strays(void)
{
    return atomic_load_explicit(&strays_count, memory_order_relaxed);
}

void reap_tidy(void)
{
    if (reap_strays() == 0 || !begin())
        return;
    tidy();
    end();
}

void reap_pause(void)
{
    atomic_fetch_add(&forking, 1);
    for (int i = 0; i < PATIENCE_TURNS && atomic_load(&burying); i++)
        clock_sleep_us(100);
}

/* Not below 0: a child that has adopted counts none of its parent's. */
void reap_resume(void)
{
    int count = atomic_load(&forking);
    while (count > 0 && !atomic_compare_exchange_weak(&forking, &count, count - 1)) {
    }
}

void reap_adopt(void)
{
    atomic_store(&burying, false);
    atomic_store(&forking, 0);
}
