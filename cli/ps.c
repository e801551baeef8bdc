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

#include "listing.h"
#include "processes.h"
#include "snapshot.h"
#include "table.h"
#include "verbs.h"

#define WATCH_MIN_S 0.1
#define WATCH_MAX_S 86400.0

struct settings {
    const struct listing *listing;
    struct choice columns;
    struct pid_list pids; /* empty: all of them */
    double watch_s;       /* 0: once */
    bool json;
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

static int complain(const char *what, int status)
{
    fprintf(stderr, "closewait ps: %s\n", what);
    return status;
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

/* What getopt_long(3) found wrong: it tells less of it, and not what to do. */
static void tell_misuse(int found, const char *word)
{
    static const char advice[] = "closewait ps --help lists the options";
    if (found == ':')
        fprintf(stderr, "closewait ps: option '%s' needs a value: %s\n", word, advice);
    else if (optopt == 0)
        fprintf(stderr, "closewait ps: unknown option '%s': %s\n", word, advice);
    else if (strncmp(word, "--", 2) == 0)
        fprintf(stderr, "closewait ps: option '%s' takes no value: %s\n", word, advice);
    else
        fprintf(stderr, "closewait ps: unknown option '-%c': %s\n", optopt, advice);
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
    case 'w':
        return read_interval(settings, optarg);
    default:
        return false;
    }
}

/* False after a mistake that was told. */
static bool read_arguments(struct settings *settings, int argc, char **argv)
{
    static const struct option known[] = {
        {"pid", required_argument, NULL, 'p'},    {"listen", no_argument, NULL, 'l'},
        {"output", required_argument, NULL, 'o'}, {"noheadings", no_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'J'},         {"watch", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    const char *columns = NULL;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+:p:lo:nJw:h", known, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            exit(0);
        }
        if (c == '?' || c == ':') {
            tell_misuse(c, argv[optind - 1]);
            return false;
        }
        if (!read_option(settings, c, &columns))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr,
                "closewait ps: '%s' is no option: closewait ps --help lists them, and --pid takes "
                "process ids\n",
                argv[optind]);
        return false;
    }
    char why[512];
    const struct listing *listing = settings->listing;
    if (listing_choose(listing, columns ? columns : listing->usual, &settings->columns, why,
                       sizeof(why)))
        return true;
    complain(why, EXIT_USAGE);
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

static void print_rows(const struct settings *settings, const struct rows *rows)
{
    if (settings->json)
        table_print_json(settings->listing, &settings->columns, rows);
    else
        table_print(
            &settings->columns, rows,
            (struct table_style){.headings = settings->headings, .colors = table_wants_colors()});
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

static int trouble_with_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    fprintf(stderr, "closewait ps: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILURE;
}

static int look(const struct settings *settings, bool on_screen, bool first)
{
    const bool everywhere = settings->pids.count == 0;
    struct pid_list all = {0};
    if (!are_open(&settings->pids))
        return EXIT_FAILURE;
    if (everywhere && !processes_add_all(&all)) {
        fprintf(stderr, "closewait ps: cannot read /proc: %s: mount it\n", strerror(errno));
        return EXIT_FAILURE;
    }
    struct snapshot snapshot;
    char why[512];
    if (!snapshot_take(&snapshot, everywhere ? &all : &settings->pids, why, sizeof(why)))
        return complain(why, EXIT_FAILURE);
    struct rows rows = everywhere ? listing_all(settings->listing, &snapshot)
                                  : listing_held(settings->listing, &snapshot);
    if (on_screen)
        print_screen(settings, &rows);
    else
        print_rows(settings, &rows);
    const int status = trouble_with_output();
    if (first || on_screen)
        tell_unseen(&snapshot);
    free(rows.at);
    free(all.at);
    snapshot_free(&snapshot);
    return status;
}

static void pause_for(double seconds)
{
    double whole = 0;
    const double fraction = modf(seconds, &whole);
    nanosleep(&(struct timespec){.tv_sec = (time_t)whole, .tv_nsec = (long)(fraction * 1e9)}, NULL);
}

int verb_ps(int argc, char **argv)
{
    struct settings settings = {.listing = &listing_sockets, .headings = true};
    setlocale(LC_CTYPE, ""); /* else libsmartcols writes a name's other letters in hexadecimal */
    if (!read_arguments(&settings, argc, argv)) {
        free(settings.pids.at);
        return EXIT_USAGE;
    }
    const bool on_screen = settings.watch_s > 0 && isatty(STDOUT_FILENO);
    int status = look(&settings, on_screen, true);
    while (status == EXIT_SUCCESS && settings.watch_s > 0) {
        pause_for(settings.watch_s);
        if (!on_screen && !settings.json)
            putchar('\n');
        status = look(&settings, on_screen, false);
    }
    free(settings.pids.at);
    return status;
}
