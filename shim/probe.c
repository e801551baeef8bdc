#include "probe.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel.h"
#include "raw.h"
#include "signals.h"

/* Where each setting is, as the kernel has it. */
static const struct {
    int level;
    int name;
    size_t at;
} options[] = {
    {IPPROTO_TCP, TCP_USER_TIMEOUT, offsetof(struct keepalive, user_timeout_ms)},
    {IPPROTO_TCP, TCP_KEEPCNT, offsetof(struct keepalive, count)},
    {IPPROTO_TCP, TCP_KEEPINTVL, offsetof(struct keepalive, interval_s)},
    {IPPROTO_TCP, TCP_KEEPIDLE, offsetof(struct keepalive, idle_s)},
    {SOL_SOCKET, SO_KEEPALIVE, offsetof(struct keepalive, on)},
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

/*
 * Written by the watcher, each once and before a slot says its index; the release of that slot's
 * claim publishes it to who claims the slot next.
 */
enum { KEPT = SLOT_KEPT >> SLOT_KEPT_SHIFT };
static struct keepalive kept[KEPT + 1]; /* by index, from 1 on */
static _Atomic uint32_t kept_count;
static struct keepalive ours;

static uint32_t *setting(struct keepalive *keepalive, int which)
{
    return (uint32_t *)(void *)((char *)keepalive + options[which].at);
}

static bool get(int fd, struct keepalive *keepalive)
{
    for (int i = 0; i < OPTIONS; i++) {
        socklen_t len = sizeof(uint32_t);
        if (raw5(SYS_getsockopt, fd, options[i].level, options[i].name, (long)setting(keepalive, i),
                 (long)&len) != 0)
            return false;
    }
    return true;
}

static void set(int fd, struct keepalive keepalive)
{
    for (int i = 0; i < OPTIONS; i++)
        raw5(SYS_setsockopt, fd, options[i].level, options[i].name, (long)setting(&keepalive, i),
             sizeof(uint32_t));
}

static uint32_t within(uint32_t low, uint32_t value, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

struct keepalive probe_settings(uint32_t grace_ms)
{
    const uint32_t shortest_s = (PROBE_SILENCE_S + PROBE_COUNT_MAX - 1) / PROBE_COUNT_MAX;
    const uint32_t idle_s = within(1, grace_ms / 1000, PROBE_INTERVAL_S);
    const uint32_t interval_s = within(shortest_s, idle_s, PROBE_INTERVAL_S);
    return (struct keepalive){
        .count = (PROBE_SILENCE_S + interval_s - 1) / interval_s,
        .interval_s = interval_s,
        .idle_s = idle_s,
        .on = 1,
    };
}

bool probe_changes(int level, int name)
{
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].level == level && options[i].name == name)
            return true;
    return false;
}

static bool can_be_put_back(const struct keepalive *keepalive)
{
    return keepalive->count - 1 < PROBE_COUNT_MAX && keepalive->idle_s - 1 < PROBE_SETTING_MAX &&
           keepalive->interval_s - 1 < PROBE_SETTING_MAX;
}

/* 0 when there is no room. */
static uint32_t index_of(const struct keepalive *keepalive)
{
    const uint32_t count = atomic_load_explicit(&kept_count, memory_order_relaxed);
    for (uint32_t i = 1; i <= count; i++)
        if (memcmp(&kept[i], keepalive, sizeof(*keepalive)) == 0)
            return i;
    if (count == KEPT)
        return 0;
    kept[count + 1] = *keepalive;
    atomic_store_explicit(&kept_count, count + 1, memory_order_relaxed);
    return count + 1;
}

void probe_init(uint32_t grace_ms)
{
    ours = probe_settings(grace_ms);
}

static bool is_ours(const struct keepalive *keepalive)
{
    return memcmp(keepalive, &ours, sizeof(ours)) == 0;
}

/* What is ours already was set by way of another descriptor. */
void probe_begin(int fd, struct slot *slot)
{
    struct keepalive own;
    if ((slot_word(slot) & SLOT_KEPT) || !get(fd, &own) || is_ours(&own) || !can_be_put_back(&own))
        return;
    const uint32_t index = index_of(&own);
    if (index == 0)
        return;
    slot_flag(slot, index << SLOT_KEPT_SHIFT);
    set(fd, ours);
}

void probe_end(int fd, struct slot *slot)
{
    const uint32_t index = (slot_word(slot) & SLOT_KEPT) >> SLOT_KEPT_SHIFT;
    struct keepalive now;
    if (index == 0)
        return;
    if (get(fd, &now) && is_ours(&now))
        set(fd, kept[index]);
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
