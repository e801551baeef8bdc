/*
 * Every door that a socket goes through, in every action; the rows are in programs/doors.c.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum {
#define CALL(returns, name, parameters, kernel) COUNT_##name,
#define ALIAS(name, of)                         COUNT_##name,
#include "calls.h"
#undef CALL
    COUNT
};

/* Everybody may write to the file: some rows become another user. */
Test(doors, are_all_watched_and_none_is_noticed)
{
    static const char *const actions[] = {"log", "close-dead", "close"};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        char said[16384];
        const int status =
            shell(said, sizeof(said),
                  "report=$(mktemp) && chmod 666 $report && "
                  "CLOSEWAIT_OPTIONS=action=%s,format=json,last=on,grace=2s,output=$report "
                  "%s $report 2>>$report; "
                  "status=$?; rm $report; exit $status",
                  actions[i], built("tests/doors"));
        cr_expect_eq(status, 0, "%s:\n%s", actions[i], said);
        cr_expect_eq(times(said, "\nok ") + 1, COUNT + 1, "%s", said);
        cr_expect_eq(times(said, "not ok"), 0, "%s", said);
    }
}
