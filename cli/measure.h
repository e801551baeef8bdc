/*
 * What ps and watch know, as metrics (metrics.h, docs/metrics.md).
 */
#ifndef CLOSEWAIT_MEASURE_H
#define CLOSEWAIT_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "metrics.h"
#include "processes.h"

struct memory;   /* watched.h */
struct snapshot; /* snapshot.h */
struct watched;

/*
 * Gauges, for ps: all that a look at the machine has found; a socket whose holder may not be looked
 * into is of the process "unknown". And what the processes that were looked at hold.
 */
void measure_machine(struct metrics *metrics, const struct snapshot *snapshot);
void measure_chosen(struct metrics *metrics, const struct snapshot *snapshot);

/*
 * Gauges, for watch: of the accept queues of the processes, at which this looks, and of one. Where
 * the kernel does not list its sockets there are no gauges of queues: why, the look at the process
 * has said before.
 */
void measure_queues(struct metrics *metrics, const struct pid_list *pids);
void measure_watched(struct metrics *metrics, const struct watched *watched);

/* How many processes could not be looked into. */
void measure_unseen(struct metrics *metrics, size_t processes);

/*
 * Counters, when it happens. metrics NULL: nobody counts. error: 0, or the errno for which the
 * socket could not be closed.
 */
void measure_leak(struct metrics *metrics, const struct watched *watched,
                  const struct memory *memory);
void measure_reap(struct metrics *metrics, const struct watched *watched, int error);
void measure_late_close(struct metrics *metrics, const struct watched *watched);

/* What tells one leak from another, seen from outside: where it was opened is not known there. */
struct kind {
    const char *process;
    const char *container; /* may be empty, or NULL */
    bool over;             /* it is in CLOSE */
    bool eof_read;
    uint32_t unread_bytes;
    bool accepted;
    uint16_t port; /* the service's: its own of an accepted socket, else the peer's */
};

/* For the above: a value of a socket's, or of a process's, in the unit that the metric's name ends
 * in (seconds, a ratio of 0 to 1), or else a number of things. */
void measure_kind(struct metrics *metrics, enum metric metric, const struct kind *kind,
                  double value);
void measure_process(struct metrics *metrics, enum metric metric, const char *process,
                     const char *container, double value);

/* A process that is looked at. Where /proc does not tell of its descriptors, as when it has ended,
 * it is counted, and nothing is said of what it has left. */
void measure_presence(struct metrics *metrics, pid_t pid, const char *process,
                      const char *container);

#endif
