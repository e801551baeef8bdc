#define _GNU_SOURCE
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "owner.h"
#include "pipe.h"
#include "real.h"
#include "reap.h"
#include "rescue.h"
#include "reuse.h"
#include "shortage.h"
#include "track.h"
#include "vdso.h"
#include "watch.h"

/* Forbids itself system calls, ours among them. Without a filter it only asks whether it could. */
static bool filters(long nr, const long *args)
{
    if (nr == SYS_prctl)
        return args[0] == PR_SET_SECCOMP &&
               (args[1] == SECCOMP_MODE_STRICT || (args[1] == SECCOMP_MODE_FILTER && args[2]));
    return nr == SYS_seccomp &&
           (args[0] == SECCOMP_SET_MODE_STRICT || (args[0] == SECCOMP_SET_MODE_FILTER && args[2]));
}

static void depart(long nr, const long *args, struct departure *left)
{
    *left = (struct departure){.counted = false};
    switch (nr) {
    case SYS_close:
        track_leave((int)args[0], left);
        break;
    case SYS_connect:
        if (track_is_connection((int)args[0]))
            track_leave((int)args[0], left);
        break;
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        track_replace((int)args[0], (int)args[1], left);
        break;
    default:
        break;
    }
}

static bool departs(long nr, const long *args)
{
    return nr == SYS_close_range &&
           track_leave_range((unsigned int)args[0], (unsigned int)args[1], (unsigned int)args[2]);
}

/* The flags of a clone; false when it is none. Those of clone3 lie behind a pointer, which may be
 * a bad one: its child may be of either kind. */
static bool clones(long nr, const long *args, unsigned long *flags)
{
    *flags = nr == SYS_clone ? (unsigned long)args[0] : 0;
    switch (nr) {
    case SYS_clone:
#ifdef SYS_fork
    case SYS_fork:
#endif
#ifdef SYS_clone3
    case SYS_clone3:
#endif
        return true;
    default:
        return false;
    }
}

/* Whether the child has a copy of our memory, for all that is known. */
static bool copies(long nr, unsigned long flags)
{
#ifdef SYS_clone3
    if (nr == SYS_clone3)
        return false;
#endif
    (void)nr;
    return !(flags & CLONE_VM);
}

/* What it unshares, as flags of unshare(2). */
static int unshares(long nr, const long *args)
{
    if (nr == SYS_unshare)
        return (int)args[0];
    return nr == SYS_close_range && ((unsigned long)args[2] & CLOSE_RANGE_UNSHARE) ? CLONE_FILES
                                                                                   : 0;
}

static bool leaves(long nr, const long *args)
{
    switch (nr) {
    case SYS_setns:
    case SYS_setuid: /* these are of one thread as well; the new watcher has its credentials */
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setgroups:
    case SYS_capset:
        return watch_leave();
    default:
        return watch_unshare(unshares(nr, args));
    }
}

/* The descriptor that is written to; -1 for none. */
static int written(long nr, const long *args)
{
    switch (nr) {
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
#ifdef SYS_sendfile64
    case SYS_sendfile64:
#endif
        return (int)args[0];
    case SYS_splice:
        return (int)args[2];
    default:
        return -1;
    }
}

struct number number_before(long nr, const long *args)
{
    unsigned long flags = 0;
    if (filters(nr, args))
        watch_retire(RETIRED_FILTER);
    if (nr == SYS_prctl && args[0] == PR_SET_TSC)
        vdso_forget();
    if (nr == SYS_exit_group)
        watch_finish();
    if (nr == SYS_exit) /* of one thread; were it the last but ours, the process would not end */
        watch_dismiss();
    if (clones(nr, args, &flags)) {
        watch_clones(flags);
        owner_clones(flags);
        if (copies(nr, flags))
            reap_pause();
        else
            owner_lends();
    }
    if (nr == SYS_getsockopt || nr == SYS_setsockopt)
        track_option((int)args[0], (int)args[1], (int)args[2]);
    if (nr == SYS_listen)
        reuse_listens((int)args[0]);
    struct number begun = {.before = errno,
                           .hush = pipe_hush(written(nr, args)),
                           .left = leaves(nr, args),
                           .told = departs(nr, args)};
    depart(nr, args, &begun.from);
    return begun;
}

