/*
 * closewait report: what it counts.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "json_log.h"

TestSuite(report, .init = json_log_begin, .fini = json_log_end);

Test(report, counts_what_was_leaked_and_what_is_held)
{
    static const struct {
        const char *what;
        const char *lines;
        const char *sums;
    } rows[] = {
        {"one leak", LEAK(00, 1, a1, 1, 0),
         "a1: 1 leaked, 1 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"leaks that got no line", LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 500, 1),
         "a1: 500 leaked, 500 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"the order of showing",
         LEAK(00, 1, a1, 9, 0) REAP(00, 1, a1, gone, 9, 0) LEAK(00, 1, b2, 1, 0)
             LEAK(00, 1, c3, 3, 0) LEAK(00, 1, d4, 3, 0) LATE(00, 1, d4, false, 2, 0),
         "c3: 3 leaked, 3 held, 0 at the end, 0 reaped, 0 late, 1 process\n"
         "d4: 3 leaked, 1 held, 0 at the end, 0 reaped, 2 late, 1 process\n"
         "b2: 1 leaked, 1 held, 0 at the end, 0 reaped, 0 late, 1 process\n"
         "a1: 9 leaked, 0 held, 0 at the end, 9 reaped, 0 late, 1 process\n"},
        {"processes between each other",
         LEAK(00, 1, a1, 1, 0) LEAK(00, 2, a1, 1, 0) LEAK(01, 1, a1, 2, 1) LEAK(01, 2, a1, 3, 1),
         "a1: 5 leaked, 5 held, 0 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"a process that ended",
         LEAK(00, 1, a1, 4, 0) LATE(01, 1, a1, false, 1, 0) SUMMARY(02, 1, 4),
         "a1: 4 leaked, 0 held, 3 at the end, 0 reaped, 1 late, 1 process\n"},
        {"a pid again after its process ended",
         LEAK(00, 1, a1, 4, 0) SUMMARY(02, 1, 4) LEAK(03, 1, a1, 1, 0) LEAK(03, 1, a1, 7, 1),
         "a1: 11 leaked, 7 held, 4 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"a pid again: the count falls",
         LEAK(00, 1, a1, 1, 0) LEAK(00, 1, a1, 9, 1) LEAK(03, 1, a1, 2, 1),
         "a1: 11 leaked, 2 held, 9 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"a pid again: the count is the first",
         LEAK(00, 1, a1, 1, 0) LEAK(03, 1, a1, 1, 0) LEAK(04, 1, a1, 2, 1),
         "a1: 3 leaked, 2 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"a pid again: what the process before held elsewhere is over too",
         LEAK(00, 1, a1, 1, 0) LEAK(00, 1, b2, 5, 0) LEAK(03, 1, a1, 1, 0),
         "a1: 2 leaked, 1 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"
         "b2: 5 leaked, 0 held, 5 at the end, 0 reaped, 0 late, 1 process\n"},
        {"a pid again: a site that it had before that was seen goes on",
         LEAK(00, 1, a1, 1, 0) LEAK(02, 1, b2, 1, 0) LEAK(03, 1, a1, 1, 0) LEAK(03, 1, b2, 2, 1),
         "b2: 2 leaked, 2 held, 0 at the end, 0 reaped, 0 late, 1 process\n"
         "a1: 2 leaked, 1 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"a pid again: a conflict has no count, and is of the process that is there",
         LEAK(00, 1, a1, 1, 0) LEAK(00, 1, b2, 5, 0) LEAK(03, 1, a1, 1, 0) CONFLICT(04, 1, b2),
         "b2: 6 leaked, 1 held, 5 at the end, 0 reaped, 0 late, 2 processes\n"
         "a1: 2 leaked, 1 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"reaps, and closes of what was reaped",
         LEAK(00, 1, a1, 5, 0) REAP(01, 1, a1, gone, 3, 0) LATE(02, 1, a1, true, 2, 0),
         "a1: 5 leaked, 2 held, 0 at the end, 3 reaped, 2 late, 1 process\n"},
        {"a reap that failed",
         LEAK(00, 1, a1, 2, 0) REAP(01, 1, a1, failed, 1, 0) REAP(02, 1, a1, gone, 2, 1),
         "a1: 2 leaked, 1 held, 0 at the end, 1 reaped, 0 late, 1 process\n"},
        {"rescues of leaks that none told", RESCUE(00, 1, a1, "[3]") RESCUE(01, 1, a1, "[3,4]"),
         "a1: 3 leaked, 0 held, 0 at the end, 3 reaped, 0 late, 1 process\n"},
        {"a rescue of a leak that was told", LEAK(00, 1, a1, 1, 0) RESCUE(01, 1, a1, "[3]"),
         "a1: 1 leaked, 0 held, 0 at the end, 1 reaped, 0 late, 1 process\n"},
        {"conflicts over one leak", CONFLICT(00, 1, a1) CONFLICT(01, 1, a1) LEAK(02, 1, a1, 2, 1),
         "a1: 2 leaked, 2 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"a conflict with its count",
         LEAK(00, 1, a1, 3, 0)
             BEGIN("bind-conflict", 01, 1) "\"leak\":{" FACTS(a1) "},\"count\":5,\"since\":3}\n",
         "a1: 5 leaked, 5 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"a conflict with somebody else",
         LEAK(00, 1, a1, 1, 0) BEGIN("bind-conflict", 01, 1) "\"holder\":\"time-wait\"}\n",
         "a1: 1 leaked, 1 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"a log whose beginning is lost", LEAK(05, 1, a1, 90, 80) LATE(06, 1, b2, false, 4, 3),
         "a1: 90 leaked, 90 held, 0 at the end, 0 reaped, 0 late, 1 process\n"
         "b2: 4 leaked, 0 held, 0 at the end, 0 reaped, 4 late, 1 process\n"},
        {"members of the future",
         LEAK(00, 1, a1, 1, 0) BEGIN("leak", 01, 1) "\"mood\":[{}]," FACTS(a1) COUNTS(2, 1),
         "a1: 2 leaked, 2 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"the answer to a signal, which tells again what was told",
         LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 3, 1) BEGIN("leak", 02, 1)
             FACTS(a1) ",\"held\":3" COUNTS(3, 0) LEAK(03, 1, a1, 4, 3),
         "a1: 4 leaked, 4 held, 0 at the end, 0 reaped, 0 late, 1 process\n"},
        {"a summary alone", SUMMARY(00, 1, 0), ""},
        {"an accept queue is no leak, and nothing of its process",
         LEAK(00, 1, a1, 1, 0) QUEUE(00, 1, "0.0.0.0:80", 5, 3, 1.5) "}\n" SUMMARY(01, 1, 1),
         "a1: 1 leaked, 0 held, 1 at the end, 0 reaped, 0 late, 1 process\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        const char *sums = sums_of(json_log("log", rows[i].lines), 0, said, sizeof(said));
        cr_expect_str_eq(sums, rows[i].sums, "%s:\n%s", rows[i].what, sums);
        cr_expect_str_eq(said, "", "%s: %s", rows[i].what, said);
    }
}

Test(report, knows_a_process_in_the_files_that_its_log_was_rotated_into)
{
    static const struct {
        const char *what;
        const char *older;
        const char *newer;
        const char *sums;
    } rows[] = {
        {"it goes on", LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 4, 1) LEAK(01, 1, b2, 2, 0),
         LEAK(02, 1, a1, 5, 4) SUMMARY(03, 1, 7),
         "a1: 5 leaked, 0 held, 5 at the end, 0 reaped, 0 late, 1 process\n"
         "b2: 2 leaked, 0 held, 2 at the end, 0 reaped, 0 late, 1 process\n"},
        {"it goes on after a site of its own", LEAK(00, 1, a1, 1, 0),
         LEAK(02, 1, b2, 1, 0) LEAK(03, 1, a1, 2, 1) SUMMARY(03, 1, 3),
         "a1: 2 leaked, 0 held, 2 at the end, 0 reaped, 0 late, 1 process\n"
         "b2: 1 leaked, 0 held, 1 at the end, 0 reaped, 0 late, 1 process\n"},
        {"it ends", LEAK(00, 1, a1, 3, 0), SUMMARY(03, 1, 3),
         "a1: 3 leaked, 0 held, 3 at the end, 0 reaped, 0 late, 1 process\n"},
        {"it closes late", LEAK(00, 1, a1, 3, 0) LATE(00, 1, a1, false, 1, 0),
         LATE(03, 1, a1, false, 2, 1),
         "a1: 3 leaked, 1 held, 0 at the end, 0 reaped, 2 late, 1 process\n"},
        {"it goes on, and what its pid held before does not",
         LEAK(00, 1, a1, 1, 0) LEAK(00, 1, b2, 5, 0) LEAK(01, 1, a1, 1, 0), LEAK(03, 1, a1, 2, 1),
         "a1: 3 leaked, 2 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"
         "b2: 5 leaked, 0 held, 5 at the end, 0 reaped, 0 late, 1 process\n"},
        {"another process, whose beginning is lost", LEAK(00, 1, a1, 4, 0), LEAK(03, 1, a1, 9, 7),
         "a1: 13 leaked, 13 held, 0 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"pid 1 of two containers", LEAK(00, 1, a1, 1, 0) LEAK(02, 1, a1, 4, 1),
         LEAK(01, 1, a1, 1, 0) LEAK(02, 1, a1, 3, 1),
         "a1: 7 leaked, 7 held, 0 at the end, 0 reaped, 0 late, 2 processes\n"},
        {"pid 1 of two containers, and one ended", LEAK(00, 1, a1, 1, 0) LEAK(02, 1, a1, 4, 1),
         LEAK(01, 1, a1, 1, 0) SUMMARY(02, 1, 1),
         "a1: 5 leaked, 4 held, 1 at the end, 0 reaped, 0 late, 2 processes\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        char arguments[1024];
        const char *newer = json_log("log", rows[i].newer);
        const char *older = json_log("log.1", rows[i].older);
        snprintf(arguments, sizeof(arguments), "%s %s", newer, older);
        const char *sums = sums_of(arguments, 0, said, sizeof(said));
        cr_expect_str_eq(sums, rows[i].sums, "%s:\n%s", rows[i].what, sums);
        cr_expect_str_eq(said, "", "%s: %s", rows[i].what, said);
        snprintf(arguments, sizeof(arguments), "- %s <%s", newer, older);
        cr_expect_str_eq(sums_of(arguments, 0, said, sizeof(said)), rows[i].sums, "%s: %s",
                         rows[i].what, arguments);
    }
}

Test(report, says_how_many_leaks_no_line_tells)
{
    char said[4096];
    sums_of(json_log("log", LEAK(00, 1, a1, 3, 0) SUMMARY(01, 1, 10)), 0, said, sizeof(said));
    cr_expect_str_eq(said,
                     "closewait report: summaries count 7 leaks that no line tells: give the "
                     "older files too, if there are any\n",
                     "%s", said);
}

Test(report, says_in_one_line_what_it_skipped_in_all_files)
{
#define DREAM "{\"type\":\"dream\",\"pid\":-1}\n"
#define TORN  "{\"type\":\"leak\",\"time\":\"2026-01-12T08:0"
    static const struct {
        const char *what;
        const char *lines;
        const char *others;
        const char *said;
    } rows[] = {
        {"a type of the future", DREAM, "", "1 line is of a type that is not known"},
        {"two of them", DREAM DREAM, "", "2 lines are of a type that is not known"},
        {"a last line that its process could not end", TORN, "",
         "1 line of log is not closewait's JSON: line 3"},
        {"lines that were cut", TORN "\n" TORN, "",
         "2 lines of log are not closewait's JSON, the first is line 3"},
        {"both kinds", DREAM TORN, "",
         "1 line of log is not closewait's JSON: line 4; 1 line is of a type that is not known"},
        {"in two files", DREAM TORN, DREAM "\n" TORN,
         "3 lines of 2 files are not closewait's JSON, the first is line 4 of log; 2 lines are of "
         "a "
         "type that is not known"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        char lines[4096];
        char expected[512];
        snprintf(lines, sizeof(lines), "%s%s", LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 2, 1),
                 rows[i].lines);
        json_log("log", lines);
        snprintf(lines, sizeof(lines), "%s%s", SUMMARY(02, 3, 0), rows[i].others);
        json_log("other", lines);
        const int status = shell(said, sizeof(said), "cd %s && %s report log other 2>&1 >sums",
                                 in_log_folder(""), built("closewait"));
        cr_expect_eq(status, 0, "%s: %d", rows[i].what, status);
        snprintf(expected, sizeof(expected), "closewait report: %s\n", rows[i].said);
        cr_expect_str_eq(said, expected, "%s: %s", rows[i].what, said);
    }
}

/* Each between two leaks. One that is closewait's would change what is counted. */
Test(report, skips_what_is_no_line_of_closewaits)
{
#define WITH(pid, count, site)                                                                     \
    "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00.000Z\",\"pid\":" pid ",\"comm\":\"client\"" \
    ",\"site\":" site ",\"count\":" count ",\"since\":0}"
#define GOOD(more)                                                                                 \
    "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00Z\",\"pid\":9,\"comm\":\"c\",\"site\":"      \
    "\"a1\",\"count\":1," more "}"
    static const struct {
        const char *line;
        size_t size;
    } rows[] = {
#define ROW(line) {line, sizeof(line) - 1}
        ROW("closewait: client[1]: leak: fd 3"),
        ROW(""),
        ROW("{"),
        ROW("[]"),
        ROW("42"),
        ROW("null"),
        ROW("\0\0\0"),
        ROW("{}"),
        ROW("{\"type\":7}"),
        ROW("{\"type\":\"leak\"}"),
        ROW("{\"type\":\"leak\",\"type\":\"leak\"}"),
        ROW(WITH("1", "2", "\"a\0001\"")),
        ROW(WITH("1", "2", "\"a\\u00001\"")),
        ROW(WITH("1", "2", "\"a1\377\"")),
        ROW(WITH("1", "2", "\"a1 \"")),
        ROW(WITH("1", "2", "\"A1\"")),
        ROW(WITH("1", "2", "\"\"")),
        ROW(WITH("1", "2", "\"12345678123456781\"")),
        ROW(WITH("1", "2", "161")),
        ROW(WITH("1", "-2", "\"a1\"")),
        ROW(WITH("1", "0", "\"a1\"")),
        ROW(WITH("1", "2.5", "\"a1\"")),
        ROW(WITH("1", "2e1", "\"a1\"")),
        ROW(WITH("1", "1e999", "\"a1\"")),
        ROW(WITH("1", "4294967296", "\"a1\"")),
        ROW(WITH("1", "99999999999999999999999", "\"a1\"")),
        ROW(WITH("1", "\"2\"", "\"a1\"")),
        ROW(WITH("0", "2", "\"a1\"")),
        ROW(WITH("-1", "2", "\"a1\"")),
        ROW(WITH("4294967297", "2", "\"a1\"")),
        ROW(WITH("1.5", "2", "\"a1\"")),
        ROW(WITH("[]", "2", "\"a1\"")),
        ROW(GOOD("\"count\":1")),
        ROW(GOOD("\"since\":-1")),
        ROW(GOOD("\"since\":2")),
        ROW(GOOD("\"fin_age_s\":-1")),
        ROW(GOOD("\"fin_age_s\":1e300")),
        ROW(GOOD("\"site_age_s\":\"1\"")),
        ROW(GOOD("\"grace_s\":\"4m\"")),
        ROW(GOOD("\"class\":1")),
        ROW(GOOD("\"how\":null")),
        ROW(GOOD("\"peer\":{}")),
        ROW(GOOD("\"open_stack\":\"main\"")),
        ROW("{\"type\":\"leak\",\"time\":\"yesterday\",\"pid\":9,\"comm\":\"c\",\"site\":\"a1\","
            "\"count\":1}"),
        ROW("{\"type\":\"leak\",\"time\":\"2026-13-12T08:00:00Z\",\"pid\":9,\"comm\":\"c\","
            "\"site\":\"a1\",\"count\":1}"),
        ROW("{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00Z\",\"pid\":9,\"site\":\"a1\","
            "\"count\":1}"),
        ROW(QUEUE(00, 9, "", 5, 3, 1.5) "}"),
        ROW(QUEUE(00, 9, "0.0.0.0:80", -5, 3, 1.5) "}"),
        ROW(QUEUE(00, 9, "0.0.0.0:80", 5, "3", 1.5) "}"),
        ROW(QUEUE(00, 9, "0.0.0.0:80", 5, 3, -1.5) "}"),
        ROW(QUEUE(00, 9, "0.0.0.0:80", 5, 3, 1.5) ",\"open_stack\":7}"),
        ROW(BEGIN("accept-queue", 00, 9) "\"local\":\"0.0.0.0:80\",\"waiting\":1}"),
        ROW("{\"type\":\"rescue\",\"time\":\"2026-01-12T08:00:00Z\",\"pid\":9,\"comm\":\"c\"}"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const char before[] = LEAK(00, 1, a1, 1, 0);
        static const char after[] = "\n" LEAK(02, 1, a1, 2, 1);
        char lines[4096];
        char said[4096];
        char expected[512];
        memcpy(lines, before, sizeof(before) - 1);
        memcpy(lines + sizeof(before) - 1, rows[i].line, rows[i].size);
        memcpy(lines + sizeof(before) - 1 + rows[i].size, after, sizeof(after) - 1);
        const char *path =
            json_log_bytes("log", lines, sizeof(before) - 1 + rows[i].size + sizeof(after) - 1);
        const char *sums = sums_of(path, 0, said, sizeof(said));
        cr_expect_str_eq(sums, "a1: 2 leaked, 2 held, 0 at the end, 0 reaped, 0 late, 1 process\n",
                         "%s: %s", rows[i].line, sums);
        snprintf(expected, sizeof(expected),
                 "closewait report: 1 line of %s is not closewait's JSON: line 2\n", path);
        cr_expect_str_eq(said, expected, "%s: %s", rows[i].line, said);
    }
    char said[4096];
    char expected[512];
    const char *path = json_log("log", "x\n" GOOD("\"since\":0") "\ny\n\nz");
    cr_expect_str_eq(sums_of(path, 0, said, sizeof(said)),
                     "a1: 1 leaked, 1 held, 0 at the end, 0 reaped, 0 late, 1 process\n");
    snprintf(expected, sizeof(expected),
             "closewait report: 4 lines of %s are not closewait's JSON, the first is line 1\n",
             path);
    cr_expect_str_eq(said, expected, "%s", said);
}

Test(report, reads_a_line_of_any_length)
{
    enum { LONG = 8 * 1024 * 1024 };
    static char lines[LONG + 1024];
    char said[4096];
    const size_t begun =
        (size_t)snprintf(lines, sizeof(lines), "%s", BEGIN("leak", 00, 1) "\"x\":\"");
    memset(lines + begun, 'y', LONG);
    snprintf(lines + begun + LONG, sizeof(lines) - begun - LONG, "\",%s",
             FACTS(a1) COUNTS(1, 0) LEAK(01, 1, a1, 2, 1));
    cr_expect_str_eq(sums_of(json_log("log", lines), 0, said, sizeof(said)),
                     "a1: 2 leaked, 2 held, 0 at the end, 0 reaped, 0 late, 1 process\n");
}

/* Tells leaks of three sites in turn, of so many lines, with a peer of its own each. */
static void feed(int fd, int lines)
{
    FILE *to = fdopen(dup(fd), "w");
    cr_assert_not_null(to);
    for (int i = 0; i < lines; i++)
        fprintf(to,
                "{\"type\":\"leak\",\"time\":\"2026-01-%02dT%02d:%02d:%02d.000Z\",\"pid\":%d,"
                "\"comm\":\"client\",\"class\":\"eof-unread\",\"how\":\"accept\","
                "\"peer\":\"10.%d.%d.%d:%d\",\"fin_age_s\":10.000,\"site\":\"%c\",\"open_stack\":["
                "{\"module\":\"/opt/app/client\",\"build_id\":\"\",\"offset\":4096,\"symbol\":\"\"}"
                "],\"count\":%d,\"since\":%d,\"site_age_s\":1.000}\n",
                1 + i / 86400, i / 3600 % 24, i / 60 % 60, i % 60, 1 + i % 3, i >> 16, i >> 8 & 255,
                i & 255, 1024 + i % 60000, 'a' + i % 3, i / 3 + 1, i / 3);
    cr_assert_eq(fclose(to), 0);
}

/* For more: all that it has got is counted. */
static bool is_waiting(const void *pid)
{
    return process_state(*(const pid_t *)pid) == 'S';
}

static bool is_drained(const void *pipe)
{
    int waiting = -1;
    return ioctl(*(const int *)pipe, FIONREAD, &waiting) == 0 && waiting == 0;
}

/* The most memory that the process had, in KiB. */
static long peak_of(pid_t pid)
{
    char said[256];
    shell(said, sizeof(said), "sed -n 's/^VmHWM:[^0-9]*//p' /proc/%d/status", (int)pid);
    return strtol(said, NULL, 10);
}

static long peak_with(int lines, const char *peers, const char *total)
{
    struct program program;
    program_start(&program, NULL, ARGS(built("closewait"), "report"));
    feed(program.in, lines);
    cr_expect(eventually(is_drained, &program.in));
    cr_expect(eventually(is_waiting, &program.pid));
    const long peak = peak_of(program.pid);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(times(program.said, "site "), 3, "%s", program.said);
    cr_expect_eq(times(program.said, peers), 3, "%s", program.said);
    cr_expect_not_null(strstr(program.said, total), "%s", program.said);
    return peak;
}

Test(report, counts_100000_leaks_from_three_sites_in_bounded_memory, .timeout = 120)
{
    const long few = peak_with(9000, " and 2997 more\n",
                               "\ntotal: 3 call sites in 3 processes: 9000 leaked, 9000 held "
                               "now, 0 reaped, 0 closed late\n");
    const long many = peak_with(99999, " and 4093 or more\n",
                                "\ntotal: 3 call sites in 3 processes: 99999 leaked, 99999 "
                                "held now, 0 reaped, 0 closed late\n");
    cr_expect(few > 0 && many < few + 4096, "%ld and %ld KiB", few, many);
}

/* A leak each of so many sites, processes and peers, as nobody's log would have them. */
static void write_many(const char *path, const char *what, int lines)
{
    FILE *to = fopen(path, "we");
    cr_assert_not_null(to);
    for (int i = 0; i < lines; i++)
        fprintf(to,
                "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00.000Z\",\"pid\":%d,"
                "\"comm\":\"client\",\"peer\":\"10.%d.0.%d:1\",\"site\":\"%x\",\"open_stack\":["
                "{\"module\":\"%0500d\"}],\"count\":1,\"since\":0}\n",
                what[0] == 'p' ? i + 1 : 1, i >> 8, i & 255, what[0] == 's' ? i + 1 : 1 + i % 50,
                what[0] == 's' ? i : 0);
    cr_assert_eq(fclose(to), 0);
}

Test(report, leaves_out_what_would_take_too_much_memory_and_says_so, .timeout = 120)
{
    static const struct {
        const char *what;
        int lines;
        const char *said;
    } rows[] = {
        {"sites", 130000, "lines of further call sites"},
        {"sites", 130000, " stacks"},
        {"processes", 250000, "what "},
    };
    enum { MOST_KIB = 200 * 1024 };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        write_many(in_log_folder("log"), rows[i].what, rows[i].lines);
        shell(said, sizeof(said),
              "python3 -c 'import resource, subprocess, sys; subprocess.run(sys.argv[1:], "
              "stdout=subprocess.DEVNULL); "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "
              "%s report --format=folded -n 1 %s 2>&1",
              built("closewait"), in_log_folder("log"));
        const char *left_out = strstr(said, "closewait report: too much to keep, and left out: ");
        cr_expect(left_out && strstr(left_out, rows[i].said), "%s: %s", rows[i].what, said);
        const char *peak = strrchr(said, '\n') ? said + strlen(said) - 1 : said;
        while (peak > said && peak[-1] != '\n')
            peak--;
        cr_expect_lt(strtol(peak, NULL, 10), MOST_KIB, "%s: %s", rows[i].what, said);
    }
}
