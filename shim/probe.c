#include "probe.h"

#include <stdatomic.h>

#include "keepalive.h"
#include "kernel.h"
#include "signals.h"

/*
 * Written by the watcher, each once and before a slot says its index; the release of that slot's
 * claim publishes it to who claims the slot next.
 */
enum { KEPT = SLOT_KEPT >> SLOT_KEPT_SHIFT };
static struct keepalive kept[KEPT + 1]; /* by index, from 1 on */
static _Atomic uint32_t kept_count;
static struct keepalive ours;

/* 0 when there is no room. */
static uint32_t index_of(const struct keepalive *keepalive)
{
    const uint32_t count = atomic_load_explicit(&kept_count, memory_order_relaxed);
    for (uint32_t i = 1; i <= count; i++)
        if (keepalive_same(&kept[i], keepalive))
            return i;
    if (count == KEPT)
        return 0;
    kept[count + 1] = *keepalive;
    atomic_store_explicit(&kept_count, count + 1, memory_order_relaxed);
    return count + 1;
}

void probe_init(uint32_t grace_ms)
{
    ours = keepalive_of_probe(grace_ms);
}

static bool is_ours(const struct keepalive *keepalive)
{
    return keepalive_same(keepalive, &ours);
}

/* What is ours already was set by way of another descriptor. */
void probe_begin(int fd, struct slot *slot)
{
    struct keepalive own;
    if ((slot_word(slot) & SLOT_KEPT) || !keepalive_get(fd, &own) || is_ours(&own) ||
        !keepalive_can_be_put_back(&own))
        return;
    const uint32_t index = index_of(&own);
    if (index == 0)
        return;
    slot_flag(slot, index << SLOT_KEPT_SHIFT);
    keepalive_set(fd, ours);
}

void probe_put_back(int fd, uint32_t word)
{
    const uint32_t index = (word & SLOT_KEPT) >> SLOT_KEPT_SHIFT;
    struct keepalive now;
    if (index && keepalive_get(fd, &now) && is_ours(&now))
        keepalive_set(fd, kept[index]);
}

void probe_end(int fd, struct slot *slot)
{
    const uint32_t word = slot_word(slot);
    probe_put_back(fd, word);
    if (word & SLOT_KEPT)
        atomic_fetch_and(&slot->word, ~(uint32_t)SLOT_KEPT);
}

static void end_here(int fd, struct slot *slot)
{
    const uint64_t mask = signals_block();
    if ((slot_word(slot) & SLOT_KEPT) && slot_claim_patiently(slot)) {
        probe_end(fd, slot);
        slot_release(slot, SLOT_LIVE, 0);
    }
    signals_restore(mask);
}

void probe_yield(int fd)
{
    struct slot *slot = slot_of(fd);
    const uint32_t word = slot_word(slot);
    if (word & SLOT_KEPT)
        end_here(fd, slot);
    if (!(word & SLOT_COPIED) || atomic_load_explicit(&kept_count, memory_order_relaxed) == 0)
        return;
    const uint64_t cookie = kernel_cookie(fd);
    for (int other = slots_next(0); other >= 0; other = slots_next(other + 1))
        if ((slot_word(slot_of(other)) & SLOT_KEPT) && kernel_cookie(other) == cookie)
            end_here(other, slot_of(other));
}

void probe_end_all(void)
{
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1))
        end_here(fd, slot_of(fd));
}
