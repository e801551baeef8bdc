#include "sites.h"

#include <stdatomic.h>

#include "clock.h"

enum { PENDING = 64, KINDS = 3, ALL = 2 * DEPOT_SITES + 1 };

struct tally {
    uint32_t count;
    uint32_t told; /* the count when a line was written last */
};

static struct site {
    struct tally tallies[KINDS]; /* leaks, reaps, late closes */
    uint32_t released;           /* of its leaks, by a reap or a close that nobody saw */
    uint32_t most;               /* that it ever held */
    uint32_t first_cs;           /* when the first leaked */
    uint32_t risen_cs;           /* when most rose last */
    uint32_t asked;              /* when it was told on request last, counted by asking */
} sites[ALL];
static uint32_t asking;

/* Closed by the program after all, as leaks and as tombstones: counted by whoever closes. */
static struct {
    _Atomic uint32_t leaks;
    _Atomic uint32_t tombstones;
} late[ALL];

static uint32_t late_leaks(site_t site)
{
    return atomic_load_explicit(&late[site].leaks, memory_order_relaxed);
}

static uint32_t late_closes(site_t site)
{
    return late_leaks(site) + atomic_load_explicit(&late[site].tombstones, memory_order_relaxed);
}

void sites_late(site_t site, bool reaped)
{
    atomic_fetch_add_explicit(reaped ? &late[site].tombstones : &late[site].leaks, 1,
                              memory_order_relaxed);
}

static uint32_t held(site_t site)
{
    const uint32_t gone = sites[site].released + late_leaks(site);
    const uint32_t leaked = sites[site].tallies[0].count;
    return leaked > gone ? leaked - gone : 0;
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
    const uint32_t now_cs = clock_cs(clock_ms());
    if (fresh == 0)
        return;
    if (site->tallies[0].count == 0) {
        site->first_cs = now_cs;
        used[used_count++] = which;
    }
    site->tallies[0].count += fresh;
    if (held(which) > site->most) {
        site->most = held(which);
        site->risen_cs = now_cs;
    }
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
    const struct site *site = &sites[record->leak.opened_at];
    const struct tally *tally = tally_of(record);
    told->site = depot_hash(record->leak.opened_at);
    /* Of a site that has only what a pattern suppresses nothing was counted. */
    told->site_age_ms = site->tallies[0].count ? clock_age_ms(site->first_cs, clock_ms()) : 0;
    told->count = tally ? tally->count : 0;
    told->since = tally ? tally->told : 0;
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
    return true;
}

/*
 * A site grows while what it holds is the most that it ever held, and was not held all at once: a
 * pool is full when it is first seen.
 */
static bool is_growing(site_t which)
{
    enum { AT_ONCE_CS = 100 };
    const struct site *site = &sites[which];
    return held(which) > 1 && held(which) == site->most &&
           site->risen_cs - site->first_cs > AT_ONCE_CS;
}

void sites_sum(struct totals *totals)
{
    totals->sites = (uint32_t)used_count;
    totals->lost += dropped;
    for (int i = 0; i < used_count; i++) {
        totals->growing += is_growing(used[i]);
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
    }
    used_count = 0;
    pending_count = 0;
    dropped = 0;
    finishing = false;
}
