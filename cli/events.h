/*
 * The latest records one by one, as many as a page can show.
 */
#ifndef CLOSEWAIT_EVENTS_H
#define CLOSEWAIT_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "counts.h"
#include "entry.h"
#include "quota.h"

enum { EVENTS_MAX = 100000 };

struct group;

struct event {
    int64_t time_ms;
    const struct group *group; /* NULL: of an accept queue */
    char *ends;                /* local and peer, each with its NUL */
    uint32_t comm;             /* its place in the names */
    uint32_t pid;
    uint32_t fd;
    uint32_t age_ms; /* since the FIN, or in the queue */
    int8_t type;     /* these as in names.h, but for outcomes; -1: another word */
    int8_t class;
    int8_t how;
    int8_t why;
    int8_t outcome;
};

/* Empty when zeroed but for the quota. */
struct events {
    struct quota *quota;
    struct event
        *all; /* of count the latest EVENTS_MAX: the next one takes the place of the oldest */
    uint64_t count;
    struct counts names;
};

/* Of a reap or a rescue; ends with NULL. */
extern const char *const events_outcomes[];

void events_add(struct events *events, const struct log_entry *entry, const struct group *group);

/* How many are kept, and the one at a place among them, the oldest first. */
size_t events_kept(const struct events *events);
const struct event *events_at(const struct events *events, size_t place);

void events_free(struct events *events);

#endif
