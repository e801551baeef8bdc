/*
 * What watch --metrics and ps --format=openmetrics say of programs that leak.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static char said[256 * 1024];
static char folder[] = "/tmp/closewait-metrics.XXXXXX";
static char file[128];

static void make_folder(const char *name)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/%s", folder, name);
}

static char *option(void)
{
    static char text[160];
    snprintf(text, sizeof(text), "--metrics=%s", file);
    return text;
}

/* Waits until the file has a line that begins so and ends so. */
static void must_count(const char *metric, const char *labels, const char *value)
{
    const uint64_t begin = now_ms();
    while (now_ms() - begin < PATIENCE_MS) {
        if (shell(said, sizeof(said), "grep -s '^%s{.*%s.*} %s$' %s", metric, labels, value,
                  file) == 0)
            return;
        usleep(20000);
    }
    shell(said, sizeof(said), "cat %s", file);
    cr_assert_fail("no %s{%s} %s in:\n%s", metric, labels, value, said);
}

Test(outside_metrics, of_watch_follow_a_leak_from_its_report_to_its_late_close)
{
    struct program watch;
    char labels[128];
    in_port_t port = 0;
    make_folder("closewait-own.prom");
    prctl(PR_SET_NAME, "odd \"name\"");
    const int listener = peer_listen(AF_INET, &port);
    const int fd = half_closed(listener, port, 3);
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=100ms", option(), own_pid("%d")));
    snprintf(labels, sizeof(labels),
             "source=\"closewait-own\",process=\"odd \\\\\"name\\\\\"\".*,class=\"data-unread\","
             "direction=\"connected\",port=\"%d\"",
             port);
    const uint64_t begin = now_ms();
    must_count("closewait_leaks_total", labels, "1");
    cr_expect_lt(now_ms() - begin, 4000, "it is not written at once, but every 5 s");
    must_count("closewait_sockets", labels, "1");
    must_count("closewait_leaked_sockets", labels, "1");
    must_count("closewait_processes", "process=\"odd", "1");
    close(fd);
    must_count("closewait_late_closes_total", "process=\"odd", "1");
    must_count("closewait_sockets", labels, "0");
    must_count("closewait_leaked_sockets", labels, "0");
    must_count("closewait_leaks_total", labels, "1");
    cr_expect_eq(kill(watch.pid, SIGTERM), 0);
    cr_expect_eq(program_end(&watch), 0);
    cr_expect_eq(shell(said, sizeof(said), "rmdir %s", folder), 0, "the file stayed: %s", said);
}

Test(outside_metrics, of_watch_count_what_it_closes)
{
    struct program program;
    struct program watch;
    in_port_t port = 0;
    char pid[16];
    make_folder("closewait.prom");
    const int listener = peer_listen(AF_INET, &port);
    program_start(&program, NULL,
                  ARGS(built("tests/leaker-static"), step("connect4", port), "wait"));
    close(accept(listener, NULL, NULL));
    snprintf(pid, sizeof(pid), "%d", (int)program.pid);
    program_start(
        &watch, NULL,
        ARGS(built("closewait"), "watch", "--action=close", "--grace=200ms", option(), pid));
    must_count("closewait_reaps_total", "process=\"leaker-static\".*result=\"closed\"", "1");
    must_count("closewait_sockets", "process=\"leaker-static\"", "0");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_eq(program_end(&watch), 0);
    shell(said, sizeof(said), "rmdir %s", folder);
}

