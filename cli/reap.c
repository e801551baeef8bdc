/*
 * closewait reap: closes what a process that already runs has leaked, from outside.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "burials.h"
#include "found.h"
#include "options.h"
#include "reap_tell.h"
#include "target.h"
#include "tell.h"
#include "verbs.h"

enum { GO_ON = -1 };

struct settings {
    pid_t pid;
    int *fds;
    size_t fd_count;
    const char *grace; /* as it was given, or NULL */
    struct options options;
    bool all;
    bool dry_run;
    bool dead_only;
    bool forced;
    bool json;
};

static void print_help(void)
{
    fputs("usage: closewait reap [OPTION...] PID [FD...]\n\n"
          "Closes sockets that a running process has leaked, from outside: those that are on the\n"
          "descriptors FD, or --all. The process stands still for about a millisecond. Its\n"
          "descriptors stay taken: what it reads there is the end of the stream.\n\n"
          "  --all              every socket that is leaked or dead\n"
          "  --dry-run          say what would be done, and change nothing\n"
          "  --grace=DURATION   how long a socket may sit before it is leaked (60s)\n"
          "  --dead-only        only connections that are proven over: reset or timed out\n"
          "  --force            also FDs that the judge calls in use or waiting, or that have\n"
          "                     unread bytes, which are lost\n"
          "  --format=text|json what is told in (text)\n"
          "  -h, --help         this text\n\n"
          "It exits with 0 when all that was asked was done; 1 when something was refused or\n"
          "failed; 2 after a mistake in the arguments.\n",
          stdout);
}

/* False, for those who end with it. */
static bool complain(const char *what)
{
    fprintf(stderr, "closewait reap: %s\n", what);
    return false;
}

static bool read_format(struct settings *settings, const char *name)
{
    settings->json = strcmp(name, "json") == 0;
    if (settings->json || strcmp(name, "text") == 0)
        return true;
    fprintf(stderr, "closewait reap: --format is '%s': expected text or json\n", name);
    return false;
}

static bool read_option(struct settings *settings, int option)
{
    switch (option) {
    case 'a':
        settings->all = true;
        return true;
    case 'n':
        settings->dry_run = true;
        return true;
    case 'd':
        settings->dead_only = true;
        return true;
    case 'f':
        settings->forced = true;
        return true;
    case 'g':
        settings->grace = optarg;
        return true;
    default:
        return read_format(settings, optarg);
    }
}

/* The shim reads its grace in the same words. */
static bool read_grace(struct settings *settings)
{
    char words[128];
    char why[512];
    if (settings->grace && strchr(settings->grace, ',')) {
        fprintf(stderr, "closewait reap: --grace is '%s': expected one duration\n",
                settings->grace);
        return false;
    }
    snprintf(words, sizeof(words), "action=close%s%s", settings->grace ? ",grace=" : "",
             settings->grace ? settings->grace : "");
    if (!options_read(words, &settings->options, why, sizeof(why)))
        return complain(why);
    if (settings->dead_only)
        settings->options.action = ACTION_CLOSE_DEAD;
    return true;
}

static bool read_words(struct settings *settings, int argc, char **argv)
{
    const char *error = NULL;
    if (optind == argc)
        return complain("no process: expected closewait reap [OPTION...] PID [FD...]");
    settings->pid = (pid_t)strtonum(argv[optind], 1, INT_MAX, &error);
    if (error) {
        fprintf(stderr, "closewait reap: '%s' is no process id: expected one, such as 4711\n",
                argv[optind]);
        return false;
    }
    for (int i = optind + 1; i < argc; i++) {
        const int fd = (int)strtonum(argv[i], 0, INT_MAX, &error);
        if (error) {
            fprintf(stderr, "closewait reap: '%s' is no descriptor: expected a number, such as 3\n",
                    argv[i]);
            return false;
        }
        settings->fds = array_grow(settings->fds, settings->fd_count, sizeof(*settings->fds));
        settings->fds[settings->fd_count++] = fd;
    }
    return true;
}

static bool is_sound(const struct settings *settings)
{
    if (settings->all && settings->fd_count > 0)
        return complain("--all and descriptors exclude each other: give one of them");
    if (settings->forced && settings->fd_count == 0)
        return complain("--force takes the descriptors to close: closewait reap --force PID FD...");
    if (!settings->all && !settings->dry_run && settings->fd_count == 0)
        return complain("nothing to close: give descriptors, or --all for what is leaked; "
                        "--dry-run shows it");
    return true;
}

