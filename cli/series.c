#include "series.h"

#include <stdlib.h>

#include "must.h"

/* Towards the past, before 1970 too. */
static int64_t bin_of(int64_t time_ms, int exponent)
{
    return time_ms >> exponent;
}

static int64_t time_of(int64_t bin, int exponent)
{
    return (int64_t)((uint64_t)bin << exponent);
}

static void coarsen(struct series_span *span, int exponent)
{
    span->first = bin_of(span->first, exponent - span->exponent);
    span->last = bin_of(span->last, exponent - span->exponent);
    span->exponent = exponent;
}

void series_reach(struct series_span *span, int64_t time_ms)
{
    enum { SECOND = 10 };
    if (span->exponent < 0) {
        const int64_t bin = bin_of(time_ms, SECOND);
        *span = (struct series_span){SECOND, bin, bin};
    }
    for (;;) {
        const int64_t bin = bin_of(time_ms, span->exponent);
        const int64_t first = bin < span->first ? bin : span->first;
        const int64_t last = bin > span->last ? bin : span->last;
        if (last - first < SERIES_BINS) {
            span->first = first;
            span->last = last;
            return;
        }
        coarsen(span, span->exponent + 1);
    }
}

void series_reach_all(struct series_span *span, const struct series *series)
{
    if (!series->changes)
        return;
    if (span->exponent >= 0 && span->exponent < series->span.exponent)
        coarsen(span, series->span.exponent);
    series_reach(span, time_of(series->span.first, series->span.exponent));
    series_reach(span, time_of(series->span.last, series->span.exponent));
    if (span->exponent < series->span.exponent)
        coarsen(span, series->span.exponent);
}

static void put_into(const struct series *series, const struct series_span *span, int64_t *changes)
{
    for (int i = 0; i < SERIES_BINS; i++) {
        const int64_t time_ms = time_of(series->span.first + i, series->span.exponent);
        if (series->changes[i])
            changes[bin_of(time_ms, span->exponent) - span->first] += series->changes[i];
    }
}

void series_add(struct series *series, int64_t time_ms, int64_t change)
{
    struct series_span span = series->span;
    if (change == 0)
        return;
    if (!series->changes) {
        span.exponent = -1;
        series->changes = must(calloc(SERIES_BINS, sizeof(*series->changes)));
    }
    series_reach(&span, time_ms);
    if (span.exponent != series->span.exponent || span.first != series->span.first) {
        int64_t *const changes = must(calloc(SERIES_BINS, sizeof(*changes)));
        put_into(series, &span, changes);
        free(series->changes);
        series->changes = changes;
    }
    series->span = span;
    series->changes[bin_of(time_ms, span.exponent) - span.first] += change;
}

void series_levels(const struct series *series, const struct series_span *span,
                   int64_t levels[SERIES_BINS])
{
    for (int i = 0; i < SERIES_BINS; i++)
        levels[i] = 0;
    if (series->changes)
        put_into(series, span, levels);
    for (int i = 1; i < SERIES_BINS; i++)
        levels[i] += levels[i - 1];
}

void series_free(struct series *series)
{
    free(series->changes);
    *series = (struct series){0};
}
