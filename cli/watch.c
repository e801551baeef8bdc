/*
 * closewait watch: goes on looking at processes from outside, as the shim does from within.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "descriptors.h"
#include "must.h"
#include "option_words.h"
#include "options.h"
#include "processes.h"
#include "refusals.h"
#include "tell.h"
#include "verbs.h"
#include "watch_metrics.h"
#include "watched.h"

/* A process that is watched is held by two pidfds (target.h). */
enum { GO_ON = -1, WATCHED_DESCRIPTORS = 2 };

struct watch {
    char words[OPTION_WORDS_SIZE]; /* as the shim reads them */
    struct rules rules;
    bool stacks;
    const char *name; /* of the processes, or NULL */
    const char *file; /* of metrics, or NULL */
    struct watch_metrics metrics;
    struct pid_list pids; /* that were given, and are not watched yet */
    struct watched **at;
    size_t count;
    struct refusals refused; /* that are there still */
    size_t waiting;          /* for descriptors, in this look */
    bool full;               /* that there are too many was said */
    bool missed;             /* one has ended that could not be watched */
};

static void print_help(void)
{
    fputs("usage: closewait watch [OPTION...] PID...\n"
          "       closewait watch [OPTION...] --name=NAME\n\n"
          "Watches running processes from outside, also static programs and those in Go, and\n"
          "reports what leaks in them. It ends with them, or when it is interrupted.\n\n"
          "  --name=NAME                    every process of that name, also those to come\n"
          "  --action=log|close-dead|close  what to do with a leaked socket (log)\n"
          "  --grace=DURATION               how long it may sit before it is leaked\n"
          "                                 (10s; 60s with --action=close)\n"
          "  --output=stderr|journal|PATH   where reports go; %p is the process id (stderr)\n"
          "  --format=text|json             what they are written in (text)\n"
          "  --suppress=PATH                patterns of leaks not to report\n"
          "  --metrics=FILE                 also keep numbers there, for Prometheus\n"
          "  --stacks                       what threads do when a process's first leak is seen\n"
          "  -h, --help                     this text\n\n"
          "It exits with 0; with 1 when a process could not be watched; with 2 after a mistake in\n"
          "the arguments.\n",
          stdout);
}

static bool complain(const char *what)
{
    fprintf(stderr, "closewait watch: %s\n", what);
    return false;
}

static bool read_pids(struct watch *watch, int argc, char **argv)
{
    for (int i = optind; i < argc; i++) {
        const char *error = NULL;
        const pid_t pid = (pid_t)strtonum(argv[i], 1, INT_MAX, &error);
        if (error) {
            fprintf(stderr, "closewait watch: '%s' is no process id: expected one, such as 4711\n",
                    argv[i]);
            return false;
        }
        processes_add(&watch->pids, pid);
    }
    if (watch->name && !watch->name[0])
        return complain("--name is empty: expected a name, as ps -o comm shows it");
    if (watch->name && watch->pids.count > 0)
        return complain("--name and process ids exclude each other: give one of them");
    if (!watch->name && watch->pids.count == 0)
        return complain("no process: expected closewait watch [OPTION...] PID..., or --name=NAME");
    return true;
}

/* GO_ON, or the exit status after a mistake that was told, or after --help. */
static int read_arguments(struct watch *watch, int argc, char **argv)
{
    static const struct option known[] = {
        {"action", required_argument, NULL, 'a'},   {"grace", required_argument, NULL, 'g'},
        {"output", required_argument, NULL, 'o'},   {"format", required_argument, NULL, 'f'},
        {"suppress", required_argument, NULL, 's'}, {"name", required_argument, NULL, 'n'},
        {"metrics", required_argument, NULL, 'm'},  {"stacks", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    char why[512];
    int index = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, &index)) != -1;) {
        if (c == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (c == '?' || c == ':') {
            tell_misuse("watch", c, argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (c == 'n')
            watch->name = optarg;
        else if (c == 'm')
            watch->file = optarg;
        else if (c == 't')
            watch->stacks = true;
        else if (!option_words_add(watch->words, "watch", known[index].name, optarg))
            return EXIT_USAGE;
    }
    struct options options;
    if (!options_read(watch->words, &options, why, sizeof(why)) ||
        !rules_begin(&watch->rules, "watch", &options, why, sizeof(why))) {
        complain(why);
        return EXIT_USAGE;
    }
    watch->rules.stacks = watch->stacks;
    return read_pids(watch, argc, argv) ? GO_ON : EXIT_USAGE;
}

static bool is_watched(const struct watch *watch, pid_t pid)
{
    return watched_has(watch->at, watch->count, pid);
}

/* One that just ends is no news, unless it was asked for by its id. */
static void refuse(struct watch *watch, pid_t pid, const char *why)
{
    if (watch->name && process_has_ended(pid))
        return;
    if (refusals_add(&watch->refused, pid, why))
        complain(why);
}

static void begin(struct watch *watch, pid_t pid)
{
    char why[512];
    struct watched *watched = must(malloc(sizeof(*watched)));
    if (!watched_begin(watched, pid, why, sizeof(why))) {
        free(watched);
        refuse(watch, pid, why);
        return;
    }
    refusals_drop(&watch->refused, pid);
    watched->metrics = watch->file ? &watch->metrics.metrics : NULL;
    watch->at = array_grow(watch->at, watch->count, sizeof(struct watched *));
    watch->at[watch->count++] = watched;
}

static void tell_crowd(struct watch *watch)
{
    if (!watch->full)
        fprintf(stderr,
                "closewait watch: more processes than its %lu descriptors suffice for: %zu are "
                "watched, the others when these end; raise the hard limit (LimitNOFILE=, ulimit "
                "-Hn)\n",
                descriptors_limit(), watch->count);
    watch->full = true;
}

static void begin_if_due(struct watch *watch, pid_t pid)
{
    if (is_watched(watch, pid) || !refusals_allow(&watch->refused, pid))
        return;
    if (descriptors_have_room(WATCHED_DESCRIPTORS)) {
        begin(watch, pid);
        return;
    }
    watch->waiting++;
    tell_crowd(watch);
}

/* Those that were given are asked for until they are watched, or have ended. */
static void begin_given(struct watch *watch)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->pids.count; i++) {
        const pid_t pid = watch->pids.at[i];
        if (!refusals_have(&watch->refused, pid) || !process_has_ended(pid))
            begin_if_due(watch, pid);
        if (is_watched(watch, pid))
            continue;
        if (process_has_ended(pid))
            watch->missed = true;
        else
            watch->pids.at[kept++] = pid;
    }
    watch->pids.count = kept;
    refusals_keep(&watch->refused, &watch->pids);
}

