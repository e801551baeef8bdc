/*
 * One process that is watched from outside, look after look: what is remembered of its sockets,
 * what was told of them, and what was closed.
 */
#ifndef CLOSEWAIT_WATCHED_H
#define CLOSEWAIT_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "probing.h"
#include "rules.h"
#include "target.h"

/* A socket whose peer is gone. Times are of CLOCK_MONOTONIC, in milliseconds. */
struct memory {
    uint64_t cookie;
    uint64_t seen_ms;    /* when first */
    uint64_t gone_ms;    /* since when its peer is gone */
    uint64_t touched_ms; /* when the program was last seen to have read; 0: never */
    uint32_t unread_bytes;
    bool eof_read;
    bool fin_seen;
    bool over; /* in CLOSE */
    bool told; /* as a leak */
    bool accepted;
    bool quiet;  /* a pattern suppresses it */
    bool closed; /* by us */
    bool there;  /* in this look */
    struct probing probing;
    int error;         /* why it could not be closed the last time, or 0 */
    uint32_t pause_ms; /* before that is tried again; 0: it was not tried */
    uint64_t retry_ms; /* when it is */
    int fd;            /* the rest is for the record of a late close */
    struct endpoint local;
    struct endpoint peer;
};

struct metrics; /* metrics.h */

struct watched {
    struct target target;
    struct metrics *metrics; /* where to count, or NULL; outlives it */
    struct memory *sockets;
    size_t count;
    uint64_t first_ms; /* of its leaks */
    uint32_t leaked;   /* how many so far */
    uint32_t leaked_told;
    uint32_t reaped;
    uint32_t late;
    uint32_t suppressed;
    uint32_t lost; /* reports that could not be written */
    int failure;   /* the errno that was last said to keep us from closing */
    bool troubled; /* that something keeps us from it was said */
};

/* False, with what is wrong and what to do in why, when it cannot be watched. */
bool watched_begin(struct watched *watched, pid_t pid, char *why, size_t why_size);

/* Whether the process is one of those count. */
bool watched_has(struct watched *const *at, size_t count, pid_t pid);

/* One look, with what there is to tell and to close. False when the process has ended. */
bool watched_look(struct watched *watched, const struct rules *rules);

/* Tells the summary, and frees it. */
void watched_end(struct watched *watched, const struct rules *rules);

void watched_free(struct watched *watched);

/* How long to wait between two looks: as many are made as grace needs to be kept to. */
uint32_t watched_pace_ms(const struct options *options);

#endif
