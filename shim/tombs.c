#include "tombs.h"

#include <stdatomic.h>
#include <stddef.h>

#include "clock.h"
#include "kernel.h"
#include "raw.h"
#include "record.h"
#include "signals.h"

/* Of a slot that is BURIED these two fields have another meaning (slots.h). */
static _Atomic uint32_t *buried_cs(struct slot *slot)
{
    return &slot->due_cs;
}

static _Atomic uint32_t *tombstone(struct slot *slot)
{
    return &slot->opened_cs;
}

/* How many were ever noted, and how many when a count found none, nor one that was being made. */
_Atomic uint32_t tombs_noted;
_Atomic uint32_t tombs_noted_at_none;

void tombs_note(int fd, struct slot *slot)
{
    atomic_store_explicit(buried_cs(slot), clock_cs(clock_ms()), memory_order_relaxed);
    atomic_store_explicit(tombstone(slot), (uint32_t)kernel_cookie(fd), memory_order_relaxed);
    atomic_fetch_add(&tombs_noted, 1);
}

static bool is_still(int fd, struct slot *slot)
{
    const uint32_t cookie = (uint32_t)kernel_cookie(fd);
    return cookie != 0 && cookie == atomic_load_explicit(tombstone(slot), memory_order_relaxed);
}

bool tombs_is(int fd)
{
    struct slot *slot = slot_of(fd);
    return slot_state(slot_word(slot)) == SLOT_BURIED && is_still(fd, slot);
}

void tombs_publish(int fd, enum how how, uint32_t flags)
{
    struct slot *slot = slot_publish(fd, SLOT_MADE, how, 0);
    const uint64_t mask = signals_block();
    if (slot && slot_claim_made(slot)) {
        tombs_note(fd, slot);
        slot_release(slot, SLOT_BURIED, SLOT_QUIET | flags);
    }
    signals_restore(mask);
}

/* What this process has buried. What it has come by may be a socket of the program's that is shut.
 */
static bool is_own(uint32_t word)
{
    return slot_state(word) == SLOT_BURIED && !(word & SLOT_QUIET);
}

struct census tombs_count(void)
{
    struct census census = {0};
    const uint32_t before = atomic_load(&tombs_noted);
    bool any = false;
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        const uint32_t word = slot_word(slot_of(fd));
        const bool told = (word & (SLOT_TOLD | SLOT_QUIET)) == SLOT_TOLD;
        any |= slot_state(word) == SLOT_CLAIMED || slot_state(word) == SLOT_BURIED;
        census.tombstones += is_own(word);
        census.leaked += told && slot_state(word) != SLOT_BURIED;
    }
    if (!any)
        atomic_store(&tombs_noted_at_none, before);
    return census;
}

enum { AT_ONCE = 64 };

struct grave {
    int fd;
    uint32_t age_cs;
};

/* Into the oldest so far, which are in order; whether room is full or not. */
static int insert(struct grave *graves, int count, int room, struct grave grave)
{
    int at = count;
    while (at > 0 && graves[at - 1].age_cs < grave.age_cs)
        at--;
    if (at == room)
        return count;
    const int last = count < room ? count : room - 1;
    for (int i = last; i > at; i--)
        graves[i] = graves[i - 1];
    graves[at] = grave;
    return last + 1;
}

/* The oldest that there are, the oldest first. */
static int find_oldest(struct grave graves[AT_ONCE], int most)
{
    const uint32_t now_cs = clock_cs(clock_ms());
    const int room = most < AT_ONCE ? most : AT_ONCE;
    int count = 0;
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        if (!is_own(slot_word(slot)))
            continue;
        const uint32_t since_cs = atomic_load_explicit(buried_cs(slot), memory_order_relaxed);
        count = insert(graves, count, room, (struct grave){fd, now_cs - since_cs});
    }
    return count;
}

void tombs_check(int fd)
{
    struct slot *slot = slot_of(fd);
    const uint64_t mask = signals_block();
    if (slot_claim_buried(slot))
        slot_release(slot, is_still(fd, slot) ? SLOT_BURIED : SLOT_FREE, 0);
    signals_restore(mask);
}

/* What is on the number is looked at under the claim, as before a burial (slots.h). */
static bool give_back_claimed(int fd, struct slot *slot)
{
    if (!is_still(fd, slot)) {
        slot_release(slot, SLOT_FREE, 0);
        return false;
    }
    const bool steady = slot_is_steady(fd);
    if (steady)
        raw1(SYS_close, fd);
    slot_release(slot, steady ? SLOT_FREE : SLOT_BURIED, 0);
    return steady;
}

static bool give_back(int fd)
{
    struct slot *slot = slot_of(fd);
    const uint64_t mask = signals_block();
    const bool given = slot_claim_buried(slot) && give_back_claimed(fd, slot);
    signals_restore(mask);
    return given;
}

int tombs_give_back(int most, struct fds *fds)
{
    struct grave graves[AT_ONCE];
    int given = 0;
    for (int found = 1; given < most && found > 0;) {
        const int before = given;
        found = find_oldest(graves, most - given);
        for (int i = 0; i < found; i++) {
            if (!give_back(graves[i].fd))
                continue;
            given++;
            fds_add(fds, graves[i].fd);
        }
        if (given == before)
            break;
    }
    return given;
}
