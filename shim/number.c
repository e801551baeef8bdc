#define _GNU_SOURCE
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "owner.h"
#include "rescue.h"
#include "track.h"
#include "watch.h"

/* Forbids itself system calls, ours among them. */
static bool filters(long nr, const long *args)
{
    if (nr == SYS_prctl)
        return args[0] == PR_SET_SECCOMP &&
               (args[1] == SECCOMP_MODE_STRICT || args[1] == SECCOMP_MODE_FILTER);
    return nr == SYS_seccomp &&
           (args[0] == SECCOMP_SET_MODE_STRICT || args[0] == SECCOMP_SET_MODE_FILTER);
}

static struct departure departure(long nr, const long *args)
{
    switch (nr) {
    case SYS_close:
        return track_leave((int)args[0]);
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        return track_replace((int)args[0], (int)args[1]);
    default:
        return (struct departure){.fd = -1};
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

static bool leaves(long nr, const long *args)
{
    switch (nr) {
    case SYS_unshare:
        return args[0] & CLONE_FILES ? watch_part() : watch_leave();
    case SYS_close_range:
        return (args[2] & CLOSE_RANGE_UNSHARE) && watch_part();
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
        return false;
    }
}

struct number number_before(long nr, const long *args)
{
    unsigned long flags = 0;
    if (filters(nr, args))
        watch_retire(RETIRED_FILTER);
    if (nr == SYS_exit_group)
        watch_finish();
    if (nr == SYS_exit) /* of one thread; were it the last but ours, the process would not end */
        watch_dismiss();
    if (clones(nr, args, &flags)) {
        watch_clones(flags);
        owner_lends();
        owner_clones(flags);
    }
    return (struct number){
        .left = leaves(nr, args), .from = departure(nr, args), .told = departs(nr, args)};
}

static bool read_by_number(long nr, long ret, long a, long b, long c, struct caller caller)
{
    const bool room = nr == SYS_readv ? iov_has_room((const struct iovec *)b, (int)c) : c != 0;
    return ret == 0 && room && track_eof((int)a, caller);
}

static bool received_by_number(long nr, long ret, long a, long b, struct caller caller)
{
    if (nr == SYS_recvmmsg) {
        const bool news = track_eof_each((int)a, (const struct mmsghdr *)b, (int)ret, caller);
        return track_received_each((const struct mmsghdr *)b, (int)ret, caller) || news;
    }
    const bool news =
        ret == 0 && msg_has_room((const struct msghdr *)b) && track_eof((int)a, caller);
    return track_received((const struct msghdr *)b, ret, caller) || news;
}

static bool heard(long nr, long *ret, const long *args, struct caller caller)
{
    const long a = args[0];
    const long b = args[1];
    const long c = args[2];
    switch (nr) {
    case SYS_socket:
        track_socket((int)*ret, (int)a, (int)b, (int)c);
        return false;
    case SYS_connect:
        return track_connect((int)a, (const struct sockaddr *)b, (int)*ret, caller);
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
        return track_accept((int)a, (int)*ret, caller);
    case SYS_bind:
        if (*ret == -1 && errno == EADDRINUSE)
            *ret = rescue_bind((int)a, (const struct sockaddr *)b, (socklen_t)c, caller);
        return false;
    case SYS_listen:
        track_listen((int)a, (int)*ret);
        return false;
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
        return read_by_number(nr, *ret, a, b, c, caller);
    case SYS_splice:
        return read_by_number(nr, *ret, a, 0, args[4], caller);
    case SYS_recvmsg:
    case SYS_recvmmsg:
        return received_by_number(nr, *ret, a, b, caller);
    default:
        return false;
    }
}

bool number_after(long nr, long *ret, const long *args, struct number begun, struct caller caller)
{
    unsigned long flags = 0;
    const bool late = track_left(begun.from, nr == SYS_close || *ret >= 0);
    track_left_range(begun.told);
    if (*ret != 0 && clones(nr, args, &flags))
        owner_cloned(flags);
    const bool news = heard(nr, ret, args, caller);
    watch_return(begun.left);
    return news || late;
}
