/*
 * How often the watcher looks: half a percent of a core, and those told last come first.
 */
#include "pace.h"

#include <criterion/criterion.h>

Test(pace, sleeps_two_hundred_times_what_it_has_worked)
{
    static const struct {
        uint64_t cost_us;
        uint32_t pause_ms;
        uint32_t paced_ms;
    } rows[] = {
        {0, 200, 200},
        {1000, 200, 200},
        {1001, 200, 200},
        {1005, 200, 201},
        {10000, 200, 2000},
        {10000, 1, 2000},
        {10000, 30000, 30000},
        {10000, 0, 0}, /* until somebody wakes it */
        {1, 0, 0},
        {300 * 1000000ULL, 200, 60 * 1000 * 1000},
        {UINT64_MAX / 200, 200, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(pace_pause_ms(rows[i].cost_us, rows[i].pause_ms), rows[i].paced_ms,
                     "row %zu: %u", i, pace_pause_ms(rows[i].cost_us, rows[i].pause_ms));
}

enum { TOLD = 450 };

/* Numbers 1 to TOLD are due at each look around; notes who came to it. */
static int look_around(int *looked)
{
    int count = 0;
    pace_begin();
    for (int fd = 1; fd <= TOLD; fd++) {
        if (!pace_allows_again(fd))
            continue;
        looked[fd]++;
        count++;
    }
    pace_end(200);
    return count;
}

Test(pace, looks_at_each_that_was_told_in_turn)
{
    int looked[TOLD + 1] = {0};
    cr_expect_eq(look_around(looked), 200);
    cr_expect_eq(look_around(looked), 200);
    cr_expect_eq(look_around(looked), 50);
    for (int fd = 1; fd <= TOLD; fd++)
        cr_expect_eq(looked[fd], 1, "%d: %d", fd, looked[fd]);
    cr_expect_eq(look_around(looked), 200, "and from the beginning");
    cr_expect_eq(looked[1], 2);
}

Test(pace, does_not_count_what_is_news)
{
    pace_begin();
    pace_news_begin();
    for (volatile int i = 0; i < 10000000; i++) {
    }
    pace_news_end();
    cr_expect_lt(pace_end(200), 2000, "ten million turns are more than 10 ms");
}
