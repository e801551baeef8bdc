#include "rescue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "clock.h"
#include "kernel.h"
#include "look.h"
#include "owner.h"
#include "real.h"
#include "reap.h"
#include "record.h"
#include "signals.h"
#include "stack.h"
#include "watch.h"

enum { REAP_TRIES = 20, PATIENCE_MS = 1000, FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 50 };

static const struct options *_Atomic rules;

void rescue_start(const struct options *options)
{
    atomic_store_explicit(&rules, options, memory_order_release);
}

/* One socket is one leak, however many descriptors it has. */
static void add_leak(struct record *record, const struct leak *leak, uint32_t word)
{
    if (record->leaks > 0 && record->leak.cookie == leak->cookie)
        return;
    if (record->leaks++ == 0)
        record->leak = *leak;
    record->fresh += !(word & SLOT_TOLD);
}

/* What this process has on the port. */
struct holders {
    int reapable;
    int others; /* sockets that stay: while there is one, no reap lets the bind succeed */
    int busy;   /* that the last attempt could not bury: a call was in the way */
};

static bool is_leak(const struct look *look)
{
    return look->ruling.verdict == VERDICT_LEAKED || look->ruling.verdict == VERDICT_DEAD;
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
    const bool may_go = leaks && look.ruling.reap && !options->suppress[0];
    if (leaks)
        add_leak(record, &look.leak, word);
    holders->reapable += may_go;
    holders->others += !may_go;
    slot_release(slot, SLOT_LIVE, leaks ? SLOT_TOLD : 0);
}

static void reap(int fd, struct slot *slot, const struct options *options, struct record *record,
                 struct holders *holders)
{
    struct look look;
    const bool may_go =
        look_at_wanted(fd, slot, options, &look) && is_leak(&look) && look.ruling.reap;
    const int error = may_go ? reap_bury(fd, look.leak.cookie, look.ruling.reap) : ESTALE;
    const bool buried = error == 0;
    holders->busy += error == EAGAIN;
    record->reaped += buried;
    if (buried && record->buried.count < (int)(sizeof(record->buried.at) / sizeof(int)))
        record->buried.at[record->buried.count++] = fd;
    record->released = record->reaped < record->leaks ? record->reaped : record->leaks;
    slot_release(slot, buried ? SLOT_BURIED : SLOT_LIVE, 0);
}

/* Every socket of this process that keeps the wanted port, claimed, to what. */
static void each_holder(const struct options *options, struct record *record,
                        struct holders *holders,
                        void (*what)(int, struct slot *, const struct options *, struct record *,
                                     struct holders *))
{
    for (int fd = slots_next(0); fd >= 0; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const enum slot_state state = slot_unclaimed(slot_word(slot));
        const struct endpoint local = kernel_local(fd);
        if (state == SLOT_BURIED || !endpoint_conflict(&local, &record->wanted))
            continue;
        holders->others += state == SLOT_MADE;
        const uint64_t mask = signals_block();
        if (slot_claim_patiently(slot))
            what(fd, slot, options, record, holders);
        signals_restore(mask);
    }
}

/* The kernel frees the port once the peer has acknowledged our FIN: a few round trips. */
static int bind_patiently(int fd, const struct sockaddr *addr, socklen_t len, uint32_t *waited_ms)
{
    const uint64_t start = clock_ms();
    uint32_t pause_ms = FIRST_PAUSE_MS;
    int ret = real.bind(fd, addr, len);
    while (ret != 0 && errno == EADDRINUSE && clock_ms() - start < PATIENCE_MS) {
        clock_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause_ms * 2;
        ret = real.bind(fd, addr, len);
    }
    *waited_ms = (uint32_t)(clock_ms() - start);
    return ret;
}

int rescue_bind(int fd, const struct sockaddr *addr, socklen_t len, int before,
                struct caller caller)
{
    const struct options *options = atomic_load_explicit(&rules, memory_order_acquire);
    struct record record = {.type = RECORD_BIND_CONFLICT, .wanted = endpoint_of(addr, len)};
    if (!options || !record.wanted.port || !owner_here() || !kernel_is_tcp(fd)) {
        errno = EADDRINUSE;
        return -1;
    }
    int ret = -1;
    record.error = EADDRINUSE;
    record.why = WHY_PORT;
    record.asked_at = stack_site(caller);
    struct holders holders = {0};
    each_holder(options, &record, &holders, count);
    holders.busy = holders.reapable > 0 && holders.others == 0;
    for (int i = 0; i < REAP_TRIES && holders.busy > 0; i++) {
        clock_sleep_ms(i > 0);
        holders.busy = 0;
        each_holder(options, &record, &holders, reap);
    }
    if (record.reaped > 0) {
        record.type = RECORD_RESCUE;
        ret = bind_patiently(fd, addr, len, &record.waited_ms);
        record.error = ret == 0 ? 0 : errno;
    }
    record_post(&record);
    watch_ring();
    errno = ret == 0 ? before : record.error;
    return ret;
}
