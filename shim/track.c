#define _GNU_SOURCE
#include "track.h"

#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "clock.h"
#include "kernel.h"
#include "owner.h"
#include "raw.h"

/*
 * Two levels: a descriptor is below nr_open, which is below 2^30 (fs/file.c, sysctl_nr_open_max).
 * A leaf is mapped when its first descriptor is tracked and stays; only the pages that are used
 * are ever resident.
 */
enum { LEAF_BITS = 14, LEAF_SLOTS = 1 << LEAF_BITS, LEAVES = 1 << (30 - LEAF_BITS) };

static _Atomic(struct slot *) leaves[LEAVES];
static _Atomic int leaves_end; /* no leaf at or above it */
static _Atomic bool tracking;

void track_start(void)
{
    atomic_store_explicit(&tracking, true, memory_order_release);
}

struct slot *track_slot(int fd)
{
    if (fd < 0 || fd >> LEAF_BITS >= LEAVES)
        return NULL;
    struct slot *leaf = atomic_load_explicit(&leaves[fd >> LEAF_BITS], memory_order_acquire);
    return leaf ? &leaf[fd & (LEAF_SLOTS - 1)] : NULL;
}

static void raise_end(int end)
{
    int seen = atomic_load_explicit(&leaves_end, memory_order_relaxed);
    while (seen < end && !atomic_compare_exchange_weak_explicit(
                             &leaves_end, &seen, end, memory_order_release, memory_order_relaxed)) {
    }
}

/* NULL when there is no memory: the descriptor then goes untracked. */
static struct slot *slot_for(int fd)
{
    if (fd < 0 || fd >> LEAF_BITS >= LEAVES)
        return NULL;
    _Atomic(struct slot *) *leaf = &leaves[fd >> LEAF_BITS];
    if (!atomic_load_explicit(leaf, memory_order_acquire)) {
        const size_t size = LEAF_SLOTS * sizeof(struct slot);
        const long at = raw6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at < 0 && at >= -4095)
            return NULL;
        struct slot *none = NULL;
        if (!atomic_compare_exchange_strong_explicit(leaf, &none, (struct slot *)at,
                                                     memory_order_acq_rel, memory_order_acquire))
            raw2(SYS_munmap, at, (long)size);
    }
    raise_end((fd >> LEAF_BITS) + 1);
    return track_slot(fd);
}

int track_next(int fd)
{
    const int end = atomic_load_explicit(&leaves_end, memory_order_acquire);
    while (fd >> LEAF_BITS < end) {
        struct slot *slot = track_slot(fd);
        if (!slot) {
            fd = ((fd >> LEAF_BITS) + 1) << LEAF_BITS;
            continue;
        }
        if (slot_state(atomic_load_explicit(&slot->word, memory_order_relaxed)) != SLOT_FREE)
            return fd;
        fd++;
    }
    return -1;
}

static uint32_t word_of(struct slot *slot)
{
    return slot ? atomic_load_explicit(&slot->word, memory_order_acquire) : SLOT_FREE;
}

/*
 * acq_rel: what the claimer wrote in the slot must be seen by who frees it and the other way
 * round. seq_cst where it succeeds, because watch.c pairs the publishing of a slot with its flag
 * "dozing" (each side writes its own and then reads the other's).
 */
static bool swap(struct slot *slot, uint32_t *word, uint32_t next)
{
    return atomic_compare_exchange_weak_explicit(&slot->word, word, next, memory_order_seq_cst,
                                                 memory_order_acquire);
}

/* The wait is timed so that a wake-up lost in a fork costs 100 ms and not the program. */
static uint32_t await_release(struct slot *slot, uint32_t word)
{
    const struct timespec patience = {.tv_nsec = 100000000};
    if ((word & SLOT_AWAITED) || swap(slot, &word, word | SLOT_AWAITED))
        raw4(SYS_futex, (long)&slot->word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, word | SLOT_AWAITED,
             (long)&patience);
    return word_of(slot);
}

/* From any state to FREE, out of the watcher's reach. */
static void vacate(struct slot *slot)
{
    uint32_t word = word_of(slot);
    while (slot_state(word) != SLOT_FREE) {
        if (slot_state(word) == SLOT_CLAIMED)
            word = await_release(slot, word);
        else if (swap(slot, &word, SLOT_FREE))
            return;
    }
}

void track_leave(int fd)
{
    struct slot *slot = track_slot(fd);
    if (slot_state(word_of(slot)) != SLOT_FREE && owner_here())
        vacate(slot);
}

/* The slot must be FREE or MADE: only the program's own calls can race with us here. */
static void publish(struct slot *slot, enum slot_state state, enum how how, uint32_t flags)
{
    atomic_store_explicit(&slot->opened_cs, clock_cs(clock_ms()), memory_order_relaxed);
    atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->unread_bytes, 0, memory_order_relaxed);
    atomic_store(&slot->word, (uint32_t)state | (uint32_t)how << SLOT_HOW_SHIFT | flags);
}

/* A number that has just been given out: whatever its slot says is of a close that we missed. */
static struct slot *fresh_slot(int fd)
{
    if (!owner_here())
        return NULL;
    struct slot *slot = slot_for(fd);
    if (slot)
        vacate(slot);
    return slot;
}

