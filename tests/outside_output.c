/*
 * closewait watch: where its reports go, and what becomes of those that cannot be written.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static char said[64 * 1024];
static char folder[] = "/tmp/closewait-output.XXXXXX";

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    shell(said, sizeof(said), "rm -r %s", folder);
}

/* A static program whose socket has lost its peer; let go it closes it. */
static void start_leaker(struct program *program)
{
    in_port_t port = 0;
    const int listener = peer_listen(AF_INET, &port);
    program_start(
        program, NULL,
        ARGS(built("tests/leaker-static"), step("connect4", port), "wait", "close", "wait"));
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(peer);
    close(listener);
}

static void end(struct program *program)
{
    cr_expect_eq(program_end(program), 0);
}

/* By a shell that first does what the line says. */
static void start_watch(struct program *watch, char *line, char *output, pid_t pid)
{
    static char number[16];
    snprintf(number, sizeof(number), "%d", (int)pid);
    program_start(watch, NULL,
                  ARGS("/bin/sh", "-c", line, "sh", built("closewait"), "watch", "--grace=100ms",
                       "--format=json", output, number));
}

static int end_watch(struct program *watch)
{
    kill(watch->pid, SIGTERM);
    return program_end(watch);
}

/* Waits until the shell says yes. */
static void must_hold(const char *format, const char *path)
{
    char command[512];
    const uint64_t begin = now_ms();
    snprintf(command, sizeof(command), format, path);
    while (shell(said, sizeof(said), "%s", command) != 0) {
        cr_assert_lt(now_ms() - begin, PATIENCE_MS, "%s: %s", command, said);
        usleep(20000);
    }
}

Test(outside_output, that_cannot_be_written_is_told_once)
{
    struct program program;
    struct program watch;
    start_leaker(&program);
    start_watch(&watch, "exec \"$@\"", "--output=/dev/full", program.pid);
    program_must_report(&watch, "closewait watch: --output: /dev/full: No space left on device: "
                                "reports are lost; expected a file that can be written\n");
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_eq(times(watch.reported, "\n"), 1, "%s", watch.reported);
    end(&program);
}

Test(outside_output, that_was_lost_is_counted_in_the_summary)
{
    struct program program;
    struct program watch;
    char path[64];
    char output[96];
    make_folder();
    snprintf(path, sizeof(path), "%s/later/reports", folder);
    snprintf(output, sizeof(output), "--output=%s", path);
    start_leaker(&program);
    start_watch(&watch, "exec \"$@\"", output, program.pid);
    program_must_report(&watch, ": No such file or directory: reports are lost");
    must_hold("mkdir %s/later", folder);
    cr_expect_eq(end_watch(&watch), 0);
    must_hold("grep '\"type\":\"summary\".*\"lost\":1' %s", path);
    end(&program);
    remove_folder();
}

Test(outside_output, is_made_with_the_first_report_and_opened_anew_for_each)
{
    struct program program;
    struct program watch;
    char path[64];
    char output[96];
    char number[16];
    make_folder();
    snprintf(path, sizeof(path), "%s/reports", folder);
    snprintf(output, sizeof(output), "--output=%s", path);
    program_start(&program, NULL, ARGS(built("tests/leaker-static"), "wait"));
    start_watch(&watch, "exec \"$@\"", output, program.pid);
    snprintf(number, sizeof(number), "%d", (int)watch.pid);
    must_hold("ls -l /proc/%s/fd | grep pidfd", number);
    must_hold("test ! -e %s", path);
    end(&program);
    cr_expect_eq(program_end(&watch), 0);

    start_leaker(&program);
    start_watch(&watch, "exec \"$@\"", output, program.pid);
    must_hold("grep '\"type\":\"leak\"' %s", path);
    must_hold("cd %s && mv reports reports.1", folder);
    program_go_on(&program);
    must_hold("grep '\"type\":\"late-close\"' %s", path);
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_str_empty(watch.reported);
    end(&program);
    remove_folder();
}

/* ulimit(1p) counts in blocks of 512 bytes. */
Test(outside_output, that_was_cut_off_ends_with_its_line)
{
    struct program program;
    struct program watch;
    struct rlimit more;
    char path[64];
    char output[96];
    make_folder();
    snprintf(path, sizeof(path), "%s/reports", folder);
    snprintf(output, sizeof(output), "--output=%s", path);
    must_hold("head -c 500 /dev/zero | tr '\\0' x >%s", path);
    must_hold("echo >>%s", path);
    start_leaker(&program);
    start_watch(&watch, "ulimit -S -f 1; exec \"$@\"", output, program.pid);
    program_must_report(&watch, ": reports are lost; ");
    cr_assert_eq(prlimit(watch.pid, RLIMIT_FSIZE, NULL, &more), 0);
    more.rlim_cur = more.rlim_max;
    cr_assert_eq(prlimit(watch.pid, RLIMIT_FSIZE, &more, NULL), 0);
    program_go_on(&program);
    must_hold("grep '^{.*\"type\":\"late-close\"' %s", path);
    cr_expect_eq(end_watch(&watch), 0);
    must_hold("grep '^{.*\"type\":\"summary\".*\"lost\":1' %s", path);
    end(&program);
    remove_folder();
}

Test(outside_output, is_on_no_descriptor_that_a_stream_had)
{
    struct program program;
    struct program watch;
    char path[64];
    char output[96];
    char number[16];
    make_folder();
    snprintf(path, sizeof(path), "%s/reports", folder);
    snprintf(output, sizeof(output), "--output=%s", path);
    start_leaker(&program);
    start_watch(&watch, "exec \"$@\" <&- >&- 2>&-", output, program.pid);
    must_hold("grep '\"type\":\"leak\"' %s", path);
    snprintf(number, sizeof(number), "%d", (int)watch.pid);
    must_hold("cd /proc/%s/fd && for i in 0 1 2; do test $(readlink $i) = / || exit 1; done",
              number);
    cr_expect_eq(end_watch(&watch), 0);
    end(&program);
    remove_folder();
}

Test(outside_output, is_closed_where_it_was_and_for_the_program_that_is_run)
{
    cr_expect_eq(shell(said, sizeof(said),
                       "exec 3>&1; %s run -- sh -c 'for i in 0 1 2; do "
                       "test ! -e /proc/$$/fd/$i || echo $i >&3; done' <&- >&- 2>&-",
                       built("closewait")),
                 0);
    cr_expect_str_empty(said);
    cr_expect_eq(shell(said, sizeof(said), "%s reap --dry-run %d 2>&1 >&-", built("closewait"),
                       (int)getpid()),
                 1);
    cr_expect_str_eq(said,
                     "closewait reap: cannot write to standard output: Bad file descriptor\n");
}

Test(outside_output, whose_reader_has_gone_does_not_end_the_watch)
{
    struct program program;
    struct program watch;
    char path[64];
    char metrics[96];
    make_folder();
    snprintf(path, sizeof(path), "%s/watch.prom", folder);
    snprintf(metrics, sizeof(metrics), "--metrics=%s", path);
    start_leaker(&program);
    start_watch(&watch, "exec 2>&1 1>/dev/null; exec \"$@\"", metrics, program.pid);
    close(watch.out);
    watch.out = -1;
    must_hold("grep '^closewait_leaks_total{.*} 1$' %s", path);
    cr_expect_eq(end_watch(&watch), 0);
    must_hold("test ! -e %s", path);
    end(&program);
    remove_folder();
}
