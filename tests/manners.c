/*
 * What a program prints with and without the shim is the same; and what it leaks meanwhile is
 * reported, whatever it does besides.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static const struct {
    const char *name;
    const char *options;
    int leaks; /* how many must be reported; -1: nobody counts */
} rows[] = {
    {"closed-stderr", "action=close,grace=20ms,output=/dev/null", -1},
    {"seccomp", "grace=100ms", 1},
    {"sandbox", "action=close,grace=100ms", 1},
    {"tsc", "grace=100ms", 1},
    {"thread-exit", "grace=100ms", 1},
    {"newpid", "grace=100ms,format=json", 2},
    {"bind", "action=close,grace=100ms,output=/dev/null", -1},
    {"fork", "action=close,grace=20ms,output=/dev/null", -1},
    {"interrupt", "action=close,grace=20ms,output=/dev/null", -1},
    {"dup2", "grace=100ms", 1},
    {"fsize", "grace=100ms,output=/tmp/closewait-no-such-folder/a", -1},
};

static const char leak[] = ": leak: |\"type\":\"leak\"";

static int leaks_in(const char *path)
{
    char said[64];
    shell(said, sizeof(said), "grep -Ec '%s' %s", leak, path);
    return (int)strtol(said, NULL, 10);
}

/*
 * Runs one under the shim. Its standard input lasts until its leaks were reported; where nobody
 * counts them, as long as some sweeps take.
 */
static int watch(size_t row, const char *err, char *said, size_t size)
{
    char input[512] = "sleep 0.6";
    if (rows[row].leaks >= 0)
        snprintf(input, sizeof(input),
                 "for i in $(seq 200); do [ $(grep -Ec '%s' %s) -ge %d ] && break; sleep 0.05; "
                 "done",
                 leak, err, rows[row].leaks);
    return shell(said, size,
                 ": >%s; (%s) | timeout 20 env LD_PRELOAD=%s CLOSEWAIT_OPTIONS=%s %s %s 2>%s", err,
                 input, built("libclosewait.so"), rows[row].options, built("tests/manners"),
                 rows[row].name, err);
}

Test(manners, are_the_same_with_and_without_us)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *err = built("tests/manners.err");
        char alone[1024];
        char watched[16384];
        cr_expect_eq(shell(alone, sizeof(alone), "timeout 20 %s %s </dev/null 2>/dev/null",
                           built("tests/manners"), rows[i].name),
                     0, "%s: %s", rows[i].name, alone);
        cr_expect_eq(watch(i, err, watched, sizeof(watched)), 0, "%s: %s", rows[i].name, watched);
        cr_expect_str_eq(watched, alone, "%s", rows[i].name);
        if (rows[i].leaks >= 0)
            cr_expect_eq(leaks_in(err), rows[i].leaks, "%s", rows[i].name);
        unlink(err);
    }
}
