/*
 * closewait report: its options, what it prints, and what it makes of a program's own log.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "finding.h"
#include "json_log.h"

TestSuite(report_output, .init = json_log_begin, .fini = json_log_end);

Test(report_output, answers_bad_usage_with_one_clear_line_and_status_2)
{
#define LISTS ": closewait report --help lists the options\n"
    static const struct {
        const char *arguments;
        const char *said;
    } rows[] = {
        {"--bogus", "unknown option '--bogus'" LISTS},
        {"file --bogus", "unknown option '--bogus'" LISTS},
        {"-z", "unknown option '-z'" LISTS},
        {"--format", "option '--format' needs a value" LISTS},
        {"--help=me", "option '--help=me' takes no value" LISTS},
        {"--format=xml", "--format is 'xml': expected text, json, folded or html\n"},
        {"--format=", "--format is '': expected text, json, folded or html\n"},
        {"--limit=0", "--limit is '0': expected a number from 1 to 1000000000\n"},
        {"--limit=x", "--limit is 'x': expected a number from 1 to 1000000000\n"},
        {"-n 1.5", "--limit is '1.5': expected a number from 1 to 1000000000\n"},
        {"-n 4294967297", "--limit is '4294967297': expected a number from 1 to 1000000000\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        char expected[512];
        const int status =
            shell(said, sizeof(said), "%s report %s 2>&1", built("closewait"), rows[i].arguments);
        snprintf(expected, sizeof(expected), "closewait report: %s", rows[i].said);
        cr_expect_eq(status, 2, "%s: %d", rows[i].arguments, status);
        cr_expect_str_eq(said, expected, "%s: %s", rows[i].arguments, said);
    }
}

Test(report_output, ends_with_1_and_a_line_when_it_cannot_tell)
{
    static const struct {
        const char *arguments;
        const char *said;
    } rows[] = {
        {"none", "closewait report: cannot open none: No such file or directory\n"},
        {".", "closewait report: cannot read .: Is a directory\n"},
        {"garbage", "closewait report: no line of garbage is closewait's JSON: it writes that with "
                    "the option format=json\n"},
        {"- <garbage", "closewait report: no line of standard input is closewait's JSON: it writes "
                       "that with the option format=json\n"},
        {"log >/dev/full",
         "closewait report: cannot write to standard output: No space left on device\n"},
        {"-f folded log none garbage",
         "closewait report: cannot open none: No such file or directory\n"
         "closewait report: no line of garbage is closewait's JSON: it writes that with the option "
         "format=json\n"
         "[no stack, site a1] 1\n"},
    };
    json_log("log", LEAK(00, 1, a1, 1, 0));
    json_log("garbage", "closewait: client[1]: leak\n{}\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        const int status = shell(said, sizeof(said), "exec 2>&1; cd %s && %s report %s",
                                 in_log_folder(""), built("closewait"), rows[i].arguments);
        cr_expect_eq(status, 1, "%s: %d", rows[i].arguments, status);
        cr_expect_str_eq(said, rows[i].said, "%s: %s", rows[i].arguments, said);
    }
}

/* Runs the command on the log of the folder, with options before it and a pipeline after it. */
static void must_print(const char *options, const char *then, const char *expected)
{
    char said[65536];
    const int status = shell(said, sizeof(said), "exec 2>&1; %s report %s %s %s",
                             built("closewait"), options, in_log_folder("log"), then);
    cr_expect_eq(status, 0, "%s: %d", options, status);
    cr_expect_str_eq(said, expected, "%s:\n%s", options, said);
}

#define FRAME(symbol, more)                                                                        \
    "{\"module\":\"/opt/app/cl;ient\",\"build_id\":\"\",\"offset\":4660,\"symbol\":\"" symbol      \
    "\"" more "}"
#define OPENED(frames)   ",\"open_stack\":[" frames "]"
#define EOF_AT(frames)   ",\"eof_stack\":[" frames "]"
#define LINE(file, line) ",\"file\":\"/src/" file "\",\"line\":" #line

#define DIAL FRAME("dial", LINE("net.c", 31) ",\"inlined\":true")
#define MAIN FRAME("main", LINE("client.c", 52)) "," FRAME("_start", "")

