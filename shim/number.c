#define _GNU_SOURCE
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "owner.h"
#include "rescue.h"
#include "track.h"
#include "watch.h"

bool number_before(long nr, const long *args)
{
    const long a = args[0];
    const long b = args[1];
    const long c = args[2];
    switch (nr) {
    case SYS_close:
        track_leave((int)a);
        return false;
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        if (a != b)
            track_leave((int)b);
        return false;
    case SYS_close_range:
        track_leave_range((unsigned int)a, (unsigned int)b, (int)c);
        return ((unsigned long)c & CLOSE_RANGE_UNSHARE) && watch_leave();
    case SYS_clone:
#ifdef SYS_clone3
    case SYS_clone3:
#endif
        owner_lends();
        return false;
    case SYS_exit_group:
        watch_finish();
        return false;
    case SYS_prctl:
        if (a == PR_SET_SECCOMP && (b == SECCOMP_MODE_STRICT || b == SECCOMP_MODE_FILTER))
            watch_retire();
        return false;
    case SYS_seccomp:
        if (a == SECCOMP_SET_MODE_STRICT || a == SECCOMP_SET_MODE_FILTER)
            watch_retire();
        return false;
    case SYS_exit: /* of one thread; were it the last but ours, the process would not end */
        watch_dismiss();
        return false;
    case SYS_setns:
    case SYS_unshare:
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

static bool read_by_number(long nr, long ret, long a, long b, long c)
{
    const bool room = nr == SYS_readv ? iov_has_room((const struct iovec *)b, (int)c) : c != 0;
    return ret == 0 && room && track_eof((int)a);
}

static bool received_by_number(long nr, long ret, long a, long b)
{
    if (nr == SYS_recvmmsg) {
        const bool news = track_eof_each((int)a, (const struct mmsghdr *)b, (int)ret);
        return track_received_each((const struct mmsghdr *)b, (int)ret) || news;
    }
    const bool news = ret == 0 && msg_has_room((const struct msghdr *)b) && track_eof((int)a);
    return track_received((const struct msghdr *)b, ret) || news;
}

bool number_after(long nr, long *ret, const long *args)
{
    const long a = args[0];
    const long b = args[1];
    const long c = args[2];
    switch (nr) {
    case SYS_socket:
        track_socket((int)*ret, (int)a, (int)b, (int)c);
        return false;
    case SYS_connect:
        return track_connect((int)a, (const struct sockaddr *)b, (int)*ret);
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
        return track_accept((int)a, (int)*ret);
    case SYS_bind:
        if (*ret == -1 && errno == EADDRINUSE)
            *ret = rescue_bind((int)a, (const struct sockaddr *)b, (socklen_t)c);
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
        return read_by_number(nr, *ret, a, b, c);
    case SYS_splice:
        return read_by_number(nr, *ret, a, 0, args[4]);
    case SYS_recvmsg:
    case SYS_recvmmsg:
        return received_by_number(nr, *ret, a, b);
    default:
        return false;
    }
}
