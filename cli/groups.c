#define _GNU_SOURCE
#include "groups.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "hindsight.h"
#include "must.h"

struct groups groups_begin(void)
{
    return (struct groups){.last_ms = INT64_MIN};
}

static int compare_keys(const void *a, const void *b)
{
    const struct group *left = a;
    const struct group *right = b;
    return strcmp(left->key, right->key);
}

static struct group *make_group(const struct log_entry *entry)
{
    struct group *group = must(calloc(1, sizeof(*group)));
    snprintf(group->site, sizeof(group->site), "%s", entry->site);
    group->sums = sums_of_none();
    group->first_ms = INT64_MAX;
    group->last_ms = INT64_MIN;
    group->names = must(json_object());
    group->classes = must(json_object());
    group->ways = must(json_object());
    group->peers = must(json_object());
    group->ports = must(json_object());
    return group;
}

static struct group *group_of(struct groups *groups, const struct log_entry *entry)
{
    char *key = NULL;
    const bool stackless = strspn(entry->site, "0") == strlen(entry->site);
    if (asprintf(&key, "%s %s", entry->site, stackless ? entry->comm : "") < 0)
        must(NULL);
    const struct group wanted = {.key = key};
    const void *found = tfind(&wanted, &groups->by_key, compare_keys);
    if (found) {
        free(key);
        return *(struct group *const *)found;
    }
    struct group *group = make_group(entry);
    group->key = key;
    must(tsearch(group, &groups->by_key, compare_keys));
    groups->all = array_grow(groups->all, groups->count, sizeof(struct group *));
    groups->all[groups->count++] = group;
    return group;
}

/* A name that is empty was not told. */
static void meet(json_t *counts, const char *name)
{
    const json_t *times = json_object_get(counts, name);
    if (name[0] &&
        json_object_set_new(counts, name, json_integer(json_integer_value(times) + 1)) != 0)
        must(NULL);
}

static void meet_peer(struct group *group, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    if (!colon || colon == peer)
        return;
    char *ip = must(strndup(peer, (size_t)(colon - peer)));
    const json_t *port = json_object_get(group->ports, ip);
    if (!port && json_object_size(group->peers) == GROUP_PEERS) {
        group->other_peers++;
    } else {
        const long own = strtol(colon + 1, NULL, 10);
        const json_int_t shared = !port || json_integer_value(port) == own ? own : 0;
        if (json_object_set_new(group->ports, ip, json_integer(shared)) != 0)
            must(NULL);
        meet(group->peers, ip);
    }
    free(ip);
}

/* Where it was symbolized, more was known than here. */
static bool is_symbolized(const json_t *stack)
{
    size_t at;
    const json_t *frame;
    json_array_foreach((json_t *)stack, at, frame) if (json_object_get(frame, "file")) return true;
    return false;
}

static void keep_stack(json_t **kept, json_t *stack)
{
    if (json_array_size(stack) == 0 || (*kept && (is_symbolized(*kept) || !is_symbolized(stack))))
        return;
    json_decref(*kept);
    *kept = json_incref(stack);
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

static void count_entry(struct groups *groups, const struct log_entry *entry, int file)
{
    struct group *group = group_of(groups, entry);
    const struct told_by told = tallies_add(&groups->tallies, entry, file, &group->sums);
    if (told.new_process)
        meet(group->names, entry->comm[0] ? entry->comm : "?");
    if (told.new_leak) {
        meet(group->classes, entry->class);
        meet(group->ways, entry->how);
        meet_peer(group, entry->peer);
    }
    note_times(group, entry);
    note_hindsight(group, entry);
    keep_stack(&group->open_stack, entry->open_stack);
    keep_stack(&group->eof_stack, entry->eof_stack);
}

bool groups_add(struct groups *groups, const json_t *record, int file)
{
    struct log_entry entry;
    const enum entry_found found = entry_read(record, &entry);
    if (found != ENTRY_READ)
        return found == ENTRY_NO_LEAK;
    if (entry.time_ms > groups->last_ms)
        groups->last_ms = entry.time_ms;
    if (entry.type == RECORD_SUMMARY)
        tallies_end(&groups->tallies, &entry, file);
    else if (entry.type == RECORD_ACCEPT_QUEUE)
        queues_add(&groups->queues, &entry);
    else
        count_entry(groups, &entry, file);
    return true;
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
}

static void free_group(void *node)
{
    struct group *group = node;
    json_decref(group->open_stack);
    json_decref(group->eof_stack);
    json_decref(group->names);
    json_decref(group->classes);
    json_decref(group->ways);
    json_decref(group->peers);
    json_decref(group->ports);
    free(group->key);
    free(group);
}

void groups_free(struct groups *groups)
{
    tdestroy(groups->by_key, free_group);
    queues_free(&groups->queues);
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

static bool is_before(const struct met *left, const struct met *right)
{
    return left->times != right->times ? left->times > right->times
                                       : strcmp(left->name, right->name) < 0;
}

size_t group_top(const json_t *counts, struct met top[GROUP_TOP])
{
    size_t count = 0;
    const char *name;
    json_t *times;
    json_object_foreach((json_t *)counts, name, times)
    {
        struct met met = {name, (uint64_t)json_integer_value(times)};
        for (size_t i = 0; i < count; i++) {
            if (!is_before(&met, &top[i]))
                continue;
            const struct met next = top[i];
            top[i] = met;
            met = next;
        }
        if (count < GROUP_TOP)
            top[count++] = met;
    }
    return count;
}

char *group_peer(const struct group *group, const char *ip)
{
    char *address = NULL;
    const json_int_t port = json_integer_value(json_object_get(group->ports, ip));
    const int len = port ? asprintf(&address, "%s:%" JSON_INTEGER_FORMAT, ip, port)
                         : asprintf(&address, "%s", ip);
    return must(len < 0 ? NULL : address);
}
