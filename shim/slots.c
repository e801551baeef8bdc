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

/*
 * Calls under way, by number modulo CLASSES: a number that shares its class with a busy one waits
 * for a quiet moment. Since when a class was seen busy at every look: in clock_cs(), 0 for quiet.
 */
enum { CLASSES = 64, RANGES = CLASSES, ABANDONED_MS = 60 * 1000, LOOK_MS = 2000 };
static _Atomic uint32_t departing[CLASSES + 1];
static _Atomic uint32_t busy_since_cs[CLASSES + 1];
static _Atomic uint32_t busy_seen_cs[CLASSES + 1];

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

/* Returns the word that it had. */
static uint32_t move(struct slot *slot, uint32_t next)
{
    uint32_t word = slot_word(slot);
    for (;;) {
        if (slot_state(word) == SLOT_CLAIMED)
            word = await_release(slot, word);
        else if (swap(slot, &word, next))
            return word;
    }
}

uint32_t slot_vacate(struct slot *slot)
{
    if (!slot || slot_state(atomic_load(&slot->word)) == SLOT_FREE)
        return SLOT_FREE;
    return move(slot, SLOT_FREE);
}

static unsigned class_of(int fd)
{
    return (unsigned)fd % CLASSES;
}

static void depart(unsigned class)
{
    atomic_fetch_add(&departing[class], 1);
}

/* Not below 0: what was written off may come back. */
static void departed(unsigned class)
{
    uint32_t count = atomic_load(&departing[class]);
    while (count > 0 && !atomic_compare_exchange_weak(&departing[class], &count, count - 1)) {
    }
}

uint32_t slot_depart(int fd)
{
    depart(class_of(fd));
    return slot_vacate(slot_of(fd));
}

void slot_departed(int fd)
{
    departed(class_of(fd));
}

void slots_depart(void)
{
    depart(RANGES);
}

void slots_departed(void)
{
    departed(RANGES);
}

static bool is_quiet(unsigned class)
{
    const uint32_t now_cs = clock_cs(clock_ms()) | 1;
    uint32_t count = atomic_load(&departing[class]);
    const uint32_t since_cs = atomic_load(&busy_since_cs[class]);
    const uint32_t seen_cs = atomic_exchange(&busy_seen_cs[class], now_cs);
    if (count == 0 || since_cs == 0 || (int32_t)(now_cs - seen_cs) > LOOK_MS / 10)
        atomic_store(&busy_since_cs[class], count == 0 ? 0 : now_cs);
    else if ((int32_t)(now_cs - since_cs) > ABANDONED_MS / 10)
        atomic_compare_exchange_strong(&departing[class], &count, 0);
    return count == 0;
}

bool slot_is_steady(int fd)
{
    return is_quiet(class_of(fd)) && is_quiet(RANGES);
}

static void forget(struct slot *slot, site_t opened_at)
{
    atomic_store_explicit(&slot->opened_cs, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->unread_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->opened_at, opened_at, memory_order_relaxed);
    atomic_store_explicit(&slot->eof_at, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->last_at, 0, memory_order_relaxed);
}

struct slot *slot_publish(int fd, enum slot_state state, enum how how, site_t opened_at)
{
    struct slot *slot = slot_for(fd);
    if (!slot)
        return NULL;
    slot_vacate(slot);
    forget(slot, opened_at);
    move(slot, (uint32_t)state | (uint32_t)how << SLOT_HOW_SHIFT);
    return slot;
}

bool slot_connect(struct slot *slot, site_t opened_at)
{
    uint32_t word = slot_word(slot);
    for (;;) {
        if (slot_state(word) == SLOT_CLAIMED) {
            word = await_release(slot, word);
            continue;
        }
        if (slot_state(word) != SLOT_MADE)
            return false;
        forget(slot, opened_at);
        const uint32_t keep = word & (SLOT_BOUND | SLOT_LENT);
        if (swap(slot, &word, SLOT_LIVE | (uint32_t)HOW_CONNECT << SLOT_HOW_SHIFT | keep))
            return true;
    }
}

bool slot_listen(struct slot *slot, site_t opened_at, uint32_t now_cs)
{
    uint32_t word = slot_word(slot);
    for (;;) {
        if (slot_unclaimed(word) == SLOT_MADE && (word & SLOT_LISTENS))
            return true;
        if (slot_state(word) != SLOT_MADE)
            return false;
        forget(slot, opened_at);
        atomic_store_explicit(&slot->gone_cs, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->due_cs, now_cs, memory_order_relaxed);
        if (swap(slot, &word, word | SLOT_LISTENS))
            return true;
    }
}

void slot_flag(struct slot *slot, uint32_t flags)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) != SLOT_FREE && (word & flags) != flags &&
           !swap(slot, &word, word | flags)) {
    }
}

void slot_unflag(struct slot *slot, uint32_t flags)
{
    uint32_t word = slot_word(slot);
    while ((word & flags) && !swap(slot, &word, word & ~flags)) {
    }
}

static bool claim(struct slot *slot, enum slot_state from)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) == from)
        if (swap(slot, &word, (word & ~(uint32_t)SLOT_STATE) | SLOT_CLAIMED))
            return true;
    return false;
}

bool slot_claim(struct slot *slot)
{
    return claim(slot, SLOT_LIVE);
}

bool slot_claim_made(struct slot *slot)
{
    return claim(slot, SLOT_MADE);
}

bool slot_claim_buried(struct slot *slot)
{
    return claim(slot, SLOT_BURIED);
}

bool slot_claim_patiently(struct slot *slot)
{
    while (!slot_claim(slot)) {
        const uint32_t word = slot_word(slot);
        if (slot_state(word) != SLOT_CLAIMED)
            return false;
        await_release(slot, word);
    }
    return true;
}

bool slot_claim_listener(struct slot *slot)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) == SLOT_MADE && (word & SLOT_LISTENS))
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

void slot_found(int fd)
{
    struct slot *slot = slot_guard(fd);
    if (!slot)
        return;
    forget(slot, 0);
    slot_release(slot, SLOT_LIVE, (uint32_t)HOW_FOUND << SLOT_HOW_SHIFT | SLOT_COPIED);
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
    for (int i = 0; i <= CLASSES; i++) {
        atomic_store(&departing[i], 0);
        atomic_store(&busy_since_cs[i], 0);
    }
    const uint32_t how = (uint32_t)HOW_INHERITED << SLOT_HOW_SHIFT;
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const uint32_t word = slot_word(slot);
        const uint32_t dialed = slot_was_dialed(word) ? SLOT_DIALED : 0;
        const uint32_t live = SLOT_LIVE | how | SLOT_COPIED | dialed |
                              (word & (SLOT_EOF_READ | SLOT_FIN | SLOT_LASTING));
        if (slot_unclaimed(word) == SLOT_MADE) {
            const uint32_t keep = word & ~(uint32_t)(SLOT_STATE | SLOT_AWAITED);
            atomic_store_explicit(&slot->word, keep | SLOT_MADE, memory_order_release);
            continue;
        }
        atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
        /* Its parent's tombstones are nothing that this process would have to tell of. */
        atomic_store_explicit(&slot->word,
                              slot_state(word) == SLOT_BURIED ? word | SLOT_QUIET : live,
                              memory_order_release);
    }
}
