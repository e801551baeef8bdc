#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "names.h"

enum { NAMES_MAX = 4096 };

const char *const events_outcomes[] = {"gone",    "closing", "held", "failed",
                                       "unknown", "works",   NULL};

static uint32_t name_of(struct events *events, const char *comm)
{
    const struct met *met = counts_meet(&events->names, events->quota, NAMES_MAX, comm);
    if (!met)
        return UINT32_MAX;
    return (uint32_t)(met - events->names.all);
}

static int8_t word_of(const char *const *names, const char *word)
{
    return (int8_t)names_find(names, word);
}

static char *ends_of(const struct log_entry *entry)
{
    const size_t local = strlen(entry->local) + 1;
    const size_t peer = strlen(entry->peer) + 1;
    char *ends = must(malloc(local + peer));
    memcpy(ends, entry->local, local);
    memcpy(ends + local, entry->peer, peer);
    return ends;
}

void events_add(struct events *events, const struct log_entry *entry, const struct group *group)
{
    if (!events->all)
        events->all = must(calloc(EVENTS_MAX, sizeof(*events->all)));
    struct event *const event = &events->all[events->count++ % EVENTS_MAX];
    const int64_t age_ms = group ? entry->fin_age_ms : entry->age_ms;
    free(event->ends);
    *event = (struct event){
        .time_ms = entry->time_ms,
        .group = group,
        .ends = ends_of(entry),
        .comm = name_of(events, entry->comm),
        .pid = (uint32_t)entry->pid,
        .fd = entry->fd,
        .age_ms = (uint32_t)age_ms,
        .type = (int8_t)entry->type,
        .class = word_of(names_class, entry->class),
        .how = word_of(names_how, entry->how),
        .why = word_of(names_why, entry->why),
        .outcome = word_of(events_outcomes, entry->outcome),
    };
}

size_t events_kept(const struct events *events)
{
    return events->count < EVENTS_MAX ? (size_t)events->count : EVENTS_MAX;
}

const struct event *events_at(const struct events *events, size_t place)
{
    const uint64_t first = events->count < EVENTS_MAX ? 0 : events->count;
    return &events->all[(first + place) % EVENTS_MAX];
}

void events_free(struct events *events)
{
    for (size_t i = 0; i < events_kept(events); i++)
        free(events_at(events, i)->ends);
    free(events->all);
    counts_free(&events->names);
}
