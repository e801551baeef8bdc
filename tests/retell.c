/*
 * closewait run as its user sees it: the program's own output is left alone, and what the shims
 * report comes with functions and lines.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

static in_port_t port;
static int listener;
static char *folder; /* empty, and gone afterwards */

static void start(void)
{
    static char made[] = "/tmp/closewait-retell.XXXXXX";
    listener = peer_listen(AF_INET, &port);
    folder = mkdtemp(made);
    cr_assert_not_null(folder);
    setenv("TMPDIR", folder, 1);
}

static void stop(void)
{
    char said[256];
    shell(said, sizeof(said), "rm -r %s", folder);
}

TestSuite(retell, .init = start, .fini = stop);

/* Runs the leaker under the command; the peer hangs up, and the program waits for what is told. */
static void run_leaker(struct program *program, char *const options[], char *const steps[])
{
    char *argv[24] = {built("closewait"), "run"};
    int n = 2;
    for (int i = 0; options[i]; i++)
        argv[n++] = options[i];
    argv[n++] = built("tests/leaker");
    argv[n++] = step("connect4", port);
    for (int i = 0; steps[i]; i++)
        argv[n++] = steps[i];
    program_start(program, NULL, argv);
    program_must_say(program, "did connect4");
    const int peer = accept(listener, NULL, NULL);
    if (strcmp(steps[0], "recv") == 0)
        cr_assert_eq(write(peer, "x", 1), 1);
    close(peer);
}

/*
 * Whether the shims have told the command anything yet, which it may keep to itself. What it has
 * read is gone from the file, but for its size.
 */
static bool has_heard(const void *unused)
{
    char said[64];
    (void)unused;
    return shell(said, sizeof(said), "find %s/closewait.* -size +0c -type f | grep -q .", folder) ==
           0;
}

static const char *file_of_patterns(const char *patterns)
{
    static char option[160];
    snprintf(option, sizeof(option), "--suppress=%s/patterns", folder);
    FILE *file = fopen(option + strlen("--suppress="), "we");
    cr_assert_not_null(file);
    fputs(patterns, file);
    cr_assert_eq(fclose(file), 0);
    return option;
}

/* The line of a source file that holds text. */
static int line_of(const char *file, const char *text)
{
    char said[64];
    shell(said, sizeof(said), "grep -nF '%s' %s | head -n 1", text, file);
    const int line = (int)strtol(said, NULL, 10);
    cr_assert_gt(line, 0, "%s", said);
    return line;
}

Test(retell, names_functions_and_lines)
{
    char expected[256];
    struct program program;
    run_leaker(&program, ARGS("--grace=100ms", "--last"), ARGS("recv", "drain", "wait"));
    program_must_report(&program, ": leak: fd 3 ");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    snprintf(expected, sizeof(expected), "at:  #0 dial4  leaker.c:%d   #1 take  leaker.c:",
             line_of("tests/programs/leaker.c", "if (connect(fd, (struct sockaddr *)&in, "
                                                "sizeof(in)) != 0 && errno != EINPROGRESS"));
    cr_expect_not_null(strstr(program.reported, expected), "%s: %s", expected, program.reported);
    cr_expect_not_null(strstr(program.reported, "#2 main  leaker.c:"), "%s", program.reported);
    snprintf(expected, sizeof(expected), "    end of stream read at:  #0 take  leaker.c:%d ",
             line_of("tests/programs/leaker.c", "while (read(fd, &c, 1) > 0)"));
    cr_expect_not_null(strstr(program.reported, expected), "%s: %s", expected, program.reported);
    cr_expect_not_null(
        strstr(program.reported, "    last read or written at:  #0 receive  leaker.c:"));
    cr_expect_null(strstr(program.reported, "__libc_start"), "what is below main is no news");
}

Test(retell, leaves_the_programs_own_output_alone)
{
    char path[128];
    char output[160];
    char said[4096];
    struct program program;
    snprintf(path, sizeof(path), "%s/reports", folder);
    snprintf(output, sizeof(output), "--output=%s", path);
    run_leaker(&program, ARGS("--grace=100ms", output, "--format=json"), ARGS("wait", "close"));
    shell(said, sizeof(said), "until grep -qs '\"leak\"' %s; do sleep 0.05; done", path);
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
    shell(said, sizeof(said),
          "python3 -c 'import json, sys\n"
          "for line in open(sys.argv[1]):\n"
          "    record = json.loads(line)\n"
          "    print(record[\"type\"], record[\"comm\"],\n"
          "          record.get(\"open_stack\", [{}])[0].get(\"symbol\"))' %s",
          path);
    cr_expect_str_eq(said, "leak leaker dial4\nlate-close leaker None\nsummary leaker None\n");
}

