/*
 * closewait ps: the CLOSE_WAIT sockets of the machine, and whose they are.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
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
#include "listing.h"
#include "measure.h"
#include "processes.h"
#include "snapshot.h"
#include "table.h"
#include "tell.h"
#include "verbs.h"

#define WATCH_MIN_S 0.1
#define WATCH_MAX_S 86400.0

enum { SCREEN_SIZE = 64 * 1024, GO_ON = -1 };

struct settings {
    const struct listing *listing;
    struct choice columns;
    struct pid_list pids; /* empty: all of them */
    double watch_s;       /* 0: once */
    bool json;
    bool openmetrics;
    bool headings;
};

static void print_help(void)
{
    fputs(
        "usage: closewait ps [OPTION...]\n\n"
        "Lists every TCP socket whose peer has closed and whose program has not (CLOSE_WAIT),\n"
        "the oldest first: one row for each descriptor. A socket that no descriptor holds waits\n"
        "in the accept queue of a listener, its owner.\n\n"
        "  -p, --pid PID[,PID...]  of these processes alone: what they hold, and what waits in\n"
        "                          their accept queues; may be given several times\n"
        "  -l, --listen            list instead the listeners in whose accept queue connections\n"
        "                          wait that have already hung up, and how many\n"
        "  -o, --output COLUMNS    print these, as in PID,FD,AGE; +COLUMNS: beside the usual ones\n"
        "  -n, --noheadings        print no headings\n"
        "  -J, --json              print JSON: durations in seconds, sizes in bytes\n"
        "      --format FORMAT     table, json, or openmetrics: numbers for Prometheus\n"
        "  -w, --watch SECONDS     print again every so many seconds, until interrupted\n"
        "  -h, --help              this text\n\n"
        "As root it sees every process and the network namespaces of containers. It exits with\n"
        "0, also when there is no such socket; 1 when the kernel could not be asked or a PID does\n"
        "not exist; 2 after a mistake in the options.\n\n"
        "Columns:\n",
        stdout);
    listing_explain(&listing_sockets, stdout);
    fputs("\nColumns with --listen:\n", stdout);
    listing_explain(&listing_queues, stdout);
}

/* False, for those who end with it. */
static bool complain(const char *what)
{
    fprintf(stderr, "closewait ps: %s\n", what);
    return false;
}

static bool add_pids(struct settings *settings, const char *list)
{
    char *copy = strdup(list);
    char *rest = copy;
    bool good = copy != NULL;
    for (const char *word; good && (word = strsep(&rest, ","));) {
        const char *error = NULL;
        const pid_t pid = (pid_t)strtonum(word, 1, INT_MAX, &error);
        good = !error;
        if (good)
            processes_add(&settings->pids, pid);
    }
    free(copy);
    if (!good)
        fprintf(stderr,
                "closewait ps: --pid is '%s': expected process ids, such as 4711 or 4711,4712\n",
                list);
    return good;
}

static bool read_interval(struct settings *settings, const char *text)
{
    char *end = NULL;
    const double seconds = strtod(text, &end);
    /* Digits alone: strtod takes "inf" and "0x2" too. */
    const bool number = text[0] && text[strspn(text, "0123456789.")] == '\0' && *end == '\0';
    if (number && seconds >= WATCH_MIN_S && seconds <= WATCH_MAX_S) {
        settings->watch_s = seconds;
        return true;
    }
    fprintf(stderr,
            "closewait ps: --watch is '%s': expected seconds from %g to %g, such as 2 or 0.5\n",
            text, WATCH_MIN_S, WATCH_MAX_S);
    return false;
}

static bool read_format(struct settings *settings, const char *name)
{
    settings->json = strcmp(name, "json") == 0;
    settings->openmetrics = strcmp(name, "openmetrics") == 0;
    if (settings->json || settings->openmetrics || strcmp(name, "table") == 0)
        return true;
    fprintf(stderr, "closewait ps: --format is '%s': expected table, json or openmetrics\n", name);
    return false;
}

static bool read_option(struct settings *settings, int option, const char **columns)
{
    switch (option) {
    case 'p':
        return add_pids(settings, optarg);
    case 'l':
        settings->listing = &listing_queues;
        return true;
    case 'o':
        *columns = optarg;
        return true;
    case 'n':
        settings->headings = false;
        return true;
    case 'J':
        settings->json = true;
        return true;
    case 'f':
        return read_format(settings, optarg);
    case 'w':
        return read_interval(settings, optarg);
    default:
        return false;
    }
}

static bool choose_columns(struct settings *settings, const char *columns)
{
    char why[512];
    const struct listing *listing = settings->listing;
    return listing_choose(listing, columns ? columns : listing->usual, &settings->columns, why,
                          sizeof(why)) ||
           complain(why);
}

/* The format has an end, and no columns. */
static bool suits_format(const struct settings *settings, const char *columns)
{
    if (!settings->openmetrics ||
        (!columns && settings->watch_s == 0 && settings->listing == &listing_sockets))
        return true;
    return complain("--format=openmetrics excludes --watch, --listen and --output: it tells "
                    "everything, once (closewait watch --metrics keeps a file)");
}

