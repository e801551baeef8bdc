/*
 * The units of docs/deploy, without systemd: tests/long/deploy.sh has it.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdlib.h>

#include "support.h"

static char said[4096];

/* Of two that set the same variable, the one whose name is later takes all. */
Test(deploy, has_drop_ins_for_the_watcher_that_can_be_used_together)
{
    shell(said, sizeof(said),
          "sed -n 's/^Environment=\"*\\([A-Z_]*\\)=.*/\\1/p' docs/deploy/*watch-*.conf | sort");
    cr_expect_str_eq(said, "OPTIONS\nOUTPUT_OPTIONS\n");
    cr_expect_eq(shell(said, sizeof(said),
                       "grep -qx 'ExecStart=closewait watch .* $OPTIONS $OUTPUT_OPTIONS' "
                       "docs/deploy/closewait-watch@.service"),
                 0);
}