Test(retell, exits_as_asked_when_something_leaked_and_as_the_program_when_nothing_did)
{
    static const struct {
        const char *steps[4];
        int status;
    } rows[] = {
        {{"wait"}, 99}, {{"wait", "close"}, 99}, {{"close", "wait"}, 0}, {{"close", "bad"}, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct program program;
        run_leaker(&program, ARGS("--grace=50ms", "--error-exitcode=99"),
                   (char *const *)rows[i].steps);
        if (rows[i].status == 99)
            program_must_report(&program, ": leak: fd 3 ");
        program_go_on(&program);
        cr_expect_eq(program_end(&program), rows[i].status, "%zu: %s", i, program.reported);
    }
}

/* It is no leak. */
Test(retell, names_the_function_and_line_of_a_listen_whose_queue_is_stuck)
{
    struct program program;
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=100ms", "--error-exitcode=99",
                       built("tests/leaker"), "listen=127.0.0.1", "wait"));
    const int peer = dial(AF_INET, port_of(&program));
    program_must_report(&program, "1 connection has waited 0.");
    program_must_report(&program, " s for an accept, none of them hung up\n");
    program_must_report(&program, "    listen called at:  #0 listen_on  leaker.c:");
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}

Test(retell, covers_every_process_of_the_program_by_its_pid)
{
    struct program program;
    char command[256];
    snprintf(command, sizeof(command), "%s connect4=%d wait; exit 7", built("tests/leaker"), port);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=100ms", "--error-exitcode=99", "sh",
                       "-c", command));
    program_must_say(&program, "did connect4");
    close(accept(listener, NULL, NULL));
    program_must_report(&program, "closewait: leaker[");
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 99);
    cr_expect_null(strstr(program.reported, "closewait: sh["), "%s", program.reported);
}

Test(retell, suppresses_by_function_and_counts_it)
{
    struct program program;
    run_leaker(&program,
               ARGS("--grace=50ms", "--error-exitcode=99", "--signal=USR2",
                    (char *)file_of_patterns("function:dial?\nfile:nothing.c\n")),
               ARGS("wait"));
    cr_assert(eventually(has_heard, NULL));
    kill(program.pid, SIGUSR2);
    program_must_report(&program, ": summary: ");
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_null(strstr(program.reported, ": leak: "), "%s", program.reported);
    cr_expect_null(strstr(program.reported, ": held now: "), "%s", program.reported);
    cr_expect_not_null(
        strstr(program.reported,
               "summary: 0 sockets leaked at 0 call sites (0 growing), 0 reaped, 1 suppressed"),
        "%s", program.reported);
    cr_expect_eq(times(program.reported, "line 1 (function:dial?) matched 1 leak\n"), 2, "%s",
                 program.reported);
    cr_expect_eq(times(program.reported, "line 2 (file:nothing.c) matched nothing\n"), 2);
}

/* That it holds a port is told all the same. */
Test(retell, exits_as_the_program_when_a_suppressed_leak_holds_a_port)
{
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--error-exitcode=99",
                       (char *)file_of_patterns("function:dial4 class:eof-unread\n"),
                       built("tests/leaker"), step("from", free_port()), made, "wait", made));
    peer_hang_up(meet(listener, &program, made));
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 1, "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, "this program still holds the port"), "%s",
                       program.reported);
}

/* By a process that writes to the command what no shim does. */
Test(retell, ends_with_a_line_what_is_too_long_for_a_text)
{
    char said[256];
    shell(said, sizeof(said),
          "cat >%s/write.py <<'END'\n"
          "import json, os\n"
          "frame = {'module': 'a', 'offset': 1, 'symbol': 'f' * 500}\n"
          "stacks = {name + '_stack': [frame] * 256 for name in ('open', 'eof', 'last')}\n"
          "with open(os.environ['CLOSEWAIT_OPTIONS'].split('output=')[-1], 'a') as file:\n"
          "    for pid in 4194302, 4194303:\n"
          "        leak = {'type': 'leak', 'pid': pid, 'comm': 'x', 'fd': 3, 'count': 1}\n"
          "        print(json.dumps(dict(leak, **stacks)), file=file)\n"
          "END\n"
          "%s run --output=%s/told python3 %s/write.py; grep -o '^closewait: x.419430[23].: leak' "
          "%s/told",
          folder, built("closewait"), folder, folder, folder);
    cr_expect_str_eq(said, "closewait: x[4194302]: leak\nclosewait: x[4194303]: leak\n");
}

