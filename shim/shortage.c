#define _GNU_SOURCE
#include "shortage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>

#include "clock.h"
#include "look.h"
#include "owner.h"
#include "probe.h"
#include "proc.h"
#include "raw.h"
#include "reap.h"
#include "record.h"
#include "signals.h"
#include "stack.h"
#include "thread.h"
#include "tombs.h"
#include "usdt.h"
#include "watch.h"

enum { CHECK_MS = 1000, NEWS_CS = 60 * 100 };

static const struct options *_Atomic rules;

void shortage_start(const struct options *options)
{
    atomic_store_explicit(&rules, options, memory_order_release);
}

/* Since when there is no news of something of which there were so many then. */
struct news {
    _Atomic uint32_t told_cs; /* 0: never */
    _Atomic uint32_t told;
};
static struct news met;
static struct news given_back;

/* Two threads may both take it for news; then it is told twice. */
static bool is_news(struct news *news, uint32_t count)
{
    const uint32_t now_cs = clock_cs(clock_ms()) | 1;
    const uint32_t told_cs = atomic_load_explicit(&news->told_cs, memory_order_relaxed);
    const uint32_t told = atomic_load_explicit(&news->told, memory_order_relaxed);
    const bool doubled = told > 0 ? count >= 2 * told : count > 0;
    if (told_cs != 0 && !doubled && now_cs - told_cs < NEWS_CS)
        return false;
    atomic_store_explicit(&news->told_cs, now_cs, memory_order_relaxed);
    atomic_store_explicit(&news->told, count, memory_order_relaxed);
    return true;
}

/* How many descriptors the program may have; 0 when the kernel does not say. */
static int descriptor_limit(void)
{
    struct rlimit64 limit = {0};
    if (raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) != 0)
        return 0;
    return limit.rlim_cur < INT32_MAX ? (int)limit.rlim_cur : INT32_MAX;
}

/* The size of a folder of descriptors is their number (proc_fd_getattr), since Linux 6.2; 0 before.
 */
static int open_in(const char *folder)
{
    struct statx stat = {0};
    return raw5(SYS_statx, AT_FDCWD, (long)folder, 0, STATX_SIZE, (long)&stat) == 0
               ? (int)stat.stx_size
               : 0;
}