Test(outside_metrics, tell_accepted_sockets_and_the_queue_by_the_port_of_the_listener)
{
    struct program watch;
    char labels[96];
    in_port_t port = 0;
    make_folder("x.prom");
    const int listener = peer_listen(AF_INET, &port);
    for (int i = 0; i < 2; i++) {
        const struct sockaddr_in to = {.sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
        if (i == 0)
            cr_assert_geq(accept(listener, NULL, NULL), 0);
        close(fd);
    }
    program_start(&watch, NULL,
                  ARGS(built("closewait"), "watch", "--grace=100ms", option(), own_pid("%d")));
    snprintf(labels, sizeof(labels), "direction=\"accepted\",port=\"%d\"", port);
    must_count("closewait_sockets", labels, "1");
    snprintf(labels, sizeof(labels), "port=\"%d\"", port);
    must_count("closewait_accept_queue_connections", labels, "1");
    must_count("closewait_accept_queue_hung_up_connections", labels, "1");
    must_count("closewait_accept_queue_oldest_age_seconds", labels, "[0-9.]*");
    kill(watch.pid, SIGTERM);
    cr_expect_eq(program_end(&watch), 0);

    shell(said, sizeof(said), "%s ps --pid=%d --format=openmetrics 2>&1 >%s", built("closewait"),
          (int)getpid(), file);
    cr_expect_str_empty(said);
    must_count("closewait_sockets", "source=\"ps\".*direction=\"accepted\"", "1");
    must_count("closewait_accept_queue_hung_up_connections", labels, "1");
    cr_expect_eq(shell(said, sizeof(said), "tail -n 1 %s | grep -qx '# EOF'", file), 0);
    cr_expect_neq(shell(said, sizeof(said), "grep -q unknown %s", file), 0);
    shell(said, sizeof(said), "rm -r %s", folder);
}

/* By their own port, and not each by its peer's. */
Test(outside_metrics, tell_accepted_sockets_of_a_listener_that_has_closed)
{
    enum { SOCKETS = 5 };
    in_port_t port = 0;
    char labels[96];
    make_folder("x.prom");
    const int listener = peer_listen(AF_INET, &port);
    for (int i = 0; i < SOCKETS; i++) {
        const int fd = dial(AF_INET, port);
        cr_assert_geq(accept(listener, NULL, NULL), 0);
        close(fd);
    }
    close(listener);
    shell(said, sizeof(said), "%s ps --pid=%d --format=openmetrics 2>&1 >%s", built("closewait"),
          (int)getpid(), file);
    cr_expect_str_empty(said);
    snprintf(labels, sizeof(labels), "direction=\"accepted\",port=\"%d\"", port);
    must_count("closewait_sockets", labels, "5");
    shell(said, sizeof(said), "rm -r %s", folder);
}

Test(outside_metrics, of_watch_are_refused_where_they_cannot_be_written)
{
    cr_expect_eq(shell(said, sizeof(said), "%s watch --metrics=/nonexistent/x.prom %d 2>&1",
                       built("closewait"), (int)getpid()),
                 1);
    cr_expect_str_eq(said, "closewait watch: the metrics cannot be written to "
                           "'/nonexistent/x.prom': No such file or directory\n");
}

Test(outside_metrics, of_ps_exclude_what_makes_rows)
{
    static const struct {
        const char *options;
        const char *says;
    } rows[] = {
        {"--format=openmetrics --watch=1", "excludes --watch, --listen and --output"},
        {"--format=openmetrics --listen", "excludes --watch, --listen and --output"},
        {"-o PID --format=openmetrics", "excludes --watch, --listen and --output"},
        {"--format=xml", "--format is 'xml': expected table, json or openmetrics"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(
            shell(said, sizeof(said), "%s ps %s 2>&1", built("closewait"), rows[i].options), 2);
        cr_expect_not_null(strstr(said, rows[i].says), "%s", said);
    }
}

/* The parser that defines the format, where it is. */
Test(outside_metrics, of_ps_are_openmetrics)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    half_closed(listener, port, 0);
    if (shell(said, sizeof(said), "/usr/bin/python3 -c 'import prometheus_client' 2>&1") != 0)
        cr_skip_test("no python3-prometheus-client: %s", said);
    cr_expect_eq(shell(said, sizeof(said),
                       "%s ps --format=openmetrics 2>&1 | /usr/bin/python3 -c '\n"
                       "import sys\n"
                       "from prometheus_client.openmetrics import parser\n"
                       "for family in parser.text_string_to_metric_families(sys.stdin.read()):\n"
                       "    assert family.type == \"gauge\" and family.documentation, family\n"
                       "    print(family.name)\n' 2>&1",
                       built("closewait")),
                 0);
    cr_expect_not_null(strstr(said, "closewait_sockets\n"), "%s", said);
}