/* What a function suppresses only the command knows: nothing that it could be is closed. */
Test(retell, closes_nothing_that_a_pattern_could_spare)
{
    struct program program;
    run_leaker(&program,
               ARGS("--grace=50ms", "--action=close", (char *)file_of_patterns("function:dial4\n")),
               ARGS("wait", "probe"));
    /* Told and closed is one act of the watcher's. */
    cr_assert(eventually(has_heard, NULL));
    program_go_on(&program);
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
    cr_expect_not_null(strstr(program.said, "send 1, "), "it was closed: %s", program.said);
    cr_expect_not_null(strstr(program.reported, " 0 reaped, 1 suppressed"), "%s", program.reported);
}

Test(retell, says_once_that_reports_cannot_be_written_and_goes_on)
{
    char command[256];
    char said[4096];
    static const struct {
        const char *prepare;
        const char *name;
        const char *why;
    } rows[] = {
        {"true", "none/reports", "No such file or directory: reports are lost"},
        {"ln -s reports", "link", "a symbolic link is not followed"},
        {"mkdir", "folder", "Is a directory: reports are lost"},
        {"mkfifo", "pipe", "No such device or address: reports are lost"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char option[160];
        struct program program;
        snprintf(command, sizeof(command), "%s %s/%s", rows[i].prepare, folder, rows[i].name);
        shell(said, sizeof(said), "%s", command);
        snprintf(option, sizeof(option), "--output=%s/%s", folder, rows[i].name);
        run_leaker(&program, ARGS("--grace=50ms", option), ARGS("wait", "close"));
        program_must_report(&program, rows[i].why);
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_eq(times(program.reported, "\n"), 1, "%s", program.reported);
    }
}

Test(retell, outlives_its_reader_and_a_full_disk)
{
    static const char *const commands[] = {
        "%s run --grace=20ms --error-exitcode=99 %s 1 20 >/dev/null 2>/dev/full",
        "%s run --grace=20ms --error-exitcode=99 %s 1 20 2>&1 >/dev/null | true",
        "%s run --grace=20ms --error-exitcode=99 --output=/dev/full %s 1 20 >/dev/null 2>&1",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char said[4096];
        char command[512];
        snprintf(command, sizeof(command), commands[i], built("closewait"), built("tests/flood"));
        const int status = shell(said, sizeof(said),
                                 "(for i in $(seq 200); do test -s %s/closewait.*/* && break; "
                                 "sleep 0.05; done; echo) | bash -o pipefail -c '%s'",
                                 folder, command);
        cr_expect_eq(status, 99, "%s: %d %s", command, status, said);
    }
}

Test(retell, leaves_no_file_behind_but_for_a_process_that_goes_on)
{
    char said[4096];
    cr_assert_eq(shell(said, sizeof(said), "%s run sh -c 'sleep 0.01' && ls %s | wc -l",
                       built("closewait"), folder),
                 0);
    cr_expect_str_eq(said, "0\n");
    shell(said, sizeof(said),
          "%s run sh -c 'sleep 30 >/dev/null 2>&1 & echo $! >%s/pid; exec true' 2>&1; "
          "cat %s/closewait.*/*; kill $(cat %s/pid)",
          built("closewait"), folder, folder, folder);
    cr_expect_not_null(
        strstr(said, "closewait run: 1 process of it goes on; what they report is in "), "%s",
        said);
}

/* One call site, of which a pattern spares one peer. */
Test(retell, suppresses_some_of_the_leaks_of_a_call_site)
{
    char pattern[64];
    in_port_t spared = 0;
    const int other = peer_listen(AF_INET, &spared);
    char *first = step("connect4", port);
    char *second = step("connect4", spared);
    struct program program;
    snprintf(pattern, sizeof(pattern), "function:dial4 peer:127.0.0.1:%d\n", spared);
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=50ms", "--error-exitcode=99",
                       "--signal=USR2", (char *)file_of_patterns(pattern), built("tests/leaker"),
                       first, second, "wait"));
    close(meet(listener, &program, first));
    close(meet(other, &program, second));
    program_must_report(&program, ": leak: ");
    static const char sum[] = "summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, "
                              "1 suppressed, 1 held now\n";
    program_must_sum(&program, sum);
    cr_expect_eq(program_end(&program), 99, "%s", program.reported);
    cr_expect_eq(times(program.reported, ": leak: "), 1, "%s", program.reported);
    cr_expect_not_null(strstr(program.reported, ": held now: 1 socket at site "));
}

