#define _GNU_SOURCE
#include "track.h"

#include <errno.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "clock.h"
#include "keepalive.h"
#include "kernel.h"
#include "owner.h"
#include "probe.h"
#include "raw.h"
#include "record.h"
#include "reuse.h"
#include "signals.h"
#include "sites.h"
#include "slots.h"
#include "stack.h"
#include "tombs.h"
#include "usdt.h"

static _Atomic bool tracking;
static uint32_t grace_ms; /* as tracking says: set before */

size_t track_heeds;

void track_start(bool last, uint32_t option_grace_ms)
{
    grace_ms = option_grace_ms;
    track_heeds = last ? SIZE_MAX : 0;
    atomic_store_explicit(&tracking, true, memory_order_release);
    owner_open();
}

static inline bool on(void)
{
    return owner_is_quick() ||
           (atomic_load_explicit(&tracking, memory_order_acquire) && owner_here());
}

static uint32_t now_cs(void)
{
    return clock_cs(clock_ms());
}

static site_t load_site(_Atomic site_t *site)
{
    return atomic_load_explicit(site, memory_order_relaxed);
}

static enum slot_state state_of(int fd)
{
    return slot_state(slot_word(slot_of(fd)));
}

/* What the slot knew: nobody writes there before the kernel gives the number out again. */
static void note_departure(struct departure *left, struct slot *slot)
{
    left->cookie = atomic_load_explicit(&slot->cookie, memory_order_relaxed);
    left->gone_cs = atomic_load_explicit(&slot->gone_cs, memory_order_relaxed);
    left->opened_at = load_site(&slot->opened_at);
}

void track_option(int fd, int level, int name)
{
    const enum slot_state state = state_of(fd);
    if ((state == SLOT_LIVE || state == SLOT_CLAIMED) && keepalive_has(level, name) && on())
        probe_yield(fd);
    reuse_yield(fd, level, name);
}

__attribute__((noinline)) void track_leave(int fd, struct departure *left)
{
    *left = (struct departure){.fd = fd, .counted = on()};
    if (!left->counted)
        return;
    struct slot *slot = slot_of(fd);
    left->word = slot_depart(fd, slot);
    probe_put_back(fd, left->word);
    if (slot)
        note_departure(left, slot);
}

/* It was told, or is probed. */
static __attribute__((noinline)) bool leave_with_more(int fd, struct slot *slot, uint32_t word,
                                                      struct departure *left)
{
    probe_put_back(fd, word);
    if (!slot_is_late(word))
        return true;
    *left = (struct departure){.fd = fd, .word = word, .counted = true};
    note_departure(left, slot);
    return false;
}

static __attribute__((noinline)) bool leave_claimed(int fd, struct slot *slot,
                                                    struct departure *left)
{
    return leave_with_more(fd, slot, slot_vacate(slot), left);
}

static __attribute__((noinline)) bool leave(int fd, struct departure *left)
{
    track_leave(fd, left);
    return false;
}

bool track_close(int fd, struct departure *left)
{
    struct slot *slot = slot_of(fd);
    uint32_t word = SLOT_FREE;
    if (!slot || !owner_is_quick())
        return leave(fd, left);
    class_depart(slots_class(fd));
    if (!slot_vacate_at_once(slot, &word))
        return leave_claimed(fd, slot, left);
    return !(word & (SLOT_BURIED | SLOT_TOLD | SLOT_KEPT)) || leave_with_more(fd, slot, word, left);
}

bool is_dissolved(const struct sockaddr *addr, int ret)
{
    return ret == 0 && addr->sa_family == AF_UNSPEC;
}

void track_replace(int from, int fd, struct departure *left)
{
    left->counted = false;
    if (from != fd)
        track_leave(fd, left);
}

/*
 * The call failed: the slot is given back what it said, if the number is that socket still. Under a
 * claim, since another thread may have closed it and a third be about to publish what it got on
 * the same number: a slot that remembers how long its peer is gone, and not of which socket, would
 * be that third's death. What is not known for sure begins anew.
 */
