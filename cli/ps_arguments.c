#define _GNU_SOURCE
#include "ps_arguments.h"

#include <bsd/stdlib.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tell.h"
#include "verbs.h"

#define WATCH_MIN_S 0.1
#define WATCH_MAX_S 86400.0

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

static bool add_pids(struct ps_arguments *arguments, const char *list)
{
    char *copy = strdup(list);
    char *rest = copy;
    bool good = copy != NULL;
    for (const char *word; good && (word = strsep(&rest, ","));) {
        const char *error = NULL;
        const pid_t pid = (pid_t)strtonum(word, 1, INT_MAX, &error);
        good = !error;
        if (good)
            processes_add(&arguments->pids, pid);
    }
    free(copy);
    if (!good)
        fprintf(stderr,
                "closewait ps: --pid is '%s': expected process ids, such as 4711 or 4711,4712\n",
                list);
    return good;
}

static bool read_interval(struct ps_arguments *arguments, const char *text)
{
    char *end = NULL;
    const double seconds = strtod(text, &end);
    /* Digits alone: strtod takes "inf" and "0x2" too. */
    const bool number = text[0] && text[strspn(text, "0123456789.")] == '\0' && *end == '\0';
    if (number && seconds >= WATCH_MIN_S && seconds <= WATCH_MAX_S) {
        arguments->watch_s = seconds;
        return true;
    }
    fprintf(stderr,
            "closewait ps: --watch is '%s': expected seconds from %g to %g, such as 2 or 0.5\n",
            text, WATCH_MIN_S, WATCH_MAX_S);
    return false;
}

static bool read_format(struct ps_arguments *arguments, const char *name)
{
    arguments->json = strcmp(name, "json") == 0;
    arguments->openmetrics = strcmp(name, "openmetrics") == 0;
    if (arguments->json || arguments->openmetrics || strcmp(name, "table") == 0)
        return true;
    fprintf(stderr, "closewait ps: --format is '%s': expected table, json or openmetrics\n", name);
    return false;
}

static bool read_option(struct ps_arguments *arguments, int option, const char **columns)
{
    switch (option) {
    case 'p':
        return add_pids(arguments, optarg);
    case 'l':
        arguments->listing = &listing_queues;
        return true;
    case 'o':
        *columns = optarg;
        return true;
    case 'n':
        arguments->headings = false;
        return true;
    case 'J':
        arguments->json = true;
        return true;
    case 'f':
        return read_format(arguments, optarg);
    case 'w':
        return read_interval(arguments, optarg);
    default:
        return false;
    }
}

static bool choose_columns(struct ps_arguments *arguments, const char *columns)
{
    char why[512];
    const struct listing *listing = arguments->listing;
    return listing_choose(listing, columns ? columns : listing->usual, &arguments->columns, why,
                          sizeof(why)) ||
           complain(why);
}

/* The format has an end, and no columns. */
static bool suits_format(const struct ps_arguments *arguments, const char *columns)
{
    if (!arguments->openmetrics ||
        (!columns && arguments->watch_s == 0 && arguments->listing == &listing_sockets))
        return true;
    return complain("--format=openmetrics excludes --watch, --listen and --output: it tells "
                    "everything, once (closewait watch --metrics keeps a file)");
}

int ps_arguments_read(struct ps_arguments *arguments, int argc, char **argv)
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
    *arguments = (struct ps_arguments){.listing = &listing_sockets, .headings = true};
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
        if (!read_option(arguments, c, &columns))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr,
                "closewait ps: '%s' is no option: closewait ps --help lists them, and --pid takes "
                "process ids\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return suits_format(arguments, columns) && choose_columns(arguments, columns) ? PS_GO_ON
                                                                                  : EXIT_USAGE;
}