/* What a process could write to the command by mistake, or to harm it. */
Test(retell, outlives_a_line_without_an_end_and_a_file_of_a_gigabyte, .timeout = 60)
{
    char said[4096];
    const int status = shell(said, sizeof(said),
                             "cat >%s/write.py <<'END'\n"
                             "import json, os\n"
                             "path = os.environ['CLOSEWAIT_OPTIONS'].split('output=')[-1]\n"
                             "with open(path, 'a') as file:\n"
                             "    file.write('x' * (3 << 20) + '\\n')\n"
                             "    print(json.dumps({'type': 'leak', 'pid': 4194302, 'comm': 'x', "
                             "'fd': 3, 'count': 1}),\n"
                             "          file=file)\n"
                             "os.truncate(path, 1 << 30)\n"
                             "os._exit(7)\n"
                             "END\n"
                             "timeout 30 %s run python3 %s/write.py 2>&1",
                             folder, built("closewait"), folder);
    cr_expect_eq(status, 7, "%d: %s", status, said);
    cr_expect_eq(times(said, "closewait: x[4194302]: leak"), 1, "%s", said);
    cr_expect_eq(shell(said, sizeof(said), "ls -d %s/closewait.* 2>/dev/null", folder), 2, "%s",
                 said);
}

/* A report that could not be written is in one summary, whoever's it is. */
Test(retell, tells_a_lost_report_once)
{
    char said[4096];
    shell(said, sizeof(said),
          "cat >%s/write.py <<'END'\n"
          "import json, os\n"
          "def summary(pid): return {'type': 'summary', 'pid': pid, 'comm': 'x', 'leaked': 1,\n"
          "                          'sites': 1}\n"
          "leak = {'type': 'leak', 'pid': 4194301, 'comm': 'x', 'fd': 3, 'count': 1}\n"
          "with open(os.environ['CLOSEWAIT_OPTIONS'].split('output=')[-1], 'a') as file:\n"
          "    for record in leak, summary(4194302), summary(4194303):\n"
          "        print(json.dumps(record), file=file)\n"
          "END\n"
          "mkdir %s/4194302 %s/4194303; "
          "%s run --output=%s/%%p/told python3 %s/write.py 2>/dev/null; cat %s/*/told",
          folder, folder, folder, built("closewait"), folder, folder, folder);
    cr_expect_str_eq(said,
                     "closewait: x[4194302]: summary: 1 socket leaked at 1 call site (0 growing), "
                     "0 reaped, 0 suppressed, 1 report lost\n"
                     "closewait: x[4194303]: summary: 1 socket leaked at 1 call site (0 growing), "
                     "0 reaped, 0 suppressed\n",
                     "%s", said);
}

/* A leak that stays, and two that are closed late. */
Test(retell, says_which_grace_would_have_been_right)
{
    char *made = step("connect4", port);
    struct program program;
    program_start(&program, NULL,
                  ARGS(built("closewait"), "run", "--grace=50ms", "--signal=USR2",
                       built("tests/leaker"), made, made, "wait", "close", made, "wait", "close",
                       "wait"));
    close(accept(listener, NULL, NULL));
    close(accept(listener, NULL, NULL));
    program_must_report(&program, ": leak: 2 sockets by now at site ");
    program_go_on(&program);
    program_must_report(&program, ": late close: fd 4 ");
    close(accept(listener, NULL, NULL));
    program_must_sum(&program, ": summary: 3 sockets leaked ");
    program_go_on(&program);
    program_must_report(&program, "; 2 of 3 leaks of this site were closed late: grace=");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_not_null(strstr(program.reported, ", 2 closed late (grace="), "%s", program.reported);
}

/* A pool has no trend while it is younger than a second: the program dozes until it is older. */
Test(retell, says_of_a_pool_that_it_is_flat_but_not_of_one_that_a_pattern_spares)
{
    static const struct {
        const char *patterns;
        const char *summary;
    } rows[] = {
        {"function:dial6\n",
         "summary: 3 sockets leaked at 1 call site (0 growing, 1 flat: often a pool), 0 reaped, 1 "
         "suppressed, 3 held now\n"},
        {"function:dial4\n",
         "summary: 1 socket leaked at 1 call site (0 growing), 0 reaped, 3 suppressed, 1 held "
         "now\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *made = step("connect4", port);
        struct program program;
        program_start(&program, NULL,
                      ARGS(built("closewait"), "run", "--grace=50ms",
                           (char *)file_of_patterns(rows[i].patterns), built("tests/leaker"), made,
                           made, made, step("mapped", port), "wait", "doze", "doze"));
        for (int peer = 0; peer < 4; peer++)
            close(accept(listener, NULL, NULL));
        cr_assert(eventually(has_heard, NULL));
        program_go_on(&program);
        cr_expect_eq(program_end(&program), 0);
        cr_expect_not_null(strstr(program.reported, rows[i].summary), "%s", program.reported);
    }
}
