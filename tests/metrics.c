/*
 * Series, and what they are written as.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../cli/metrics.h"
#include "support.h"

static char text[512 * 1024];

static const char *printed(const struct metrics *metrics, enum exposition exposition)
{
    text[0] = '\0';
    FILE *to = fmemopen(text, sizeof(text), "w");
    metrics_print(metrics, exposition, to);
    fclose(to);
    return text;
}

static void add(struct metrics *metrics, enum metric metric, const char *process, double value)
{
    metrics_add(metrics, metric, (struct label[]){{"process", process}, {NULL, NULL}}, value);
}

#define must_have(text_)                                                                           \
    cr_expect_not_null(strstr(text, text_), "no '%s' in:\n%.2000s", text_, text)

Test(metrics, say_what_they_are_in_the_text_format_of_prometheus)
{
    struct metrics metrics = {.source = "test"};
    add(&metrics, METRIC_LEAKS, "client", 1);
    add(&metrics, METRIC_SOCKETS_AGE, "client", 1.5);
    cr_expect_str_eq(
        printed(&metrics, EXPOSITION_PROMETHEUS),
        "# HELP closewait_sockets_oldest_age_seconds Time since the peer of the oldest of those "
        "sockets closed.\n"
        "# TYPE closewait_sockets_oldest_age_seconds gauge\n"
        "closewait_sockets_oldest_age_seconds{source=\"test\",process=\"client\"} 1.5\n"
        "# HELP closewait_leaks_total Leaked sockets found since closewait watch was started.\n"
        "# TYPE closewait_leaks_total counter\n"
        "closewait_leaks_total{source=\"test\",process=\"client\"} 1\n");
    metrics_free(&metrics);
}

Test(metrics, have_units_an_end_and_counters_without_total_in_openmetrics)
{
    struct metrics metrics = {.source = "test"};
    add(&metrics, METRIC_LEAKS, "client", 1);
    add(&metrics, METRIC_SOCKETS_AGE, "client", 1.5);
    printed(&metrics, EXPOSITION_OPENMETRICS);
    must_have("# TYPE closewait_sockets_oldest_age_seconds gauge\n"
              "# UNIT closewait_sockets_oldest_age_seconds seconds\n");
    must_have("# TYPE closewait_leaks counter\n"
              "closewait_leaks_total{source=\"test\",process=\"client\"} 1\n"
              "# EOF\n");
    metrics_free(&metrics);
}

Test(metrics, without_a_series_are_an_end_alone)
{
    struct metrics metrics = {.source = "test"};
    cr_expect_str_eq(printed(&metrics, EXPOSITION_PROMETHEUS), "");
    cr_expect_str_eq(printed(&metrics, EXPOSITION_OPENMETRICS), "# EOF\n");
    metrics_free(&metrics);
}

Test(metrics, join_values_of_one_series)
{
    static const struct {
        enum metric metric;
        double first, second;
        const char *line;
    } rows[] = {
        {METRIC_SOCKETS, 2, 3, "closewait_sockets{source=\"t\",process=\"p\"} 5\n"},
        {METRIC_LEAKS, 2, 3, "closewait_leaks_total{source=\"t\",process=\"p\"} 5\n"},
        {METRIC_SOCKETS_AGE, 2, 3, "age_seconds{source=\"t\",process=\"p\"} 3\n"},
        {METRIC_SOCKETS_AGE, 3, 2, "age_seconds{source=\"t\",process=\"p\"} 3\n"},
        {METRIC_DESCRIPTORS_LEFT, 2, 3, "descriptors_left{source=\"t\",process=\"p\"} 2\n"},
        {METRIC_DESCRIPTORS_LEFT, 3, 2, "descriptors_left{source=\"t\",process=\"p\"} 2\n"},
        {METRIC_DESCRIPTORS_LEFT, 3, 0, "descriptors_left{source=\"t\",process=\"p\"} 0\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics metrics = {.source = "t"};
        add(&metrics, rows[i].metric, "p", rows[i].first);
        add(&metrics, rows[i].metric, "p", rows[i].second);
        printed(&metrics, EXPOSITION_PROMETHEUS);
        must_have(rows[i].line);
        metrics_free(&metrics);
    }
}

/* Of what is left, 0 would be an alarm. */
Test(metrics, that_are_renewed_forget_gauges_and_keep_counters)
{
    struct metrics metrics = {.source = "t"};
    add(&metrics, METRIC_SOCKETS, "p", 7);
    add(&metrics, METRIC_SOCKETS_AGE, "p", 7);
    add(&metrics, METRIC_DESCRIPTORS_LEFT, "p", 7);
    add(&metrics, METRIC_LEAKS, "p", 7);
    metrics_renew(&metrics, 5000);
    add(&metrics, METRIC_LEAKS, "p", 1);
    printed(&metrics, EXPOSITION_PROMETHEUS);
    must_have("closewait_sockets{source=\"t\",process=\"p\"} 0\n");
    must_have("age_seconds{source=\"t\",process=\"p\"} 0\n");
    must_have("closewait_leaks_total{source=\"t\",process=\"p\"} 8\n");
    cr_expect_null(strstr(text, "descriptors_left"));
    cr_expect_eq(metrics.counted, 2);
    metrics_free(&metrics);
}

