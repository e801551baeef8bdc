/*
 * CLOSEWAIT_OPTIONS: what is taken, and the one line that every mistake gets.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static const struct {
    const char *text;
    enum action action;
    uint32_t grace_ms;
    const char *output;
} good[] = {
    {NULL, ACTION_LOG, 10000, ""},
    {"", ACTION_LOG, 10000, ""},
    {"action=log", ACTION_LOG, 10000, ""},
    {"action=close", ACTION_CLOSE, 60000, ""},
    {"action=close-dead", ACTION_CLOSE_DEAD, 10000, ""},
    {"grace=500ms", ACTION_LOG, 500, ""},
    {"grace=5m,action=close", ACTION_CLOSE, 300000, ""},
    {"action=close,grace=1s", ACTION_CLOSE, 1000, ""},
    {"grace=24h", ACTION_LOG, 86400000, ""},
    {"grace=1ms", ACTION_LOG, 1, ""},
    {"action=close,action=log", ACTION_LOG, 10000, ""},
    {",action=close,", ACTION_CLOSE, 60000, ""},
    {"output=stderr", ACTION_LOG, 10000, ""},
    {"output=/tmp/a", ACTION_LOG, 10000, "/tmp/a"},
    {"output=/tmp/a.%p.b", ACTION_LOG, 10000, "/tmp/a.4711.b"},
    {"output=/tmp/100%%", ACTION_LOG, 10000, "/tmp/100%"},
};

static const struct {
    const char *text;
    const char *why;
} bad[] = {
    {"colour=red", "unknown option 'colour': expected action, grace, output, format, stack, last, "
                   "suppress, reuseaddr, scan or signal"},
    {"action", "action is '': expected log, close-dead or close"},
    {"action=", "action is '': expected log, close-dead or close"},
    {"action=kill", "action is 'kill': expected log, close-dead or close"},
    {"action=closed", "action is 'closed': expected log, close-dead or close"},
    {"grace=", "grace is '': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=10", "grace is '10': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=0s", "grace is '0s': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=-1s", "grace is '-1s': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=1d", "grace is '1d': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=25h", "grace is '25h': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=99999999999999s",
     "grace is '99999999999999s': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"grace=1 s", "grace is '1 s': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"output=",
     "output is '': expected stderr, journal or the path of a file, in which %p is the process id"},
    {"output=/tmp/%q", "output is '/tmp/%q': expected stderr, journal or the path of a file, in "
                       "which %p is the process id"},
    {"output=/tmp/%", "output is '/tmp/%': expected stderr, journal or the path of a file, in "
                      "which %p is the process id"},
    {"grace=1s\nrm",
     "grace is '1s?rm': expected a duration from 1ms to 24h, such as 500ms, 10s or 5m"},
    {"action=0123456789012345678901234567890123456789more",
     "action is '0123456789012345678901234567890123456789...': expected log, close-dead or close"},
    {"format=xml", "format is 'xml': expected text or json"},
    {"stack=65", "stack is '65': expected a number of frames from 0 to 64"},
    {"stack=-1", "stack is '-1': expected a number of frames from 0 to 64"},
    {"stack=", "stack is '': expected a number of frames from 0 to 64"},
    {"last=yes", "last is 'yes': expected on or off"},
    {"scan=yes", "scan is 'yes': expected auto, on or off"},
    {"reuseaddr=1", "reuseaddr is '1': expected on or off"},
    {"signal=SIGKILL", "signal is 'SIGKILL': expected a signal's name, such as SIGUSR2, or off"},
    {"suppress=", "suppress is '': expected the path of a file of patterns"},
    {"Action=log", "unknown option 'Action': expected action, grace, output, format, stack, last, "
                   "suppress, reuseaddr, scan or signal"},
    {"action=log, grace=1s", "unknown option ' grace': expected action, grace, output, format, "
                             "stack, last, suppress, reuseaddr, scan or signal"},
};

Test(options, takes_what_is_right)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct options options;
        char why[256] = "";
        cr_expect(options_read(good[i].text, &options, why, sizeof(why)), "%s: %s", good[i].text,
                  why);
        cr_expect_eq(options.action, good[i].action, "%s", good[i].text);
        cr_expect_eq(options.grace_ms, good[i].grace_ms, "%s", good[i].text);
        char path[OPTIONS_PATH_SIZE];
        cr_expect(options_output(&options, 4711, path), "%s", good[i].text);
        cr_expect_str_eq(path, good[i].output, "%s", good[i].text);
    }
}

Test(options, knows_how_to_tell_and_what_to_keep)
{
    struct options options;
    char why[256] = "";
    cr_assert(options_read("", &options, why, sizeof(why)));
    cr_expect_eq(options.format, FORMAT_TEXT);
    cr_expect_eq(options.stack, 16);
    cr_expect_not(options.last);
    cr_expect_not(options.reuseaddr);
    cr_expect_eq(options.signal, 0);
    cr_expect_str_empty(options.suppress);
    cr_assert(
        options_read("format=json,stack=64,last=on,suppress=/a/b,reuseaddr=on,scan=on,signal=USR2",
                     &options, why, sizeof(why)),
        "%s", why);
    cr_expect_eq(options.format, FORMAT_JSON);
    cr_expect_eq(options.stack, 64);
    cr_expect(options.last);
    cr_expect(options.reuseaddr);
    cr_expect_eq(options.signal, SIGUSR2);
    cr_expect_eq(options.scan, SCAN_ON);
    cr_expect_str_eq(options.suppress, "/a/b");
    cr_assert(options_read("stack=0,signal=SIGHUP", &options, why, sizeof(why)));
    cr_expect_eq(options.stack, 0);
    cr_expect_eq(options.signal, SIGHUP);
}

Test(options, says_what_was_wrong_and_what_would_be_right)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct options options;
        char why[256] = "";
        cr_expect_not(options_read(bad[i].text, &options, why, sizeof(why)), "%s", bad[i].text);
        cr_expect_str_eq(why, bad[i].why, "%s: %s", bad[i].text, why);
    }
}

Test(options, takes_a_relative_path_from_the_working_directory)
{
    struct options options;
    char why[256] = "";
    cr_assert_eq(chdir("/tmp"), 0);
    cr_assert(options_read("output=a.log", &options, why, sizeof(why)));
    cr_expect_str_eq(options.output, "/tmp/a.log");
}

Test(options, refuses_a_path_that_does_not_fit)
{
    char text[2 * OPTIONS_PATH_SIZE] = "output=/";
    memset(text + strlen(text), 'a', OPTIONS_PATH_SIZE);
    struct options options;
    char why[256] = "";
    cr_expect_not(options_read(text, &options, why, sizeof(why)));
}