Test(report_output, prints_call_sites_for_people)
{
    json_log("log",
             BEGIN("leak", 00, 7) FACTS(a1) OPENED(DIAL "," FRAME("", "") "," MAIN) COUNTS(1, 0)
                 BEGIN("leak", 30, 7) FACTS(a1) COUNTS(4, 1) REAP(31, 7, a1, gone, 1, 0)
                     LATE(32, 7, a1, false, 2, 0) BEGIN("leak", 32, 8) FACTS(b2) EOF_AT(MAIN)
                         COUNTS(2, 0) SUMMARY(40, 8, 2));
    must_print("", "",
               "site a1: 4 leaked, 1 held now, 1 reaped, 2 closed late\n"
               "    class      eof-unread (it has not read since)\n"
               "    how        connect\n"
               "    oldest     41m00s\n"
               "    growth     6.0 an hour, over 30m00s\n"
               "    seen       2026-01-12 08:00:00 to 2026-01-12 08:30:00 UTC\n"
               "    processes  client (1)\n"
               "    peers      10.0.0.7:5432\n"
               "    opened at\n"
               "        #0 dial  net.c:31 (inlined)\n"
               "        #1 cl;ient+0x1234\n"
               "        #2 main  client.c:52\n"
               "\n"
               "site b2: 2 leaked, 0 held now, 0 reaped, 0 closed late, 2 held at their process's "
               "end\n"
               "    class      eof-unread (it has not read since)\n"
               "    how        connect\n"
               "    trend      flat: often a pool\n"
               "    seen       2026-01-12 08:32:00 to 2026-01-12 08:32:00 UTC\n"
               "    processes  client (1)\n"
               "    peers      10.0.0.7:5432\n"
               "    end of stream read at\n"
               "        #0 main  client.c:52\n"
               "    no stack was kept of where it was opened\n"
               "\n"
               "total: 2 call sites in 2 processes: 6 leaked, 1 held now, 1 reaped, 2 closed "
               "late\n");
}

#define EACH(what)                                                                                 \
    "| python3 -c 'import json, sys; [print(" what ") for group in json.load(sys.stdin)]'"

Test(report_output, prints_accept_queues_after_call_sites_each_at_its_worst)
{
    json_log("log", QUEUE(05, 7, "[::]:80", 1, 1, 10.5) "}\n" QUEUE(00, 7, "0.0.0.0:80", 5, 2, 12.0)
                        OPENED(DIAL "," MAIN) "}\n" QUEUE(30, 8, "0.0.0.0:80", 3, 3,
                                                          11.0) "}\n" LEAK(31, 8, a1, 1, 0));
    must_print("", "| sed -n '/^accept/,$p'",
               "accept queue of 0.0.0.0:80, client: told 2 times\n"
               "    waiting    5 at most, up to 12.0 s\n"
               "    hung up    3 at most\n"
               "    seen       2026-01-12 08:00:00 to 2026-01-12 08:30:00 UTC\n"
               "    listen called at\n"
               "        #0 dial  net.c:31 (inlined)\n"
               "        #1 main  client.c:52\n"
               "\n"
               "accept queue of [::]:80, client: told 1 time\n"
               "    waiting    1 at most, up to 10.5 s\n"
               "    hung up    1 at most\n"
               "    seen       2026-01-12 08:05:00 to 2026-01-12 08:05:00 UTC\n"
               "\n"
               "total: 1 call site in 1 process: 1 leaked, 1 held now, 0 reaped, 0 closed late\n");
    must_print("--format=json", EACH("group.get(\"site\"), group.get(\"type\")"),
               "a1 None\nf6 accept-queue\nf6 accept-queue\n");
    must_print(
        "--format=json",
        EACH("json.dumps(group) if \"type\" in group and not \"open_stack\" in group else \"\""),
        "\n\n{\"type\": \"accept-queue\", \"local\": \"[::]:80\", \"comm\": \"client\", "
        "\"times\": 1, \"waiting\": 1, \"hung_up\": 1, \"age_s\": 10.5, "
        "\"first\": \"2026-01-12T08:05:00.000Z\", \"last\": \"2026-01-12T08:05:00.000Z\", "
        "\"site\": \"f6\"}\n");
    must_print("--format=folded", "", "[no stack, site a1] 1\n");
    json_log("log", QUEUE(05, 7, "[::]:80", 1, 1, 10.5) "}\n");
    must_print("--format=json", EACH("group[\"local\"]"), "[::]:80\n");
}

