#include "sites.h"

#include "clock.h"

enum { LINES = 90, PENDING = 64, KINDS = 3, ALL = 2 * DEPOT_SITES + 1 };

struct tally {
    uint32_t count;
    uint32_t told; /* the count when a line was written last */
};

static struct site {
    struct tally tallies[KINDS]; /* leaks, reaps, late closes */
    uint32_t held;
    uint32_t most;     /* that it ever held */
    uint32_t first_cs; /* when the first leaked */
    uint32_t risen_cs; /* when most rose last */
    uint32_t asked;    /* when it was told on request last, counted by asking */
} sites[ALL];
static uint32_t asking;

/* Those of which there is anything to tell; the others have never been touched. */
static site_t used[ALL];
static int used_count;

static struct leak pending[PENDING];
static int pending_count;
static bool finishing;

/* Lines that may still be written, in thousandths: LINES of them come in a second. */
static uint64_t allowance = LINES * 1000;
static uint64_t refilled_ms;

static bool take_line(void)
{
    const uint64_t now = clock_ms();
    allowance += (now - refilled_ms) * LINES;
    if (allowance > LINES * 1000)
        allowance = LINES * 1000;
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
    case RECORD_SUMMARY:
        break;
    }
    return NULL;
}

static void note_leaks(struct site *site, uint32_t fresh)
{
    const uint32_t now_cs = clock_cs(clock_ms());
    if (fresh == 0)
        return;
    if (site->tallies[0].count == 0) {
        site->first_cs = now_cs;
        used[used_count++] = (site_t)(site - sites);
    }
    site->tallies[0].count += fresh;
    site->held += fresh;
    if (site->held > site->most) {
        site->most = site->held;
        site->risen_cs = now_cs;
    }
}

static void release(struct site *site, int count)
{
    site->held -= (uint32_t)count < site->held ? (uint32_t)count : site->held;
}

static void note(const struct record *record)
{
    struct site *site = &sites[record->leak.opened_at];
    note_leaks(site, (uint32_t)record->fresh);
    if (record->type == RECORD_REAP)
        site->tallies[1].count++;
    if (record->type == RECORD_LATE_CLOSE)
        site->tallies[2].count++;
    if (record->type == RECORD_LATE_CLOSE && record->reaped)
        return; /* it was released when it was reaped */
    release(site, record->type == RECORD_LATE_CLOSE ? 1 : record->reaped);
}

static void describe(struct told *told)
{
    const struct record *record = told->record;
    const struct tally *tally = tally_of(record);
    told->site = depot_hash(record->leak.opened_at);
    told->site_age_ms = clock_age_ms(sites[record->leak.opened_at].first_cs, clock_ms());
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
}

static void settle(const struct record *record)
{
    struct tally *tally = tally_of(record);
    if (tally)
        tally->told = tally->count;
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
    release(&sites[site], 1);
}

void sites_ask(void)
{
    asking++;
}

bool sites_asked(struct told *told)
{
    struct site *site = &sites[told->record->leak.opened_at];
    if (site->asked == asking)
        return false;
    site->asked = asking;
    describe(told);
    told->since = 0;
    told->held = site->held > 0 ? site->held : 1;
    return true;
}

/*
 * A site grows while what it holds is the most that it ever held, and was not held all at once: a
 * pool is full when it is first seen.
 */
static bool is_growing(const struct site *site)
{
    enum { AT_ONCE_CS = 100 };
    return site->held > 1 && site->held == site->most &&
           site->risen_cs - site->first_cs > AT_ONCE_CS;
}

void sites_sum(struct totals *totals)
{
    totals->sites = (uint32_t)used_count;
    for (int i = 0; i < used_count; i++) {
        totals->growing += is_growing(&sites[used[i]]);
        totals->held += sites[used[i]].held;
    }
}

void sites_adopt(void)
{
    for (int i = 0; i < used_count; i++)
        sites[used[i]] = (struct site){0};
    used_count = 0;
    pending_count = 0;
    finishing = false;
}