Test(metrics, hold_any_name)
{
    static const struct {
        const char *name;
        const char *label;
    } rows[] = {
        {"", "{source=\"t\"} 1"},
        {"a \"quoted\" name", "process=\"a \\\"quoted\\\" name\""},
        {"back\\slash", "process=\"back\\\\slash\""},
        {"two\nlines", "process=\"two\\nlines\""},
        {"\xc3\xa9t\xc3\xa9", "process=\"\xc3\xa9t\xc3\xa9\""},
        {"latin \xe9", "process=\"latin \xef\xbf\xbd\""},
        {"cut \xe2\x82", "process=\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
        {"\"} 1\nevil 1\n#", "process=\"\\\"} 1\\nevil 1\\n#\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics metrics = {.source = "t"};
        add(&metrics, METRIC_SOCKETS, rows[i].name, 1);
        printed(&metrics, EXPOSITION_PROMETHEUS);
        must_have(rows[i].label);
        cr_expect_eq(times(text, "\n"), 3, "%s", text);
        metrics_free(&metrics);
    }
}

Test(metrics, put_what_has_no_room_together)
{
    struct metrics metrics = {.source = "t"};
    char name[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < METRICS_SETS + 50; i++) {
            snprintf(name, sizeof(name), "p%d", i);
            add(&metrics, METRIC_SOCKETS, name, 1);
            add(&metrics, METRIC_SOCKETS_AGE, name, i);
        }
    }
    printed(&metrics, EXPOSITION_PROMETHEUS);
    must_have("closewait_sockets{source=\"t\",process=\"p199\"} 2\n");
    must_have("closewait_sockets{source=\"t\",process=\"other\"} 100\n");
    must_have("age_seconds{source=\"t\",process=\"other\"} 249\n");
    cr_expect_eq(times(text, "closewait_sockets{"), METRICS_SETS + 1);
    metrics_free(&metrics);
}

/* Adds so many processes that were not there before. */
static void add_strangers(struct metrics *metrics, enum metric metric, int count)
{
    static int strangers;
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "s%d", strangers++);
        add(metrics, metric, name, 1);
    }
}

Test(metrics, say_of_a_gauge_that_is_gone_0_for_five_minutes_and_then_nothing)
{
    static const struct {
        uint64_t ms;
        const char *line; /* NULL: there is none */
    } rounds[] = {
        {1000, "process=\"p\"} 0\n"},
        {1000 + METRICS_ZERO_MS - 5000, "process=\"p\"} 0\n"},
        {1000 + METRICS_ZERO_MS, NULL},
    };
    struct metrics metrics = {.source = "t"};
    add(&metrics, METRIC_SOCKETS, "p", 1);
    for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
        metrics_renew(&metrics, rounds[i].ms);
        printed(&metrics, EXPOSITION_PROMETHEUS);
        cr_expect_not_null(strstr(text, rounds[i].line ? rounds[i].line : ""), "%s", text);
        cr_expect_eq(times(text, "{"), rounds[i].line ? 1 : 0, "%s", text);
    }
    cr_expect_eq(metrics.sets[METRIC_SOCKETS], 0);
    metrics_free(&metrics);
}

