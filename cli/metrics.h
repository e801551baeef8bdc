/*
 * Numbers for Prometheus: series, each of a metric and a set of labels, and the text that they are
 * written as. docs/metrics.md says what each metric means; the table in metrics.c is where its
 * name, type and help are.
 */
#ifndef CLOSEWAIT_METRICS_H
#define CLOSEWAIT_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metric {
    /* gauges */
    METRIC_SOCKETS,
    METRIC_SOCKETS_AGE,
    METRIC_LEAKED,
    METRIC_QUEUED,
    METRIC_QUEUED_HUNG_UP,
    METRIC_QUEUED_AGE,
    METRIC_QUEUE_LIMIT,
    METRIC_DESCRIPTORS_LEFT,
    METRIC_DESCRIPTORS_SHARE,
    METRIC_PROCESSES,
    METRIC_UNSEEN,
    /* counters */
    METRIC_LEAKS,
    METRIC_REAPS,
    METRIC_LATE_CLOSES,
    METRIC_COUNT
};

/*
 * The text format of Prometheus, which node_exporter reads from a file *.prom, and OpenMetrics: the
 * same but for the names of counters, the units and the end.
 */
enum exposition { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };

/*
 * How many sets of labels a metric may have. What comes after them is counted as one, of the
 * process "other", unless one of what is gone can make room: a gauge that has said 0, or a counter
 * that was not added to for long.
 */
enum { METRICS_SETS = 200 };

/* For how long a gauge says 0, which the rarest scrape should see; and after which time a counter
 * may go where room is needed: the rules look back no further (docs/deploy/closewait.rules.yml). */
enum { METRICS_ZERO_MS = 5 * 60 * 1000, METRICS_COUNTER_MS = 60 * 60 * 1000 };

struct metrics {
    const char *source; /* the label of that name, which every series has; outlives it */
    void *series;       /* a tree, as tsearch(3) makes it */
    size_t sets[METRIC_COUNT];
    bool full[METRIC_COUNT]; /* since it was renewed, nothing was found that could make room */
    uint64_t now_ms;         /* when it was renewed, and when before that */
    uint64_t before_ms;
    unsigned long counted; /* additions to counters so far */
};

/* name NULL ends a list of them; one whose value is empty is left out. */
struct label {
    const char *name;
    const char *value;
};

/*
 * Adds a value to a series: counters and numbers of things are summed, of ages the greatest is
 * kept, of what is left the least. Values are any text: what is no UTF-8 becomes U+FFFD.
 */
void metrics_add(struct metrics *metrics, enum metric metric, const struct label *labels,
                 double value);

/*
 * Before gauges are added anew, at now_ms of a clock that goes on. Those that nothing is added to
 * then say 0, or nothing where 0 would be an alarm, for METRICS_ZERO_MS; then they go. Counters
 * stay.
 */
void metrics_renew(struct metrics *metrics, uint64_t now_ms);

/* What is written to to: ferror(3) says whether it was. */
void metrics_print(const struct metrics *metrics, enum exposition exposition, FILE *to);

/*
 * Puts it into a file, whole, whoever reads meanwhile (rename(2)), that everybody may read. In the
 * text format of Prometheus when the path ends in .prom. False, with what is wrong in why.
 */
bool metrics_write(const struct metrics *metrics, const char *path, char *why, size_t why_size);

void metrics_free(struct metrics *metrics);

#endif