static void stay(const struct departure *left)
{
    const uint64_t mask = signals_block();
    struct slot *slot = slot_state(left->word) == SLOT_FREE ? NULL : slot_guard(left->fd);
    if (slot) {
        const bool known = left->cookie != 0 && (uint32_t)kernel_cookie(left->fd) == left->cookie;
        const uint32_t keep = known ? ~(uint32_t)(SLOT_STATE | SLOT_AWAITED)
                                    : SLOT_HOW | SLOT_COPIED | SLOT_LISTENS | SLOT_LASTING;
        atomic_store_explicit(&slot->cookie, known ? left->cookie : 0, memory_order_relaxed);
        slot_release(slot, slot_state(left->word), left->word & keep);
    }
    signals_restore(mask);
}

/* While another descriptor of the socket is open, nothing is closed. */
static bool has_copy(const struct departure *left)
{
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        if (fd != left->fd && (slot_word(slot) & SLOT_COPIED) &&
            (uint32_t)kernel_cookie(fd) == left->cookie)
            return true;
    }
    return false;
}

static void post_late_close(const struct departure *left)
{
    if ((left->word & SLOT_COPIED) && has_copy(left))
        return;
    const bool reaped = slot_state(left->word) == SLOT_BURIED;
    const uint32_t gone_ms = clock_age_ms(left->gone_cs, clock_ms());
    const bool wanted = left->word & SLOT_WANTED;
    if (wanted && !reaped && gone_ms < grace_ms) {
        sites_closed(left->opened_at); /* as is right: told only because its port was wanted */
        return;
    }
    sites_late(left->opened_at, reaped, gone_ms);
    usdt_late_close(left->fd, gone_ms, reaped, left->opened_at);
    record_offer(&(struct record){
        .type = RECORD_LATE_CLOSE,
        .why = reaped && wanted ? WHY_PORT : WHY_GRACE,
        .reaped = reaped,
        .leak = {.fd = left->fd,
                 .cookie = left->cookie,
                 .how = slot_how(left->word),
                 .gone_ms = gone_ms,
                 .opened_at = left->opened_at},
    });
}

bool track_departed(const struct departure *left, bool gone)
{
    if (!gone)
        stay(left);
    slot_departed(left->fd);
    if (!gone || !slot_is_late(left->word))
        return false;
    post_late_close(left);
    return true;
}

bool track_leave_range(unsigned int first, unsigned int last, unsigned int flags)
{
    if ((flags & ~CLOSE_RANGE_UNSHARE) || first > last || first > INT32_MAX || !on())
        return false;
    slots_depart();
    for (int fd = slots_next((int)first); fd >= 0 && (unsigned int)fd <= last;
         fd = slots_next(fd + 1)) {
        struct departure left = {.fd = fd};
        struct slot *slot = slot_of(fd);
        left.word = slot_vacate(slot);
        probe_put_back(fd, left.word);
        note_departure(&left, slot);
        if (slot_is_late(left.word))
            post_late_close(&left);
    }
    return true;
}

bool track_left_range(bool told)
{
    if (!told)
        return false;
    slots_departed();
    return record_waits();
}

/* Before the constructor, and in a program without one of ours, nothing is tracked: no fileno. */
void track_leave_stream(FILE *stream, struct departure *left)
{
    left->counted = false;
    if (!stream || !atomic_load_explicit(&tracking, memory_order_acquire))
        return;
    const int kept = errno;
    const int fd = fileno(stream);
    errno = kept;
    if (fd >= 0)
        track_leave(fd, left);
}

/* The kernel has just given out the number: what its slot says is of a close that nobody saw. */
static void forget(int fd)
{
    struct slot *slot = slot_of(fd);
    if (slot_state(slot_word(slot)) != SLOT_FREE && on())
        slot_vacate(slot);
}

void track_socket(int fd, int domain, int type, int protocol)
{
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    const bool tcp = (domain == AF_INET || domain == AF_INET6) && kind == SOCK_STREAM &&
                     (protocol == 0 || protocol == IPPROTO_TCP);
    if (fd < 0)
        return;
    if (!tcp)
        forget(fd);
    else if (on())
        slot_publish(fd, SLOT_MADE, HOW_CONNECT, 0);
}

/* A socket whose making no hook saw costs a system call to be known; one that we saw, none. */
static bool is_tcp(int fd)
{
    return state_of(fd) != SLOT_FREE || kernel_is_tcp(fd);
}

bool track_listen(int fd, int ret, const struct caller *caller)
{
    if (ret != 0 || !on() || !is_tcp(fd))
        return false;
    if (state_of(fd) == SLOT_FREE)
        slot_publish(fd, SLOT_MADE, HOW_INHERITED, 0);
    return slot_listen(slot_of(fd), stack_site(caller), now_cs());
}

