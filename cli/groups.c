#define _GNU_SOURCE
#include "groups.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "hindsight.h"
#include "must.h"
#include "names.h"

struct groups groups_begin(struct quota *quota)
{
    return (struct groups){.first_ms = INT64_MAX,
                           .last_ms = INT64_MIN,
                           .quota = quota,
                           .tallies = {.quota = quota},
                           .events = {.quota = quota}};
}

static int compare_keys(const void *a, const void *b)
{
    const struct group *left = a;
    const struct group *right = b;
    return strcmp(left->key, right->key);
}

static struct group *make_group(const struct log_entry *entry, const char *key)
{
    struct group *group = must(calloc(1, sizeof(*group)));
    group->key = must(strdup(key));
    snprintf(group->site, sizeof(group->site), "%s", entry->site);
    group->sums = sums_of_none();
    group->first_ms = INT64_MAX;
    group->last_ms = INT64_MIN;
    return group;
}

/* NULL when it is new and there is no room for it. */
static struct group *group_of(struct groups *groups, const struct log_entry *entry)
{
    char key[ENTRY_SITE_SIZE + ENTRY_TEXTS_SIZE];
    const bool stackless = strspn(entry->site, "0") == strlen(entry->site);
    snprintf(key, sizeof(key), "%s %s", entry->site, stackless ? entry->comm : "");
    const struct group wanted = {.key = key};
    const void *found = tfind(&wanted, &groups->by_key, compare_keys);
    if (found)
        return *(struct group *const *)found;
    const size_t series = groups->for_page ? SERIES_BINS * sizeof(int64_t) : 0;
    const size_t bytes =
        sizeof(struct group) + series + strlen(key) + QUOTA_OF_NODE + 2 * sizeof(struct group *);
    if (!quota_ask(groups->quota, QUOTA_SITES, bytes))
        return NULL;
    struct group *group = make_group(entry, key);
    group->sums.series = groups->for_page ? &group->series : NULL;
    must(tsearch(group, &groups->by_key, compare_keys));
    groups->all = array_grow(groups->all, groups->count, sizeof(struct group *));
    groups->all[groups->count++] = group;
    return group;
}

/* A name that is empty was not told. */
static void meet(struct groups *groups, struct counts *counts, const char *name)
{
    if (name[0])
        counts_meet(counts, groups->quota, GROUP_NAMES, name);
}

static void meet_peer(struct groups *groups, struct group *group, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    char ip[ENTRY_TEXTS_SIZE];
    if (!colon || colon == peer)
        return;
    snprintf(ip, sizeof(ip), "%.*s", (int)(colon - peer), peer);
    const uint32_t port = (uint32_t)strtoul(colon + 1, NULL, 10);
    struct met *met = counts_meet(&group->peers, groups->quota, GROUP_PEERS, ip);
    if (!met)
        group->other_peers++;
    else if (met->times == 1)
        met->tag = port;
    else if (met->tag != port)
        met->tag = 0;
}

static void note_times(struct group *group, const struct log_entry *entry)
{
    const int64_t first_ms = entry->time_ms - entry->site_age_ms;
    const bool leaks = entry->type != RECORD_REAP && entry->type != RECORD_LATE_CLOSE;
    if (first_ms < group->first_ms)
        group->first_ms = first_ms;
    if (leaks && entry->time_ms > group->last_ms)
        group->last_ms = entry->time_ms;
}

static void note_hindsight(struct group *group, const struct log_entry *entry)
{
    if (entry->grace_ms > group->grace_ms)
        group->grace_ms = entry->grace_ms;
    if (entry->type == RECORD_LATE_CLOSE && entry->fin_age_ms > group->slowest_ms)
        group->slowest_ms = entry->fin_age_ms;
}

static void meet_reaps(struct groups *groups, struct group *group, const struct log_entry *entry,
                       uint64_t reaps)
{
    char what[ENTRY_TEXTS_SIZE];
    const char *why = entry->type == RECORD_RESCUE ? names_why[WHY_PORT] : entry->why;
    snprintf(what, sizeof(what), "%s %s", why, entry->outcome);
    counts_add(&group->reaps, groups->quota, GROUP_NAMES, what, reaps);
}

