/*
 * closewait watch: processes that it cannot watch, for now or at all.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char said[64 * 1024];
static char name[16];
static char folder[] = "/tmp/closewait-refusals.XXXXXX";
static char file[64];
static char limit[8];

enum { MANY = 20 };

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/watch.prom", folder);
    snprintf(name, sizeof(name), "cw-%d", (int)getpid());
}

static void remove_folder(void)
{
    cr_expect_eq(shell(said, sizeof(said), "rmdir %s", folder), 0, "%s", said);
}

/* A child of ours that has the name and does nothing; ended: and is a zombie. */
static pid_t start_named(bool ended)
{
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    const pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        if (!ended && write(ready[1], "", 1) == 1)
            pause();
        _exit(0);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), !ended);
    close(ready[0]);
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* With so many descriptors at the most, by the letter of ulimit(1p). */
static void start_watch(struct program *watch, char *letter, int descriptors)
{
    static char metrics[96];
    static char named[32];
    snprintf(metrics, sizeof(metrics), "--metrics=%s", file);
    snprintf(named, sizeof(named), "--name=%s", name);
    snprintf(limit, sizeof(limit), "%d", descriptors);
    program_start(watch, NULL,
                  ARGS("/bin/sh", "-c", "ulimit $1 $2; shift 2; exec \"$@\"", "sh", letter, limit,
                       built("closewait"), "watch", "--grace=100ms", metrics, named));
}

/* Waits until a metric has that sum. */
static void must_count(const char *metric, int value)
{
    const uint64_t begin = now_ms();
    while (now_ms() - begin < PATIENCE_MS) {
        if (shell(said, sizeof(said),
                  "test \"$(sed -n 's/^%s{.*} //p' %s 2>/dev/null | tr '\\n' ' ')\" = '%d '",
                  metric, file, value) == 0)
            return;
        usleep(20000);
    }
    shell(said, sizeof(said), "cat %s", file);
    cr_assert_fail("no %s %d in:\n%s", metric, value, said);
}

static int end_watch(struct program *watch)
{
    kill(watch->pid, SIGTERM);
    return program_end(watch);
}

Test(outside_refusals, the_soft_limit_of_descriptors_is_none)
{
    pid_t pids[MANY];
    struct program watch;
    make_folder();
    for (int i = 0; i < MANY; i++)
        pids[i] = start_named(false);
    start_watch(&watch, "-Sn", 30);
    must_count("closewait_processes", MANY);
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_eq(times(watch.reported, "closewait watch: "), 0, "%s", watch.reported);
    for (int i = 0; i < MANY; i++)
        stop(pids[i]);
    remove_folder();
}

Test(outside_refusals, who_has_no_descriptor_left_says_so_once_and_watches_the_others_later)
{
    pid_t pids[MANY];
    struct program watch;
    make_folder();
    for (int i = 0; i < MANY; i++)
        pids[i] = start_named(false);
    start_watch(&watch, "-n", 30);
    program_must_report(&watch, "closewait watch: more processes than its 30 descriptors suffice "
                                "for: ");
    for (int i = 0; i + 1 < MANY; i++)
        stop(pids[i]);
    must_count("closewait_processes", 1);
    must_count("closewait_unseen_processes", 0);
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_eq(times(watch.reported, "closewait watch: "), 1, "%s", watch.reported);
    stop(pids[MANY - 1]);
    remove_folder();
}

Test(outside_refusals, a_zombie_is_no_news_and_no_failure)
{
    struct program watch;
    make_folder();
    const pid_t zombie = start_named(true);
    const pid_t other = start_named(false);
    start_watch(&watch, "-Sn", 64);
    must_count("closewait_processes", 1);
    must_count("closewait_unseen_processes", 0);
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_eq(times(watch.reported, "closewait watch: "), 0, "%s", watch.reported);
    stop(zombie);
    stop(other);
    remove_folder();
}

Test(outside_refusals, a_process_is_watched_when_its_tracer_has_let_it_go)
{
    struct program watch;
    make_folder();
    const pid_t pid = start_named(false);
    cr_assert_eq(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
    start_watch(&watch, "-Sn", 64);
    program_must_report(&watch, " is traced by process ");
    must_count("closewait_unseen_processes", 1);
    cr_assert_eq(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    must_count("closewait_processes", 1);
    must_count("closewait_unseen_processes", 0);
    cr_expect_eq(end_watch(&watch), 0);
    cr_expect_eq(times(watch.reported, " is traced by process "), 1, "%s", watch.reported);
    stop(pid);
    remove_folder();
}

Test(outside_refusals, one_that_ended_unwatched_is_forgotten_and_makes_the_status)
{
    struct program watch;
    make_folder();
    const pid_t pid = start_named(false);
    cr_assert_eq(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
    start_watch(&watch, "-Sn", 64);
    program_must_report(&watch, " is traced by process ");
    must_count("closewait_unseen_processes", 1);
    stop(pid);
    must_count("closewait_unseen_processes", 0);
    cr_expect_eq(end_watch(&watch), 1);
    remove_folder();
}
