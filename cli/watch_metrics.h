/*
 * The file of closewait watch --metrics: gauges of what is watched now, and counters since the
 * start.
 */
#ifndef CLOSEWAIT_WATCH_METRICS_H
#define CLOSEWAIT_WATCH_METRICS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics.h"
#include "watched.h"

struct watch_metrics {
    const char *path;
    char source[NAME_MAX + 1]; /* the file's name without what follows its last dot */
    struct metrics metrics;
    unsigned long written; /* what was counted when it was written last */
    uint64_t due_ms;
    bool lost; /* that it cannot be written was said */
};

/*
 * Writes the file for the first time. False, with what is wrong in why, when it cannot be. path
 * outlives it.
 */
bool watch_metrics_begin(struct watch_metrics *own, const char *path, char *why, size_t why_size);

/*
 * After each look: writes it when something was counted, and every 5 s. unseen: processes that
 * should be watched and cannot be.
 */
void watch_metrics_look(struct watch_metrics *own, struct watched *const *watched, size_t count,
                        size_t unseen);

/*
 * Removes the file: nobody watches any more, and what it says would stand for ever. Also of one
 * that is zeroed, or could not begin.
 */
void watch_metrics_end(struct watch_metrics *own);

#endif
