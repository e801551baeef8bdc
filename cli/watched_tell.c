#define _GNU_SOURCE
#include "watched_tell.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "found_record.h"
#include "json.h"
#include "must.h"
#include "output.h"
#include "prose.h"
#include "text.h"
#include "threads.h"

enum { TEXT_SIZE = 8192 };

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void put(struct watched *watched, const struct told *told, const struct text *text,
                const struct rules *rules)
{
    watched->lost += !output_write(rules->verb, &rules->options, told, text);
}

/* Below the lines of a leak, or as the last member of its object. */
static void add_threads(FILE *to, const json_t *threads, enum format format)
{
    if (format == FORMAT_TEXT) {
        threads_print(to, threads);
        return;
    }
    fputs(",\"threads\":", to);
    json_dumpf(threads, to, JSON_COMPACT);
    fputs("}\n", to);
}

static void put_with_threads(struct watched *watched, const struct told *told,
                             const struct text *text, const json_t *threads,
                             const struct rules *rules)
{
    const enum format format = rules->options.format;
    char *whole = NULL;
    size_t len = 0;
    FILE *to = must(open_memstream(&whole, &len));
    fwrite(text->at, 1, format == FORMAT_JSON ? text->len - strlen("}\n") : text->len, to);
    add_threads(to, threads, format);
    fclose(to);
    put(watched, told, &(struct text){.at = whole, .len = len}, rules);
    free(whole);
}

static void tell_with(struct watched *watched, struct told *told, const json_t *threads,
                      const struct rules *rules)
{
    char words[TEXT_SIZE];
    struct text text = text_in(words, sizeof(words));
    told->pid = watched->target.pid;
    told->comm = watched->target.comm;
    told->container = watched->target.container;
    told->outside = true;
    told->time_ms = wall_ms();
    told->action = rules->options.action;
    told->site_age_ms = watched->leaked ? (uint32_t)(clock_ms() - watched->first_ms) : 0;
    if (rules->options.format == FORMAT_JSON)
        json_add(&text, told);
    else
        prose_add(&text, told);
    if (threads)
        put_with_threads(watched, told, &text, threads, rules);
    else
        put(watched, told, &text, rules);
}

static void tell(struct watched *watched, struct told *told, const struct rules *rules)
{
    tell_with(watched, told, NULL, rules);
}

void watched_tell_leak(struct watched *watched, const struct found *found,
                       const struct memory *memory, const json_t *threads,
                       const struct rules *rules)
{
    struct record record = {.type = RECORD_LEAK, .leak = found_leak(found)};
    struct told told = {.record = &record, .count = watched->leaked, .since = watched->leaked_told};
    record.leak.open_ms = (uint32_t)(clock_ms() - memory->seen_ms);
    if (rules->options.format == FORMAT_TEXT && !told_is_news(&told))
        return;
    tell_with(watched, &told, threads, rules);
    watched->leaked_told = watched->leaked;
}

void watched_tell_reap(struct watched *watched, const struct found *found, int error,
                       enum ending ending, const struct rules *rules)
{
    const struct record record = found_reap(found, error, ending);
    struct told told = {.record = &record,
                        .count = watched->reaped ? watched->reaped : 1,
                        .since = watched->reaped ? watched->reaped - 1 : 0};
    tell(watched, &told, rules);
}

void watched_tell_late_close(struct watched *watched, const struct memory *memory,
                             const struct rules *rules)
{
    const struct record record = {
        .type = RECORD_LATE_CLOSE,
        .leak = {.fd = memory->fd,
                 .local = memory->local,
                 .peer = memory->peer,
                 .gone_ms = (uint32_t)(clock_ms() - memory->gone_ms)},
    };
    struct told told = {.record = &record, .count = watched->late, .since = watched->late - 1};
    tell(watched, &told, rules);
}

void watched_tell_summary(struct watched *watched, uint32_t held, const struct rules *rules)
{
    const struct record record = {.type = RECORD_SUMMARY};
    struct told told = {.record = &record,
                        .totals = {.leaked = watched->leaked,
                                   .sites = watched->leaked > 0,
                                   .held = held,
                                   .reaped = watched->reaped,
                                   .suppressed = watched->suppressed,
                                   .lost = watched->lost,
                                   .late = watched->late}};
    if (rules->patterns) {
        told.suppressions = rules->patterns->at;
        told.suppression_count = rules->patterns->count;
    }
    tell(watched, &told, rules);
}
