/*
 * What one call site counts in one process, by its lines alone. tally.h says what the counts mean,
 * tally.c which process a line is of. For tally.c alone.
 */
#ifndef CLOSEWAIT_TALLY_COUNT_H
#define CLOSEWAIT_TALLY_COUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "entry.h"
#include "tally.h"
#include "trend.h"

struct process {
    int file;
    struct named *named;
    struct process *next;  /* of the same pid and name, in another file */
    struct process *newer; /* of all */
    struct process *older;
    struct tally *tallies; /* of all its sites */
    uint64_t over;         /* what was not told after this line is of a process before it */
};

struct named {
    int pid;
    char *comm;
    struct process *processes;
};

struct tally {
    const struct process *process;
    struct sums *sums;
    struct tally *next; /* of the same process */
    uint64_t line;      /* its last */
    uint32_t leaks;     /* these three as the lines count them */
    uint32_t reaps;
    uint32_t late;
    uint32_t failed;       /* of the reaps */
    uint32_t late_reaped;  /* of the late closes: of what was reaped before */
    uint64_t rescued;      /* reaped too, and not among the reaps */
    int64_t held_since_ms; /* the first FIN */
    int64_t first_ms;      /* when its first line was told, as far as there are lines */
    int64_t last_ms;       /* when it was last known to hold what it holds */
    struct trend_past past;
};

/* How many leaked, and how many of them are held; as many as there must have been at least. */
uint64_t tally_leaks(const struct tally *tally);
uint64_t tally_held(const struct tally *tally);

/* Whether its process was seen to be another one since its last line, or to have ended. */
bool tally_is_over(const struct tally *tally);

/*
 * For lines that tell of a leak, a reap or a late close: whether it goes on exactly where this one
 * has come to; and whether it cannot go on here, as its count begins anew. -1 as the line's since:
 * not known.
 */
bool tally_goes_on(struct tally *tally, const struct log_entry *entry);
bool tally_begins_anew(struct tally *tally, const struct log_entry *entry);

/* Counts such a line. */
void tally_count(struct tally *tally, const struct log_entry *entry);

/* Adds what it counts to the sums of its site. */
void tally_sum_up(const struct tally *tally);

/* To count from nothing again. */
void tally_empty(struct tally *tally);

#endif
