#define _GNU_SOURCE
#include "tally.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

struct process {
    int file;
    struct named *named;
    struct process *next;  /* of the same pid and name, in another file */
    struct process *newer; /* of all */
    struct process *older;
    struct tally *tallies; /* of all its sites */
    uint64_t over;         /* what was not told after this line is of a process before it */
};

struct named {
    int pid;
    char *comm;
    struct process *processes;
};

struct tally {
    const struct process *process;
    struct sums *sums;
    struct tally *next; /* of the same process */
    uint64_t line;      /* its last */
    uint32_t leaks;     /* these three as the lines count them */
    uint32_t reaps;
    uint32_t late;
    uint32_t failed;       /* of the reaps */
    uint32_t late_reaped;  /* of the late closes: of what was reaped before */
    uint64_t rescued;      /* reaped too, and not among the reaps */
    int64_t held_since_ms; /* the first FIN */
    int64_t first_ms;      /* when its first line was told, as far as there are lines */
    int64_t last_ms;       /* when it was last known to hold what it holds */
    struct trend_past past;
};

struct sums sums_of_none(void)
{
    return (struct sums){.held_since_ms = INT64_MAX};
}

static int compare_names(const void *a, const void *b)
{
    const struct named *left = a;
    const struct named *right = b;
    const int pids = (left->pid > right->pid) - (left->pid < right->pid);
    return pids ? pids : strcmp(left->comm, right->comm);
}

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *left = a;
    const struct tally *right = b;
    const int processes = (left->process > right->process) - (left->process < right->process);
    return processes ? processes : (left->sums > right->sums) - (left->sums < right->sums);
}

static size_t bytes_of_named(const char *comm)
{
    return sizeof(struct named) + strlen(comm) + 2 * (size_t)QUOTA_OF_BLOCK + QUOTA_OF_NODE;
}

enum {
    BYTES_OF_PROCESS = sizeof(struct process) + QUOTA_OF_BLOCK,
    BYTES_OF_TALLY = sizeof(struct tally) + QUOTA_OF_BLOCK + QUOTA_OF_NODE,
};

static uint64_t reaped_of(const struct tally *tally)
{
    return tally->reaps - tally->failed + tally->rescued;
}

/* Those that the program closed and nobody had reaped. */
static uint64_t closed_of(const struct tally *tally)
{
    return tally->late - tally->late_reaped;
}

static uint64_t leaks_of(const struct tally *tally)
{
    const uint64_t over = reaped_of(tally) + closed_of(tally);
    return tally->leaks > over ? tally->leaks : over;
}

static uint64_t held_of(const struct tally *tally)
{
    return leaks_of(tally) - reaped_of(tally) - closed_of(tally);
}

static uint64_t age_of(const struct tally *tally)
{
    return tally->last_ms > tally->first_ms ? (uint64_t)(tally->last_ms - tally->first_ms) : 0;
}

static bool is_over(const struct tally *tally)
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

static void sum_up(const struct tally *tally)
{
    struct sums *sums = tally->sums;
    const uint64_t held = held_of(tally);
    if (is_over(tally))
        note_held(tally, tally->last_ms, -(int64_t)held);
    sums->leaks += leaks_of(tally);
    sums->reaped += reaped_of(tally);
    sums->late += tally->late;
    if (is_over(tally))
        sums->held_at_end += held;
    else
        sums->held += held;
    worsen(is_over(tally) ? &sums->trend_at_end : &sums->trend,
           trend_of(&tally->past, (uint32_t)held, age_of(tally)));
    if (!is_over(tally) && held > 0 && tally->held_since_ms < sums->held_since_ms)
        sums->held_since_ms = tally->held_since_ms;
}

static void empty(struct tally *tally)
{
    tally->leaks = tally->reaps = tally->late = tally->failed = tally->late_reaped = 0;
    tally->rescued = 0;
    tally->held_since_ms = tally->first_ms = INT64_MAX;
    tally->past = (struct trend_past){0};
}

static struct tally *tally_of(const struct tallies *tallies, const struct process *process,
                              struct sums *sums)
{
    const struct tally key = {.process = process, .sums = sums};
    const void *found = tfind(&key, &tallies->by_site, compare_tallies);
    return found ? *(struct tally *const *)found : NULL;
}

static void link_tally(struct tallies *tallies, struct tally *tally, struct process *process)
{
    tally->process = process;
    tally->next = process->tallies;
    process->tallies = tally;
    must(tsearch(tally, &tallies->by_site, compare_tallies));
}