/* However long the last round is ago: nobody could have read it. */
Test(metrics, say_0_once_of_every_gauge_that_goes)
{
    struct metrics metrics = {.source = "t"};
    metrics_renew(&metrics, 1000);
    add(&metrics, METRIC_SOCKETS, "p", 1);
    metrics_renew(&metrics, 1000 + METRICS_ZERO_MS);
    add_strangers(&metrics, METRIC_SOCKETS, METRICS_SETS);
    printed(&metrics, EXPOSITION_PROMETHEUS);
    must_have("process=\"p\"} 0\n");
    must_have("process=\"other\"} 1\n");
    metrics_free(&metrics);
}

Test(metrics, have_room_for_what_comes_when_gauges_are_gone)
{
    struct metrics metrics = {.source = "t"};
    for (uint64_t round = 1; round <= 6; round++) {
        metrics_renew(&metrics, round * 5000);
        add(&metrics, METRIC_SOCKETS, "p", (double)round);
        add_strangers(&metrics, METRIC_SOCKETS, METRICS_SETS / 3);
    }
    printed(&metrics, EXPOSITION_PROMETHEUS);
    must_have("process=\"p\"} 6\n");
    cr_expect_null(strstr(text, "other"), "%s", text);
    cr_expect_leq(times(text, "closewait_sockets{"), METRICS_SETS);
    metrics_free(&metrics);
}

Test(metrics, let_a_counter_go_for_another_when_it_stood_still_for_an_hour)
{
    static const struct {
        uint64_t ms;
        bool kept;
    } rows[] = {{METRICS_COUNTER_MS - 1, true}, {METRICS_COUNTER_MS, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics metrics = {.source = "t"};
        metrics_renew(&metrics, 1);
        add(&metrics, METRIC_LEAKS, "p", 1);
        metrics_renew(&metrics, 2);
        add_strangers(&metrics, METRIC_LEAKS, METRICS_SETS - 1);
        metrics_renew(&metrics, 1 + rows[i].ms);
        add_strangers(&metrics, METRIC_LEAKS, 1);
        printed(&metrics, EXPOSITION_PROMETHEUS);
        cr_expect_eq(strstr(text, "process=\"p\"") != NULL, rows[i].kept);
        cr_expect_eq(strstr(text, "process=\"other\"} 1\n") != NULL, rows[i].kept);
        metrics_free(&metrics);
    }
}

Test(metrics, are_put_into_a_file_that_all_may_read_and_nothing_else)
{
    struct metrics metrics = {.source = "t"};
    char why[512] = "";
    char path[64];
    char folder[] = "/tmp/closewait-metrics.XXXXXX";
    struct stat file;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/x.prom", folder);
    add(&metrics, METRIC_LEAKS, "p", 1);
    umask(077);
    cr_expect(metrics_write(&metrics, path, why, sizeof(why)), "%s", why);
    cr_expect(metrics_write(&metrics, path, why, sizeof(why)), "%s", why);
    cr_assert_eq(stat(path, &file), 0);
    cr_expect_eq(file.st_mode & 07777, 0644);
    shell(text, sizeof(text), "cat %s; ls -A %s", path, folder);
    must_have("# TYPE closewait_leaks_total counter\n");
    cr_expect_str_eq(text + strlen(text) - 7, "x.prom\n", "%s", text);
    snprintf(path, sizeof(path), "%s/x.txt", folder);
    cr_expect(metrics_write(&metrics, path, why, sizeof(why)), "%s", why);
    shell(text, sizeof(text), "cat %s; rm -r %s", path, folder);
    must_have("# TYPE closewait_leaks counter\n");
    must_have("# EOF\n");
    metrics_free(&metrics);
}

Test(metrics, that_cannot_be_written_say_why_and_leave_nothing)
{
    static const struct {
        const char *path; /* in a folder of the test's own */
        const char *why;
    } rows[] = {
        {"none/x.prom", "No such file or directory"},
        {".", "it is no regular file"},
        {"link", "it is no regular file"},
    };
    struct metrics metrics = {.source = "t"};
    char folder[] = "/tmp/closewait-metrics.XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    shell(text, sizeof(text), "ln -s /dev/null %s/link", folder);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[512] = "";
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, rows[i].path);
        cr_expect_not(metrics_write(&metrics, path, why, sizeof(why)), "%s", path);
        cr_expect_not_null(strstr(why, rows[i].why), "%s", why);
        cr_expect_eq(strncmp(why, "the metrics cannot be written to '", 34), 0, "%s", why);
    }
    cr_expect_eq(shell(text, sizeof(text), "rm %s/link && rmdir %s", folder, folder), 0, "%s",
                 text);
    metrics_free(&metrics);
}