/* A read or write of bytes: where the socket was used last. */
static void used_by_number(long nr, long ret, const long *args, const struct caller *caller)
{
    static const long numbers[] = {SYS_read,     SYS_readv,    SYS_recvfrom, SYS_recvmsg,
                                   SYS_recvmmsg, SYS_write,    SYS_writev,   SYS_sendto,
                                   SYS_sendmsg,  SYS_sendmmsg, SYS_sendfile};
    if (ret <= 0 || track_heeds == 0)
        return;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (nr == numbers[i])
            track_used((int)args[0], caller);
}

static bool read_by_number(long nr, long ret, const long *args, const struct caller *caller)
{
    const int flags = nr == SYS_recvfrom ? (int)args[3] : 0;
    const bool room = nr == SYS_readv ? iov_has_room((const struct iovec *)args[1], (int)args[2])
                                      : args[nr == SYS_splice ? 4 : 2] != 0;
    return ret == 0 && room && track_eof((int)args[0], flags, caller);
}

static bool received_by_number(long nr, long ret, const long *args, const struct caller *caller)
{
    const int fd = (int)args[0];
    if (nr == SYS_recvmmsg) {
        const struct mmsghdr *msgs = (const struct mmsghdr *)args[1];
        const bool news = track_eof_each(fd, msgs, (int)ret, (int)args[3], caller);
        return track_received_each(msgs, (int)ret, caller) || news;
    }
    const struct msghdr *msg = (const struct msghdr *)args[1];
    const bool news = ret == 0 && msg_has_room(msg) && track_eof(fd, (int)args[2], caller);
    return track_received(msg, ret, caller) || news;
}

/* Where there was no descriptor left for it. */
static void relieve(long nr, long *ret, const long *args, int before, const struct caller *caller)
{
    const enum limited call = nr == SYS_socket    ? LIMITED_SOCKET
                              : nr == SYS_accept4 ? LIMITED_ACCEPT4
                                                  : LIMITED_ACCEPT;
    if (*ret == -1 && shortage_relieve(call, before, caller))
        *ret = real.syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static bool heard(long nr, long *ret, const long *args, int before, const struct caller *caller)
{
    const long a = args[0];
    const long b = args[1];
    const long c = args[2];
    switch (nr) {
    case SYS_socket:
        relieve(nr, ret, args, before, caller);
        track_socket((int)*ret, (int)a, (int)b, (int)c);
        return false;
    case SYS_connect:
        if (*ret == -1 && errno == EADDRNOTAVAIL)
            *ret = rescue_connect((int)a, (const struct sockaddr *)b, (socklen_t)c, before, caller);
        return track_connect((int)a, (const struct sockaddr *)b, (int)*ret, caller);
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
        relieve(nr, ret, args, before, caller);
        return track_accept((int)a, (int)*ret, caller);
    case SYS_bind:
        if (*ret == -1 && errno == EADDRINUSE)
            *ret = rescue_bind((int)a, (const struct sockaddr *)b, (socklen_t)c, before, caller);
        reuse_bound((int)a, (const struct sockaddr *)b, (socklen_t)c, (int)*ret);
        return false;
    case SYS_listen:
        reuse_listened((int)a, (int)*ret);
        return track_listen((int)a, (int)*ret, caller);
    case SYS_dup:
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        return track_copy((int)a, (int)*ret);
    case SYS_fcntl:
#ifdef SYS_fcntl64
    case SYS_fcntl64:
#endif
        return (b == F_DUPFD || b == F_DUPFD_CLOEXEC) && track_copy((int)a, (int)*ret);
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_splice:
        return read_by_number(nr, *ret, args, caller);
    case SYS_recvmsg:
    case SYS_recvmmsg:
        return received_by_number(nr, *ret, args, caller);
    default:
        return false;
    }
}

bool number_after(long nr, long *ret, const long *args, struct number begun,
                  const struct caller *caller)
{
    unsigned long flags = 0;
    pipe_hushed(begun.hush, *ret);
    const bool gone = nr == SYS_connect ? is_dissolved((const struct sockaddr *)args[1], (int)*ret)
                                        : nr == SYS_close || *ret >= 0;
    const bool late = track_left(&begun.from, gone) || track_left_range(begun.told);
    if (clones(nr, args, &flags)) {
        if (copies(nr, flags))
            reap_resume();
        if (*ret != 0)
            owner_cloned(flags);
    }
    used_by_number(nr, *ret, args, caller);
    const bool news = heard(nr, ret, args, begun.before, caller);
    if (nr == SYS_connect)
        reuse_connected((int)args[0], begun.from.word);
    watch_unshared(unshares(nr, args), (int)*ret, begun.left);
    return news || late;
}