/* An errand, for older kernels: the folder that is read is none of the program's descriptors. */
static void run_count(void *with)
{
    _Alignas(struct dirent64) char entries[1024] = {0};
    char folder[PROC_PATH_SIZE];
    int *count = with;
    proc_own_folder(folder);
    const long fd = raw4(SYS_openat, AT_FDCWD, (long)folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    for (long len; (len = raw3(SYS_getdents64, fd, (long)entries, sizeof(entries))) > 0;)
        for (long at = 0; at < len; at += ((const struct dirent64 *)(entries + at))->d_reclen)
            ++*count;
    raw1(SYS_close, fd);
    *count -= 2; /* "." and ".." */
}

static int open_in_program(void)
{
    char folder[PROC_PATH_SIZE];
    proc_own_folder(folder);
    int count = open_in(folder);
    if (count == 0)
        thread_apart(run_count, &count);
    return count;
}

/* Whether numbers could be had by it. A program that wants no more of them lowers its limit. */
static bool is_of_use(const struct limits *limits)
{
    return limits->open - limits->tombstones < limits->limit;
}

/* How many are missing to a tenth that is free; 0 when nothing is, or could be had. */
static int missing(const struct limits *limits)
{
    const int left = limits->limit - limits->open;
    return is_of_use(limits) && left < limits->limit / 10 ? limits->limit / 10 - left : 0;
}

/*
 * Closes a leaked socket where there is no descriptor left to make a tombstone of. What a pattern
 * spares only the watcher can tell.
 */
static bool give_up(int fd, struct slot *slot, const struct options *options, struct look *look)
{
    if (!look_at(fd, slot, options, look)) {
        slot_release(slot, SLOT_FREE, 0);
        return false;
    }
    const bool may_go = look->ruling.reap == REAP_AS_ENDED;
    if (may_go)
        probe_end(fd, slot);
    const bool gone = may_go && reap_drop(fd, look->leak.cookie) == 0;
    slot_release(slot, gone ? SLOT_FREE : SLOT_LIVE, 0);
    return gone;
}

/* One below end of those that were told before: the call that failed needs no more. */
static int give_up_one(const struct options *options, int end, struct fds *fds)
{
    struct look look;
    bool given = false;
    for (int fd = slots_next(0); fd >= 0 && fd < end && !given; fd = slots_next(fd + 1)) {
        struct slot *slot = slot_of(fd);
        if ((slot_word(slot) & (SLOT_TOLD | SLOT_QUIET)) != SLOT_TOLD)
            continue;
        const uint64_t mask = signals_block();
        given = slot_claim(slot) && give_up(fd, slot, options, &look);
        signals_restore(mask);
        if (given)
            fds_add(fds, fd);
    }
    if (!given)
        return 0;
    usdt_reap(&look.leak, WHY_DESCRIPTORS, 0);
    record_post(&(struct record){.type = RECORD_REAP,
                                 .why = WHY_DESCRIPTORS,
                                 .leak = look.leak,
                                 .reaped = 1,
                                 .released = 1});
    return 1;
}

static struct limits limits_now(int open)
{
    const struct census census = tombs_count();
    return (struct limits){.open = open,
                           .limit = descriptor_limit(),
                           .leaked = census.leaked,
                           .tombstones = census.tombstones};
}

/* What the system lacks (ENFILE) any number is of use for. */
static int relieve(const struct options *options, int error, const struct limits *limits,
                   struct fds *fds)
{
    const bool in_system = error == ENFILE;
    const int wanted = missing(limits);
    int given = 0;
    if (options->action == ACTION_LOG)
        return 0;
    if (in_system || is_of_use(limits))
        given = tombs_give_back(wanted > 0 ? wanted : 1, fds);
    return given > 0 || options->suppress[0]
               ? given
               : give_up_one(options, in_system ? INT32_MAX : limits->limit, fds);
}

bool shortage_relieve(enum limited call, int before, const struct caller *caller)
{
    const int error = errno;
    const struct options *options = atomic_load_explicit(&rules, memory_order_acquire);
    if ((error != EMFILE && error != ENFILE) || !options || !owner_here())
        return false;
    struct record record = {.type = RECORD_DESCRIPTORS,
                            .error = error,
                            .limits = limits_now(open_in("/proc/thread-self/fd"))};
    record.limits.call = call;
    if (record.limits.leaked + record.limits.tombstones == 0) {
        errno = error; /* nothing of ours */
        return false;
    }
    if (record.limits.open == 0 && error == EMFILE)
        record.limits.open = record.limits.limit;
    record.limits.given = relieve(options, error, &record.limits, &record.fds);
    if (record.limits.given > 0) {
        record.type = RECORD_GIVEN_BACK;
        usdt_rescue_descriptors(record.limits.given);
    }
    if (is_news(&met, (uint32_t)(record.limits.leaked + record.limits.tombstones))) {
        record.asked_at = stack_site(caller);
        record_post(&record);
        watch_ring();
    }
    errno = record.limits.given > 0 ? before : error;
    return record.limits.given > 0;
}

static void give_back_missing(void)
{
    static uint32_t total;
    struct record record = {.type = RECORD_GIVEN_BACK, .limits = limits_now(open_in_program())};
    const int wanted = missing(&record.limits);
    if (wanted == 0 || record.limits.open == 0)
        return;
    record.limits.given = tombs_give_back(wanted, &record.fds);
    total += (uint32_t)record.limits.given;
    if (record.limits.given > 0)
        usdt_rescue_descriptors(record.limits.given);
    if (record.limits.given > 0 && is_news(&given_back, total))
        record_post(&record);
}

static uint64_t checked_ms; /* the watcher's */

uint32_t shortage_due_ms(void)
{
    const uint64_t age_ms = clock_ms() - checked_ms;
    if (!tombs_may_be())
        return 0;
    return age_ms < CHECK_MS ? CHECK_MS - (uint32_t)age_ms : 1;
}

void shortage_watch(void)
{
    if (!tombs_may_be() || clock_ms() - checked_ms < CHECK_MS)
        return;
    checked_ms = clock_ms();
    give_back_missing();
}

void shortage_adopt(void)
{
    atomic_store(&met.told_cs, 0);
    atomic_store(&met.told, 0);
    atomic_store(&given_back.told_cs, 0);
    atomic_store(&given_back.told, 0);
}
