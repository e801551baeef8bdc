/*
 * Growing or flat, as a table of what a call site held when; and the grace that would have been
 * right.
 */
#include "trend.h"

#include <criterion/criterion.h>

#include "hindsight.h"

/* Milliseconds. */
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define YEAR   (365 * (24 * HOUR))

/* It held so many from that age on. */
struct change {
    uint64_t age_ms;
    uint32_t held;
};

Test(trend, is_growing_when_more_is_held_than_in_the_first_half_of_its_life)
{
    static const struct {
        const char *name;
        struct change changes[12];
        uint64_t age_ms; /* at which it is judged */
        enum trend trend;
    } rows[] = {
        {"one leak", {{0, 1}}, HOUR, TREND_UNKNOWN},
        {"two, in the first second", {{0, 1}, {500, 2}}, 900, TREND_UNKNOWN},
        {"two, a second later", {{0, 1}, {500, 2}}, SECOND, TREND_FLAT},
        {"a pool that is filled at once", {{0, 1}, {100, 20}}, HOUR, TREND_FLAT},
        {"a second leak after a minute", {{0, 1}, {MINUTE, 2}}, MINUTE, TREND_GROWING},
        {"the same, a minute after that", {{0, 1}, {MINUTE, 2}}, 2 * MINUTE, TREND_GROWING},
        {"the same, many minutes later", {{0, 1}, {MINUTE, 2}}, 5 * MINUTE, TREND_FLAT},
        {"a leak every second",
         {{0, 1}, {1000, 2}, {2000, 3}, {3000, 4}, {4000, 5}, {5000, 6}},
         5 * SECOND,
         TREND_GROWING},
        {"a leak every hour, for hours",
         {{0, 1}, {HOUR, 2}, {2 * HOUR, 3}, {3 * HOUR, 4}, {4 * HOUR, 5}, {5 * HOUR, 6}},
         5 * HOUR,
         TREND_GROWING},
        {"a pool that filled in its first minute",
         {{0, 1}, {10 * SECOND, 4}, {30 * SECOND, 9}, {50 * SECOND, 10}},
         3 * MINUTE,
         TREND_FLAT},
        {"a pool of which some were closed and opened again",
         {{0, 1}, {10 * SECOND, 10}, {HOUR, 4}, {2 * HOUR, 10}},
         2 * HOUR,
         TREND_FLAT},
        {"one leak more than the pool ever held",
         {{0, 1}, {10 * SECOND, 10}, {HOUR, 4}, {2 * HOUR, 11}},
         2 * HOUR,
         TREND_GROWING},
        {"all but one closed", {{0, 1}, {10 * SECOND, 10}, {HOUR, 1}}, HOUR, TREND_UNKNOWN},
        {"fewer than in its youth", {{0, 30}, {HOUR, 5}}, HOUR, TREND_FLAT},
        {"a year", {{0, 1}, {MINUTE, 10}}, YEAR, TREND_FLAT},
        {"a leak after a year", {{0, 1}, {MINUTE, 10}, {YEAR, 11}}, YEAR, TREND_GROWING},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct trend_past past = {0};
        uint32_t held = 0;
        for (const struct change *change = rows[i].changes; change->held; change++) {
            held = change->held;
            trend_note(&past, held, change->age_ms);
        }
        cr_expect_eq(trend_of(&past, held, rows[i].age_ms), rows[i].trend, "%s", rows[i].name);
    }
}

/* What is asked must change nothing: the next answer would differ. */
Test(trend, is_the_same_however_often_it_is_asked_for)
{
    struct trend_past past = {0};
    trend_note(&past, 1, 0);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(trend_of(&past, 2, 100 * HOUR), TREND_GROWING);
    trend_note(&past, 2, 10 * SECOND);
    cr_expect_eq(trend_of(&past, 2, 11 * SECOND), TREND_GROWING);
    cr_expect_eq(trend_of(&past, 2, 100 * HOUR), TREND_FLAT);
}

Test(hindsight, is_a_neat_grace_with_a_margin_of_a_quarter)
{
    static const struct {
        uint64_t leaks;
        uint64_t late;
        uint64_t slowest_ms;
        uint32_t grace_ms;
    } rows[] = {
        {1, 1, 3 * MINUTE + 10 * SECOND, 4 * MINUTE},
        {4, 3, 3 * MINUTE + 10 * SECOND, 4 * MINUTE},
        {4, 2, 3 * MINUTE + 10 * SECOND, 0},
        {5, 3, 3 * MINUTE + 10 * SECOND, 4 * MINUTE},
        {1, 2, 3 * MINUTE + 10 * SECOND, 4 * MINUTE},
        {1, 0, 3 * MINUTE + 10 * SECOND, 0},
        {0, 0, 0, 0},
        {1, 1, 0, 10},
        {1, 1, 8, 10},
        {1, 1, 9, 20},
        {1, 1, 350, 500},
        {1, 1, 800, SECOND},
        {1, 1, 4 * SECOND, 5 * SECOND},
        {1, 1, 4001, 6 * SECOND},
        {1, 1, 10 * SECOND, 15 * SECOND},
        {1, 1, 60 * SECOND, 90 * SECOND},
        {1, 1, 48 * MINUTE, HOUR},
        {1, 1, HOUR, 90 * MINUTE},
        {1, 1, 19 * HOUR + 12 * MINUTE, 24 * HOUR},
        {1, 1, 20 * HOUR, 0},
        {1, 1, UINT32_MAX, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint32_t grace_ms =
            hindsight_grace_ms(rows[i].leaks, rows[i].late, rows[i].slowest_ms);
        cr_expect_eq(grace_ms, rows[i].grace_ms, "%zu: %u ms", i, grace_ms);
    }
}
