/*
 * What one call site counts in one process, and which process a line is of.
 *
 * A process is a pid and a name in one file. Its lines come in their order, those of others
 * between them as they like. It is over with its summary, or when its pid is seen to be another
 * process's: a count begins anew. In another file it goes on where that file begins with a line
 * that says so, as after logrotate: its since is the count that was told last.
 *
 * Counts are the shim's own, which has counted what got no line too. A rescue and a conflict show
 * one leak each, and their count may be missing: then a site has as many leaks as it must have had
 * to be shown, reaped and closed as often as it was.
 */
#ifndef CLOSEWAIT_TALLY_H
#define CLOSEWAIT_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "quota.h"
#include "series.h"
#include "trend.h"

/* Of one call site in all processes. */
struct sums {
    uint64_t leaks;
    uint64_t held;        /* by processes that go on as far as is known */
    uint64_t held_at_end; /* by those that are over, when they ended */
    uint64_t reaped;
    uint64_t late;           /* closed by the program after all; of those reaped too */
    int64_t held_since_ms;   /* the first FIN in a process that holds any; INT64_MAX: none does */
    enum trend trend;        /* of that process, of those that go on, of which it is the worst */
    enum trend trend_at_end; /* the same of those that are over */
    struct series *series;   /* what is held, over time; NULL: nobody asks */
};

/* Zeroed but for what is INT64_MAX where there is none. */
struct sums sums_of_none(void);

/* Empty when zeroed but for the quota. */
struct tallies {
    struct quota *quota;
    struct process *newest; /* of whom there was a line last, and whom before: for when there is */
    struct process *oldest; /* no room for all of them */
    void *names;            /* the processes by pid and name: a tree, as tsearch(3) makes it */
    void *by_site;          /* a tree too, of struct tally */
    size_t processes;
    uint64_t line;    /* how many were counted */
    uint64_t untold;  /* leaks that the summaries count and no line tells */
    uint64_t evicted; /* processes that had to make room: what they held counts as held */
};

struct told_by {
    bool new_process; /* the first line of this site in its process */
    bool new_leak;    /* it tells a leak that none told before */
    uint64_t reaps;   /* so many that none told before; of those that failed too */
};

/*
 * Counts a line of the site whose sums these are: their address stands for it. file is a number
 * for the file that it is from. The sums get what their processes counted when those are over, or
 * in tallies_finish.
 */
struct told_by tallies_add(struct tallies *tallies, const struct log_entry *entry, int file,
                           struct sums *sums);

/* The summary of a process, which ends it. */
void tallies_end(struct tallies *tallies, const struct log_entry *entry, int file);

/*
 * Adds to the sums what is not in them yet, as it is at now_ms, the time of the latest record.
 * Afterwards the tallies are empty.
 */
void tallies_finish(struct tallies *tallies, int64_t now_ms);

#endif