static void end_process(struct tallies *tallies, struct process *process)
{
    while (process->tallies) {
        struct tally *tally = process->tallies;
        process->tallies = tally->next;
        tdelete(tally, &tallies->by_site, compare_tallies);
        sum_up(tally);
        free(tally);
        quota_give(tallies->quota, QUOTA_PROCESSES, BYTES_OF_TALLY);
    }
}

static void unlink_age(struct tallies *tallies, struct process *process)
{
    *(process->newer ? &process->newer->older : &tallies->newest) = process->older;
    *(process->older ? &process->older->newer : &tallies->oldest) = process->newer;
}

static void link_newest(struct tallies *tallies, struct process *process)
{
    process->newer = NULL;
    process->older = tallies->newest;
    *(tallies->newest ? &tallies->newest->newer : &tallies->oldest) = process;
    tallies->newest = process;
}

static void forget(struct tallies *tallies, struct process *process)
{
    struct process **at = &process->named->processes;
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    unlink_age(tallies, process);
    quota_give(tallies->quota, QUOTA_PROCESSES, BYTES_OF_PROCESS);
    free(process);
}

static void forget_named(struct tallies *tallies, struct named *named)
{
    tdelete(named, &tallies->names, compare_names);
    quota_give(tallies->quota, QUOTA_PROCESSES, bytes_of_named(named->comm));
    free(named->comm);
    free(named);
}

/*
 * Whoever was quiet for longest is counted as it is now: should there be a line of it again, it is
 * taken for another process. Not those that have a line at this moment, of which any can be NULL.
 */
static void make_room(struct tallies *tallies, const struct process *process,
                      const struct named *named, size_t bytes)
{
    struct process *oldest = tallies->oldest;
    while (!quota_take(tallies->quota, QUOTA_PROCESSES, bytes)) {
        if (!oldest || oldest == process) {
            quota_force(tallies->quota, QUOTA_PROCESSES, bytes);
            return;
        }
        struct process *const newer = oldest->newer;
        struct named *const its = oldest->named;
        end_process(tallies, oldest);
        forget(tallies, oldest);
        if (its != named && !its->processes)
            forget_named(tallies, its);
        tallies->evicted++;
        oldest = newer;
    }
}

static struct named *named_of(struct tallies *tallies, const struct log_entry *entry)
{
    const struct named key = {.pid = entry->pid, .comm = (char *)entry->comm};
    const void *found = tfind(&key, &tallies->names, compare_names);
    if (found)
        return *(struct named *const *)found;
    make_room(tallies, NULL, NULL, bytes_of_named(entry->comm));
    struct named *named = must(calloc(1, sizeof(*named)));
    named->pid = entry->pid;
    named->comm = must(strdup(entry->comm));
    must(tsearch(named, &tallies->names, compare_names));
    return named;
}

static struct process *make_process(struct tallies *tallies, struct named *named, int file)
{
    make_room(tallies, NULL, named, BYTES_OF_PROCESS);
    struct process *process = must(calloc(1, sizeof(*process)));
    process->file = file;
    process->named = named;
    tallies->processes++;
    return process;
}

/* The file's own comes first: with many files that have the same pid, it is asked for again. */
static struct process *process_in(struct tallies *tallies, struct named *named, int file)
{
    struct process **at = &named->processes;
    while (*at && (*at)->file != file)
        at = &(*at)->next;
    struct process *process = *at;
    if (process) {
        *at = process->next;
        unlink_age(tallies, process);
    } else {
        process = make_process(tallies, named, file);
    }
    process->next = named->processes;
    named->processes = process;
    link_newest(tallies, process);
    return process;
}

/* The process was the other one in the other's file. What both have is of two processes. */
static void join(struct tallies *tallies, struct process *process, struct process *other)
{
    struct tally **at = &other->tallies;
    while (*at) {
        struct tally *tally = *at;
        if (is_over(tally) || tally_of(tallies, process, tally->sums)) {
            at = &tally->next;
            continue;
        }
        *at = tally->next;
        tdelete(tally, &tallies->by_site, compare_tallies);
        tally->line = tallies->line;
        link_tally(tallies, tally, process);
    }
    other->over = tallies->line;
    end_process(tallies, other);
    forget(tallies, other);
    tallies->processes--;
}

/* A line that goes on with what no line of this file began: with the other that told that last. */
static struct tally *go_on(struct tallies *tallies, struct process *process,
                           const struct log_entry *entry, struct sums *sums)
{
    for (struct process *other = process->next; other && entry->since > 0; other = other->next) {
        struct tally *tally = tally_of(tallies, other, sums);
        if (!tally || is_over(tally) || *count_of(tally, entry->type) != entry->since)
            continue;
        join(tallies, process, other);
        return tally_of(tallies, process, sums);
    }
    return NULL;
}

