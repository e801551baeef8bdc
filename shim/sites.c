#include "sites.h"

#include <stdatomic.h>

#include "clock.h"
#include "hindsight.h"
#include "trend.h"

enum { PENDING = 64, KINDS = 3, ALL = 2 * DEPOT_SITES + 1 };

struct tally {
    uint32_t count;
    uint32_t told; /* the count when a line was written last */
};

static struct site {
    struct tally tallies[KINDS]; /* leaks, reaps, late closes */
    uint32_t released;           /* of its leaks, by a reap or a close that nobody saw */
    uint32_t asked;              /* when it was told on request last, counted by asking */
    uint64_t first_ms;           /* when the first leaked */
    struct trend_past past;
} sites[ALL];
static uint32_t asking;
static uint32_t grace_ms;

void sites_init(uint32_t option_grace_ms)
{
    grace_ms = option_grace_ms;
}

/* Closed by the program after all, as leaks and as tombstones: counted by whoever closes. */
static struct {
    _Atomic uint32_t leaks;
    _Atomic uint32_t tombstones;
    _Atomic uint32_t slowest_ms; /* the longest that one took, from the FIN on */
    _Atomic uint32_t in_time;    /* leaks that were closed within grace, and are not late */
} late[ALL];

static uint32_t late_leaks(site_t site)
{
    return atomic_load_explicit(&late[site].leaks, memory_order_relaxed);
}

static uint32_t late_closes(site_t site)
{
    return late_leaks(site) + atomic_load_explicit(&late[site].tombstones, memory_order_relaxed);
}

