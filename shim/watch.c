#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "clock.h"
#include "kernel.h"
#include "look.h"
#include "owner.h"
#include "raw.h"
#include "reap.h"
#include "record.h"
#include "report.h"
#include "signals.h"
#include "sites.h"
#include "slots.h"
#include "thread.h"

/*
 * A batch is claimed while it is polled: 128 descriptors are 7 us (design, fact 7), the longest
 * that a close can meet. Polling unclaimed would hold a reference on the file, and a bind right
 * after the program's close could find the port still taken.
 */
#ifndef SWEEP_MS /* the stress test makes it 1 */
#define SWEEP_MS 200
#endif
enum { BATCH = 128, RETRY_MS = 1000, FINISH_MS = 1000, LEAVE_MS = 2000, LAST_STEPS_MS = 100 };

static const struct options *rules;

/*
 * Whether there is a watcher. Who moves it on:
 *
 *     ABSENT -> STARTING -> RUNNING   start(), with signals blocked
 *     RUNNING -> LEAVING              watch_leave()
 *     LEAVING -> ABSENT               the watcher, as its last act
 *
 * ABSENT is not yet gone: start() makes no second thread while the kernel knows the first.
 */
enum { ABSENT, STARTING, RUNNING, LEAVING };
static _Atomic uint32_t presence;

/* How many calls want the process without a watcher just now, and whether one is wanted after. */
static _Atomic uint32_t away;
static _Atomic bool wanted;
static _Atomic enum retirement retiring; /* 0 while we stay */

/* Somebody wants to know what is held. */
static _Atomic bool asked;

/* Raised by who wants the watcher to look up: it sleeps on it. */
static _Atomic uint32_t bell;

/*
 * Set while the watcher sleeps for longer than SWEEP_MS. It sets it, and looks at the records and
 * the tracked sockets once more before it sleeps; a hook publishes its own, and then reads it. The
 * fence between the watcher's two and the seq_cst of the hook's two give them one order: either the
 * watcher sees the slot or the hook sees that it dozes.
 */
static _Atomic bool dozing;

/* The exit's handshake: asked for, and done. */
static _Atomic uint32_t finishing;
static _Atomic uint32_t finished;

struct batch {
    struct pollfd polled[BATCH];
    int count;
};

static bool is_leaving(void)
{
    return atomic_load(&presence) == LEAVING;
}

static void wake(_Atomic uint32_t *word)
{
    raw3(SYS_futex, (long)word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX);
}

/* Sleeps while *word is seen; for ever when ms is 0. */
static void sleep_on(_Atomic uint32_t *word, uint32_t seen, uint32_t ms)
{
    const struct timespec timeout = {.tv_sec = (time_t)(ms / 1000),
                                     .tv_nsec = (long)(ms % 1000) * 1000000};
    raw4(SYS_futex, (long)word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, (long)seen,
         ms ? (long)&timeout : 0);
}

/* True when another descriptor of the same socket was told of: one socket is one leak. */
static bool told_by_copy(int fd, uint64_t cookie)
{
    for (int other = slots_next(0); other >= 0; other = slots_next(other + 1)) {
        struct slot *slot = slot_of(other);
        if (other != fd && (slot_word(slot) & SLOT_TOLD) &&
            atomic_load_explicit(&slot->cookie, memory_order_relaxed) == (uint32_t)cookie)
            return true;
    }
    return false;
}

/* A record on its way to where it is told. */
struct telling {
    struct record record;
    struct told told;
};

/* Asks what only the kernel knows by now, and tells: both need descriptors. */
static void run_tell(void *with)
{
    struct telling *telling = with;
    struct record *record = &telling->record;
    const struct leak *leak = &record->leak;
    if (record->type == RECORD_BIND_CONFLICT && record->leaks == 0)
        record->holder = diag_holder(&record->wanted);
    if (record->type == RECORD_REAP && record->error == 0)
        record->fate = record->why == WHY_DEAD
                           ? FATE_GONE
                           : diag_fate(&leak->local, &leak->peer, leak->cookie, leak->netns);
    report_tell(&telling->told);
}