/* GO_ON, or the exit status after a mistake that was told, or after --help. */
static int read_arguments(struct settings *settings, int argc, char **argv)
{
    static const struct option known[] = {
        {"pid", required_argument, NULL, 'p'},
        {"listen", no_argument, NULL, 'l'},
        {"output", required_argument, NULL, 'o'},
        {"noheadings", no_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'J'},
        {"watch", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {"format", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    const char *columns = NULL;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+:p:lo:nJw:h", known, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (c == '?' || c == ':') {
            tell_misuse("ps", c, argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!read_option(settings, c, &columns))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr,
                "closewait ps: '%s' is no option: closewait ps --help lists them, and --pid takes "
                "process ids\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return suits_format(settings, columns) && choose_columns(settings, columns) ? GO_ON
                                                                                : EXIT_USAGE;
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

static void print_rows(const struct settings *settings, const struct rows *rows)
{
    if (settings->json)
        table_print_json(settings->listing, &settings->columns, rows);
    else
        table_print(
            &settings->columns, rows,
            (struct table_style){.headings = settings->headings, .colors = colors_wanted()});
}

/* As watch(1) does it: what does not fit below would scroll the oldest away. */
static void print_screen(const struct settings *settings, const struct rows *rows)
{
    enum { OTHER_LINES = 6 }; /* ours, the headings, two notes and the cursor's */
    struct winsize window = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    const size_t room = window.ws_row > OTHER_LINES ? window.ws_row - OTHER_LINES : 1;
    const struct rows shown = {rows->at, rows->count < room ? rows->count : room};
    char clock[32];
    const time_t now = time(NULL);
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
    printf("\033[H\033[2J%s, closewait ps every %g s: %zu row%s\n", clock, settings->watch_s,
           rows->count, rows->count == 1 ? "" : "s");
    print_rows(settings, &shown);
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

static bool view_everything(struct view *view, const struct settings *settings)
{
    char why[512];
    if (!processes_add_all(&view->every)) {
        fprintf(stderr, "closewait ps: cannot read /proc: %s: mount it\n", strerror(errno));
        return false;
    }
    if (!snapshot_take(&view->snapshot, &view->every, why, sizeof(why)))
        return complain(why);
    view->rows = listing_all(settings->listing, &view->snapshot);
    return true;
}

static bool view_chosen(struct view *view, const struct settings *settings)
{
    char why[512];
    if (!are_open(&settings->pids))
        return false;
    if (!snapshot_take(&view->snapshot, &settings->pids, why, sizeof(why)))
        return complain(why);
    view->rows = listing_held(settings->listing, &view->snapshot);
    return true;
}

/* False after a failure that was told. view_free in either case. */
static bool view_take(struct view *view, const struct settings *settings)
{
    *view = (struct view){0};
    return settings->pids.count > 0 ? view_chosen(view, settings) : view_everything(view, settings);
}

static void print_metrics(const struct settings *settings, const struct snapshot *snapshot)
{
    struct metrics metrics = {.source = "ps"};
    if (settings->pids.count > 0)
        measure_chosen(&metrics, snapshot);
    else
        measure_machine(&metrics, snapshot);
    metrics_print(&metrics, EXPOSITION_OPENMETRICS, stdout);
    metrics_free(&metrics);
}

static bool list(const struct settings *settings)
{
    struct view view;
    bool done = view_take(&view, settings);
    if (done) {
        if (settings->openmetrics)
            print_metrics(settings, &view.snapshot);
        else
            print_rows(settings, &view.rows);
        done = tell_written("ps");
        tell_unseen(&view.snapshot);
    }
    view_free(&view);
    return done;
}

static bool list_again(const struct settings *settings)
{
    struct view view;
    bool done = view_take(&view, settings);
    if (done) {
        if (!settings->json)
            putchar('\n');
        print_rows(settings, &view.rows);
        done = tell_written("ps");
    }
    view_free(&view);
    return done;
}

static bool redraw(const struct settings *settings)
{
    struct view view;
    bool done = view_take(&view, settings);
    if (done) {
        print_screen(settings, &view.rows);
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
static void watch_screen(const struct settings *settings)
{
    setvbuf(stdout, NULL, _IOFBF, SCREEN_SIZE); /* in one write: it does not flicker */
    while (redraw(settings))
        pause_for(settings->watch_s);
}

/* Returns after a failure alone. */
static void watch_stream(const struct settings *settings)
{
    bool going_on = list(settings);
    while (going_on) {
        pause_for(settings->watch_s);
        going_on = list_again(settings);
    }
}

int verb_ps(int argc, char **argv)
{
    struct settings settings = {.listing = &listing_sockets, .headings = true};
    bool done = false;
    setlocale(LC_CTYPE, ""); /* else libsmartcols writes a name's other letters in hexadecimal */
    const int status = read_arguments(&settings, argc, argv);
    if (status != GO_ON) {
        free(settings.pids.at);
        return status;
    }
    if (settings.watch_s > 0 && isatty(STDOUT_FILENO) && !settings.json)
        watch_screen(&settings);
    else if (settings.watch_s > 0)
        watch_stream(&settings);
    else
        done = list(&settings);
    free(settings.pids.at);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
