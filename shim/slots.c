#include "slots.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>

#include "clock.h"
#include "raw.h"

/*
 * Two levels: a descriptor is below nr_open, which is below 2^30 (fs/file.c, sysctl_nr_open_max).
 * A leaf is mapped when its first descriptor is tracked and stays; only the pages that are used
 * are ever resident.
 */
enum { LEAF_BITS = 14, LEAF_SLOTS = 1 << LEAF_BITS, LEAVES = 1 << (30 - LEAF_BITS) };

static _Atomic(struct slot *) leaves[LEAVES];
static _Atomic int leaves_end; /* no leaf at or above it */

struct slot *slot_of(int fd)
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

static struct slot *slot_for(int fd)
{
    if (fd < 0 || fd >> LEAF_BITS >= LEAVES)
        return NULL;
    _Atomic(struct slot *) *leaf = &leaves[fd >> LEAF_BITS];
    if (!atomic_load_explicit(leaf, memory_order_acquire)) {
        const size_t size = LEAF_SLOTS * sizeof(struct slot);
        const long at =
            raw_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
        if (raw_failed(at))
            return NULL;
        struct slot *none = NULL;
        if (!atomic_compare_exchange_strong_explicit(leaf, &none, (struct slot *)at,
                                                     memory_order_acq_rel, memory_order_acquire))
            raw2(SYS_munmap, at, (long)size);
    }
    raise_end((fd >> LEAF_BITS) + 1);
    return slot_of(fd);
}

int slots_next(int fd)
{
    const int end = atomic_load_explicit(&leaves_end, memory_order_acquire);
    while (fd >= 0 && fd >> LEAF_BITS < end) {
        struct slot *slot = slot_of(fd);
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

uint32_t slot_word(struct slot *slot)
{
    return slot ? atomic_load_explicit(&slot->word, memory_order_acquire) : SLOT_FREE;
}

/*
 * What the claimer wrote in the slot must be seen by who frees it and the other way round:
 * acq_rel at least. seq_cst where it succeeds, because watch.c pairs the publishing of a slot
 * with its flag "dozing" (each side writes its own and then reads the other's).
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
        raw4(SYS_futex, (long)&slot->word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
             (long)(word | SLOT_AWAITED), (long)&patience);
    return slot_word(slot);
}

static void move(struct slot *slot, uint32_t next)
{
    uint32_t word = slot_word(slot);
    for (;;) {
        if (slot_state(word) == SLOT_CLAIMED)
            word = await_release(slot, word);
        else if (swap(slot, &word, next))
            return;
    }
}

void slot_vacate(struct slot *slot)
{
    if (slot_state(slot_word(slot)) != SLOT_FREE)
        move(slot, SLOT_FREE);
}

static void forget(struct slot *slot)
{
    atomic_store_explicit(&slot->opened_cs, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->unread_bytes, 0, memory_order_relaxed);
}

struct slot *slot_publish(int fd, enum slot_state state, enum how how)
{
    struct slot *slot = slot_for(fd);
    if (!slot)
        return NULL;
    slot_vacate(slot);
    forget(slot);
    move(slot, (uint32_t)state | (uint32_t)how << SLOT_HOW_SHIFT);
    return slot;
}

bool slot_connect(struct slot *slot)
{
    uint32_t word = slot_word(slot);
    for (;;) {
        if (slot_state(word) == SLOT_CLAIMED) {
            word = await_release(slot, word);
            continue;
        }
        if (slot_state(word) != SLOT_MADE)
            return false;
        forget(slot);
        if (swap(slot, &word, SLOT_LIVE | (uint32_t)HOW_CONNECT << SLOT_HOW_SHIFT))
            return true;
    }
}

bool slot_dissolve(struct slot *slot)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) == SLOT_LIVE || slot_state(word) == SLOT_CLAIMED) {
        if (slot_state(word) == SLOT_CLAIMED)
            word = await_release(slot, word);
        else if (swap(slot, &word, SLOT_MADE))
            return true;
    }
    return false;
}

void slot_flag(struct slot *slot, uint32_t flag)
{
    uint32_t word = slot_word(slot);
    while ((slot_state(word) == SLOT_LIVE || slot_state(word) == SLOT_CLAIMED) && !(word & flag) &&
           !swap(slot, &word, word | flag)) {
    }
}

bool slot_claim(struct slot *slot)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) == SLOT_LIVE)
        if (swap(slot, &word, (word & ~(uint32_t)SLOT_STATE) | SLOT_CLAIMED))
            return true;
    return false;
}

struct slot *slot_guard(int fd)
{
    struct slot *slot = slot_for(fd);
    uint32_t word = slot_word(slot);
    while (slot && slot_state(word) == SLOT_FREE)
        if (swap(slot, &word, SLOT_CLAIMED))
            return slot;
    return NULL;
}

void slot_release(struct slot *slot, enum slot_state next, uint32_t flags)
{
    uint32_t word = slot_word(slot);
    const uint32_t keep = next == SLOT_FREE ? 0 : ~(uint32_t)(SLOT_STATE | SLOT_AWAITED);
    while (!swap(slot, &word, (word & keep) | flags | (uint32_t)next)) {
    }
    if (word & SLOT_AWAITED)
        raw3(SYS_futex, (long)&slot->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX);
}

void slots_adopt(void)
{
    const uint32_t how = (uint32_t)HOW_INHERITED << SLOT_HOW_SHIFT;
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const uint32_t word = slot_word(slot);
        if (slot_state(word) != SLOT_LIVE && slot_state(word) != SLOT_CLAIMED)
            continue;
        atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->word, SLOT_LIVE | how | (word & SLOT_EOF_READ),
                              memory_order_release);
    }
}