static void tell(const struct record *record)
{
    struct telling telling = {.record = *record};
    if (report_count(&telling.record, &telling.told))
        thread_apart(run_tell, &telling);
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

static void tell_leak(const struct leak *leak)
{
    tell(&(struct record){.type = RECORD_LEAK, .leak = *leak, .leaks = 1, .fresh = 1});
}

static void tell_reap(const struct look *look, int error)
{
    tell(&(struct record){
        .type = RECORD_REAP,
        .why = look->ruling.verdict == VERDICT_DEAD ? WHY_DEAD : WHY_GRACE,
        .leak = look->leak,
        .error = error,
        .reaped = error == 0,
    });
}

static void set_due(struct slot *slot, uint32_t ms)
{
    atomic_store_explicit(&slot->due_cs, clock_cs(clock_ms() + ms + 9), memory_order_relaxed);
}

/* What is told again is what was not told before: a failed reap is tried again and told once. */
static void settle(int fd, struct slot *slot, struct look *look)
{
    const uint32_t before = slot_word(slot);
    if ((before & SLOT_QUIET) || (!(before & SLOT_TOLD) && report_suppresses(&look->leak))) {
        slot_release(slot, SLOT_LIVE, SLOT_TOLD | SLOT_QUIET);
        return;
    }
    const int error = look->ruling.reap ? reap_bury(fd, look->leak.cookie) : 0;
    const bool buried = look->ruling.reap && error == 0;
    if (error == EAGAIN)
        set_due(slot, SWEEP_MS);
    slot_release(slot, buried ? SLOT_BURIED : SLOT_LIVE, SLOT_TOLD);
    const bool told =
        (before & SLOT_TOLD) || ((before & SLOT_COPIED) && told_by_copy(fd, look->leak.cookie));
    if ((before & SLOT_COPIED) && !told)
        note_copies(&look->leak);
    if (!told)
        tell_leak(&look->leak);
    if (buried || (error && error != EAGAIN && !told))
        tell_reap(look, error);
}

/* The judge says when time alone could change its mind; reading and sending could do so sooner. */
static uint32_t again_ms(const struct ruling *ruling)
{
    if (ruling->verdict == VERDICT_WAITING || ruling->verdict == VERDICT_IN_USE)
        return ruling->again_ms;
    return rules->grace_ms > RETRY_MS ? rules->grace_ms : RETRY_MS;
}

static void attend(int fd, struct slot *slot)
{
    if (!slot_claim(slot))
        return;
    struct look look = {.leak.opened_at =
                            atomic_load_explicit(&slot->opened_at, memory_order_relaxed)};
    if (!look_at(fd, slot, rules, &look)) {
        if ((slot_word(slot) & (SLOT_TOLD | SLOT_QUIET)) == SLOT_TOLD)
            report_released(look.leak.opened_at);
        slot_release(slot, SLOT_FREE, 0);
        return;
    }
    set_due(slot, again_ms(&look.ruling));
    if (look.ruling.verdict == VERDICT_LEAKED || look.ruling.verdict == VERDICT_DEAD)
        settle(fd, slot, &look);
    else if (look.leak.state == TCP_CLOSE && look.ruling.verdict == VERDICT_HEALTHY)
        slot_release(slot, SLOT_MADE, 0); /* a connect that failed: it may be tried again */
    else
        slot_release(slot, SLOT_LIVE, 0);
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

/* Milliseconds from now to due, at least 1; 0 when it is due. */
static uint32_t until(uint32_t due_cs, uint64_t now)
{
    const int32_t left_cs = (int32_t)(due_cs - clock_cs(now));
    return left_cs > 0 ? (uint32_t)left_cs * 10 : 0;
}

static void shorten(uint32_t *pause_ms, uint32_t ms)
{
    if (*pause_ms == 0 || ms < *pause_ms)
        *pause_ms = ms;
}

/*
 * Looks at every tracked socket once. Returns how long to sleep, 0 when there is none: those
 * whose peer is there are polled each SWEEP_MS, those whose peer is gone are looked at when due.
 */
static uint32_t sweep(void)
{
    struct batch batch = {.count = 0};
    uint32_t pause_ms = 0;
    for (int fd = slots_next(0); fd >= 0 && !is_leaving(); fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        const uint32_t word = slot_word(slot);
        if (slot_state(word) == SLOT_CLAIMED)
            shorten(&pause_ms, SWEEP_MS);
        if (slot_state(word) != SLOT_LIVE)
            continue;
        if (!(word & SLOT_GONE)) {
            shorten(&pause_ms, SWEEP_MS);
            if (slot_claim(slot)) {
                look_stamp(slot);
                batch.polled[batch.count++] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
            }
            if (batch.count == BATCH)
                poll_batch(&batch);
            continue;
        }
        uint32_t due_cs = atomic_load_explicit(&slot->due_cs, memory_order_relaxed);
        if (until(due_cs, clock_ms()) == 0) {
            poll_batch(&batch); /* nothing stays claimed while a report is written */
            attend(fd, slot);
            due_cs = atomic_load_explicit(&slot->due_cs, memory_order_relaxed);
        }
        const uint32_t left_ms = until(due_cs, clock_ms());
        shorten(&pause_ms, left_ms ? left_ms : 1);
    }
    poll_batch(&batch);
    return pause_ms;
}

static void run_report_tell(void *told)
{
    report_tell(told);
}

static void tell_posted(void)
{
    struct record record;
    struct told told;
    while (!is_leaving() && record_take(&record))
        tell(&record);
    while (!is_leaving() && report_pending(&record, &told))
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

/* The first that is found of each site, as it is now; none that is in use again. */
static void tell_held(void)
{
    report_ask();
    for (int fd = slots_next(0); fd >= 0 && !is_leaving(); fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        struct record record = {.type = RECORD_LEAK, .leaks = 1};
        struct look look;
        struct told told;
        if ((slot_word(slot) & (SLOT_TOLD | SLOT_QUIET)) != SLOT_TOLD || !slot_claim(slot))
            continue;
        const bool leaks = look_at(fd, slot, rules, &look) && look.ruling.class != CLASS_NONE;
        slot_release(slot, SLOT_LIVE, 0);
        record.leak = look.leak;
        if (leaks && report_held(&record, &told))
            thread_apart(run_report_tell, &told);
    }
    thread_apart(run_summary, NULL);
}

static void run_retirement(void *unused)
{
    (void)unused;
    report_retirement(atomic_load(&retiring));
}

static void finish(void)
{
    struct record record;
    struct told told;
    sites_finish();
    while (report_pending(&record, &told))
        thread_apart(run_report_tell, &told);
    thread_apart(run_last_summary, NULL);
    atomic_store_explicit(&finished, 1, memory_order_release);
    wake(&finished);
}

/* Returns how long to sleep, 0 for until the bell rings. */
static uint32_t sweep_or_doze(void)
{
    uint32_t pause_ms = sweep();
    if (report_owes())
        shorten(&pause_ms, SWEEP_MS);
    if (pause_ms && pause_ms <= SWEEP_MS)
        return pause_ms;
    atomic_store(&dozing, true);
    atomic_thread_fence(memory_order_seq_cst);
    return record_waits() ? 1 : sweep();
}

static void watch(void)
{
    raw2(SYS_prctl, PR_SET_NAME, (long)"closewait");
    while (!is_leaving()) {
        const uint32_t heard = atomic_load(&bell);
        atomic_store(&dozing, false);
        tell_posted();
        reap_tidy();
        if (atomic_exchange(&asked, false))
            tell_held();
        if (atomic_load_explicit(&finishing, memory_order_acquire) &&
            !atomic_load_explicit(&finished, memory_order_relaxed))
            finish();
        const uint32_t pause_ms = sweep_or_doze();
        if (!is_leaving())
            sleep_on(&bell, heard, pause_ms);
    }
    if (atomic_load(&retiring))
        thread_apart(run_retirement, NULL);
    atomic_store(&presence, ABSENT);
}

void watch_init(const struct options *options)
{
    rules = options;
}

static bool start(void);

/* No thread now, and none ever. */
static void refuse(void)
{
    atomic_fetch_add(&away, 1);
    atomic_store(&retiring, RETIRED_ALONE);
    run_retirement(NULL);
}

/*
 * Who comes back last starts it: watch_return reads wanted after it has lowered away, and we read
 * away after we have raised wanted.
 */
static void postpone(void)
{
    atomic_store(&wanted, true);
    if (atomic_load(&away) == 0 && atomic_exchange(&wanted, false))
        start();
}

/* True when this call started one, or tried to. Signals are blocked: a handler may ask as well. */
static bool start(void)
{
    if (atomic_load(&away)) {
        postpone();
        return false;
    }
    const uint64_t mask = signals_block();
    uint32_t absent = ABSENT;
    const bool first = atomic_compare_exchange_strong(&presence, &absent, STARTING);
    if (first && atomic_load(&away)) {
        atomic_store(&presence, ABSENT);
        postpone();
    } else if (first) {
        const bool started = thread_await_end(LAST_STEPS_MS) && thread_start(watch);
        atomic_store(&presence, started ? RUNNING : ABSENT);
        if (!started && thread_id() == -EINVAL) /* setns(2) to a pid namespace */
            refuse();
    }
    signals_restore(mask);
    return first;
}

static void ring(void)
{
    atomic_fetch_add(&bell, 1);
    wake(&bell);
}

void watch_start(void)
{
    if (atomic_load(&presence) == ABSENT && start())
        return;
    if (atomic_load(&dozing))
        ring();
}

void watch_ring(void)
{
    if (!start())
        ring();
}

static void on_signal(int number)
{
    (void)number;
    if (!owner_here())
        return;
    atomic_store(&asked, true);
    watch_ring();
}

void watch_on(int number)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (number)
        sigaction(number, &action, NULL);
}

/* A forked child has its parent's word for it until it adopts, which owner_here does. */
static bool is_present(void)
{
    return atomic_load(&presence) != ABSENT && owner_here() && atomic_load(&presence) != ABSENT;
}

void watch_finish(void)
{
    if (!is_present())
        return;
    atomic_store_explicit(&finishing, 1, memory_order_release);
    watch_ring();
    const uint64_t start_ms = clock_ms();
    while (!atomic_load_explicit(&finished, memory_order_acquire) &&
           clock_ms() - start_ms < FINISH_MS)
        sleep_on(&finished, 0, FINISH_MS);
}

/* Until the kernel knows the watcher no more; false when it takes too long. */
static bool see_off(void)
{
    const uint64_t start_ms = clock_ms();
    while (atomic_load(&presence) != ABSENT) {
        uint32_t running = RUNNING;
        if (atomic_compare_exchange_strong(&presence, &running, LEAVING))
            atomic_store(&wanted, true);
        ring();
        if (clock_ms() - start_ms > LEAVE_MS)
            return false;
        clock_sleep_us(20);
    }
    return thread_await_end(LEAVE_MS);
}

bool watch_leave(void)
{
    if (!owner_here())
        return false;
    atomic_fetch_add(&away, 1);
    see_off();
    return true;
}

void watch_return(bool left)
{
    if (left && atomic_fetch_sub(&away, 1) == 1 && atomic_exchange(&wanted, false))
        watch_start();
}

/* To unshare its memory is refused to a thread that is not alone, and nothing to one that is. */
static bool is_alone(void)
{
    return raw1(SYS_unshare, CLONE_VM) == 0;
}

void watch_dismiss(void)
{
    const bool left = watch_leave();
    if (left && is_alone())
        atomic_fetch_sub(&away, 1);
    else
        watch_return(left);
}

/* away stays raised. A watcher that would not go keeps the hooks that it relies on. */
void watch_retire(enum retirement why)
{
    if (!owner_here())
        return;
    atomic_fetch_add(&away, 1);
    atomic_store(&retiring, why);
    if (see_off())
        owner_renounce();
}

/* The watcher, whose errands these are, is away. */
static void say_retired(enum retirement why)
{
    const uint64_t mask = signals_block();
    atomic_store(&retiring, why);
    thread_apart(run_retirement, NULL);
    signals_restore(mask);
}

bool watch_unshare(int flags)
{
    const int alone = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    return (flags & (alone | CLONE_FILES | CLONE_NEWNET)) && watch_leave();
}

void watch_unshared(int flags, int ret, bool left)
{
    enum retirement why = 0;
    if (ret == 0 && left && (flags & CLONE_FILES) && !is_alone())
        why = RETIRED_TABLES;
    else if (ret == 0 && left && (flags & CLONE_NEWPID)) /* clone(2): no thread from then on */
        why = RETIRED_ALONE;
    if (why && atomic_load(&wanted))
        say_retired(why);
    if (why)
        watch_retire(why);
    watch_return(left);
}

void watch_clones(unsigned long flags)
{
    const bool mixed = !(flags & CLONE_THREAD) != !(flags & CLONE_FILES);
    /* A child with our memory would be pid 1 there, as we are here: owner_here could not tell. */
    const bool first = (flags & CLONE_VM) && (flags & CLONE_NEWPID) && raw0(SYS_getpid) == 1;
    if (mixed || first)
        watch_retire(RETIRED_TABLES);
}

void watch_adopt(void)
{
    atomic_store(&presence, ABSENT);
    atomic_store(&away, 0);
    atomic_store(&wanted, false);
    atomic_store(&retiring, 0);
    atomic_store(&dozing, false);
    atomic_store(&asked, false);
    atomic_store(&finishing, 0);
    atomic_store(&finished, 0);
    thread_adopt();
}