void track_socket(int fd, int domain, int type, int protocol)
{
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 || !atomic_load_explicit(&tracking, memory_order_relaxed))
        return;
    if ((domain != AF_INET && domain != AF_INET6) || kind != SOCK_STREAM ||
        (protocol != 0 && protocol != IPPROTO_TCP)) {
        track_leave(fd);
        return;
    }
    struct slot *slot = fresh_slot(fd);
    if (slot)
        publish(slot, SLOT_MADE, HOW_CONNECT, 0);
}

/* A socket whose making no hook saw costs a system call to be known; one that we saw, none. */
static bool is_tcp(int fd)
{
    return slot_state(word_of(track_slot(fd))) == SLOT_MADE || kernel_is_tcp(fd);
}

void track_listen(int fd, int ret)
{
    if (ret != 0 || !atomic_load_explicit(&tracking, memory_order_relaxed) ||
        slot_state(word_of(track_slot(fd))) != SLOT_FREE || !kernel_is_tcp(fd))
        return;
    struct slot *slot = fresh_slot(fd);
    if (slot)
        publish(slot, SLOT_MADE, HOW_CONNECT, 0);
}

/* connect to AF_UNSPEC dissolves the connection and leaves a socket as socket() made it. */
static bool dissolve(int fd)
{
    struct slot *slot = track_slot(fd);
    if (slot_state(word_of(slot)) == SLOT_FREE || !owner_here())
        return false;
    vacate(slot);
    publish(slot, SLOT_MADE, HOW_CONNECT, 0);
    return false;
}

bool track_connect(int fd, const struct sockaddr *addr, int ret)
{
    if ((ret != 0 && errno != EINPROGRESS) ||
        !atomic_load_explicit(&tracking, memory_order_relaxed))
        return false;
    if (addr->sa_family == AF_UNSPEC)
        return dissolve(fd);
    if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
        return false;
    const enum slot_state state = slot_state(word_of(track_slot(fd)));
    if (state == SLOT_LIVE || state == SLOT_CLAIMED || !is_tcp(fd))
        return false;
    struct slot *slot = fresh_slot(fd);
    if (slot)
        publish(slot, SLOT_LIVE, HOW_CONNECT, 0);
    return slot;
}

bool track_accept(int listener, int fd)
{
    if (fd < 0 || !atomic_load_explicit(&tracking, memory_order_relaxed))
        return false;
    if (!is_tcp(listener)) {
        track_leave(fd);
        return false;
    }
    track_listen(listener, 0);
    struct slot *slot = fresh_slot(fd);
    if (slot)
        publish(slot, SLOT_LIVE, HOW_ACCEPT, 0);
    return slot;
}

bool track_copy(int from, int fd)
{
    struct slot *original = track_slot(from);
    uint32_t word = word_of(original);
    if (fd < 0 || from == fd || slot_state(word) == SLOT_FREE || slot_state(word) == SLOT_BURIED)
        return false;
    struct slot *slot = fresh_slot(fd);
    if (!slot)
        return false;
    const enum slot_state state = slot_state(word) == SLOT_MADE ? SLOT_MADE : SLOT_LIVE;
    atomic_fetch_or_explicit(&original->word, SLOT_COPIED, memory_order_relaxed);
    atomic_store_explicit(&slot->eof_cs,
                          atomic_load_explicit(&original->eof_cs, memory_order_relaxed),
                          memory_order_relaxed);
    publish(slot, state, slot_how(word), SLOT_COPIED | (word & SLOT_EOF_READ));
    atomic_store_explicit(&slot->opened_cs,
                          atomic_load_explicit(&original->opened_cs, memory_order_relaxed),
                          memory_order_relaxed);
    return state == SLOT_LIVE;
}

void track_eof(int fd)
{
    struct slot *slot = track_slot(fd);
    uint32_t word = word_of(slot);
    if ((slot_state(word) != SLOT_LIVE && slot_state(word) != SLOT_CLAIMED) ||
        (word & SLOT_EOF_READ) || !owner_here())
        return;
    atomic_store_explicit(&slot->eof_cs, clock_cs(clock_ms()), memory_order_relaxed);
    while (slot_state(word) != SLOT_FREE && !swap(slot, &word, word | SLOT_EOF_READ)) {
    }
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

bool track_claim(struct slot *slot)
{
    uint32_t word = word_of(slot);
    while (slot_state(word) == SLOT_LIVE)
        if (swap(slot, &word, (word & ~(uint32_t)SLOT_STATE) | SLOT_CLAIMED))
            return true;
    return false;
}

void track_release(struct slot *slot, enum slot_state next, uint32_t flags)
{
    uint32_t word = word_of(slot);
    const uint32_t keep = next == SLOT_FREE ? 0 : ~(uint32_t)(SLOT_STATE | SLOT_AWAITED);
    while (!swap(slot, &word, (word & keep) | flags | (uint32_t)next)) {
    }
    if (word & SLOT_AWAITED)
        raw3(SYS_futex, (long)&slot->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX);
}

void track_adopt(void)
{
    const uint32_t how = (uint32_t)HOW_INHERITED << SLOT_HOW_SHIFT;
    for (int fd = track_next(0); fd >= 0; fd = track_next(fd + 1)) {
        struct slot *slot = track_slot(fd);
        const uint32_t word = word_of(slot);
        const enum slot_state state = slot_state(word);
        if (state != SLOT_LIVE && state != SLOT_CLAIMED)
            continue;
        atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->word, SLOT_LIVE | how | (word & SLOT_EOF_READ),
                              memory_order_release);
    }
}