static bool has_name(pid_t pid, const char *name)
{
    char comm[COMM_SIZE];
    process_comm(pid, comm);
    return strncmp(comm, name, COMM_SIZE - 1) == 0;
}

/* Also those that have come since. */
static void begin_named(struct watch *watch)
{
    struct pid_list every = {0};
    size_t kept = 0;
    processes_add_all(&every);
    for (size_t i = 0; i < every.count; i++)
        if (every.at[i] != getpid() && has_name(every.at[i], watch->name) &&
            !process_has_ended(every.at[i]))
            every.at[kept++] = every.at[i];
    every.count = kept;
    watch->missed |= refusals_keep(&watch->refused, &every) > 0;
    for (size_t i = 0; i < every.count; i++)
        begin_if_due(watch, every.at[i]);
    free(every.at);
}

static void begin_all(struct watch *watch)
{
    watch->waiting = 0;
    if (watch->name)
        begin_named(watch);
    else
        begin_given(watch);
}

static void look_at_all(struct watch *watch)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *watched = watch->at[i];
        if (watched_look(watched, &watch->rules)) {
            watch->at[kept++] = watched;
            continue;
        }
        watched_end(watched, &watch->rules);
        free(watched);
    }
    watch->count = kept;
}

static struct timespec pace(const struct options *options)
{
    const uint32_t ms = watched_pace_ms(options);
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
}

static size_t unseen(const struct watch *watch)
{
    return watch->refused.count + watch->waiting;
}

static void block_endings(sigset_t *ending)
{
    sigemptyset(ending);
    sigaddset(ending, SIGINT);
    sigaddset(ending, SIGTERM);
    sigaddset(ending, SIGHUP);
    sigprocmask(SIG_BLOCK, ending, NULL);
}

/* Returns whether every process that was asked for could be watched. */
static bool go_on(struct watch *watch)
{
    sigset_t ending;
    const struct timespec between = pace(&watch->rules.options);
    block_endings(&ending);
    signal(SIGPIPE, SIG_IGN); /* of the reports' reader, who may go */
    signal(SIGXFSZ, SIG_IGN); /* of a file of them that may not grow */
    descriptors_take_all();
    do {
        begin_all(watch);
        look_at_all(watch);
        if (watch->file)
            watch_metrics_look(&watch->metrics, watch->at, watch->count, unseen(watch));
    } while ((watch->name || watch->count > 0) && sigtimedwait(&ending, NULL, &between) < 0);
    for (size_t i = 0; i < watch->count; i++) {
        watched_end(watch->at[i], &watch->rules);
        free(watch->at[i]);
    }
    return !watch->missed && unseen(watch) == 0;
}

static bool begin_metrics(struct watch *watch)
{
    char why[PATH_MAX + 256];
    return !watch->file || watch_metrics_begin(&watch->metrics, watch->file, why, sizeof(why)) ||
           complain(why);
}

int verb_watch(int argc, char **argv)
{
    struct watch watch = {0};
    int status = read_arguments(&watch, argc, argv);
    if (status == GO_ON)
        status = begin_metrics(&watch) && go_on(&watch) ? EXIT_SUCCESS : EXIT_FAILURE;
    watch_metrics_end(&watch.metrics);
    rules_end(&watch.rules);
    free(watch.at);
    free(watch.pids.at);
    refusals_free(&watch.refused);
    return status;
}