Test(report_output, shows_so_many_call_sites_and_counts_all)
{
    json_log("log", LEAK(00, 1, a1, 1, 0) LEAK(00, 1, b2, 2, 0) LEAK(00, 1, c3, 3, 0));
    must_print("--format json --limit 2", EACH("group[\"site\"]"), "c3\nb2\n");
    must_print("--format=folded -n 2", "", "[no stack, site b2] 2\n[no stack, site c3] 3\n");
    must_print("-n1", "| grep -v '^ ' | grep .",
               "site c3: 3 leaked, 3 held now, 0 reaped, 0 closed late\n"
               "total: 3 call sites (1 shown) in 1 process: 6 leaked, 6 held now, 0 reaped, 0 "
               "closed late\n");
}

Test(report_output, prints_folded_stacks_for_flame_graphs)
{
    json_log("log",
             BEGIN("leak", 00, 7) FACTS(a1) OPENED(DIAL "," MAIN) COUNTS(4, 0) BEGIN("leak", 00, 7)
                 FACTS(b2) OPENED(FRAME("", "") "," MAIN) COUNTS(2, 0) BEGIN("leak", 00, 7)
                     FACTS(c3) OPENED(DIAL "," MAIN) COUNTS(3, 0) BEGIN("leak", 00, 7) FACTS(d4)
                         OPENED(FRAME("operator;\\n (int)", "") "," MAIN) COUNTS(1, 0)
                             BEGIN("leak", 00, 7) FACTS(e5) OPENED("") COUNTS(9, 0));
    must_print("--format=folded", "",
               "[no stack, site e5] 9\n"
               "_start;main;cl:ient+0x1234 2\n"
               "_start;main;dial 7\n"
               "_start;main;operator:? (int) 1\n");
}

#define LATE_WITH(minute, pid, count, since, fin_age, more)                                        \
    BEGIN("late-close", minute, pid)                                                               \
    "\"fd\":3,\"fin_age_s\":" fin_age ",\"site\":\"a1\",\"reaped\":false" more COUNTS(count, since)

/* Each process by itself; and of all together, how many were closed late. */
Test(report_output, judges_a_site_over_processes_and_days)
{
#define ONE_OF_ONE ",\"leaks\":1,\"grace_s\":240.000"
    static const struct {
        const char *what;
        const char *lines;
        const char *said;
    } rows[] = {
        {"one leak", LEAK(00, 1, a1, 1, 0) LEAK(30, 2, b2, 1, 0), "None None"},
        {"growing until the end of the log", LEAK(00, 1, a1, 1, 0) LEAK(30, 1, a1, 9, 1),
         "growing None"},
        {"growing until its end", LEAK(00, 1, a1, 1, 0) LEAK(10, 1, a1, 9, 1) SUMMARY(11, 1, 9),
         "growing None"},
        {"flat for long", LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 9, 1) LEAK(30, 2, b2, 1, 0),
         "flat None"},
        {"flat for long, until its end",
         LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 9, 1) SUMMARY(30, 1, 9), "flat None"},
        {"flat in one process, growing in another",
         LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 9, 1) LEAK(10, 2, a1, 1, 0) LEAK(30, 2, a1, 2, 1),
         "growing None"},
        {"grew in a process that is over, flat in the one that goes on",
         LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 9, 1) SUMMARY(02, 1, 9) LEAK(10, 2, a1, 1, 0)
             LEAK(11, 2, a1, 5, 1) LEAK(30, 3, b2, 1, 0),
         "flat None"},
        {"one leak in each of many processes",
         LEAK(00, 1, a1, 1, 0) LEAK(10, 2, a1, 1, 0) LEAK(20, 3, a1, 1, 0), "None None"},
        {"all reaped", LEAK(00, 1, a1, 1, 0) LEAK(30, 1, a1, 9, 1) REAP(30, 1, a1, gone, 9, 0),
         "None None"},
        {"2 of 3 closed late",
         LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 3, 1) LATE_WITH(03, 1, 1, 0, "190.000", "")
             LATE_WITH(03, 1, 2, 1, "60.000", ",\"leaks\":3,\"grace_s\":240.000"),
         "None 240.0"},
        {"most in one process, few in all",
         LEAK(00, 1, a1, 1, 0) LATE_WITH(03, 1, 1, 0, "190.000", ONE_OF_ONE) LEAK(04, 2, a1, 1, 0)
             LEAK(04, 3, a1, 1, 0),
         "None None"},
        {"slower in a process where few were late",
         LEAK(00, 1, a1, 1, 0) LATE_WITH(03, 1, 1, 0, "190.000", ONE_OF_ONE) LEAK(04, 2, a1, 2, 0)
             LATE_WITH(30, 2, 1, 0, "1200.000", ""),
         "None 1500.0"},
        {"of which the shim says nothing of grace",
         LEAK(00, 1, a1, 1, 0) LATE(03, 1, a1, false, 1, 0), "None None"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[4096];
        json_log("log", rows[i].lines);
        shell(said, sizeof(said),
              "%s report --format=json %s | python3 -c 'import json, sys; "
              "print(*[(group[\"trend\"], group[\"grace_s\"]) for group in json.load(sys.stdin) "
              "if group[\"site\"] == \"a1\"][0], end=\"\")'",
              built("closewait"), in_log_folder("log"));
        cr_expect_str_eq(said, rows[i].said, "%s: %s", rows[i].what, said);
    }
}

