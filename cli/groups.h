/*
 * The records of many processes by call site, and those of accept queues by address.
 */
#ifndef CLOSEWAIT_GROUPS_H
#define CLOSEWAIT_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "counts.h"
#include "entry.h"
#include "events.h"
#include "kept_stack.h"
#include "queues.h"
#include "quota.h"
#include "tally.h"

/*
 * One call site: the hash of its stack. Sockets without a stack have the same hash everywhere, and
 * are a group for each name of a process.
 *
 * Of leaks that got no line of their own nothing but their number is known, so that they are not
 * among those that are counted by name.
 */
struct group {
    char *key;
    char site[ENTRY_SITE_SIZE];
    struct sums sums;
    int64_t first_ms; /* when the first leaked, since 1970 */
    int64_t last_ms;
    struct kept_stack open_stack;
    struct kept_stack eof_stack;
    struct counts names; /* of its processes, and how many there were of each */
    struct counts classes;
    struct counts ways;   /* how it was opened */
    struct counts peers;  /* by IP address; the tag is the port, 0 if there were several */
    struct counts reaps;  /* by what proved it and what came of it: "grace gone" */
    struct series series; /* of what it held */
    size_t rank;          /* its place in the order of showing, once that is known */
    uint64_t other_peers; /* leaks whose peer is none of GROUP_PEERS */
    int64_t slowest_ms;   /* the longest from a FIN to a late close */
    int64_t grace_ms;     /* the longest that a line has said to have been right; 0: none did */
};

/* So many peers of one site are told apart, and so many are shown. */
enum { GROUP_PEERS = 4096, GROUP_TOP = 3 };

/* So many programs, classes and ways: beyond them something is wrong with the log. */
enum { GROUP_NAMES = 64 };

struct groups {
    void *by_key;       /* a tree, as tsearch(3) makes it */
    struct group **all; /* once finished in the order of showing: what holds most comes first */
    size_t count;
    struct queues queues;
    struct tallies tallies; /* of processes, untold */
    struct events events;   /* the latest records, for a page */
    bool for_page;          /* to be set before the first record: events and series are wanted */
    struct quota *quota;
    int64_t first_ms; /* the times of the earliest record and of the latest, since 1970 */
    int64_t last_ms;  /* INT64_MIN: there was none */
};

/* None. What they will have no room for is counted in the quota, which has to outlive them. */
struct groups groups_begin(struct quota *quota);

/*
 * Counts a record, a line as entry_read takes it. file is a number for the file that it is from; a
 * process's records must come in their order.
 */
enum entry_found groups_add(struct groups *groups, const char *line, size_t len, int file);

/* To be called once, after the last record. Until then neither sums nor order are right. */
void groups_finish(struct groups *groups);

void groups_free(struct groups *groups);

/* Milliseconds since the first FIN of what is held, as of the latest record; -1: nothing is. */
int64_t group_oldest_ms(const struct groups *groups, const struct group *group);

/* Leaks an hour between the first and the last; negative when there are no two moments. */
double group_growth(const struct group *group);

/* Of its processes that go on, or else of those that are over, the worst. */
enum trend group_trend(const struct group *group);

/*
 * The grace that would have been right; 0 when no more than half of its leaks were closed late. See
 * hindsight.h.
 */
int64_t group_grace_ms(const struct group *group);

/* Where a peer is, as "10.0.0.7:5432", or "10.0.0.7" if its ports differ. For free(3). */
char *group_peer(const struct met *peer);

#endif
