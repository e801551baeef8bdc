#include "rescue.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>

#include "clock.h"
#include "kernel.h"
#include "look.h"
#include "owner.h"
#include "probe.h"
#include "proc.h"
#include "real.h"
#include "reap.h"
#include "record.h"
#include "reuse.h"
#include "signals.h"
#include "stack.h"
#include "tombs.h"
#include "usdt.h"
#include "watch.h"

enum { REAP_TRIES = 20, PATIENCE_MS = 1000, FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 50 };

static const struct options *_Atomic rules;

void rescue_start(const struct options *options)
{
    atomic_store_explicit(&rules, options, memory_order_release);
}

typedef int naming(int fd, const struct sockaddr *addr, socklen_t len);

/* Where a socket is, besides its address: what is elsewhere is not in its way (inet_bind_conflict).
 */
struct whereabouts {
    uint64_t netns;
    uint32_t interface; /* 0: all of them */
    bool v6only;
};

/* What the program asked for and was refused with this error. */
struct wish {
    naming *again; /* the call, once more */
    naming *alone; /* the same where nothing of this process is in the way; NULL: it is no use */
    int fd;
    const struct sockaddr *addr;
    socklen_t len;
    int error;
    struct whereabouts where;
};

/* What this process has in the way of it. */
struct holders {
    int reapable;      /* descriptors of leaked sockets that may go */
    int others;        /* those that stay: while there is one, no reap lets the call succeed */
    int busy;          /* those that the last attempt could not bury: a call was in the way */
    struct fds buried; /* the first of those that are gone */
};

/* Whether a descriptor below end, other than fd, is the same socket, and has the flag. */
static bool has_copy(int fd, uint64_t cookie, int end, uint32_t flag)
{
    for (int other = slots_next(0); other >= 0 && other < end; other = slots_next(other + 1)) {
        const uint32_t word = slot_word(slot_of(other));
        if (other != fd && slot_state(word) != SLOT_BURIED && (word & flag) == flag &&
            kernel_cookie(other) == cookie)
            return true;
    }
    return false;
}

/* One socket is one leak, however many descriptors it has. */
static void add_leak(struct record *record, const struct leak *leak, uint32_t word)
{
    const bool copied = word & SLOT_COPIED;
    fds_add(&record->fds, leak->fd);
    if (copied && has_copy(leak->fd, leak->cookie, leak->fd, SLOT_COPIED)) {
        if (leak->cookie == record->leak.cookie)
            fds_add(&record->leak.copies, leak->fd);
        return;
    }
    if (record->leaks++ == 0) {
        record->leak = *leak;
        record->inode = proc_inode(leak->fd);
    }
    const bool told =
        (word & SLOT_TOLD) || (copied && has_copy(leak->fd, leak->cookie, INT32_MAX, SLOT_TOLD));
    record->fresh += !told;
    if (!told)
        usdt_leak(leak);
}

static bool is_leak(const struct look *look)
{
    return look->ruling.verdict == VERDICT_LEAKED || look->ruling.verdict == VERDICT_DEAD;
}

/*
 * An inherited socket is freed only by its last holder. Of those that could have it besides us the
 * process that we were forked from is known; where it has it, or may have it, ours is left alone.
 */
static bool is_last_holder(const struct leak *leak, uint32_t inode, struct record *record)
{
    if (leak->how != HOW_INHERITED)
        return true;
    const enum proc_has has = proc_has(owner_before(), inode, leak->fd);
    if (has == PROC_HAS)
        record->holder = (struct holder){
            .kind = HOLDER_OTHER, .state = leak->state, .pid = owner_before(), .same = true};
    return has == PROC_HAS_NOT;
}

static void add_other(struct record *record, struct holders *holders, int fd, uint8_t state)
{
    holders->others++;
    if (record->holder.kind == HOLDER_UNKNOWN)
        record->holder = (struct holder){.kind = HOLDER_SELF, .fd = fd, .state = state};
}

