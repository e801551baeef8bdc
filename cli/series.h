/*
 * A number over time in bounded memory: what it changed by, in bins that become twice as long
 * whenever the time no longer fits. Pure but for malloc(3).
 */
#ifndef CLOSEWAIT_SERIES_H
#define CLOSEWAIT_SERIES_H

#include <stdint.h>

enum { SERIES_BINS = 120 };

/* Bins begin at multiples of their length, so that those of two series fit each other. */
struct series_span {
    int exponent;  /* a bin is 2 to its power long, in milliseconds */
    int64_t first; /* the first bin, counted from 1970 */
    int64_t last;
};

/* Empty when zeroed. */
struct series {
    struct series_span span; /* first is that of changes[0], last that of the latest change */
    int64_t *changes;        /* SERIES_BINS; NULL: there was none */
};

/* At that time, in milliseconds since 1970, the number became greater by so much. */
void series_add(struct series *series, int64_t time_ms, int64_t change);

/* Makes the span, {0} with exponent -1 for none, reach over this time too, in SERIES_BINS bins. */
void series_reach(struct series_span *span, int64_t time_ms);
void series_reach_all(struct series_span *span, const struct series *series);

/* The number at the end of each bin of a span that reaches over the series, from first to last. */
void series_levels(const struct series *series, const struct series_span *span,
                   int64_t levels[SERIES_BINS]);

void series_free(struct series *series);

#endif