Test(report_output, says_what_a_site_is_and_which_grace_would_have_been_right)
{
    json_log("log", LEAK(00, 1, a1, 1, 0) LEAK(01, 1, a1, 9, 1)
                        LATE_WITH(30, 1, 7, 0, "190.000", ",\"leaks\":9,\"grace_s\":240.000"));
    must_print("", "| grep -E '^    (trend|late) '",
               "    trend      flat: often a pool\n"
               "    late       7 of 9, after 3m10s at most: grace=4m would have been right\n");
    json_log("log", LEAK(00, 1, a1, 1, 0) LEAK(30, 1, a1, 9, 1));
    must_print("", "| grep -E '^    (trend|late) '", "    trend      growing\n");
}

Test(report_output, prints_json_with_the_same_facts)
{
    json_log("log", BEGIN("leak", 00, 7) FACTS(a1) OPENED(DIAL "," MAIN) EOF_AT(MAIN) COUNTS(1, 0)
                        LEAK(30, 7, a1, 4, 1) LEAK(30, 8, b2, 1, 0) SUMMARY(31, 8, 1));
    must_print("--format=json",
               EACH("json.dumps({name: group[name] for name in group if \"stack\" not in name})"),
               "{\"site\": \"a1\", \"leaks\": 4, \"held\": 4, \"held_at_end\": 0, \"reaped\": 0, "
               "\"late_closes\": 0, \"oldest_s\": 1920.0, \"leaks_per_hour\": 6.0, "
               "\"trend\": \"growing\", \"grace_s\": null, "
               "\"first\": \"2026-01-12T08:00:00.000Z\", \"last\": \"2026-01-12T08:30:00.000Z\", "
               "\"class\": {\"eof-unread\": 2}, \"how\": {\"connect\": 2}, "
               "\"processes\": {\"client\": 1}, "
               "\"peers\": [{\"address\": \"10.0.0.7:5432\", \"count\": 2}]}\n"
               "{\"site\": \"b2\", \"leaks\": 1, \"held\": 0, \"held_at_end\": 1, \"reaped\": 0, "
               "\"late_closes\": 0, \"oldest_s\": null, \"leaks_per_hour\": null, "
               "\"trend\": null, \"grace_s\": null, "
               "\"first\": \"2026-01-12T08:30:00.000Z\", \"last\": \"2026-01-12T08:30:00.000Z\", "
               "\"class\": {\"eof-unread\": 1}, \"how\": {\"connect\": 1}, "
               "\"processes\": {\"client\": 1}, "
               "\"peers\": [{\"address\": \"10.0.0.7:5432\", \"count\": 1}]}\n");
    must_print("-f json",
               EACH("[(name, frame[\"symbol\"], frame.get(\"line\")) for name in group "
                    "if \"stack\" in name for frame in group[name]]"),
               "[('open_stack', 'dial', 31), ('open_stack', 'main', 52), "
               "('open_stack', '_start', None), ('eof_stack', 'main', 52), "
               "('eof_stack', '_start', None)]\n[]\n");
    json_log("log", SUMMARY(31, 8, 0));
    must_print("--format=json", "", "[\n]\n");
}