/* With the slot claimed. Releases it. */
static void count(int fd, struct slot *slot, const struct options *options, struct record *record,
                  struct holders *holders)
{
    struct look look;
    if (!look_at_wanted(fd, slot, options, &look)) {
        slot_release(slot, SLOT_FREE, 0);
        return;
    }
    const uint32_t word = slot_word(slot);
    const bool leaks = is_leak(&look) && !(word & SLOT_QUIET);
    /* What a pattern spares only the watcher can tell: with a file of them it alone closes. */
    const bool wants_go = leaks && look.ruling.reap && !options->suppress[0];
    const uint32_t inode = wants_go && look.leak.how == HOW_INHERITED ? proc_inode(fd) : 0;
    const bool early = !(word & SLOT_TOLD) && look.leak.gone_ms < options->grace_ms;
    if (leaks)
        add_leak(record, &look.leak, word);
    slot_release(slot, SLOT_LIVE, leaks ? SLOT_TOLD | (early ? SLOT_WANTED : 0) : 0);
    const bool may_go = wants_go && is_last_holder(&look.leak, inode, record);
    holders->reapable += may_go;
    if (!leaks)
        add_other(record, holders, fd, look.leak.state);
    else if (!may_go)
        holders->others++;
}

/* The same. */
static void reap(int fd, struct slot *slot, const struct options *options, struct record *record,
                 struct holders *holders)
{
    struct look look;
    if (!look_at_wanted(fd, slot, options, &look)) {
        slot_release(slot, SLOT_FREE, 0);
        return;
    }
    const bool may_go = is_leak(&look) && look.ruling.reap;
    if (may_go) /* whoever else has the socket, over fork, has it as the program set it */
        probe_end(fd, slot);
    const int error = may_go ? reap_bury(fd, look.leak.cookie, look.ruling.reap) : ESTALE;
    const bool buried = error == 0;
    const bool copied = slot_word(slot) & SLOT_COPIED;
    if (buried)
        tombs_note(fd, slot);
    holders->busy += error == EAGAIN;
    slot_release(slot, buried ? SLOT_BURIED : SLOT_LIVE, buried ? SLOT_WANTED : 0);
    if (!buried)
        return;
    usdt_reap(&look.leak, WHY_PORT, 0);
    fds_add(&holders->buried, fd);
    record->reaped += !copied || !has_copy(fd, look.leak.cookie, INT32_MAX, SLOT_COPIED);
    record->released = record->reaped;
}

/* A bind to a link-local address binds to its link. */
static struct whereabouts whereabouts_of(int fd, const struct endpoint *local)
{
    return (struct whereabouts){.netns = kernel_netns(fd),
                                .interface = local->scope ? local->scope : kernel_interface(fd),
                                .v6only = kernel_is_v6only(fd)};
}

/* What a socket with that end is to the one that wants its port: endpoints do not tell all. */
static bool meets(const struct whereabouts *where, const struct endpoint *local,
                  const struct wish *wish, const struct endpoint *wanted)
{
    const struct whereabouts *six = wanted->family == AF_INET6 ? &wish->where : where;
    return where->netns == wish->where.netns &&
           (!where->interface || !wish->where.interface ||
            where->interface == wish->where.interface) &&
           (local->family == wanted->family || !six->v6only);
}

static bool is_in_the_way(int fd, const struct wish *wish, const struct record *record)
{
    const struct endpoint local = kernel_local(fd);
    if (!endpoint_conflict(&local, &record->wanted))
        return false;
    const struct whereabouts where = whereabouts_of(fd, &local);
    if (!meets(&where, &local, wish, &record->wanted))
        return false;
    if (!record->to.family)
        return true;
    const struct endpoint peer = kernel_peer(fd);
    return endpoint_conflict(&peer, &record->to);
}

/* Every socket of this process that is in the way, claimed, to what. */
static void each_holder(const struct wish *wish, const struct options *options,
                        struct record *record, struct holders *holders,
                        void (*what)(int, struct slot *, const struct options *, struct record *,
                                     struct holders *))
{
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const enum slot_state state = slot_unclaimed(slot_word(slot));
        if (state == SLOT_BURIED || !is_in_the_way(fd, wish, record))
            continue;
        if (state == SLOT_MADE)
            add_other(record, holders, fd, slot_word(slot) & SLOT_LISTENS ? TCP_LISTEN : TCP_CLOSE);
        const uint64_t mask = signals_block();
        if (slot_claim_patiently(slot))
            what(fd, slot, options, record, holders);
        signals_restore(mask);
    }
}

