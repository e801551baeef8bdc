/*
 * A number over time in bounded memory.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../cli/series.h"

static const int64_t DAY = 86400000;

/* The number at that time, as the series has it. */
static int64_t level_at(const struct series *series, int64_t time_ms)
{
    int64_t levels[SERIES_BINS];
    struct series_span span = {.exponent = -1};
    series_reach_all(&span, series);
    series_levels(series, &span, levels);
    const int64_t bin = (time_ms >> span.exponent) - span.first;
    cr_assert(bin >= 0 && bin < SERIES_BINS, "bin %ld", (long)bin);
    return levels[bin];
}

Test(series, has_the_number_at_each_time)
{
    static const struct {
        int64_t time_ms;
        int64_t change;
        int64_t level; /* at the end */
    } rows[] = {
        {20 * DAY, 5, 5},   {20 * DAY + 3000, 2, 7}, {21 * DAY, -4, 3},
        {30 * DAY, 10, 13}, {40 * DAY, -13, 0},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct series series = {0};
    for (int i = 0; i < ROWS; i++)
        series_add(&series, rows[i].time_ms, rows[i].change);
    for (int i = 2; i < ROWS; i++)
        cr_expect_eq(level_at(&series, rows[i].time_ms), rows[i].level, "row %d: %ld", i,
                     (long)level_at(&series, rows[i].time_ms));
    series_free(&series);
}

Test(series, is_fine_while_it_is_short)
{
    struct series series = {0};
    series_add(&series, 20 * DAY, 1);
    series_add(&series, 20 * DAY + 1500, 1);
    series_add(&series, 20 * DAY + 90000, 1);
    cr_expect_eq(level_at(&series, 20 * DAY), 1);
    cr_expect_eq(level_at(&series, 20 * DAY + 2000), 2);
    cr_expect_eq(level_at(&series, 20 * DAY + 90000), 3);
    series_free(&series);
}

/* Logs of several files come as they come; and somebody's clock was at 1970, or before. */
Test(series, is_the_same_in_any_order)
{
    enum { COUNT = 2000 };
    int64_t times[COUNT];
    int64_t forth[SERIES_BINS];
    int64_t back[SERIES_BINS];
    struct series forwards = {0};
    struct series backwards = {0};
    struct series_span span = {.exponent = -1};
    srandom(1);
    for (int i = 0; i < COUNT; i++)
        times[i] = (random() % 1000 - 100) * DAY + random() % DAY;
    for (int i = 0; i < COUNT; i++) {
        series_add(&forwards, times[i], i % 7 - 2);
        series_add(&backwards, times[COUNT - 1 - i], (COUNT - 1 - i) % 7 - 2);
    }
    series_reach_all(&span, &forwards);
    series_reach_all(&span, &backwards);
    series_levels(&forwards, &span, forth);
    series_levels(&backwards, &span, back);
    for (int i = 0; i < SERIES_BINS; i++)
        cr_expect_eq(forth[i], back[i], "bin %d: %ld and %ld", i, (long)forth[i], (long)back[i]);
    series_free(&forwards);
    series_free(&backwards);
}

Test(series, of_different_lengths_fit_one_span)
{
    int64_t levels[SERIES_BINS];
    struct series brief = {0};
    struct series lengthy = {0};
    struct series_span span = {.exponent = -1};
    series_add(&brief, 20 * DAY, 3);
    series_add(&lengthy, 10 * DAY, 1);
    series_add(&lengthy, 900 * DAY, 1);
    series_reach_all(&span, &brief);
    series_reach_all(&span, &lengthy);
    cr_expect_lt(span.last - span.first, SERIES_BINS);
    series_levels(&brief, &span, levels);
    cr_expect_eq(levels[0], 0);
    cr_expect_eq(levels[SERIES_BINS - 1], 3);
    series_levels(&lengthy, &span, levels);
    cr_expect_eq(levels[0], 1);
    cr_expect_eq(levels[SERIES_BINS - 1], 2);
    series_free(&brief);
    series_free(&lengthy);
}

Test(series, of_nothing_is_zero)
{
    int64_t levels[SERIES_BINS];
    struct series series = {0};
    struct series_span span = {.exponent = -1};
    series_add(&series, DAY, 0);
    series_reach_all(&span, &series);
    cr_expect_eq(span.exponent, -1);
    series_reach(&span, DAY);
    series_levels(&series, &span, levels);
    cr_expect_eq(levels[0], 0);
}
