/*
 * The records of many processes by call site, and those of accept queues by address.
 */
#ifndef CLOSEWAIT_GROUPS_H
#define CLOSEWAIT_GROUPS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "queues.h"
#include "tally.h"

/*
 * One call site: the hash of its stack. Sockets without a stack have the same hash everywhere, and
 * are a group for each name of a process.
 *
 * The last four tell how often each name was met. Their values are integers; of leaks that got no
 * line of their own nothing but their number is known, so that they are not among them.
 */
struct group {
    char *key;
    char site[ENTRY_SITE_SIZE];
    struct sums sums;
    int64_t first_ms; /* when the first leaked, since 1970 */
    int64_t last_ms;
    json_t *open_stack; /* NULL: not known; so is eof_stack */
    json_t *eof_stack;
    json_t *names; /* of its processes, and how many there were of each */
    json_t *classes;
    json_t *ways;         /* how it was opened */
    json_t *peers;        /* by IP address */
    json_t *ports;        /* of each peer: 0, if it had several */
    uint64_t other_peers; /* leaks whose peer is none of GROUP_PEERS */
    int64_t slowest_ms;   /* the longest from a FIN to a late close */
    int64_t grace_ms;     /* the longest that a line has said to have been right; 0: none did */
};

/* So many peers of one site are told apart, and so many are shown. */
enum { GROUP_PEERS = 4096, GROUP_TOP = 3 };

struct groups {
    void *by_key;       /* a tree, as tsearch(3) makes it */
    struct group **all; /* once finished in the order of showing: what holds most comes first */
    size_t count;
    struct queues queues;
    struct tallies tallies; /* of processes, untold */
    int64_t last_ms;        /* the time of the latest record; INT64_MIN: there was none */
};

/* None. */
struct groups groups_begin(void);

/*
 * Counts a record. file is a number for the file that it is from; a process's records must come in
 * their order. False, and nothing is counted, when it is no record of closewait's.
 */
bool groups_add(struct groups *groups, const json_t *record, int file);

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

/* Who was met how often. */
struct met {
    const char *name;
    uint64_t times;
};

/*
 * The most frequent names of such an object of a group, at most GROUP_TOP, the most frequent first;
 * of equals in the order of strcmp(3). Returns how many there are.
 */
size_t group_top(const json_t *counts, struct met top[GROUP_TOP]);

/* Where a peer is, as "10.0.0.7:5432", or "10.0.0.7" if its ports differ. For free(3). */
char *group_peer(const struct group *group, const char *ip);

#endif