static struct tally *make_tally(struct tallies *tallies, struct process *process, struct sums *sums)
{
    make_room(tallies, process, process->named, BYTES_OF_TALLY);
    struct tally *tally = must(calloc(1, sizeof(*tally)));
    tally->sums = sums;
    empty(tally);
    link_tally(tallies, tally, process);
    return tally;
}

static bool begins_anew(struct tally *tally, const struct log_entry *entry)
{
    const uint32_t before = *count_of(tally, entry->type);
    if (entry->since < 0 && is_over(tally))
        return true;
    return (entry->since == 0 && before > 0) || (entry->count > 0 && entry->count < before);
}

/* Its pid is another process's by now; the other sites of this one have yet to show that. */
static void begin_anew(struct tallies *tallies, struct process *process, struct tally *tally)
{
    if (!is_over(tally)) {
        process->over = tallies->line - 1;
        tallies->processes++;
    }
    sum_up(tally);
    empty(tally);
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
    trend_note(&tally->past, (uint32_t)held_of(tally), age_of(tally));
}

struct told_by tallies_add(struct tallies *tallies, const struct log_entry *entry, int file,
                           struct sums *sums)
{
    struct told_by told = {0};
    struct named *named = named_of(tallies, entry);
    struct process *process = process_in(tallies, named, file);
    struct tally *tally = tally_of(tallies, process, sums);
    tallies->line++;
    if (!tally)
        tally = go_on(tallies, process, entry, sums);
    if (!tally) {
        tally = make_tally(tallies, process, sums);
        told.new_process = true;
    } else if (begins_anew(tally, entry)) {
        begin_anew(tallies, process, tally);
        told.new_process = true;
    }
    const uint64_t before = leaks_of(tally);
    const uint64_t held = held_of(tally);
    const uint64_t reaps = tally->reaps + tally->rescued;
    tally->line = tallies->line;
    count_line(tally, entry);
    count_age(tally, entry);
    note_held(tally, entry->time_ms, (int64_t)(held_of(tally) - held));
    told.new_leak = leaks_of(tally) > before;
    told.reaps = tally->reaps + tally->rescued - reaps;
    return told;
}

static uint64_t known_of(const struct process *process)
{
    uint64_t known = 0;
    for (const struct tally *tally = process->tallies; tally; tally = tally->next)
        if (!is_over(tally))
            known += leaks_of(tally);
    return known;
}

/* The summary counts more than this file has lines of: exactly what another file has. */
static void join_by_summary(struct tallies *tallies, struct process *process, uint64_t missing)
{
    for (struct process *other = process->next; other && missing > 0; other = other->next) {
        if (known_of(other) != missing)
            continue;
        join(tallies, process, other);
        return;
    }
}

static void hold_until(const struct process *process, int64_t time_ms)
{
    for (struct tally *tally = process->tallies; tally; tally = tally->next)
        if (!is_over(tally))
            tally->last_ms = time_ms;
}

void tallies_end(struct tallies *tallies, const struct log_entry *entry, int file)
{
    struct named *named = named_of(tallies, entry);
    struct process *process = process_in(tallies, named, file);
    const uint64_t known = known_of(process);
    tallies->line++;
    if (entry->leaked > known)
        join_by_summary(tallies, process, entry->leaked - known);
    if (entry->leaked > known_of(process))
        tallies->untold += entry->leaked - known_of(process);
    hold_until(process, entry->time_ms);
    process->over = tallies->line;
    end_process(tallies, process);
    forget(tallies, process);
    if (!named->processes)
        forget_named(tallies, named);
}

static void free_named(void *node)
{
    struct named *named = node;
    while (named->processes) {
        struct process *process = named->processes;
        named->processes = process->next;
        free(process);
    }
    free(named->comm);
    free(named);
}

static void free_tally(void *node)
{
    sum_up(node);
    free(node);
}

static void hold_until_now(const void *node, VISIT visit, void *now_ms)
{
    const struct named *named = *(const struct named *const *)node;
    if (visit == preorder || visit == endorder)
        return;
    for (const struct process *process = named->processes; process; process = process->next)
        hold_until(process, *(const int64_t *)now_ms);
}

void tallies_finish(struct tallies *tallies, int64_t now_ms)
{
    twalk_r(tallies->names, hold_until_now, &now_ms);
    tdestroy(tallies->by_site, free_tally);
    tdestroy(tallies->names, free_named);
    tallies->by_site = NULL;
    tallies->names = NULL;
    tallies->newest = tallies->oldest = NULL;
}
