#define _GNU_SOURCE
#include "tally.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "tally_count.h"

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
        tally_sum_up(tally);
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
        if (tally_is_over(tally) || tally_of(tallies, process, tally->sums)) {
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
        if (!tally || tally_is_over(tally) || !tally_goes_on(tally, entry))
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
    tally_empty(tally);
    link_tally(tallies, tally, process);
    return tally;
}

/* Its pid is another process's by now; the other sites of this one have yet to show that. */
static void begin_anew(struct tallies *tallies, struct process *process, struct tally *tally)
{
    if (!tally_is_over(tally)) {
        process->over = tallies->line - 1;
        tallies->processes++;
    }
    tally_sum_up(tally);
    tally_empty(tally);
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
    } else if (tally_begins_anew(tally, entry)) {
        begin_anew(tallies, process, tally);
        told.new_process = true;
    }
    const uint64_t before = tally_leaks(tally);
    const uint64_t reaps = tally->reaps + tally->rescued;
    tally->line = tallies->line;
    tally_count(tally, entry);
    told.new_leak = tally_leaks(tally) > before;
    told.reaps = tally->reaps + tally->rescued - reaps;
    return told;
}

static uint64_t known_of(const struct process *process)
{
    uint64_t known = 0;
    for (const struct tally *tally = process->tallies; tally; tally = tally->next)
        if (!tally_is_over(tally))
            known += tally_leaks(tally);
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
        if (!tally_is_over(tally))
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
    tally_sum_up(node);
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
