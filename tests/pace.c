/*
 * How often the watcher looks: half a percent of a core, and those told last come first.
 */
#include "pace.h"

#include <criterion/criterion.h>

Test(pace, rests_225_times_as_long_as_it_has_worked)
{
    static const struct {
        uint64_t cost_us;
        uint32_t rest_ms;
    } rows[] = {
        {0, 0},
        {1, 0},
        {5, 1},
        {1000, 225},
        {10000, 2250},
        {300 * 1000000ULL, 67500 * 1000},
        {UINT64_MAX / 225, UINT32_MAX},
        {UINT64_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(pace_rest_ms(rows[i].cost_us), rows[i].rest_ms, "row %zu: %u", i,
                     pace_rest_ms(rows[i].cost_us));
}

static void work(void)
{
    for (volatile int i = 0; i < 10000000; i++) {
    }
}

Test(pace, says_how_long_there_is_to_be_no_other)
{
    pace_begin();
    work();
    const uint32_t rest_ms = pace_end();
    cr_expect_geq(rest_ms, 200, "ten million turns are more than 1 ms: %u", rest_ms);
    cr_expect_leq(pace_left_ms(), rest_ms);
    cr_expect_gt(pace_left_ms(), 0);
    pace_begin();
    cr_expect_leq(pace_end(), 100);
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
    pace_end();
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
    work();
    pace_news_end();
    cr_expect_lt(pace_end(), 100);
}
