/*
 * What the page's script draws from: one JSON object.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "must.h"
#include "names.h"
#include "page.h"
#include "page_text.h"

/* As many as the shim keeps at most. A log may have more, and the script goes down one by one. */
enum { FRAMES_MAX = 64 };

static void print_strings(const char *name, const char *const *strings)
{
    printf(",\n\"%s\":[", name);
    for (size_t i = 0; strings[i]; i++) {
        fputs(i > 0 ? "," : "", stdout);
        page_string(stdout, strings[i]);
    }
    putchar(']');
}

static void print_names(const char *name, const struct counts *counts)
{
    printf(",\n\"%s\":[", name);
    for (size_t i = 0; i < counts->count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        page_string(stdout, counts->all[i].name);
    }
    putchar(']');
}

/* Down to main: what libc does before it is no news. Call sites have most frames in common. */
static void print_stack(const json_t *stack, struct counts *frames, struct quota *quota)
{
    size_t at;
    const json_t *frame;
    const char *before = "";
    json_array_foreach((json_t *)stack, at, frame)
    {
        if (at == FRAMES_MAX)
            return;
        char *words = frames_text(frame);
        const struct met *met = counts_meet(frames, quota, SIZE_MAX, words);
        free(words);
        if (!met)
            return;
        printf("%s%zu", before, (size_t)(met - frames->all));
        before = ",";
        if (frames_is_main(frame))
            return;
    }
}

static void print_levels(const struct group *group, const struct series_span *span)
{
    int64_t levels[SERIES_BINS];
    series_levels(&group->series, span, levels);
    for (int64_t i = 0; i <= span->last - span->first; i++)
        printf("%s%" PRId64, i > 0 ? "," : "", levels[i]);
}

static void print_site(const struct page *page, size_t at, const struct series_span *span,
                       struct counts *frames, struct quota *quota)
{
    const struct group *group = page->groups->all[at];
    const json_t *stack = json_object_get(page->stacks[at], "open_stack");
    char *name = page_name(page, at);
    printf("%s\n{\"site\":\"%s\",\"name\":", at > 0 ? "," : "", group->site);
    page_string(stdout, name);
    free(name);
    printf(",\"leaks\":%" PRIu64 ",\"held\":%" PRIu64 ",\"reaped\":%" PRIu64 ",\"late\":%" PRIu64
           ",\"stack\":[",
           group->sums.leaks, group->sums.held, group->sums.reaped, group->sums.late);
    print_stack(stack, frames, quota);
    fputs("],\"levels\":[", stdout);
    if (span->exponent >= 0)
        print_levels(group, span);
    fputs("]}", stdout);
}

static struct series_span span_of(const struct page *page)
{
    struct series_span span = {.exponent = -1};
    for (size_t i = 0; i < page->groups->count; i++)
        series_reach_all(&span, &page->groups->all[i]->series);
    if (span.exponent >= 0)
        series_reach(&span, page->groups->last_ms);
    return span;
}

/* Time, type, call site, name, pid, fd, ends, class, how, age, why, outcome; -1: none. */
static void print_event(const struct page *page, const struct event *event)
{
    const bool shown = event->group && event->group->rank < page->shown;
    printf("[%" PRId64 ",%d,%d,%d,%" PRIu32 ",%" PRIu32 ",", event->time_ms, event->type,
           shown ? (int)event->group->rank : -1, (int)event->comm, event->pid, event->fd);
    page_string(stdout, event->ends);
    putchar(',');
    page_string(stdout, event->ends + strlen(event->ends) + 1);
    printf(",%d,%d,%" PRIu32 ",%d,%d]", event->class, event->how, event->age_ms, event->why,
           event->outcome);
}

void page_print_data(const struct page *page)
{
    const struct series_span span = span_of(page);
    const struct events *events = &page->groups->events;
    struct counts frames = {0};
    struct quota quota = {0};
    fputs("{\"sites\":[", stdout);
    for (size_t i = 0; i < page->shown; i++)
        print_site(page, i, &span, &frames, &quota);
    fputs("]", stdout);
    print_names("frames", &frames);
    printf(",\n\"start\":%" PRId64 ",\"width\":%" PRId64 ",\"end\":%" PRId64,
           span.exponent < 0 ? 0 : span.first * ((int64_t)1 << span.exponent),
           span.exponent < 0 ? 0 : (int64_t)1 << span.exponent,
           span.exponent < 0 ? 0 : page->groups->last_ms);
    print_strings("types", names_type);
    print_strings("classes", names_class);
    print_strings("ways", names_how);
    print_strings("whys", names_why);
    print_strings("outcomes", events_outcomes);
    print_names("names", &events->names);
    printf(",\n\"told\":%" PRIu64 ",\"records\":[", events->count);
    for (size_t i = 0; i < events_kept(events); i++) {
        fputs(i > 0 ? ",\n" : "\n", stdout);
        print_event(page, events_at(events, i));
    }
    fputs("]}", stdout);
    counts_free(&frames);
}