static bool go_live(struct slot *slot, const struct caller *caller)
{
    return slot_state(slot_word(slot)) == SLOT_MADE && slot_connect(slot, stack_site(caller));
}

/* Whatever is not a connection at the first attempt. */
static __attribute__((noinline)) bool connect_otherwise(int fd, const struct sockaddr *addr,
                                                        int ret, const struct caller *caller)
{
    if ((ret != 0 && errno != EINPROGRESS && errno != EINTR) || !on())
        return false;
    if (!is_dissolved(addr, ret))
        return go_live(slot_of(fd), caller);
    if (is_tcp(fd))
        slot_publish(fd, SLOT_MADE, HOW_CONNECT, 0);
    return false;
}

bool track_connect(int fd, const struct sockaddr *addr, int ret, const struct caller *caller)
{
    if (ret != 0 || is_dissolved(addr, ret) || !owner_is_quick())
        return connect_otherwise(fd, addr, ret, caller);
    return go_live(slot_of(fd), caller);
}

/* Somebody accepts: whatever waits in its queue does so anew. */
static void note_accept(int listener)
{
    struct slot *slot = slot_of(listener);
    if (slot && (slot_word(slot) & SLOT_LISTENS)) {
        atomic_store_explicit(&slot->gone_cs, 0, memory_order_relaxed);
        return;
    }
    if (slot_state(slot_word(slot)) == SLOT_FREE)
        slot = kernel_is_tcp(listener) ? slot_publish(listener, SLOT_MADE, HOW_INHERITED, 0) : NULL;
    if (slot)
        slot_listen(slot, 0, now_cs());
}

bool track_accept(int listener, int fd, const struct caller *caller)
{
    if (fd < 0 || !on())
        return false;
    /* A listener of MPTCP gives a socket of TCP for a peer that knows no better. */
    if (state_of(listener) == SLOT_FREE && !kernel_is_tcp(fd)) {
        forget(fd);
        return false;
    }
    note_accept(listener);
    return slot_publish(fd, SLOT_LIVE, HOW_ACCEPT, stack_site(caller));
}

/*
 * The copy knows what the original knew, but for its age: who duplicates a socket uses it, and its
 * grace begins anew. Both know that they are not alone.
 */
