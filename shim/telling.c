#include "telling.h"

#include <stddef.h>

#include "clock.h"
#include "kernel.h"
#include "report.h"
#include "sites.h"
#include "slots.h"
#include "thread.h"
#include "usdt.h"

/* A record on its way to where it is told. */
struct telling {
    struct record record;
    struct told told;
};

/* Now: what the hook saw may have been closed since, and then there is nobody, or only its rest. */
static struct holder holder_now(const struct record *record)
{
    const struct holder now = diag_holder(&record->wanted, &record->to);
    const bool gone = now.kind == HOLDER_UNKNOWN || now.kind == HOLDER_CLOSING;
    return gone && record->holder.kind != HOLDER_UNKNOWN ? record->holder : now;
}

/* Who is in the way, besides the leaks if there are any. */
static void find_holder(struct record *record)
{
    const uint64_t cookie = record->leak.cookie;
    if (record->type == RECORD_RESCUE || record->leaks == 0)
        record->holder = holder_now(record);
    else if (record->holder.kind != HOLDER_SELF)
        diag_sharer(record->inode, &record->holder);
    if (cookie && record->holder.cookie == cookie)
        record->holder.same = true;
}

/* Why a connection cannot be made is known only where another one is found. */
static bool is_riddle(const struct record *record)
{
    return record->type == RECORD_BIND_CONFLICT && record->to.family && record->leaks == 0 &&
           record->holder.kind == HOLDER_UNKNOWN;
}

/* Asks what only the kernel knows by now, and tells: both need descriptors. */
static void run_tell(void *with)
{
    struct telling *telling = with;
    struct record *record = &telling->record;
    const struct leak *leak = &record->leak;
    if (record->type == RECORD_BIND_CONFLICT || (record->type == RECORD_RESCUE && record->error))
        find_holder(record);
    if (is_riddle(record))
        return;
    if (record->type == RECORD_REAP && record->error == 0)
        record->fate = record->why == WHY_DEAD
                           ? FATE_GONE
                           : diag_fate(&leak->local, &leak->peer, leak->cookie, leak->netns);
    report_tell(&telling->told);
}

/* False when it got no line. */
static bool tell(const struct record *record)
{
    struct telling telling = {.record = *record};
    if (!report_count(&telling.record, &telling.told))
        return false;
    thread_apart(run_tell, &telling);
    return true;
}

static void note_copies(struct leak *leak)
{
    const int room = (int)(sizeof(leak->copies.at) / sizeof(leak->copies.at[0]));
    for (int fd = slots_next(0); fd >= 0 && leak->copies.count < room; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        if (fd != leak->fd && slot_state(slot_word(slot)) == SLOT_LIVE &&
            kernel_cookie(fd) == leak->cookie)
            leak->copies.at[leak->copies.count++] = fd;
    }
}

void telling_leak(struct leak *leak, bool copied)
{
    usdt_leak(leak);
    if (copied)
        note_copies(leak);
    tell(&(struct record){.type = RECORD_LEAK, .leak = *leak, .leaks = 1, .fresh = 1});
}

void telling_reap(const struct look *look, int error, bool held)
{
    const enum reap_why why = look->ruling.verdict == VERDICT_DEAD ? WHY_DEAD : WHY_GRACE;
    usdt_reap(&look->leak, why, error);
    tell(&(struct record){
        .type = RECORD_REAP,
        .why = why,
        .leak = look->leak,
        .error = error,
        .reaped = error == 0,
        .released = error == 0 && !held,
    });
}

bool telling_queue(const struct leak *listener, const struct queue *queue)
{
    return tell(&(struct record){.type = RECORD_ACCEPT_QUEUE, .leak = *listener, .queue = *queue});
}

static void run_report_tell(void *told)
{
    report_tell(told);
}

/* The first that is found of each site, as it is now; none that is in use again. */
static void tell_each_held(const struct options *options, bool (*leaving)(void))
{
    sites_ask();
    for (int fd = slots_next(0); fd >= 0 && !leaving(); fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        struct look look = {0};
        struct told told;
        if ((slot_word(slot) & (SLOT_TOLD | SLOT_QUIET)) != SLOT_TOLD || !slot_claim(slot))
            continue;
        const site_t opened_at = atomic_load_explicit(&slot->opened_at, memory_order_relaxed);
        const bool told_one = !(slot_word(slot) & SLOT_QUIET);
        const bool seen = look_at(fd, slot, options, &look);
        slot_release(slot, seen ? SLOT_LIVE : SLOT_FREE, 0);
        if (!seen && told_one)
            sites_released(opened_at);
        if (!seen || look.ruling.class == CLASS_NONE)
            continue;
        const struct record record = {.type = RECORD_LEAK, .leaks = 1, .leak = look.leak};
        if (report_held(&record, &told))
            thread_apart(run_report_tell, &told);
    }
}

static bool met_limit(const struct record *record)
{
    return record->type == RECORD_DESCRIPTORS ||
           (record->type == RECORD_GIVEN_BACK && record->limits.call != LIMITED_NONE);
}

void telling_posted(const struct options *options, bool (*leaving)(void))
{
    struct record record;
    struct told told;
    while (!leaving() && record_take(&record)) {
        tell(&record);
        if (met_limit(&record))
            tell_each_held(options, leaving);
    }
    while (!leaving() && report_pending(&record, &told))
        thread_apart(run_report_tell, &told);
}

static void run_summary(void *unused)
{
    (void)unused;
    report_summary();
}

static void run_last_summary(void *unused)
{
    (void)unused;
    report_summary_if_any();
}

void telling_held(const struct options *options, bool (*leaving)(void))
{
    tell_each_held(options, leaving);
    thread_apart(run_summary, NULL);
}

void telling_interim(void)
{
    enum { FIRST_MS = 5000, NEXT_MS = 60000 };
    static uint32_t told_changes;
    static uint64_t due_ms;
    static uint64_t told_ms;
    const uint32_t changes = report_changes();
    const uint64_t now = clock_ms();
    if (changes == 0) /* a forked child's own */
        told_changes = 0;
    if (changes == told_changes)
        return;
    if (due_ms == 0)
        due_ms = told_ms && told_ms + NEXT_MS > now + FIRST_MS ? told_ms + NEXT_MS : now + FIRST_MS;
    if (now < due_ms)
        return;
    told_changes = changes;
    told_ms = now;
    due_ms = 0;
    thread_apart(run_summary, NULL);
}

void telling_last(void)
{
    struct record record;
    struct told told;
    sites_finish();
    while (report_pending(&record, &told))
        thread_apart(run_report_tell, &told);
    thread_apart(run_last_summary, NULL);
}
