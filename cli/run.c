/*
 * closewait run: the program, under the shim, as if it had been started alone; what the shims of
 * all its processes report comes over a file of ours, and is told here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "inbox.h"
#include "kin.h"
#include "preload.h"
#include "processes.h"
#include "retell.h"
#include "run_arguments.h"
#include "verbs.h"

enum { LOOK_MS = 200, LAST_READS = 4096 };

struct run {
    struct run_arguments asked;
    char shim[PATH_MAX];
    const char *program; /* its name, as it was given */
    const char *refusal; /* why the shim cannot be loaded, as far as the file shows */
    struct child child;
    int hello[2]; /* the shim writes its pid here; see say_hello in shim/init.c */
    bool greeted;
    struct kin kin;
    struct rules rules; /* for what is watched from outside */
    struct inbox inbox;
    struct retell retell;
};

static int complain(const char *what)
{
    fprintf(stderr, "closewait run: %s\n", what);
    return EXIT_TROUBLE;
}

/*
 * The program greets each time that it becomes another one. One in Go calls no hook: the shim looks
 * for its sockets instead, unless that was forbidden.
 */
static void greet(struct run *run)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)run->child.pid);
    const bool scans = run->asked.options.scan != SCAN_OFF;
    const bool is_go = preload_is_go(path);
    run->greeted |= scans || !is_go;
    if (is_go && scans)
        fprintf(stderr,
                "closewait run: the shim looks for the sockets of %s: it is a Go program, which "
                "makes its system calls itself\n",
                run->program);
}

static void hear_hello(struct run *run)
{
    int pid = 0;
    while (read(run->hello[0], &pid, sizeof(pid)) == sizeof(pid)) {
        if (pid == run->child.pid)
            greet(run);
        retell_note_pid(&run->retell, pid);
    }
}

/* A program that was over before anybody could look at it. */
static void tell_unserved(struct run *run)
{
    hear_hello(run);
    if (!run->greeted && !run->kin.met)
        fprintf(stderr,
                "closewait run: the shim does not serve %s: %s; it is not watched: it has ended\n",
                run->program, run->refusal ? run->refusal : "the dynamic linker did not take it");
}

static void look_from_outside(struct run *run)
{
    const struct service service = {
        .shim = run->shim, .heard = run->retell.pids, .scans = run->asked.options.scan != SCAN_OFF};
    kin_look(&run->kin, &service, &run->rules);
}

/* Where there is no inotify, somebody has to look. */
static int patience(const struct run *run)
{
    const int due_ms = kin_due_ms(&run->kin);
    return run->inbox.news < 0 && due_ms > LOOK_MS ? LOOK_MS : due_ms;
}

static int attend(struct run *run)
{
    struct pollfd polled[] = {{.fd = run->child.signals, .events = POLLIN},
                              {.fd = run->inbox.news, .events = POLLIN},
                              {.fd = run->hello[0], .events = POLLIN}};
    int status = 0;
    bool more = false;
    kin_begin(&run->kin, run->child.pid);
    while (!child_has_ended(&run->child, &status)) {
        hear_hello(run);
        poll(polled, 3, more ? 0 : patience(run));
        if (polled[0].revents)
            child_pass_signal_on(&run->child);
        more = inbox_read(&run->inbox, retell_line, &run->retell);
        look_from_outside(run);
    }
    tell_unserved(run);
    kin_end(&run->kin, &run->rules);
    for (int i = 0; i < LAST_READS && inbox_read(&run->inbox, retell_line, &run->retell); i++) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Those that have the file in their environment, or else those that have used it. */
static int processes_alive(const struct run *run)
{
    const int alive = processes_with(run->inbox.path);
    const char *pid;
    json_t *unused;
    int known = 0;
    json_object_foreach(run->retell.pids, pid, unused)
    {
        const pid_t number = (pid_t)strtol(pid, NULL, 10);
        known += number != run->child.pid && kill(number, 0) == 0;
    }
    return alive > known ? alive : known;
}

/* Processes of the program that go on still write to the file: it stays, and is said. */
static void leave(struct run *run)
{
    const int alive = processes_alive(run);
    if (alive == 0) {
        inbox_remove(&run->inbox);
        return;
    }
    fprintf(stderr,
            "closewait run: %d process%s of it go%s on; what they report is in %s: read it with "
            "closewait report\n",
            alive, alive == 1 ? "" : "es", alive == 1 ? "es" : "", run->inbox.path);
    inbox_close(&run->inbox);
}

/* What can fail before anything is started. 0, or the exit status. */
static int prepare(struct run *run)
{
    char why[512];
    if (!retell_begin(&run->retell, &run->asked.options) ||
        !rules_begin(&run->rules, "run", &run->asked.options, why, sizeof(why)))
        return EXIT_USAGE;
    run->rules.stacks = run->asked.stacks;
    run->rules.debuginfo_path = run->asked.debuginfo_path;
    if (run->asked.debuginfo_path && !retell_search(&run->retell, run->asked.debuginfo_path))
        return complain("no memory");
    if (inbox_open(&run->inbox))
        return 0;
    fprintf(stderr,
            "closewait run: no file for the reports: %s: %s; set TMPDIR to a folder that can be "
            "written\n",
            run->inbox.folder, strerror(errno));
    return EXIT_TROUBLE;
}

/* 0 when the program runs, else the exit status. */
static int launch(struct run *run, char **argv)
{
    if (pipe2(run->hello, O_CLOEXEC) != 0)
        return complain(strerror(errno));
    const struct preload preload = {.shim = run->shim,
                                    .options = run->asked.words,
                                    .output = run->inbox.path,
                                    .hello = run->hello[1]};
    return child_start(&run->child, argv, &preload);
}

int verb_run(int argc, char **argv)
{
    struct run run = {0};
    const int at = run_arguments_read(&run.asked, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;

    char why[2 * PATH_MAX];
    if (!preload_find(run.shim, sizeof(run.shim), why, sizeof(why)))
        return complain(why);
    char path[PATH_MAX];
    run.program = argv[at];
    if (preload_which(run.program, path, sizeof(path)))
        run.refusal = preload_refusal(path);
    int status = prepare(&run);
    if (status)
        return status;
    status = launch(&run, argv + at);
    if (status) {
        inbox_remove(&run.inbox);
        return status;
    }
    signal(SIGPIPE, SIG_IGN); /* of the reports' reader, who may go */
    fcntl(run.hello[0], F_SETFL, O_NONBLOCK);
    status = attend(&run);
    leave(&run);
    if ((run.retell.leaked || run.kin.leaked) && run.asked.leak_status)
        status = run.asked.leak_status;
    retell_end(&run.retell);
    rules_end(&run.rules);
    return status;
}
