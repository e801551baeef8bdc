#define _GNU_SOURCE
#include "sweep.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>

#include "clock.h"
#include "kernel.h"
#include "look.h"
#include "pace.h"
#include "probe.h"
#include "queue_look.h"
#include "raw.h"
#include "reap.h"
#include "report.h"
#include "scan.h"
#include "sites.h"
#include "slots.h"
#include "standstill.h"
#include "telling.h"
#include "tombs.h"

/*
 * A batch is claimed while it is polled: 128 descriptors are 7 us (design, fact 7), the longest
 * that a close can meet. Polling unclaimed would hold a reference on the file, and a bind right
 * after the program's close could find the port still taken.
 */
enum { BATCH = 128, RETRY_MS = 1000 };

struct batch {
    struct pollfd polled[BATCH];
    int count;
};

/* Of this sweep. */
static const struct options *rules;
static bool (*is_leaving)(void);
static uint64_t now_ms; /* as it was before the last that took time */

/* Whether another descriptor of the same socket is open, with this flag: one socket is one leak. */
static bool has_copy(int fd, uint64_t cookie, uint32_t flag)
{
    for (int other = slots_next(0); other >= 0; other = slots_next(other + 1)) {
        struct slot *slot = slot_of(other);
        const uint32_t word = slot_word(slot);
        if (other != fd && slot_state(word) != SLOT_FREE && (word & flag) == flag &&
            (slot_state(word) != SLOT_BURIED || flag) &&
            atomic_load_explicit(&slot->cookie, memory_order_relaxed) == (uint32_t)cookie)
            return true;
    }
    return false;
}

static void set_due(struct slot *slot, uint32_t ms)
{
    atomic_store_explicit(&slot->due_cs, clock_cs(clock_ms() + ms + 9), memory_order_relaxed);
}

static int bury(int fd, const struct look *look)
{
    const int stopped = standstill_begin();
    return stopped ? stopped : reap_bury(fd, look->leak.cookie, look->ruling.reap);
}

static void begin_probe(int fd, struct slot *slot, uint64_t cookie)
{
    if (!(slot_word(slot) & SLOT_KEPT) && standstill_begin() == 0 && kernel_cookie(fd) == cookie)
        probe_begin(fd, slot);
}

static void end_probe(int fd, struct slot *slot, uint64_t cookie)
{
    if ((slot_word(slot) & SLOT_KEPT) && standstill_begin() == 0 && kernel_cookie(fd) == cookie)
        probe_end(fd, slot);
}

/* What is told again is what was not told before: a failed reap is tried again and told once. */
static void settle(int fd, struct slot *slot, struct look *look)
{
    const uint32_t before = slot_word(slot);
    const bool copied = before & SLOT_COPIED;
    const bool told =
        (before & SLOT_TOLD) || (copied && has_copy(fd, look->leak.cookie, SLOT_TOLD));
    const bool quiet = (before & SLOT_QUIET) ||
                       (copied && has_copy(fd, look->leak.cookie, SLOT_QUIET)) ||
                       (!told && report_suppresses(&look->leak));
    if (quiet) {
        slot_release(slot, SLOT_LIVE, SLOT_TOLD | SLOT_QUIET);
        return;
    }
    const bool spared = report_spares(&look->leak);
    const bool reap = look->ruling.reap && !spared;
    if (look->ruling.probe && !spared)
        begin_probe(fd, slot, look->leak.cookie);
    const int error = reap ? bury(fd, look) : 0;
    const bool buried = reap && error == 0;
    if (buried)
        tombs_note(fd, slot);
    if (error == EAGAIN)
        set_due(slot, SWEEP_MS);
    slot_release(slot, buried ? SLOT_BURIED : SLOT_LIVE, SLOT_TOLD);
    standstill_tell(&(struct tidings){.look = *look,
                                      .leak = !told,
                                      .copied = copied,
                                      .reap = buried || (error && error != EAGAIN && !told),
                                      .error = error,
                                      .held = copied && has_copy(fd, look->leak.cookie, 0)});
}

/* The judge says when time alone could change its mind; reading and sending could do so sooner. */
static uint32_t again_ms(const struct ruling *ruling)
{
    if (ruling->verdict == VERDICT_WAITING || ruling->verdict == VERDICT_IN_USE)
        return ruling->again_ms;
    return rules->grace_ms > RETRY_MS ? rules->grace_ms : RETRY_MS;
}

static void look_closer(int fd, struct slot *slot)
{
    if (standstill_is_over())
        standstill_end();
    if (!slot_claim(slot))
        return;
    struct look look = {.leak.opened_at =
                            atomic_load_explicit(&slot->opened_at, memory_order_relaxed)};
    if (!look_at(fd, slot, rules, &look)) {
        if ((slot_word(slot) & (SLOT_TOLD | SLOT_QUIET)) == SLOT_TOLD)
            sites_released(look.leak.opened_at);
        slot_release(slot, SLOT_FREE, 0);
        return;
    }
    set_due(slot, again_ms(&look.ruling));
    if (!look.ruling.probe)
        end_probe(fd, slot, look.leak.cookie);
    if (look.ruling.verdict == VERDICT_LEAKED || look.ruling.verdict == VERDICT_DEAD)
        settle(fd, slot, &look);
    else if (look.leak.state == TCP_CLOSE && look.ruling.verdict == VERDICT_HEALTHY)
        slot_release(slot, SLOT_MADE, 0); /* a connect that failed: it may be tried again */
    else
        slot_release(slot, SLOT_LIVE, 0);
}

