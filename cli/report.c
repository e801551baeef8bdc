/*
 * closewait report: JSON lines of many processes and days by call site.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "colors.h"
#include "groups.h"
#include "groups_print.h"
#include "must.h"
#include "names.h"
#include "progress.h"
#include "quota.h"
#include "symbol.h"
#include "tell.h"
#include "text_lines.h"
#include "verbs.h"

enum { GO_ON = -1, LIMIT_MAX = 1000000000 };

struct settings {
    void (*print)(const struct groups *groups, const struct groups_style *style);
    struct groups_style style;
};

struct input {
    const char *path;
    int number;       /* among the arguments */
    int64_t began_ms; /* the time of its first record */
};

/* Lines of which nothing came. */
struct skipped {
    uint64_t wrong;   /* torn, or never closewait's */
    uint64_t unknown; /* of types that perhaps a later version writes */
    int files;        /* that have such */
    const char *path; /* of the first line that is wrong */
    uint64_t line;    /* its number, from 1 */
};

/* What all inputs come to. */
struct reading {
    struct groups groups;
    struct quota quota;
    struct skipped skipped;
    struct progress progress;
    uint64_t bytes; /* of the inputs before this one */
    bool useful;    /* there was something of closewait's, or nothing else either */
};

static void print_help(void)
{
    fputs(
        "usage: closewait report [OPTION...] [FILE...]\n\n"
        "Reads JSON lines that closewait wrote (format=json), of any number of processes and\n"
        "days, and groups the leaks by call site: the one that holds most now comes first.\n"
        "Without FILE, or for -, it reads standard input. Other lines are skipped and counted.\n\n"
        "  -f, --format text|json|folded|html\n"
        "                                 text for people (the default); json: one array, a line\n"
        "                                 for each call site; folded: for flame graphs, one\n"
        "                                 stack a line and how many sockets leaked there; html: a\n"
        "                                 page to look at in a browser, in one file\n"
        "  -n, --limit NUMBER             show so many call sites at most\n"
        "      --debuginfo-path PATH      search debug files there: folders with ':' between\n"
        "                                 them (.debug beside the module, and /usr/lib/debug)\n"
        "  -h, --help                     this text\n\n"
        "Functions and lines are found by build id, on another machine too. What was leaked is\n"
        "counted also where it got no line of its own; class, how and peers are told of those\n"
        "that did. Held now is what was leaked and neither reaped nor closed late, in processes\n"
        "that wrote no summary: one that was killed counts until its pid is seen again in its\n"
        "file. Oldest is the time from the first FIN of a process that holds any to the last\n"
        "record of all; growth the leaks an hour from a call site's first to its last. After the\n"
        "call sites come the accept queues from which nobody accepted, each at its worst.\n\n"
        "It exits with 0; 1 when a file could not be read or no line was closewait's; 2 after a\n"
        "mistake in the options.\n",
        stdout);
}

static bool read_format(struct settings *settings, const char *word)
{
    static const char *const names[] = {"text", "json", "folded", "html", NULL};
    static void (*const printers[])(const struct groups *, const struct groups_style *) = {
        groups_print_text, groups_print_json, groups_print_folded, groups_print_html};
    const int found = names_find(names, word);
    if (found >= 0)
        settings->print = printers[found];
    else
        fprintf(stderr, "closewait report: --format is '%s': expected text, json, folded or html\n",
                word);
    return found >= 0;
}

static bool read_limit(struct settings *settings, const char *word)
{
    const char *error = NULL;
    settings->style.limit = (size_t)strtonum(word, 1, LIMIT_MAX, &error);
    if (error)
        fprintf(stderr, "closewait report: --limit is '%s': expected a number from 1 to %d\n", word,
                LIMIT_MAX);
    return !error;
}

static bool read_option(struct settings *settings, int option)
{
    switch (option) {
    case 'f':
        return read_format(settings, optarg);
    case 'n':
        return read_limit(settings, optarg);
    case 'd':
        if (!symbols_search(settings->style.symbols, optarg))
            must(NULL);
        return true;
    default:
        return false;
    }
}