/* The kernel frees the port once the peer has acknowledged our FIN: a few round trips. */
static int call_patiently(const struct wish *wish, uint32_t *waited_ms)
{
    const uint64_t start = clock_ms();
    uint32_t pause_ms = FIRST_PAUSE_MS;
    int ret = wish->again(wish->fd, wish->addr, wish->len);
    while (ret != 0 && errno == wish->error && clock_ms() - start < PATIENCE_MS) {
        clock_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause_ms * 2;
        ret = wish->again(wish->fd, wish->addr, wish->len);
    }
    *waited_ms = (uint32_t)(clock_ms() - start);
    return ret;
}

/* Nothing of this process holds the port any more: with the option reuseaddr TIME_WAIT may. */
static int bind_somehow(int fd, const struct sockaddr *addr, socklen_t len)
{
    const int ret = real.bind(fd, addr, len);
    return ret == 0 || errno != EADDRINUSE ? ret : reuse_bind(fd, addr, len);
}

static const struct options *rules_here(int fd)
{
    const struct options *options = atomic_load_explicit(&rules, memory_order_acquire);
    return options && owner_here() && kernel_is_tcp(fd) ? options : NULL;
}

/* As the kernel did. Without rules no system call is made: the program may have forbidden them. */
static int refuse(int error)
{
    errno = error;
    return -1;
}

/* record says what is wanted. */
static int rescue(const struct wish *wish, const struct options *options, struct record *record,
                  int before)
{
    int ret = -1;
    int error = wish->error;
    struct holders holders = {0};
    record->error = wish->error;
    record->why = WHY_PORT;
    each_holder(wish, options, record, &holders, count);
    if (record->leaks == 0 && holders.others == 0 && wish->alone &&
        wish->alone(wish->fd, wish->addr, wish->len) == 0) {
        errno = before;
        return 0;
    }
    holders.busy = holders.reapable > 0 && holders.others == 0;
    for (int i = 0; i < REAP_TRIES && holders.busy > 0; i++) {
        clock_sleep_ms(i > 0);
        holders.busy = 0;
        each_holder(wish, options, record, &holders, reap);
    }
    if (holders.buried.count > 0) {
        record->type = RECORD_RESCUE;
        record->fds = holders.buried;
        ret = call_patiently(wish, &record->waited_ms);
        error = ret == 0 ? before : errno;
        record->error = ret != 0 && error == wish->error ? error : 0;
        usdt_rescue_port(wish->fd, record->waited_ms, record->released, ret == 0 ? 0 : error);
    }
    record_post(record);
    watch_ring();
    errno = error;
    return ret;
}

int rescue_bind(int fd, const struct sockaddr *addr, socklen_t len, int before,
                const struct caller *caller)
{
    const struct options *options = rules_here(fd);
    if (!options || endpoint_of(addr, len).port == 0)
        return refuse(EADDRINUSE);
    struct record record = {.type = RECORD_BIND_CONFLICT, .wanted = endpoint_of(addr, len)};
    const struct wish wish = {.again = bind_somehow,
                              .alone = reuse_bind,
                              .fd = fd,
                              .addr = addr,
                              .len = len,
                              .error = EADDRINUSE,
                              .where = whereabouts_of(fd, &record.wanted)};
    record.asked_at = stack_site(caller);
    return rescue(&wish, options, &record, before);
}

int rescue_connect(int fd, const struct sockaddr *addr, socklen_t len, int before,
                   const struct caller *caller)
{
    const struct options *options = rules_here(fd);
    if (!options || endpoint_of(addr, len).port == 0 || kernel_local(fd).port == 0)
        return refuse(EADDRNOTAVAIL);
    struct record record = {
        .type = RECORD_BIND_CONFLICT, .wanted = kernel_local(fd), .to = endpoint_of(addr, len)};
    const struct wish wish = {.again = real.connect,
                              .fd = fd,
                              .addr = addr,
                              .len = len,
                              .error = EADDRNOTAVAIL,
                              .where = whereabouts_of(fd, &record.wanted)};
    record.asked_at = stack_site(caller);
    return rescue(&wish, options, &record, before);
}
