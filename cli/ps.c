/*
 * closewait ps: the CLOSE_WAIT sockets of the machine, and whose they are.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "colors.h"
#include "measure.h"
#include "ps_arguments.h"
#include "snapshot.h"
#include "table.h"
#include "tell.h"
#include "verbs.h"

enum { SCREEN_SIZE = 64 * 1024 };

/* False, for those who end with it. */
static bool complain(const char *what)
{
    fprintf(stderr, "closewait ps: %s\n", what);
    return false;
}

/* Whether a process that was asked for is there and may be looked into; tells why not. */
static bool is_open(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (folder) {
        closedir(folder);
        return true;
    }
    if (errno == ENOENT || errno == ESRCH)
        fprintf(stderr, "closewait ps: no process has the id %d: ps -e lists those that run\n",
                (int)pid);
    else
        fprintf(stderr,
                "closewait ps: cannot read the descriptors of process %d: %s: run as root\n",
                (int)pid, strerror(errno));
    return false;
}

static bool are_open(const struct pid_list *pids)
{
    for (size_t i = 0; i < pids->count; i++)
        if (!is_open(pids->at[i]))
            return false;
    return true;
}

static void print_rows(const struct ps_arguments *arguments, const struct rows *rows)
{
    if (arguments->json)
        table_print_json(arguments->listing, &arguments->columns, rows);
    else
        table_print(
            &arguments->columns, rows,
            (struct table_style){.headings = arguments->headings, .colors = colors_wanted()});
}

/* As watch(1) does it: what does not fit below would scroll the oldest away. */
static void print_screen(const struct ps_arguments *arguments, const struct rows *rows)
{
    enum { OTHER_LINES = 6 }; /* ours, the headings, two notes and the cursor's */
    struct winsize window = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    const size_t room = window.ws_row > OTHER_LINES ? window.ws_row - OTHER_LINES : 1;
    const struct rows shown = {rows->at, rows->count < room ? rows->count : room};
    char clock[32];
    const time_t now = time(NULL);
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
    printf("\033[H\033[2J%s, closewait ps every %g s: %zu row%s\n", clock, arguments->watch_s,
           rows->count, rows->count == 1 ? "" : "s");
    print_rows(arguments, &shown);
    if (shown.count < rows->count)
        printf("and %zu more\n", rows->count - shown.count);
}

static void tell_unseen(const struct snapshot *snapshot)
{
    const size_t processes = snapshot->holders.unreadable;
    const size_t namespaces = snapshot->closed_namespaces;
    if (processes > 0)
        fprintf(stderr, "closewait ps: %zu process%s could not be read: root sees all\n", processes,
                processes == 1 ? "" : "es");
    if (namespaces > 0)
        fprintf(stderr,
                "closewait ps: %zu other network namespace%s could not be entered: root of the "
                "machine sees all\n",
                namespaces, namespaces == 1 ? "" : "s");
}

struct view {
    struct pid_list every; /* process there is; empty when some were asked for */
    struct snapshot snapshot;
    struct rows rows;
};

static void view_free(struct view *view)
{
    free(view->every.at);
    free(view->rows.at);
    snapshot_free(&view->snapshot);
}

static bool view_everything(struct view *view, const struct ps_arguments *arguments)
{
    char why[512];
    if (!processes_add_all(&view->every)) {
        fprintf(stderr, "closewait ps: cannot read /proc: %s: mount it\n", strerror(errno));
        return false;
    }
    if (!snapshot_take(&view->snapshot, &view->every, why, sizeof(why)))
        return complain(why);
    view->rows = listing_all(arguments->listing, &view->snapshot);
    return true;
}

static bool view_chosen(struct view *view, const struct ps_arguments *arguments)
{
    char why[512];
    if (!are_open(&arguments->pids))
        return false;
    if (!snapshot_take(&view->snapshot, &arguments->pids, why, sizeof(why)))
        return complain(why);
    view->rows = listing_held(arguments->listing, &view->snapshot);
    return true;
}

/* False after a failure that was told. view_free in either case. */
static bool view_take(struct view *view, const struct ps_arguments *arguments)
{
    *view = (struct view){0};
    return arguments->pids.count > 0 ? view_chosen(view, arguments)
                                     : view_everything(view, arguments);
}

static void print_metrics(const struct ps_arguments *arguments, const struct snapshot *snapshot)
{
    struct metrics metrics = {.source = "ps"};
    if (arguments->pids.count > 0)
        measure_chosen(&metrics, snapshot);
    else
        measure_machine(&metrics, snapshot);
    metrics_print(&metrics, EXPOSITION_OPENMETRICS, stdout);
    metrics_free(&metrics);
}

static bool list(const struct ps_arguments *arguments)
{
    struct view view;
    bool done = view_take(&view, arguments);
    if (done) {
        if (arguments->openmetrics)
            print_metrics(arguments, &view.snapshot);
        else
            print_rows(arguments, &view.rows);
        done = tell_written("ps");
        tell_unseen(&view.snapshot);
    }
    view_free(&view);
    return done;
}

static bool list_again(const struct ps_arguments *arguments)
{
    struct view view;
    bool done = view_take(&view, arguments);
    if (done) {
        if (!arguments->json)
            putchar('\n');
        print_rows(arguments, &view.rows);
        done = tell_written("ps");
    }
    view_free(&view);
    return done;
}

static bool redraw(const struct ps_arguments *arguments)
{
    struct view view;
    bool done = view_take(&view, arguments);
    if (done) {
        print_screen(arguments, &view.rows);
        done = tell_written("ps");
        tell_unseen(&view.snapshot);
    }
    view_free(&view);
    return done;
}

static void pause_for(double seconds)
{
    double whole = 0;
    const double fraction = modf(seconds, &whole);
    nanosleep(&(struct timespec){.tv_sec = (time_t)whole, .tv_nsec = (long)(fraction * 1e9)}, NULL);
}

/* Returns after a failure alone. */
static void watch_screen(const struct ps_arguments *arguments)
{
    setvbuf(stdout, NULL, _IOFBF, SCREEN_SIZE); /* in one write: it does not flicker */
    while (redraw(arguments))
        pause_for(arguments->watch_s);
}

/* Returns after a failure alone. */
static void watch_stream(const struct ps_arguments *arguments)
{
    bool going_on = list(arguments);
    while (going_on) {
        pause_for(arguments->watch_s);
        going_on = list_again(arguments);
    }
}

int verb_ps(int argc, char **argv)
{
    struct ps_arguments arguments;
    bool done = false;
    setlocale(LC_CTYPE, ""); /* else libsmartcols writes a name's other letters in hexadecimal */
    const int status = ps_arguments_read(&arguments, argc, argv);
    if (status != PS_GO_ON) {
        free(arguments.pids.at);
        return status;
    }
    if (arguments.watch_s > 0 && isatty(STDOUT_FILENO) && !arguments.json)
        watch_screen(&arguments);
    else if (arguments.watch_s > 0)
        watch_stream(&arguments);
    else
        done = list(&arguments);
    free(arguments.pids.at);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