/* GO_ON, or the exit status after a mistake that was told, or after --help. */
static int read_arguments(struct settings *settings, int argc, char **argv)
{
    static const struct option known[] = {
        {"format", required_argument, NULL, 'f'},
        {"limit", required_argument, NULL, 'n'},
        {"debuginfo-path", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":f:n:h", known, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (c == '?' || c == ':') {
            tell_misuse("report", c, argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!read_option(settings, c))
            return EXIT_USAGE;
    }
    return GO_ON;
}

/* Somebody who typed the verb alone is not going to type JSON. */
static bool reads_terminal(const struct input *inputs, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(inputs[i].path, "-") != 0 || !isatty(STDIN_FILENO))
            continue;
        fputs("closewait report: standard input is a terminal: expected closewait report FILE..., "
              "or JSON lines from a pipe\n",
              stderr);
        return true;
    }
    return false;
}

/* What can be read but once has no known beginning, and no size. */
static bool is_file(const char *path, struct stat *file)
{
    return strcmp(path, "-") != 0 && stat(path, file) == 0 && S_ISREG(file->st_mode);
}

static int64_t beginning_of(const char *path)
{
    struct stat file;
    struct text_lines lines;
    struct log_entry entry;
    const char *line;
    size_t len;
    int64_t began_ms = INT64_MIN;
    if (!is_file(path, &file) || !text_lines_open(&lines, path))
        return INT64_MIN;
    while (began_ms == INT64_MIN && (line = text_lines_next(&lines, &len)))
        if (entry_read(line, len, &entry) == ENTRY_READ)
            began_ms = entry.time_ms;
    text_lines_close(&lines);
    return began_ms;
}

/* 0 when that of any is not known. */
static uint64_t size_of(const struct input *inputs, int count)
{
    uint64_t size = 0;
    struct stat file;
    for (int i = 0; i < count; i++) {
        if (!is_file(inputs[i].path, &file))
            return 0;
        size += (uint64_t)file.st_size;
    }
    return size;
}

static int compare_inputs(const void *a, const void *b)
{
    const struct input *left = a;
    const struct input *right = b;
    const int begins = (left->began_ms > right->began_ms) - (left->began_ms < right->began_ms);
    return begins ? begins : left->number - right->number;
}

/*
 * The oldest first: a process's lines must come in their order, and a shell gives a log before the
 * logs that it was rotated into.
 */
static struct input *order_inputs(char **paths, int count)
{
    struct input *inputs = must(calloc((size_t)count, sizeof(*inputs)));
    for (int i = 0; i < count; i++)
        inputs[i] = (struct input){paths[i], i, count > 1 ? beginning_of(paths[i]) : INT64_MIN};
    qsort(inputs, (size_t)count, sizeof(*inputs), compare_inputs);
    return inputs;
}

