#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frames.h"
#include "groups_print.h"
#include "text.h"

enum { TITLE_WIDTH = 11 };

static void print_title(const char *title)
{
    printf("    %-*s", TITLE_WIDTH, title);
}

static void print_duration(int64_t ms)
{
    char duration[32];
    struct text text = text_in(duration, sizeof(duration));
    text_add_duration(&text, (uint64_t)ms);
    fputs(duration, stdout);
}

static void print_time(int64_t ms)
{
    char date[48];
    struct tm tm = {0};
    const time_t seconds = (time_t)(ms / 1000);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
    fputs(date, stdout);
}

static void print_span(int64_t first_ms, int64_t last_ms)
{
    print_title("seen");
    print_time(first_ms);
    fputs(" to ", stdout);
    print_time(last_ms);
    fputs(" UTC\n", stdout);
}

static const char *meaning_of(const char *class)
{
    static const struct {
        const char *class;
        const char *meaning;
    } meanings[] = {
        {"eof-ignored", " (it read the end of stream and went on)"},
        {"eof-unread", " (it has not read since)"},
        {"data-unread", " (bytes lie unread before the end of stream)"},
        {"reset-ignored", " (reset, timed out or shut down)"},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (strcmp(meanings[i].class, class) == 0)
            return meanings[i].meaning;
    return "";
}

enum counted { COUNTED, COUNTED_IF_SEVERAL };

/* The most frequent. of_peers: the group when they are its peers. */
static void print_met(const char *title, const struct counts *counts, enum counted counted,
                      const struct group *of_peers)
{
    const struct met *top[GROUP_TOP];
    const size_t all = counts->count;
    const size_t shown = counts_top(counts, top, GROUP_TOP);
    if (shown == 0)
        return;
    print_title(title);
    for (size_t i = 0; i < shown; i++) {
        char *address = of_peers ? group_peer(top[i]) : NULL;
        fputs(i > 0 ? ", " : "", stdout);
        frames_print_text(stdout, address ? address : top[i]->name);
        if (counted == COUNTED || all > 1)
            printf(" (%" PRIu64 ")", top[i]->times);
        else
            fputs(meaning_of(top[i]->name), stdout);
        free(address);
    }
    if (all > shown)
        printf(" and %zu%s more", all - shown, of_peers && of_peers->other_peers > 0 ? " or" : "");
    putchar('\n');
}

static void print_ages(const struct groups *groups, const struct group *group)
{
    const int64_t oldest_ms = group_oldest_ms(groups, group);
    const double growth = group_growth(group);
    if (oldest_ms >= 0) {
        print_title("oldest");
        print_duration(oldest_ms);
        putchar('\n');
    }
    if (growth >= 0) {
        print_title("growth");
        printf("%.*f an hour, over ", growth < 100 ? 1 : 0, growth);
        print_duration(group->last_ms - group->first_ms);
        putchar('\n');
    }
    if (group_trend(group) != TREND_UNKNOWN) {
        print_title("trend");
        puts(group_trend(group) == TREND_FLAT ? "flat: often a pool" : "growing");
    }
    print_span(group->first_ms, group->last_ms);
}

/* One socket can have had several descriptors. */
static void print_hindsight(const struct group *group)
{
    const struct sums *sums = &group->sums;
    const int64_t grace_ms = group_grace_ms(group);
    char grace[32];
    struct text text = text_in(grace, sizeof(grace));
    if (grace_ms == 0)
        return;
    text_add_grace(&text, (uint64_t)grace_ms);
    print_title("late");
    printf("%" PRIu64 " of %" PRIu64 ", after ",
           sums->late < sums->leaks ? sums->late : sums->leaks, sums->leaks);
    print_duration(group->slowest_ms);
    printf(" at most: grace=%s would have been right\n", grace);
}

/* Down to main: what libc does before it is no news. */
static void print_stack(const char *title, const json_t *stack)
{
    size_t at;
    const json_t *frame;
    if (json_array_size(stack) == 0)
        return;
    printf("    %s\n", title);
    json_array_foreach((json_t *)stack, at, frame)
    {
        printf("        #%zu ", at);
        frames_print(stdout, frame);
        putchar('\n');
        if (frames_is_main(frame))
            return;
    }
}

static void print_heading(const struct group *group, bool colors)
{
    const struct sums *sums = &group->sums;
    printf("%ssite %s%s: %" PRIu64 " leaked, ", colors ? "\033[1m" : "", group->site,
           colors ? "\033[0m" : "", sums->leaks);
    printf("%s%" PRIu64 " held now%s", colors && sums->held > 0 ? "\033[1;31m" : "", sums->held,
           colors && sums->held > 0 ? "\033[0m" : "");
    printf(", %" PRIu64 " reaped, %" PRIu64 " closed late", sums->reaped, sums->late);
    if (sums->held_at_end > 0)
        printf(", %" PRIu64 " held at their process's end", sums->held_at_end);
    putchar('\n');
}

static void print_group(const struct groups *groups, const struct group *group,
                        const struct groups_style *style)
{
    json_t *stacks = group_stacks(group, style->symbols);
    print_heading(group, style->colors);
    print_met("class", &group->classes, COUNTED_IF_SEVERAL, NULL);
    print_met("how", &group->ways, COUNTED_IF_SEVERAL, NULL);
    print_ages(groups, group);
    print_hindsight(group);
    print_met("processes", &group->names, COUNTED, NULL);
    print_met("peers", &group->peers, COUNTED_IF_SEVERAL, group);
    print_stack("opened at", json_object_get(stacks, "open_stack"));
    print_stack("end of stream read at", json_object_get(stacks, "eof_stack"));
    if (!group->open_stack.text)
        puts("    no stack was kept of where it was opened");
    putchar('\n');
    json_decref(stacks);
}

static void print_queue(const struct stuck_queue *queue, const struct groups_style *style)
{
    json_t *stacks = queue_stacks(queue, style->symbols);
    fputs(style->colors ? "accept queue of \033[1m" : "accept queue of ", stdout);
    frames_print_text(stdout, queue->local);
    fputs(style->colors ? "\033[0m, " : ", ", stdout);
    frames_print_text(stdout, queue->comm);
    printf(": told %" PRIu64 " time%s\n", queue->times, queue->times == 1 ? "" : "s");
    print_title("waiting");
    printf("%" PRIu32 " at most, up to ", queue->waiting);
    print_duration(queue->age_ms);
    putchar('\n');
    print_title("hung up");
    printf("%" PRIu32 " at most\n", queue->hung_up);
    print_span(queue->first_ms, queue->last_ms);
    print_stack("listen called at", json_object_get(stacks, "open_stack"));
    putchar('\n');
    json_decref(stacks);
}

static void print_total(const struct groups *groups, size_t shown)
{
    struct sums total = {0};
    for (size_t i = 0; i < groups->count; i++) {
        total.leaks += groups->all[i]->sums.leaks;
        total.held += groups->all[i]->sums.held;
        total.reaped += groups->all[i]->sums.reaped;
        total.late += groups->all[i]->sums.late;
    }
    printf("total: %zu call site%s", groups->count, groups->count == 1 ? "" : "s");
    if (shown < groups->count)
        printf(" (%zu shown)", shown);
    printf(" in %zu process%s: %" PRIu64 " leaked, %" PRIu64 " held now, %" PRIu64
           " reaped, %" PRIu64 " closed late\n",
           groups->tallies.processes, groups->tallies.processes == 1 ? "" : "es", total.leaks,
           total.held, total.reaped, total.late);
}

void groups_print_text(const struct groups *groups, const struct groups_style *style)
{
    const size_t shown = groups_shown(groups, style);
    for (size_t i = 0; i < shown; i++)
        print_group(groups, groups->all[i], style);
    for (size_t i = 0; i < groups->queues.count; i++)
        print_queue(groups->queues.all[i], style);
    print_total(groups, shown);
}