Test(report_output, prefers_what_was_symbolized_where_it_happened)
{
    json_log("log", BEGIN("leak", 00, 7) FACTS(a1) OPENED(FRAME("", "")) COUNTS(1, 0)
                        BEGIN("leak", 00, 7) FACTS(a1) OPENED(DIAL) COUNTS(2, 1)
                            BEGIN("leak", 00, 7) FACTS(a1) OPENED(FRAME("", "")) COUNTS(3, 2));
    must_print("-f folded", "", "dial 3\n");
}

#define FROM(peer, count, since)                                                                   \
    BEGIN("leak", 00, 7) "\"peer\":\"" peer "\",\"site\":\"a1\"" COUNTS(count, since)

Test(report_output, counts_peers_and_leaves_out_ports_that_vary)
{
    json_log("log", FROM("10.0.0.1:443", 1, 0) FROM("10.0.0.2:80", 2, 1) FROM("[::1]:7", 3, 2)
                        FROM("10.0.0.2:81", 4, 3) FROM("[::1]:7", 5, 4) FROM("10.0.0.2:80", 6, 5)
                            FROM("10.0.0.3:9", 7, 6) FROM("rubbish", 8, 7) FROM(":1", 9, 8));
    must_print("", "| grep peers",
               "    peers      10.0.0.2 (3), [::1]:7 (2), 10.0.0.1:443 (1) and 1 more\n");
}

Test(report_output, counts_a_process_of_two_files_once)
{
    char then[512];
    json_log("log", LEAK(05, 1, a1, 2, 1));
    snprintf(then, sizeof(then), "%s | tail -1", json_log("log.1", LEAK(00, 1, a1, 1, 0)));
    must_print("", then,
               "total: 1 call site in 1 process: 2 leaked, 2 held now, 0 reaped, 0 closed late\n");
}

Test(report_output, groups_sockets_without_a_stack_by_their_program)
{
    json_log("log",
             LEAK(00, 1, 0, 2, 0) "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00.000Z\","
                                  "\"pid\":2,\"comm\":\"other\",\"site\":\"0\",\"count\":1}\n");
    must_print(
        "", "| grep -E 'site|proc'",
        "site 0: 2 leaked, 2 held now, 0 reaped, 0 closed late\n"
        "    processes  client (1)\n"
        "site 0: 1 leaked, 1 held now, 0 reaped, 0 closed late\n"
        "    processes  other (1)\n"
        "total: 2 call sites in 2 processes: 3 leaked, 3 held now, 0 reaped, 0 closed late\n");
}

Test(report_output, prints_nothing_that_a_terminal_would_obey)
{
    json_log("log", "{\"type\":\"leak\",\"time\":\"2026-01-12T08:00:00Z\",\"pid\":1,\"comm\":"
                    "\"\\u001b[2J\\u009b\303\244\",\"class\":\"\\n\",\"how\":\"\\u007f\",\"peer\":"
                    "\"\\u001b:1\",\"site\":\"a1\",\"count\":1,\"open_stack\":[{\"symbol\":"
                    "\"\\u001bc\",\"file\":\"a\\rb\",\"line\":-1},7,{\"offset\":-1}]}\n");
    must_print("", "| sed -n '2,3p; 5,12p'",
               "    class      ?\n"
               "    how        ?\n"
               "    seen       2026-01-12 08:00:00 to 2026-01-12 08:00:00 UTC\n"
               "    processes  ?[2J?\303\244 (1)\n"
               "    peers      ?:1\n"
               "    opened at\n"
               "        #0 ?c  a?b\n"
               "        #1 ?+0x0\n"
               "        #2 ?+0xffffffffffffffff\n"
               "\n");
}

/* Runs a command with a terminal for its standard input and output. */
static int on_terminal(char *said, size_t size, const char *environment, const char *arguments)
{
    return shell(said, size,
                 "env -u NO_COLOR TERM=xterm %s python3 -c 'import os, pty, sys; "
                 "sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "
                 "%s report %s </dev/null 2>&1",
                 environment, built("closewait"), arguments);
}

