#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "clock.h"
#include "owner.h"
#include "pace.h"
#include "probe.h"
#include "raw.h"
#include "reap.h"
#include "record.h"
#include "report.h"
#include "shortage.h"
#include "signals.h"
#include "sites.h"
#include "sweep.h"
#include "telling.h"
#include "thread.h"

enum {
    FINISH_MS = 1000,
    LEAVE_MS = 2000,
    LAST_STEPS_MS = 100,
    ANSWER_MS = 1000,
    LINGER_SWEEPS = 5
};

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
 * Set while the watcher sleeps for longer than SWEEP_MS, or there is none. It sets it, and looks at
 * the records and the tracked sockets once more before it sleeps; a hook publishes its own, and
 * then reads it. The fence between the watcher's two and the seq_cst of the hook's two give them
 * one order: either the watcher sees the slot or the hook sees that it dozes.
 */
_Atomic bool watch_dozing = true;

/* The exit's handshake: asked for, and done. */
static _Atomic uint32_t finishing;
static _Atomic uint32_t finished;

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

static void run_retirement(void *unused)
{
    (void)unused;
    report_retirement(atomic_load(&retiring));
}

static void finish(void)
{
    probe_end_all();
    telling_last();
    atomic_store_explicit(&finished, 1, memory_order_release);
    wake(&finished);
}

/* Sweeps in a row that found nothing to be looked at soon, since the bell rang. Of the watcher. */
static uint32_t calm = LINGER_SWEEPS;

/*
 * Returns how long to sleep, 0 for until the bell rings. Whoever connects and closes, again and
 * again, would have to wake a watcher that dozes at once each time.
 */
static uint32_t sweep_or_doze(void)
{
    const uint32_t rest_ms = pace_left_ms();
    if (rest_ms)
        return rest_ms < SWEEP_MS ? rest_ms : SWEEP_MS;
    uint32_t pause_ms = sweep(rules, is_leaving);
    const bool owes = sites_owe() || atomic_load(&asked) || reap_strays() > 0;
    if (owes && (pause_ms == 0 || pause_ms > SWEEP_MS))
        pause_ms = SWEEP_MS;
    if (pause_ms && pause_ms <= SWEEP_MS)
        return pause_ms;
    if (calm < LINGER_SWEEPS) {
        calm++;
        return SWEEP_MS;
    }
    atomic_store(&watch_dozing, true);
    atomic_thread_fence(memory_order_seq_cst);
    return record_waits() ? 1 : sweep(rules, is_leaving);
}

static void watch(void)
{
    uint64_t answered_ms = 0;
    uint32_t rung = 0;
    raw2(SYS_prctl, PR_SET_NAME, (long)"closewait");
    while (!is_leaving()) {
        const uint32_t heard = atomic_load(&bell);
        atomic_store(&watch_dozing, false);
        if (heard != rung)
            calm = 0;
        rung = heard;
        shortage_watch();
        telling_posted(rules, is_leaving);
        reap_tidy();
        if (clock_ms() - answered_ms >= ANSWER_MS && atomic_exchange(&asked, false)) {
            answered_ms = clock_ms();
            telling_held(rules, is_leaving);
        }
        if (atomic_load_explicit(&finishing, memory_order_acquire) &&
            !atomic_load_explicit(&finished, memory_order_relaxed))
            finish();
        const uint32_t pause_ms = sweep_or_doze();
        const uint32_t check_ms = shortage_due_ms();
        if (!is_leaving())
            sleep_on(&bell, heard,
                     check_ms && (!pause_ms || check_ms < pause_ms) ? check_ms : pause_ms);
    }
    if (atomic_load(&retiring)) {
        probe_end_all();
        thread_apart(run_retirement, NULL);
    }
    atomic_store(&watch_dozing, true);
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
        atomic_store(&watch_dozing, false);
        const bool started = thread_await_end(LAST_STEPS_MS) && thread_start(watch);
        if (!started)
            atomic_store(&watch_dozing, true);
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
    if (atomic_load(&presence) == ABSENT)
        start();
    else if (atomic_load(&watch_dozing))
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
    atomic_store(&watch_dozing, true);
    atomic_store(&asked, false);
    atomic_store(&finishing, 0);
    atomic_store(&finished, 0);
    thread_adopt();
}
