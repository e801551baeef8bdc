#include "slots.h"

#include <linux/futex.h>
#include <sys/mman.h>

#include "clock.h"
#include "raw.h"

_Atomic(struct slot *) slots_leaves[LEAVES];
static _Atomic int end; /* no slot at or above it was ever anything but FREE */

enum { ABANDONED_MS = 60 * 1000, LOOK_MS = 2000 };
struct class slots_classes[CLASSES + 1];

/* Before the slot is anything else. seq_cst, as its word: see swap. */
static void raise_end(int beyond)
{
    int seen = atomic_load(&end);
    while (seen < beyond && !atomic_compare_exchange_weak(&end, &seen, beyond)) {
    }
}

/* The slot of fd, within the watcher's reach. */
static struct slot *slot_for(int fd)
{
    if (fd < 0 || fd >> LEAF_BITS >= LEAVES)
        return NULL;
    _Atomic(struct slot *) *leaf = &slots_leaves[fd >> LEAF_BITS];
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
    raise_end(fd + 1);
    return slot_of(fd);
}

int slots_next(int fd)
{
    const int beyond = atomic_load(&end);
    while (fd >= 0 && fd < beyond) {
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

uint32_t slot_vacate_patiently(struct slot *slot)
{
    return move(slot, SLOT_FREE);
}

static bool is_quiet(struct class *class)
{
    const uint32_t now_cs = clock_cs(clock_ms()) | 1;
    uint32_t count = atomic_load(&class->departing);
    const uint32_t since_cs = atomic_load(&class->busy_since_cs);
    const uint32_t seen_cs = atomic_exchange(&class->busy_seen_cs, now_cs);
    if (count == 0 || since_cs == 0 || (int32_t)(now_cs - seen_cs) > LOOK_MS / 10)
        atomic_store(&class->busy_since_cs, count == 0 ? 0 : now_cs);
    else if ((int32_t)(now_cs - since_cs) > ABANDONED_MS / 10)
        atomic_compare_exchange_strong(&class->departing, &count, 0);
    return count == 0;
}

void slots_depart(void)
{
    class_depart(&slots_classes[RANGES]);
}

void slots_departed(void)
{
    class_departed(&slots_classes[RANGES]);
}

bool slot_is_steady(int fd)
{
    return is_quiet(slots_class(fd)) && is_quiet(&slots_classes[RANGES]);
}

static inline __attribute__((always_inline)) void forget(struct slot *slot, site_t opened_at)
{
    atomic_store_explicit(&slot->opened_cs, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->cookie, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->unread_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->opened_at, opened_at, memory_order_relaxed);
    atomic_store_explicit(&slot->eof_at, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->last_at, 0, memory_order_relaxed);
}

static __attribute__((noinline)) struct slot *publish_patiently(int fd, uint32_t next,
                                                                site_t opened_at)
{
    struct slot *slot = slot_for(fd);
    if (!slot)
        return NULL;
    slot_vacate(slot);
    forget(slot, opened_at);
    move(slot, next);
    return slot;
}

struct slot *slot_publish(int fd, enum slot_state state, enum how how, site_t opened_at)
{
    const uint32_t next = (uint32_t)state | (uint32_t)how << SLOT_HOW_SHIFT;
    struct slot *slot = slot_of(fd);
    uint32_t free = SLOT_FREE;
    if (!slot || slot_word(slot) != SLOT_FREE ||
        fd >= atomic_load_explicit(&end, memory_order_relaxed))
        return publish_patiently(fd, next, opened_at);
    forget(slot, opened_at);
    return atomic_compare_exchange_strong(&slot->word, &free, next)
               ? slot
               : publish_patiently(fd, next, opened_at);
}

/* Of a slot that is MADE, of which nothing is known but where it listened. */
static inline void open_at(struct slot *slot, uint32_t word, site_t opened_at)
{
    if (word & SLOT_LISTENS)
        forget(slot, opened_at);
    else
        atomic_store_explicit(&slot->opened_at, opened_at, memory_order_relaxed);
}

static __attribute__((noinline)) bool connect_patiently(struct slot *slot, uint32_t word,
                                                        site_t opened_at)
{
    for (;;) {
        if (slot_state(word) == SLOT_CLAIMED) {
            word = await_release(slot, word);
            continue;
        }
        if (slot_state(word) != SLOT_MADE)
            return false;
        open_at(slot, word, opened_at);
        const uint32_t keep = word & (SLOT_BOUND | SLOT_LENT);
        if (swap(slot, &word, SLOT_LIVE | (uint32_t)HOW_CONNECT << SLOT_HOW_SHIFT | keep))
            return true;
    }
}

bool slot_connect(struct slot *slot, site_t opened_at)
{
    uint32_t word = slot_word(slot);
    if (slot_state(word) != SLOT_MADE)
        return connect_patiently(slot, word, opened_at);
    open_at(slot, word, opened_at);
    const uint32_t next =
        SLOT_LIVE | (uint32_t)HOW_CONNECT << SLOT_HOW_SHIFT | (word & (SLOT_BOUND | SLOT_LENT));
    return atomic_compare_exchange_strong(&slot->word, &word, next) ||
           connect_patiently(slot, word, opened_at);
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

/* From a state, with these flags. */
static bool claim(struct slot *slot, enum slot_state from, uint32_t with)
{
    uint32_t word = slot_word(slot);
    while (slot_state(word) == from && (word & with) == with)
        if (swap(slot, &word, (word & ~(uint32_t)SLOT_STATE) | SLOT_CLAIMED))
            return true;
    return false;
}

bool slot_claim(struct slot *slot)
{
    return claim(slot, SLOT_LIVE, 0);
}

bool slot_claim_made(struct slot *slot)
{
    return claim(slot, SLOT_MADE, 0);
}

bool slot_claim_buried(struct slot *slot)
{
    return claim(slot, SLOT_BURIED, 0);
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
    return claim(slot, SLOT_MADE, SLOT_LISTENS);
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
    if (next == SLOT_MADE && !(word & SLOT_LISTENS))
        forget(slot, 0);
    const uint32_t keep = next == SLOT_FREE ? 0 : ~(uint32_t)(SLOT_STATE | SLOT_AWAITED);
    while (!swap(slot, &word, (word & keep) | flags | (uint32_t)next)) {
    }
    if (word & SLOT_AWAITED)
        raw3(SYS_futex, (long)&slot->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX);
}

void slots_adopt(void)
{
    for (int i = 0; i <= CLASSES; i++) {
        atomic_store(&slots_classes[i].departing, 0);
        atomic_store(&slots_classes[i].busy_since_cs, 0);
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
