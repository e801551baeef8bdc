#define _GNU_SOURCE
#include "watched_tell.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "found_record.h"
#include "json.h"
#include "prose.h"
#include "text.h"

enum { TEXT_SIZE = 8192 };

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* In one write, so that lines of several writers do not mix. */
static void write_out(const struct watched *watched, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(watched->output, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void tell(const struct watched *watched, struct told *told, const struct rules *rules)
{
    char words[TEXT_SIZE];
    struct text text = text_in(words, sizeof(words));
    told->pid = watched->target.pid;
    told->comm = watched->target.comm;
    told->time_ms = wall_ms();
    told->action = rules->options.action;
    told->site_age_ms = watched->leaked ? (uint32_t)(clock_ms() - watched->first_ms) : 0;
    if (rules->options.format == FORMAT_JSON)
        json_add(&text, told);
    else
        prose_add(&text, told);
    write_out(watched, text.at, text.len);
}

void watched_tell_leak(struct watched *watched, const struct found *found,
                       const struct memory *memory, const struct rules *rules)
{
    struct record record = {.type = RECORD_LEAK, .leak = found_leak(found)};
    struct told told = {.record = &record, .count = watched->leaked, .since = watched->leaked_told};
    record.leak.open_ms = (uint32_t)(clock_ms() - memory->seen_ms);
    if (rules->options.format == FORMAT_TEXT && !told_is_news(&told))
        return;
    tell(watched, &told, rules);
    watched->leaked_told = watched->leaked;
}

void watched_tell_reap(const struct watched *watched, const struct found *found, int error,
                       enum ending ending, const struct rules *rules)
{
    const struct record record = found_reap(found, error, ending);
    struct told told = {.record = &record,
                        .count = watched->reaped ? watched->reaped : 1,
                        .since = watched->reaped ? watched->reaped - 1 : 0};
    tell(watched, &told, rules);
}

void watched_tell_late_close(const struct watched *watched, const struct memory *memory,
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

void watched_tell_summary(const struct watched *watched, uint32_t held, const struct rules *rules)
{
    const struct record record = {.type = RECORD_SUMMARY};
    struct told told = {.record = &record,
                        .totals = {.leaked = watched->leaked,
                                   .sites = watched->leaked > 0,
                                   .held = held,
                                   .reaped = watched->reaped,
                                   .suppressed = watched->suppressed,
                                   .late = watched->late}};
    if (rules->patterns) {
        told.suppressions = rules->patterns->at;
        told.suppression_count = rules->patterns->count;
    }
    tell(watched, &told, rules);
}