/* Relaxed, as all of late is: a maximum is right in any order. */
static void note_slowest(_Atomic uint32_t *slowest_ms, uint32_t gone_ms)
{
    uint32_t before = atomic_load_explicit(slowest_ms, memory_order_relaxed);
    while (before < gone_ms &&
           !atomic_compare_exchange_weak_explicit(slowest_ms, &before, gone_ms,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void sites_late(site_t site, bool reaped, uint32_t gone_ms)
{
    note_slowest(&late[site].slowest_ms, gone_ms);
    atomic_fetch_add_explicit(reaped ? &late[site].tombstones : &late[site].leaks, 1,
                              memory_order_relaxed);
}

void sites_closed(site_t site)
{
    atomic_fetch_add_explicit(&late[site].in_time, 1, memory_order_relaxed);
}

/* A rescue buries before grace is over: what is closed then says nothing of grace. */
static uint32_t right_grace_ms(site_t site)
{
    const uint32_t right_ms =
        hindsight_grace_ms(sites[site].tallies[0].count, late_closes(site),
                           atomic_load_explicit(&late[site].slowest_ms, memory_order_relaxed));
    return right_ms > grace_ms ? right_ms : 0;
}

static uint32_t held(site_t site)
{
    const uint32_t gone = sites[site].released + late_leaks(site) +
                          atomic_load_explicit(&late[site].in_time, memory_order_relaxed);
    const uint32_t leaked = sites[site].tallies[0].count;
    return leaked > gone ? leaked - gone : 0;
}

/* Milliseconds since its first leak. */
static uint64_t age_of(const struct site *site)
{
    const uint64_t now = clock_ms();
    return now > site->first_ms ? now - site->first_ms : 0;
}

static enum trend trend_now(site_t which)
{
    return trend_of(&sites[which].past, held(which), age_of(&sites[which]));
}

/* Those of which there is anything to tell; the others have never been touched. */
static site_t used[ALL];
static int used_count;

static struct leak pending[PENDING];
static int pending_count;
static uint32_t dropped; /* that found no place there */
static bool finishing;

/*
 * Lines that may still be written, in thousandths: this many at most, and as many come in a second.
 * So no second has more than twice as many.
 */
static const uint64_t lines = 48;
static uint64_t allowance = 48000;
static uint64_t refilled_ms;

static bool take_line(void)
{
    const uint64_t now = clock_ms();
    allowance += (now - refilled_ms) * lines;
    if (allowance > lines * 1000)
        allowance = lines * 1000;
    refilled_ms = now;
    if (allowance < 1000)
        return false;
    allowance -= 1000;
    return true;
}

static struct tally *tally_of(const struct record *record)
{
    struct site *site = &sites[record->leak.opened_at];
    switch (record->type) {
    case RECORD_LEAK:
    case RECORD_RESCUE:
    case RECORD_BIND_CONFLICT:
        return &site->tallies[0];
    case RECORD_REAP:
        return &site->tallies[1];
    case RECORD_LATE_CLOSE:
        return &site->tallies[2];
    case RECORD_ACCEPT_QUEUE:
    case RECORD_SUMMARY:
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        break;
    }
    return NULL;
}

static void note_leaks(site_t which, uint32_t fresh)
{
    struct site *site = &sites[which];
    if (fresh == 0)
        return;
    if (site->tallies[0].count == 0) {
        site->first_ms = clock_ms();
        used[used_count++] = which;
    }
    site->tallies[0].count += fresh;
    trend_note(&site->past, held(which), age_of(site));
}

static void note(const struct record *record)
{
    const site_t which = record->leak.opened_at;
    note_leaks(which, (uint32_t)record->fresh);
    if (record->type == RECORD_REAP)
        sites[which].tallies[1].count++;
    if (record->type == RECORD_LATE_CLOSE)
        sites[which].tallies[2].count = late_closes(which);
    else
        sites[which].released += (uint32_t)record->released;
}

static void describe(struct told *told)
{
    const struct record *record = told->record;
    const site_t which = record->leak.opened_at;
    const struct site *site = &sites[which];
    const struct tally *tally = tally_of(record);
    told->site = depot_hash(which);
    /* Of a site that has only what a pattern suppresses nothing was counted. */
    const uint64_t age_ms = site->tallies[0].count ? age_of(site) : 0;
    told->site_age_ms = age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX;
    told->count = tally ? tally->count : 0;
    told->since = tally ? tally->told : 0;
    if (record->type == RECORD_LEAK)
        told->trend = trend_now(which);
    if (record->type == RECORD_LATE_CLOSE) {
        told->leaks = site->tallies[0].count;
        told->grace_ms = right_grace_ms(which);
    }
}

/* The latest of each site is kept; when there are more sites than places, its number is all. */
static void postpone(const struct leak *leak)
{
    for (int i = 0; i < pending_count; i++) {
        if (pending[i].opened_at != leak->opened_at)
            continue;
        pending[i] = *leak;
        return;
    }
    if (pending_count < PENDING)
        pending[pending_count++] = *leak;
    else
        dropped++;
}

/* A line says all there is to say of its site. */
static void settle(const struct record *record)
{
    struct tally *tally = tally_of(record);
    if (tally)
        tally->told = tally->count;
    for (int i = 0; tally == &sites[record->leak.opened_at].tallies[0] && i < pending_count; i++)
        if (pending[i].opened_at == record->leak.opened_at)
            pending[i--] = pending[--pending_count];
}

bool sites_count(struct told *told, enum format format)
{
    const struct record *record = told->record;
    const bool of_site = record->type == RECORD_LEAK || record->type == RECORD_REAP ||
                         record->type == RECORD_LATE_CLOSE;
    note(record);
    describe(told);
    if (of_site && format == FORMAT_TEXT && !told_is_news(told))
        return false;
    if (!take_line()) {
        if (record->type == RECORD_LEAK)
            postpone(&record->leak);
        return false;
    }
    settle(record);
    return true;
}

bool sites_pending(struct record *record, struct told *told)
{
    if (pending_count == 0 || !(take_line() || finishing))
        return false;
    *record = (struct record){.type = RECORD_LEAK, .leak = pending[--pending_count], .leaks = 1};
    told->record = record;
    describe(told);
    settle(record);
    return true;
}

bool sites_owe(void)
{
    return pending_count > 0;
}

void sites_finish(void)
{
    finishing = true;
}

void sites_released(site_t site)
{
    sites[site].released++;
}

void sites_ask(void)
{
    asking++;
}

bool sites_asked(struct told *told)
{
    struct site *site = &sites[told->record->leak.opened_at];
    if (site->asked == asking || !take_line())
        return false;
    site->asked = asking;
    describe(told);
    told->since = 0;
    told->held = held(told->record->leak.opened_at);
    told->grace_ms = right_grace_ms(told->record->leak.opened_at);
    return true;
}

void sites_sum(struct totals *totals)
{
    totals->sites = (uint32_t)used_count;
    totals->lost += dropped;
    for (int i = 0; i < used_count; i++) {
        const enum trend trend = trend_now(used[i]);
        const uint32_t right_ms = right_grace_ms(used[i]);
        totals->growing += trend == TREND_GROWING;
        totals->flat += trend == TREND_FLAT;
        if (right_ms > totals->grace_ms)
            totals->grace_ms = right_ms;
        totals->held += held(used[i]);
        totals->late += late_closes(used[i]);
    }
}

void sites_adopt(void)
{
    for (int i = 0; i < used_count; i++) {
        sites[used[i]] = (struct site){0};
        atomic_store(&late[used[i]].leaks, 0);
        atomic_store(&late[used[i]].tombstones, 0);
        atomic_store(&late[used[i]].slowest_ms, 0);
        atomic_store(&late[used[i]].in_time, 0);
    }
    used_count = 0;
    pending_count = 0;
    dropped = 0;
    finishing = false;
}