bool track_copy(int from, int fd)
{
    struct slot *original = slot_of(from);
    const uint32_t word = slot_word(original);
    if (fd < 0 || from == fd || slot_state(word) == SLOT_FREE || !on())
        return false;
    if (slot_state(word) == SLOT_BURIED) {
        if (tombs_is(from))
            tombs_publish(fd, slot_how(word), word & (SLOT_FIN | SLOT_WRITTEN));
        return false;
    }
    const enum slot_state state = slot_unclaimed(word);
    struct slot *copy = slot_publish(fd, state, slot_how(word), load_site(&original->opened_at));
    if (!copy)
        return false;
    slot_flag(copy, word & SLOT_LASTING);
    if (state == SLOT_MADE)
        return (word & SLOT_LISTENS) &&
               slot_listen(copy, load_site(&original->opened_at), now_cs());
    atomic_store_explicit(&copy->eof_cs,
                          atomic_load_explicit(&original->eof_cs, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&copy->eof_at, load_site(&original->eof_at), memory_order_relaxed);
    slot_flag(copy, SLOT_COPIED | (word & (SLOT_EOF_READ | SLOT_FIN)));
    slot_flag(original, SLOT_COPIED);
    return true;
}

/* A descriptor that came from elsewhere. */
static bool find(int fd, enum how how, site_t opened_at)
{
    struct facts facts;
    if (!kernel_is_tcp(fd) || !kernel_facts(fd, &facts)) {
        forget(fd);
        return false;
    }
    /* As a tombstone is, and no socket of a program's: another process made it, and had it here. */
    if (facts.state == TCP_CLOSE && !facts.handshake && kernel_is_shut(fd)) {
        tombs_publish(fd, how, SLOT_FIN);
        return false;
    }
    const bool connected = facts.state != TCP_LISTEN && facts.state != TCP_CLOSE;
    struct slot *slot = slot_publish(fd, connected ? SLOT_LIVE : SLOT_MADE, how, opened_at);
    if (!slot || !connected)
        return facts.state == TCP_LISTEN && slot_listen(slot, opened_at, now_cs());
    slot_flag(slot, SLOT_COPIED); /* for all we know */
    return true;
}

bool track_inherited(void)
{
    enum { BATCH = 64 };
    bool found = false;
    bool more = on();
    for (int first = 0; more; first += BATCH) {
        struct pollfd polled[BATCH];
        for (int i = 0; i < BATCH; i++)
            polled[i] = (struct pollfd){.fd = first + i};
        const struct timespec at_once = {0};
        more = false;
        /* It takes no more than RLIMIT_NOFILE: then each is looked at, and there is no next batch.
         */
        const bool polls = raw5(SYS_ppoll, (long)polled, BATCH, (long)&at_once, 0, 0) >= 0;
        for (int i = 0; i < BATCH; i++) {
            if (polled[i].revents & POLLNVAL)
                continue;
            more = polls && first + i > 2;
            found |= find(first + i, HOW_INHERITED, 0);
        }
    }
    return found;
}

/* CMSG_NXTHDR is a function of glibc's alone; this is what it does. */
static bool find_rights(const struct cmsghdr *control, size_t len, site_t received_at)
{
    bool found = false;
    for (const char *at = (const char *)control; len >= sizeof(struct cmsghdr);) {
        struct cmsghdr header;
        memcpy(&header, at, sizeof(header));
        if (header.cmsg_len < sizeof(header) || header.cmsg_len > len)
            break;
        const bool rights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
        for (size_t i = CMSG_LEN(0); rights && i + sizeof(int) <= header.cmsg_len;
             i += sizeof(int)) {
            int fd;
            memcpy(&fd, at + i, sizeof(fd));
            found |= find(fd, HOW_RECEIVED, received_at);
        }
        const size_t step = CMSG_ALIGN(header.cmsg_len);
        if (step > len)
            break;
        at += step;
        len -= step;
    }
    return found;
}

bool track_received(const struct msghdr *msg, ssize_t ret, const struct caller *caller)
{
    return ret >= 0 && msg->msg_controllen > 0 && msg->msg_control && on() &&
           find_rights(msg->msg_control, msg->msg_controllen, stack_site(caller));
}

bool track_received_each(const struct mmsghdr *msgs, int count, const struct caller *caller)
{
    bool found = false;
    for (int i = 0; i < count; i++)
        found |= track_received(&msgs[i].msg_hdr, 0, caller);
    return found;
}

bool track_eof(int fd, int flags, const struct caller *caller)
{
    if (flags & MSG_ERRQUEUE) /* not of the stream */
        return false;
    struct slot *slot = slot_of(fd);
    const uint32_t word = slot_word(slot);
    if ((slot_state(word) != SLOT_LIVE && slot_state(word) != SLOT_CLAIMED) ||
        (word & SLOT_EOF_READ) || !on())
        return false;
    atomic_store_explicit(&slot->eof_cs, now_cs(), memory_order_relaxed);
    atomic_store_explicit(&slot->eof_at, stack_site(caller), memory_order_relaxed);
    slot_flag(slot, SLOT_EOF_READ);
    usdt_eof(fd, slot_how(word));
    return true;
}

void track_used(int fd, const struct caller *caller)
{
    struct slot *slot = slot_of(fd);
    const enum slot_state state = slot_state(slot_word(slot));
    if ((state == SLOT_LIVE || state == SLOT_CLAIMED) && on())
        atomic_store_explicit(&slot->last_at, stack_site(caller), memory_order_relaxed);
}

bool iov_has_room(const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        if (iov[i].iov_len > 0)
            return true;
    return false;
}

bool msg_has_room(const struct msghdr *msg)
{
    return iov_has_room(msg->msg_iov, (int)msg->msg_iovlen);
}

bool msg_brings_control(const struct msghdr *msg)
{
    return msg->msg_controllen > 0;
}

bool track_eof_each(int fd, const struct mmsghdr *msgs, int count, int flags,
                    const struct caller *caller)
{
    bool news = false;
    for (int i = 0; i < count; i++)
        news |=
            msgs[i].msg_len == 0 && msg_has_room(&msgs[i].msg_hdr) && track_eof(fd, flags, caller);
    return news;
}