static void count_entry(struct groups *groups, const struct log_entry *entry, int file)
{
    struct group *group = group_of(groups, entry);
    if (!group)
        return;
    const struct told_by told = tallies_add(&groups->tallies, entry, file, &group->sums);
    if (told.new_process)
        meet(groups, &group->names, entry->comm[0] ? entry->comm : "?");
    if (told.new_leak) {
        meet(groups, &group->classes, entry->class);
        meet(groups, &group->ways, entry->how);
        meet_peer(groups, group, entry->peer);
    }
    if (told.reaps > 0)
        meet_reaps(groups, group, entry, told.reaps);
    if (groups->for_page)
        events_add(&groups->events, entry, group);
    note_times(group, entry);
    note_hindsight(group, entry);
    kept_stack_offer(&group->open_stack, groups->quota, &entry->open_stack);
    kept_stack_offer(&group->eof_stack, groups->quota, &entry->eof_stack);
}

static void count_queue(struct groups *groups, const struct log_entry *entry)
{
    queues_add(&groups->queues, groups->quota, entry);
    if (groups->for_page)
        events_add(&groups->events, entry, NULL);
}

enum entry_found groups_add(struct groups *groups, const char *line, size_t len, int file)
{
    struct log_entry entry;
    const enum entry_found found = entry_read(line, len, &entry);
    if (found != ENTRY_READ)
        return found;
    if (entry.time_ms < groups->first_ms)
        groups->first_ms = entry.time_ms;
    if (entry.time_ms > groups->last_ms)
        groups->last_ms = entry.time_ms;
    if (entry.type == RECORD_SUMMARY)
        tallies_end(&groups->tallies, &entry, file);
    else if (entry.type == RECORD_ACCEPT_QUEUE)
        count_queue(groups, &entry);
    else
        count_entry(groups, &entry, file);
    return ENTRY_READ;
}

static int descending(uint64_t left, uint64_t right)
{
    return (left < right) - (left > right);
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *left = *(const struct group *const *)a;
    const struct group *right = *(const struct group *const *)b;
    const int held = descending(left->sums.held, right->sums.held);
    const int leaks = descending(left->sums.leaks, right->sums.leaks);
    if (held || leaks)
        return held ? held : leaks;
    return compare_keys(left, right);
}

void groups_finish(struct groups *groups)
{
    tallies_finish(&groups->tallies, groups->last_ms);
    queues_sort(&groups->queues);
    for (size_t i = 0; i < groups->count; i++)
        if (groups->all[i]->last_ms < groups->all[i]->first_ms) /* no line told its leaks */
            groups->all[i]->last_ms = groups->all[i]->first_ms;
    if (groups->count > 0)
        qsort(groups->all, groups->count, sizeof(struct group *), compare_groups);
    for (size_t i = 0; i < groups->count; i++)
        groups->all[i]->rank = i;
}

static void free_group(void *node)
{
    struct group *group = node;
    kept_stack_free(&group->open_stack);
    kept_stack_free(&group->eof_stack);
    counts_free(&group->names);
    counts_free(&group->classes);
    counts_free(&group->ways);
    counts_free(&group->peers);
    counts_free(&group->reaps);
    series_free(&group->series);
    free(group->key);
    free(group);
}

void groups_free(struct groups *groups)
{
    tdestroy(groups->by_key, free_group);
    queues_free(&groups->queues);
    events_free(&groups->events);
    free(groups->all);
}

int64_t group_oldest_ms(const struct groups *groups, const struct group *group)
{
    return group->sums.held > 0 ? groups->last_ms - group->sums.held_since_ms : -1;
}

double group_growth(const struct group *group)
{
    const double hours = (double)(group->last_ms - group->first_ms) / 3600e3;
    return group->sums.leaks > 1 && hours > 0 ? (double)(group->sums.leaks - 1) / hours : -1;
}

enum trend group_trend(const struct group *group)
{
    const struct sums *sums = &group->sums;
    return sums->trend != TREND_UNKNOWN ? sums->trend : sums->trend_at_end;
}

/* Only the shim knows which late closes have to do with grace: it has told so, or there is none. */
int64_t group_grace_ms(const struct group *group)
{
    const int64_t right_ms =
        hindsight_grace_ms(group->sums.leaks, group->sums.late, (uint64_t)group->slowest_ms);
    if (group->grace_ms == 0 || right_ms == 0)
        return 0;
    return right_ms > group->grace_ms ? right_ms : group->grace_ms;
}

char *group_peer(const struct met *peer)
{
    char *address = NULL;
    const int len = peer->tag ? asprintf(&address, "%s:%" PRIu32, peer->name, peer->tag)
                              : asprintf(&address, "%s", peer->name);
    return must(len < 0 ? NULL : address);
}
