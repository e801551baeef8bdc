/* The corpus of verdicts: those rows of its table that need no program but ours. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <string.h>

#include "support.h"

Test(verdicts, are_right_and_nobody_notices_in_the_quick_rows_of_the_table, .timeout = 120)
{
    static char said[65536];
    const int status = shell(said, sizeof(said), "tests/verdicts/run.py --quick --jobs 32");
    if (strncmp(said, "skipped: all", 12) == 0)
        cr_skip_test("%s", said);
    cr_expect_eq(status, 0, "%s", said);
}