static const char *name_of(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static bool complain(const char *path, const char *what, int error)
{
    fprintf(stderr, "closewait report: cannot %s %s: %s\n", what, name_of(path), strerror(error));
    return false;
}

static void note_skipped(struct skipped *skipped, const struct skipped *of_file)
{
    if (of_file->wrong > 0 && skipped->wrong == 0) {
        skipped->path = of_file->path;
        skipped->line = of_file->line;
    }
    skipped->wrong += of_file->wrong;
    skipped->unknown += of_file->unknown;
    skipped->files += of_file->wrong + of_file->unknown > 0;
}

static void count_lines(struct reading *reading, const struct input *input,
                        struct text_lines *lines, struct skipped *skipped)
{
    const char *line;
    size_t len;
    uint64_t noted = 0;
    while ((line = text_lines_next(lines, &len))) {
        const enum entry_found found = groups_add(&reading->groups, line, len, input->number);
        skipped->unknown += found == ENTRY_UNKNOWN;
        if (found == ENTRY_WRONG && skipped->wrong++ == 0)
            skipped->line = lines->count;
        if (noted == lines->bytes)
            continue;
        noted = lines->bytes;
        progress_note(&reading->progress, reading->bytes + noted);
    }
}

/* Whether the file could be read to its end. */
static bool read_input(struct reading *reading, const struct input *input)
{
    struct text_lines lines;
    struct skipped skipped = {.path = input->path};
    if (!text_lines_open(&lines, input->path)) {
        progress_end(&reading->progress);
        return complain(input->path, "open", errno);
    }
    count_lines(reading, input, &lines, &skipped);
    reading->bytes += lines.bytes;
    if (lines.error || (skipped.wrong > 0 && skipped.wrong == lines.count))
        progress_end(&reading->progress);
    if (lines.error)
        complain(input->path, "read", lines.error);
    if (skipped.wrong > 0 && skipped.wrong == lines.count)
        fprintf(stderr,
                "closewait report: no line of %s is closewait's JSON: it writes that with the "
                "option format=json\n",
                name_of(input->path));
    else
        note_skipped(&reading->skipped, &skipped);
    reading->useful |= skipped.wrong < lines.count || (lines.count == 0 && !lines.error);
    text_lines_close(&lines);
    return lines.error == 0;
}

/* One line for all: a fleet has a thousand files, each with a torn end. */
static void tell_skipped(const struct skipped *skipped)
{
    const bool one = skipped->wrong == 1;
    const char *name = skipped->path ? name_of(skipped->path) : "";
    if (skipped->wrong + skipped->unknown == 0)
        return;
    fputs("closewait report: ", stderr);
    if (skipped->wrong > 0 && skipped->files > 1)
        fprintf(stderr,
                "%ju lines of %d files are not closewait's JSON, the first is line %ju of %s",
                (uintmax_t)skipped->wrong, skipped->files, (uintmax_t)skipped->line, name);
    else if (skipped->wrong > 0)
        fprintf(stderr, "%ju line%s of %s %s not closewait's JSON%s line %ju",
                (uintmax_t)skipped->wrong, one ? "" : "s", name, one ? "is" : "are",
                one ? ":" : ", the first is", (uintmax_t)skipped->line);
    if (skipped->unknown > 0)
        fprintf(stderr, "%s%ju line%s of a type that is not known", skipped->wrong > 0 ? "; " : "",
                (uintmax_t)skipped->unknown, skipped->unknown == 1 ? " is" : "s are");
    fputc('\n', stderr);
}

static void tell_untold(uint64_t untold)
{
    if (untold > 0)
        fprintf(stderr,
                "closewait report: summaries count %ju leak%s that no line tells: give the older "
                "files too, if there are any\n",
                (uintmax_t)untold, untold == 1 ? "" : "s");
}

/* What found no room. */
static void tell_left_out(const struct quota *quota, uint64_t evicted)
{
    static const char *const whats[QUOTA_KINDS] = {
        [QUOTA_SITES] = "lines of further call sites",
        [QUOTA_STACKS] = "stacks",
        [QUOTA_NAMES] = "peers and names of leaks",
        [QUOTA_QUEUES] = "lines of further accept queues",
    };
    const char *before = "closewait report: too much to keep, and left out:";
    for (int kind = 0; kind < QUOTA_KINDS; kind++) {
        if (quota->refused[kind] == 0)
            continue;
        fprintf(stderr, "%s %ju %s", before, (uintmax_t)quota->refused[kind], whats[kind]);
        before = ",";
    }
    if (evicted > 0)
        fprintf(stderr, "%s what %ju processes did after they were quiet for long", before,
                (uintmax_t)evicted);
    if (evicted > 0 || before[0] == ',')
        fputc('\n', stderr);
}

static bool report(const struct settings *settings, const struct input *inputs, int count)
{
    struct reading reading = {.progress = progress_begin(size_of(inputs, count))};
    bool done = true;
    reading.groups = groups_begin(&reading.quota);
    reading.groups.for_page = settings->print == groups_print_html;
    for (int i = 0; i < count; i++)
        done &= read_input(&reading, &inputs[i]);
    progress_end(&reading.progress);
    groups_finish(&reading.groups);
    tell_skipped(&reading.skipped);
    if (reading.useful) {
        settings->print(&reading.groups, &settings->style);
        done &= tell_written("report");
        tell_untold(reading.groups.tallies.untold);
        tell_left_out(&reading.quota, reading.groups.tallies.evicted);
    }
    groups_free(&reading.groups);
    return done && reading.useful;
}

int verb_report(int argc, char **argv)
{
    static char *standard_input[] = {"-"};
    setlocale(LC_CTYPE, "");
    struct settings settings = {
        .print = groups_print_text,
        .style = {.symbols = must(symbols_begin()), .limit = LIMIT_MAX},
    };
    settings.style.colors = colors_wanted();
    int status = read_arguments(&settings, argc, argv);
    if (status == GO_ON) {
        const int count = optind < argc ? argc - optind : 1;
        struct input *inputs = order_inputs(optind < argc ? argv + optind : standard_input, count);
        if (reads_terminal(inputs, count))
            status = EXIT_USAGE;
        else
            status = report(&settings, inputs, count) ? EXIT_SUCCESS : EXIT_FAILURE;
        free(inputs);
    }
    symbols_end(settings.style.symbols);
    return status;
}
