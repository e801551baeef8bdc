/*
 * What a program prints with and without the shim is the same; and what it leaks meanwhile is
 * reported, whatever it does besides.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "support.h"

static const struct {
    const char *name;
    const char *options;
    int leaks; /* how many must be reported; -1: nobody counts */
} rows[] = {
    {"closed-stderr", "action=close,grace=20ms,output=/dev/null", -1},
    {"seccomp", "grace=100ms", 1},
    {"thread-exit", "grace=100ms", 1},
    {"newpid", "grace=100ms,format=json", 2},
    {"bind", "action=close,grace=100ms,output=/dev/null", -1},
    {"fork", "action=close,grace=20ms,output=/dev/null", -1},
    {"interrupt", "action=close,grace=20ms,output=/dev/null", -1},
    {"dup2", "grace=100ms", 1},
    {"fsize", "grace=100ms,output=/tmp/closewait-no-such-folder/a", -1},
};

static int leaks_in(const char *said)
{
    return times(said, ": leak: ") + times(said, "{\"type\":\"leak\"");
}

Test(manners, are_the_same_with_and_without_us)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char alone[1024];
        char watched[16384];
        char reported[16384];
        cr_expect_eq(shell(alone, sizeof(alone), "timeout 20 %s %s 2>/dev/null",
                           built("tests/manners"), rows[i].name),
                     0, "%s: %s", rows[i].name, alone);
        cr_expect_eq(shell(watched, sizeof(watched),
                           "err=$(mktemp) && timeout 20 env LD_PRELOAD=%s CLOSEWAIT_OPTIONS=%s "
                           "%s %s 2>$err; status=$?; mv $err %s.err; exit $status",
                           built("libclosewait.so"), rows[i].options, built("tests/manners"),
                           rows[i].name, built("tests/manners")),
                     0, "%s: %s", rows[i].name, watched);
        cr_expect_str_eq(watched, alone, "%s", rows[i].name);
        shell(reported, sizeof(reported), "cat %s.err; rm %s.err", built("tests/manners"),
              built("tests/manners"));
        if (rows[i].leaks >= 0)
            cr_expect_eq(leaks_in(reported), rows[i].leaks, "%s: %s", rows[i].name, reported);
    }
}