Test(report_output, has_colours_on_a_terminal_unless_no_color_is_set)
{
    char said[8192];
    const char *path = json_log("log", LEAK(00, 1, a1, 1, 0));
    cr_expect_eq(on_terminal(said, sizeof(said), "", path), 0);
    cr_expect_not_null(
        strstr(said, "\033[1msite a1\033[0m: 1 leaked, \033[1;31m1 held now\033[0m,"), "%s", said);
    cr_expect_eq(on_terminal(said, sizeof(said), "NO_COLOR=1", path), 0);
    cr_expect_not_null(strstr(said, "site a1: 1 leaked, 1 held now,"), "%s", said);
    cr_expect_null(strchr(said, '\033'), "%s", said);
}

Test(report_output, does_not_wait_for_json_to_be_typed)
{
    char said[8192];
    cr_expect_eq(on_terminal(said, sizeof(said), "", ""), 2);
    cr_expect_str_eq(said,
                     "closewait report: standard input is a terminal: expected closewait report "
                     "FILE..., or JSON lines from a pipe\r\n",
                     "%s", said);
}

/* Starts a leaker whose peer closes, with JSON to the file log; returns when it has been told. */
static void leak_into(const char *log, char *leaker, struct program *program)
{
    in_port_t port = 0;
    char options[512];
    char line[64];
    const int listener = peer_listen(AF_INET, &port);
    char *connects = step("connect4", port);
    snprintf(options, sizeof(options), "grace=200ms,format=json,output=%s", log);
    program_start(program, options, ARGS(leaker, connects, "drain", "wait"));
    snprintf(line, sizeof(line), "did %s", connects);
    program_must_say(program, line);
    close(accept(listener, NULL, NULL));
    program_must_say(program, "did drain");
    close(listener);
}

static bool is_there(const void *path)
{
    return access(path, R_OK) == 0;
}

Test(report_output, names_the_function_and_line_of_a_programs_own_leak)
{
    struct program program;
    leak_into(in_log_folder("log"), built("tests/leaker"), &program);
    cr_assert(eventually(is_there, in_log_folder("log")));
    must_print(
        "", "| grep -Eo '^site|1 held now|eof-ignored|#.*leaker.c' | uniq",
        "site\n1 held now\neof-ignored\n#0 dial4  leaker.c\n#1 take  leaker.c\n#2 main  leaker.c\n"
        "#0 take  leaker.c\n#1 main  leaker.c\n1 held now\n");
    must_print(
        "",
        "| grep -o 'dial4.*' | { "
        "line=$(grep -n 'if (connect(fd, (struct sockaddr \\*)&in,' tests/programs/leaker.c); "
        "test \"$(cat)\" = \"dial4  leaker.c:${line%%:*}\"; }",
        "");
    cr_expect_eq(program_end(&program), 0);
    must_print("", "| grep -o '0 held now.*end$'",
               "0 held now, 0 reaped, 0 closed late, 1 held at their process's end\n");
    must_print("--format=folded", "| grep -o 'main;take;dial4 1$'", "main;take;dial4 1\n");
}

Test(report_output, finds_functions_by_build_id_where_the_program_is_not)
{
    struct program program;
    char moved[256];
    const char *id = build_id_of(built("tests/leaker"));
    snprintf(moved, sizeof(moved), "%s", in_log_folder("leaker"));
    must("cp %s %s", built("tests/leaker"), moved);
    leak_into(in_log_folder("log"), moved, &program);
    cr_assert(eventually(is_there, in_log_folder("log")));
    cr_expect_eq(program_end(&program), 0);
    must("cd %s && mkdir -p debug/.build-id/%.2s && objcopy --only-keep-debug leaker "
         "debug/.build-id/%.2s/%s.debug && rm leaker",
         in_log_folder(""), id, id, id + 2);
    must_print("", "| grep -o '#0 leaker+0x' | uniq", "#0 leaker+0x\n");
    char options[512];
    snprintf(options, sizeof(options), "--debuginfo-path=%s", in_log_folder("debug"));
    must_print(options, "| grep -o '#0 .*leaker.c'", "#0 dial4  leaker.c\n#0 take  leaker.c\n");
}
