#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "groups_print.h"
#include "must.h"
#include "names.h"
#include "traces.h"

size_t groups_shown(const struct groups *groups, const struct groups_style *style)
{
    return groups->count < style->limit ? groups->count : style->limit;
}

static void add_stack(json_t *stacks, const char *name, const struct kept_stack *kept)
{
    if (kept->text && json_object_set_new(stacks, name, kept_stack_json(kept)) != 0)
        must(NULL);
}

json_t *group_stacks(const struct group *group, struct symbols *symbols)
{
    json_t *stacks = must(json_object());
    add_stack(stacks, "open_stack", &group->open_stack);
    add_stack(stacks, "eof_stack", &group->eof_stack);
    traces_symbolize(stacks, symbols);
    return stacks;
}

json_t *queue_stacks(const struct stuck_queue *queue, struct symbols *symbols)
{
    json_t *stacks = must(json_object());
    add_stack(stacks, "open_stack", &queue->open_stack);
    traces_symbolize(stacks, symbols);
    return stacks;
}

/* RFC 3339, UTC, as the shim writes it. */
static json_t *time_of(int64_t ms)
{
    char text[64];
    char date[48];
    struct tm tm = {0};
    const int64_t fraction = (ms % 1000 + 1000) % 1000;
    const time_t seconds = (time_t)((ms - fraction) / 1000);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(text, sizeof(text), "%s.%03dZ", date, (int)fraction);
    return must(json_string(text));
}

/* null: there is no such number. */
static json_t *number_or_null(double number)
{
    return must(number < 0 ? json_null() : json_real(number));
}

static json_t *count(uint64_t number)
{
    return must(json_integer((json_int_t)number));
}

static json_t *peers_of(const struct group *group)
{
    const struct met *top[GROUP_TOP];
    const size_t shown = counts_top(&group->peers, top, GROUP_TOP);
    json_t *peers = must(json_array());
    for (size_t i = 0; i < shown; i++) {
        char *address = group_peer(top[i]);
        json_array_append_new(peers, must(json_pack("{s:s, s:o}", "address", address, "count",
                                                    count(top[i]->times))));
        free(address);
    }
    return peers;
}

static json_t *trend_of_group(const struct group *group)
{
    const enum trend trend = group_trend(group);
    return must(trend == TREND_UNKNOWN ? json_null() : json_string(names_trend[trend]));
}

/*
 * Of a call site: site, leaks, held, held_at_end, reaped, late_closes; oldest_s, leaks_per_hour,
 * trend and grace_s, each null where there is none; first and last; class, how and processes, each
 * an object of counts by name; peers, the most frequent; open_stack and eof_stack where known.
 */
static json_t *object_of(const struct groups *groups, const struct group *group,
                         struct symbols *symbols)
{
    const struct sums *sums = &group->sums;
    const int64_t oldest_ms = group_oldest_ms(groups, group);
    const int64_t grace_ms = group_grace_ms(group);
    json_t *object = must(json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "site",
        group->site, "leaks", count(sums->leaks), "held", count(sums->held), "held_at_end",
        count(sums->held_at_end), "reaped", count(sums->reaped), "late_closes", count(sums->late),
        "oldest_s", number_or_null(oldest_ms < 0 ? -1 : (double)oldest_ms / 1000), "leaks_per_hour",
        number_or_null(group_growth(group)), "trend", trend_of_group(group), "grace_s",
        number_or_null(grace_ms == 0 ? -1 : (double)grace_ms / 1000), "first",
        time_of(group->first_ms), "last", time_of(group->last_ms), "class",
        counts_json(&group->classes), "how", counts_json(&group->ways), "processes",
        counts_json(&group->names), "peers", peers_of(group)));
    json_t *stacks = group_stacks(group, symbols);
    json_object_update(object, stacks);
    json_decref(stacks);
    return object;
}

/*
 * Of an accept queue, which alone has a type: local, comm, times that it was told; waiting, hung_up
 * and age_s, each at its worst; first and last; site, and open_stack where known.
 */
static json_t *object_of_queue(const struct stuck_queue *queue, struct symbols *symbols)
{
    json_t *object = must(
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:o, s:o, s:s}", "type",
                  names_type[RECORD_ACCEPT_QUEUE], "local", queue->local, "comm", queue->comm,
                  "times", count(queue->times), "waiting", count(queue->waiting), "hung_up",
                  count(queue->hung_up), "age_s", (double)queue->age_ms / 1000, "first",
                  time_of(queue->first_ms), "last", time_of(queue->last_ms), "site", queue->site));
    json_t *stacks = queue_stacks(queue, symbols);
    json_object_update(object, stacks);
    json_decref(stacks);
    return object;
}

/* On a line of its own. */
static void print_object(json_t *object, bool first)
{
    fputs(first ? "\n" : ",\n", stdout);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(object);
}

void groups_print_json(const struct groups *groups, const struct groups_style *style)
{
    const size_t shown = groups_shown(groups, style);
    fputs("[", stdout);
    for (size_t i = 0; i < shown; i++)
        print_object(object_of(groups, groups->all[i], style->symbols), i == 0);
    for (size_t i = 0; i < groups->queues.count; i++)
        print_object(object_of_queue(groups->queues.all[i], style->symbols), shown + i == 0);
    fputs("\n]\n", stdout);
}
