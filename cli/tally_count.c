#include "tally_count.h"

static uint64_t reaped_of(const struct tally *tally)
{
    return tally->reaps - tally->failed + tally->rescued;
}

/* Those that the program closed and nobody had reaped. */
static uint64_t closed_of(const struct tally *tally)
{
    return tally->late - tally->late_reaped;
}

uint64_t tally_leaks(const struct tally *tally)
{
    const uint64_t over = reaped_of(tally) + closed_of(tally);
    return tally->leaks > over ? tally->leaks : over;
}

uint64_t tally_held(const struct tally *tally)
{
    return tally_leaks(tally) - reaped_of(tally) - closed_of(tally);
}

static uint64_t age_of(const struct tally *tally)
{
    return tally->last_ms > tally->first_ms ? (uint64_t)(tally->last_ms - tally->first_ms) : 0;
}

bool tally_is_over(const struct tally *tally)
{
    return tally->line <= tally->process->over;
}

/* The count that lines of a type have in common; NULL when they have none. */
static uint32_t *count_of(struct tally *tally, enum record_type type)
{
    switch (type) {
    case RECORD_LEAK:
    case RECORD_RESCUE:
    case RECORD_BIND_CONFLICT:
        return &tally->leaks;
    case RECORD_REAP:
        return &tally->reaps;
    case RECORD_LATE_CLOSE:
        return &tally->late;
    case RECORD_ACCEPT_QUEUE:
    case RECORD_SUMMARY:
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        break;
    }
    return NULL;
}

static void worsen(enum trend *trend, enum trend other)
{
    if (other > *trend)
        *trend = other;
}

static void note_held(const struct tally *tally, int64_t time_ms, int64_t change)
{
    if (tally->sums->series)
        series_add(tally->sums->series, time_ms, change);
}

void tally_sum_up(const struct tally *tally)
{
    struct sums *sums = tally->sums;
    const uint64_t held = tally_held(tally);
    if (tally_is_over(tally))
        note_held(tally, tally->last_ms, -(int64_t)held);
    sums->leaks += tally_leaks(tally);
    sums->reaped += reaped_of(tally);
    sums->late += tally->late;
    if (tally_is_over(tally))
        sums->held_at_end += held;
    else
        sums->held += held;
    worsen(tally_is_over(tally) ? &sums->trend_at_end : &sums->trend,
           trend_of(&tally->past, (uint32_t)held, age_of(tally)));
    if (!tally_is_over(tally) && held > 0 && tally->held_since_ms < sums->held_since_ms)
        sums->held_since_ms = tally->held_since_ms;
}

void tally_empty(struct tally *tally)
{
    tally->leaks = tally->reaps = tally->late = tally->failed = tally->late_reaped = 0;
    tally->rescued = 0;
    tally->held_since_ms = tally->first_ms = INT64_MAX;
    tally->past = (struct trend_past){0};
}

bool tally_goes_on(struct tally *tally, const struct log_entry *entry)
{
    return *count_of(tally, entry->type) == entry->since;
}

bool tally_begins_anew(struct tally *tally, const struct log_entry *entry)
{
    const uint32_t before = *count_of(tally, entry->type);
    if (entry->since < 0 && tally_is_over(tally))
        return true;
    return (entry->since == 0 && before > 0) || (entry->count > 0 && entry->count < before);
}

/* What got no line of its own is taken to be as the line that tells of it. */
static void count_line(struct tally *tally, const struct log_entry *entry)
{
    uint32_t *count = count_of(tally, entry->type);
    const uint32_t before = *count;
    if (entry->count > before)
        *count = entry->count;
    if (entry->failed)
        tally->failed += *count - before;
    if (entry->of_reaped)
        tally->late_reaped += *count - before;
    if (*count == 0)
        *count = 1;
    tally->rescued += entry->reaped;
}

static void count_age(struct tally *tally, const struct log_entry *entry)
{
    const int64_t age_ms =
        entry->fin_age_ms > entry->site_age_ms ? entry->fin_age_ms : entry->site_age_ms;
    if (entry->time_ms - age_ms < tally->held_since_ms)
        tally->held_since_ms = entry->time_ms - age_ms;
    if (entry->time_ms < tally->first_ms)
        tally->first_ms = entry->time_ms;
    tally->last_ms = entry->time_ms;
    trend_note(&tally->past, (uint32_t)tally_held(tally), age_of(tally));
}

void tally_count(struct tally *tally, const struct log_entry *entry)
{
    const uint64_t held = tally_held(tally);
    count_line(tally, entry);
    count_age(tally, entry);
    note_held(tally, entry->time_ms, (int64_t)(tally_held(tally) - held));
}