/* GO_ON, or the exit status after a mistake that was told, or after --help. */
static int read_arguments(struct settings *settings, int argc, char **argv)
{
    static const struct option known[] = {
        {"all", no_argument, NULL, 'a'},         {"dry-run", no_argument, NULL, 'n'},
        {"dead-only", no_argument, NULL, 'd'},   {"force", no_argument, NULL, 'f'},
        {"grace", required_argument, NULL, 'g'}, {"format", required_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (c == '?' || c == ':') {
            tell_misuse("reap", c, argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!read_option(settings, c))
            return EXIT_USAGE;
    }
    return read_words(settings, argc, argv) && is_sound(settings) && read_grace(settings)
               ? GO_ON
               : EXIT_USAGE;
}

struct reaping {
    const struct settings *settings;
    struct target target;
    struct findings findings;
    struct burials burials;
    size_t told;
    bool good; /* nothing was refused, nothing failed */
};

static void tell(struct reaping *reaping, struct deed deed)
{
    deed.target = &reaping->target;
    reaping->told++;
    reaping->good &= deed.act == ACT_CLOSED || reaping->settings->dry_run;
    reap_tell(&deed, reaping->settings->json ? FORMAT_JSON : FORMAT_TEXT);
}

/* The judge would have it closed, or the user would and nothing but the judge is against it. */
static bool may_close(const struct reaping *reaping, const struct found *found)
{
    if (found->shared)
        return false;
    return found->ruling.reap != REAP_NOT ||
           (reaping->settings->forced && found->ruling.verdict != VERDICT_HEALTHY);
}

static void decide(struct reaping *reaping, struct found *found)
{
    const struct settings *settings = reaping->settings;
    const bool forced = settings->forced && found->ruling.reap == REAP_NOT;
    if (!may_close(reaping, found))
        tell(reaping, (struct deed){.found = found,
                                    .act = settings->dry_run ? ACT_WOULD_LEAVE : ACT_REFUSED,
                                    .reason = reap_reason(found, &settings->options)});
    else if (settings->dry_run)
        tell(reaping, (struct deed){.found = found, .act = ACT_WOULD_CLOSE, .forced = forced});
    else
        burials_add(&reaping->burials, found, forced);
}

/* All: what is leaked or dead is closed; a dry run also shows what has lost its peer otherwise. */
static void decide_all(struct reaping *reaping)
{
    const struct settings *settings = reaping->settings;
    for (size_t i = 0; i < reaping->findings.count; i++) {
        struct found *found = &reaping->findings.at[i];
        const enum verdict verdict = found->ruling.verdict;
        const bool asked =
            verdict == VERDICT_DEAD || (verdict == VERDICT_LEAKED && !settings->dead_only);
        if (asked || (settings->dry_run && verdict != VERDICT_HEALTHY))
            decide(reaping, found);
    }
}

static bool is_first_of(const struct reaping *reaping, const struct found *found, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (findings_of(&reaping->findings, reaping->settings->fds[i]) == found)
            return false;
    return true;
}

static void decide_chosen(struct reaping *reaping)
{
    for (size_t i = 0; i < reaping->settings->fd_count; i++) {
        const int fd = reaping->settings->fds[i];
        struct found *found = findings_of(&reaping->findings, fd);
        if (!found) {
            fprintf(stderr, "closewait reap: fd %d of process %d is no TCP socket\n", fd,
                    (int)reaping->target.pid);
            reaping->good = false;
        } else if (is_first_of(reaping, found, i)) {
            decide(reaping, found);
        }
    }
}

static void tell_burial(struct reaping *reaping, const struct grave *grave, enum ending ending)
{
    struct deed deed = {.found = grave->found, .forced = grave->forced, .ending = ending};
    switch (grave->burial) {
    case BURIAL_DONE:
        deed.act = ACT_CLOSED;
        break;
    case BURIAL_FAILED:
        deed.act = ACT_FAILED;
        deed.error = grave->error;
        break;
    case BURIAL_SPARED:
        deed.act = ACT_REFUSED;
        deed.reason = reap_reason(grave->found, &reaping->settings->options);
        break;
    case BURIAL_OTHER:
    case BURIAL_NOT_YET:
        deed.act = ACT_REFUSED;
        deed.reason = grave->burial == BURIAL_OTHER ? "the program has closed it meanwhile"
                                                    : "the process could not be stopped";
        break;
    }
    tell(reaping, deed);
}

/* Whoever closes things in a service wants to know what it has cost. */
static void tell_stops(const struct reaping *reaping)
{
    const struct burials *burials = &reaping->burials;
    if (reaping->settings->json || burials->stops == 0)
        return;
    printf("closewait: %s[%d]: stood still for %.1f ms", reaping->target.comm,
           (int)reaping->target.pid, (double)burials->stopped_us / 1000);
    if (burials->stops > 1)
        printf(" at the longest, %u times", burials->stops);
    putchar('\n');
}

static void make_burials(struct reaping *reaping)
{
    char why[512];
    struct burials *burials = &reaping->burials;
    if (!burials_make(burials, &reaping->target, &reaping->settings->options, why, sizeof(why)))
        reaping->good = complain(why);
    for (size_t i = 0; i < burials->count; i++)
        tell_burial(reaping, &burials->at[i], burials->endings[i]);
    tell_stops(reaping);
}

static void tell_nothing(const struct reaping *reaping)
{
    if (!reaping->settings->json)
        printf("closewait: %s[%d]: nothing to close: no socket is %s\n", reaping->target.comm,
               (int)reaping->target.pid, reaping->settings->dead_only ? "dead" : "leaked or dead");
}

static bool reap(const struct settings *settings)
{
    char why[512];
    struct reaping reaping = {.settings = settings, .good = true};
    if (!target_open(&reaping.target, settings->pid, why, sizeof(why)) ||
        !findings_take(&reaping.findings, &reaping.target, &settings->options, why, sizeof(why))) {
        reaping.good = complain(why);
    } else {
        if (settings->fd_count > 0)
            decide_chosen(&reaping);
        else
            decide_all(&reaping);
        if (reaping.burials.count > 0)
            make_burials(&reaping);
        if (reaping.told == 0 && settings->fd_count == 0)
            tell_nothing(&reaping);
    }
    burials_free(&reaping.burials);
    findings_free(&reaping.findings);
    target_close(&reaping.target);
    return tell_written("reap") && reaping.good;
}

int verb_reap(int argc, char **argv)
{
    struct settings settings = {0};
    int status = read_arguments(&settings, argc, argv);
    if (status == GO_ON)
        status = reap(&settings) ? EXIT_SUCCESS : EXIT_FAILURE;
    free(settings.fds);
    return status;
}