static void attend(int fd, struct slot *slot)
{
    pace_news_begin();
    look_closer(fd, slot);
    pace_news_end();
    now_ms = clock_ms();
}

/* What was told is no news, and need not be looked at on time. */
static void attend_due(int fd, struct slot *slot)
{
    if (!(slot_word(slot) & SLOT_TOLD))
        attend(fd, slot);
    else if (pace_allows_again(fd))
        look_closer(fd, slot);
}

/* poll(2) refuses more descriptors than RLIMIT_NOFILE, which may have been lowered since. */
static void poll_now(struct batch *batch)
{
    const struct timespec at_once = {0};
    if (raw5(SYS_ppoll, (long)batch->polled, batch->count, (long)&at_once, 0, 0) >= 0)
        return;
    for (int i = 0; i < batch->count; i++)
        batch->polled[i].revents = POLLRDHUP;
}

/* Polls the claimed batch, releases all of it, and looks closer at those that have news. */
static void poll_batch(struct batch *batch)
{
    if (standstill_is_over())
        standstill_end();
    if (batch->count == 0)
        return;
    poll_now(batch);
    for (int i = 0; i < batch->count; i++) {
        const struct pollfd *polled = &batch->polled[i];
        slot_release(slot_of(polled->fd), polled->revents & POLLNVAL ? SLOT_FREE : SLOT_LIVE, 0);
    }
    for (int i = 0; i < batch->count && !is_leaving(); i++) {
        const struct pollfd *polled = &batch->polled[i];
        if (polled->revents && !(polled->revents & POLLNVAL))
            attend(polled->fd, slot_of(polled->fd));
    }
    batch->count = 0;
}

/* Milliseconds until it is due, 0 when it is. */
static uint32_t due_ms(struct slot *slot)
{
    const uint32_t due_cs = atomic_load_explicit(&slot->due_cs, memory_order_relaxed);
    const int32_t left_cs = (int32_t)(due_cs - clock_cs(now_ms));
    return left_cs > 0 ? (uint32_t)left_cs * 10 : 0;
}

static void shorten(uint32_t *pause_ms, uint32_t ms)
{
    if (*pause_ms == 0 || ms < *pause_ms)
        *pause_ms = ms;
}

/*
 * Of a listener, and of a socket whose peer is gone: how long it can wait. Nothing stays claimed
 * while a report is written.
 */
static uint32_t attend_listener(int fd, struct slot *slot, struct batch *batch)
{
    if (due_ms(slot) == 0) {
        poll_batch(batch);
        standstill_end();
        queue_look(fd, slot, rules);
        now_ms = clock_ms();
    }
    const uint32_t left_ms = due_ms(slot);
    return left_ms ? left_ms : 1;
}

static uint32_t attend_gone(int fd, struct slot *slot, struct batch *batch)
{
    if (due_ms(slot) == 0) {
        poll_batch(batch);
        attend_due(fd, slot);
    }
    const uint32_t left_ms = due_ms(slot);
    return left_ms ? left_ms : 1;
}

static void add_to_batch(int fd, struct slot *slot, struct batch *batch)
{
    if (slot_claim(slot)) {
        look_stamp(slot);
        batch->polled[batch->count++] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
    }
    if (batch->count == BATCH)
        poll_batch(batch);
}

uint32_t sweep(const struct options *options, bool (*leaving)(void))
{
    rules = options;
    is_leaving = leaving;
    now_ms = clock_ms();
    pace_begin();
    struct batch batch = {.count = 0};
    uint32_t pause_ms = scan_if_due();
    for (int fd = slots_next(0); fd >= 0 && !is_leaving(); fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const uint32_t word = slot_word(slot);
        if (slot_state(word) == SLOT_CLAIMED)
            shorten(&pause_ms, SWEEP_MS);
        if (slot_state(word) == SLOT_MADE && (word & SLOT_LISTENS))
            shorten(&pause_ms, attend_listener(fd, slot, &batch));
        if (slot_state(word) != SLOT_LIVE)
            continue;
        if (word & SLOT_GONE) {
            shorten(&pause_ms, attend_gone(fd, slot, &batch));
        } else {
            shorten(&pause_ms, SWEEP_MS);
            add_to_batch(fd, slot, &batch);
        }
    }
    poll_batch(&batch);
    standstill_end();
    if (scan_is_on())
        telling_interim();
    const uint32_t rest_ms = pace_end();
    report_pace(rest_ms > SWEEP_MS ? rest_ms : 0);
    return pause_ms;
}
