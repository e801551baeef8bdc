#define _GNU_SOURCE
#include "grave.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"

/* Leaves the descriptors that still are the socket; a copy of one of them, or -1. */
static int verify(struct found *found, const struct target *target)
{
    int kept = -1;
    size_t count = 0;
    for (size_t i = 0; i < found->fd_count; i++) {
        const int copy = target_copy_of(target, found->fds[i], found->cookie);
        if (copy < 0)
            continue;
        found->fds[count++] = found->fds[i];
        if (kept < 0)
            kept = copy;
        else
            close(copy);
    }
    found->fd_count = count;
    return kept;
}

/* As in shim/reap.c: the last close would wait for the peer, and the world with it. */
static void forget_linger(int copy)
{
    struct linger linger = {0};
    socklen_t len = sizeof(linger);
    if (getsockopt(copy, SOL_SOCKET, SO_LINGER, &linger, &len) != 0 || !linger.l_onoff ||
        linger.l_linger == 0)
        return;
    linger.l_onoff = 0;
    setsockopt(copy, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static int family_of(int copy)
{
    int family = AF_INET;
    socklen_t len = sizeof(family);
    getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &family, &len);
    return family;
}

/*
 * The error that the connection ended with, which is then read. EPIPE: the peer's FIN had come
 * before it (tcp_reset), and the next read would have said that the stream has ended.
 */
static int take_error(int copy)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(copy, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : 0;
}

static bool has_error(int fd)
{
    struct pollfd polled = {.fd = fd};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLERR);
}

/* As in shim/tombstone.c: connected with itself and told to forget it, it carries ECONNRESET. */
static bool make_reset(int tomb, int family)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } own = {.any.sa_family = (sa_family_t)family};
    socklen_t len = family == AF_INET6 ? sizeof(own.in6) : sizeof(own.in);
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (bind(tomb, &own.any, len) != 0 || getsockname(tomb, &own.any, &len) != 0)
        return false;
    if (family == AF_INET6)
        own.in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    else
        own.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(tomb, &own.any, len) != 0 && errno != EINPROGRESS)
        return false;
    return connect(tomb, &none, sizeof(none)) == 0 && has_error(tomb);
}

/*
 * One more descriptor than the process may have: that it has no more is often just what its leak
 * has done to it. It stands still meanwhile, so that none of its own calls can profit.
 */
static long make_socket(struct world *world, const struct target *target, int family)
{
    const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    struct rlimit limit;
    const long made = world_call(world, SYS_socket, family, type, 0);
    if (made != -EMFILE || prlimit(target->pid, RLIMIT_NOFILE, NULL, &limit) != 0)
        return made;
    const struct rlimit more = {
        limit.rlim_cur + 1, limit.rlim_max > limit.rlim_cur ? limit.rlim_max : limit.rlim_cur + 1};
    if (prlimit(target->pid, RLIMIT_NOFILE, &more, NULL) != 0)
        return made;
    const long again = world_call(world, SYS_socket, family, type, 0);
    prlimit(target->pid, RLIMIT_NOFILE, &limit, NULL);
    return again;
}

/* What it shares with the process's descriptor it gets from here: the same open file. */
static int furnish(int tomb, int copy, bool reset)
{
    const int family = family_of(copy);
    const int flags = fcntl(copy, F_GETFL);
    if (reset && !make_reset(tomb, family))
        return EADDRNOTAVAIL; /* a network namespace without a loopback interface */
    if (reset && take_error(copy) == EPIPE)
        take_error(tomb);
    shutdown(tomb, SHUT_RDWR); /* says ENOTCONN and takes effect all the same */
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(tomb, F_SETFL, fcntl(tomb, F_GETFL) & ~O_NONBLOCK);
    return 0;
}

static bool is_cloexec(const struct target *target, int fd)
{
    char path[64];
    char line[128];
    static const char name[] = "flags:";
    unsigned long flags = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/fdinfo/%d", (int)target->pid, (int)target->tid,
             fd);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, sizeof(name) - 1) == 0)
            flags = strtoul(line + sizeof(name) - 1, NULL, 8);
    if (file)
        fclose(file);
    return flags & O_CLOEXEC;
}

static int replace(const struct found *found, struct world *world, const struct target *target,
                   long tomb)
{
    int error = 0;
    for (size_t i = 0; i < found->fd_count && !error; i++) {
        const int fd = found->fds[i];
        const long made =
            world_call(world, SYS_dup3, tomb, fd, is_cloexec(target, fd) ? O_CLOEXEC : 0);
        error = made < 0 ? (int)-made : 0;
    }
    return error;
}

/* copy is closed before the process's own descriptors are: with the last of them the port is free.
 */
static int bury(const struct found *found, struct world *world, const struct target *target,
                int copy, enum reap_as as)
{
    const long tomb = make_socket(world, target, family_of(copy));
    const int ours = tomb < 0 ? -1 : target_copy(target, (int)tomb);
    int error = tomb < 0 ? (int)-tomb : ours < 0 ? errno : 0;
    if (!error) {
        forget_linger(copy);
        error = furnish(ours, copy, as == REAP_AS_RESET);
    }
    close(copy);
    if (ours >= 0)
        close(ours);
    if (!error)
        error = replace(found, world, target, tomb);
    if (tomb >= 0)
        world_call(world, SYS_close, tomb, 0, 0);
    return error;
}

static enum reap_as manner(struct grave *grave, int copy, const struct options *options)
{
    struct found *found = grave->found;
    struct facts facts;
    if (!kernel_facts(copy, &facts))
        return REAP_NOT;
    found->history.fin_seen |= facts.state == TCP_CLOSE_WAIT;
    if (facts.state != found->facts.state)
        found->history.gone_ms = facts.heard_ms;
    found->facts = facts;
    found->ruling = judge(&found->facts, &found->history, options);
    if (found->ruling.reap != REAP_NOT || !grave->forced)
        return found->ruling.reap;
    return facts.error && !found->history.fin_seen ? REAP_AS_RESET : REAP_AS_ENDED;
}

void grave_dig(struct grave *grave, struct world *world, const struct target *target,
               const struct options *options)
{
    const int copy = verify(grave->found, target);
    if (copy < 0) {
        grave->burial = BURIAL_OTHER;
        return;
    }
    const enum reap_as as = manner(grave, copy, options);
    if (as == REAP_NOT) {
        close(copy);
        grave->burial = BURIAL_SPARED;
        return;
    }
    grave->error = bury(grave->found, world, target, copy, as);
    grave->burial = grave->error ? BURIAL_FAILED : BURIAL_DONE;
}
