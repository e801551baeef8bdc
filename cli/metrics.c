#define _GNU_SOURCE
#include "metrics.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "must.h"
#include "text.h"
#include "utf8.h"

/* What becomes of two values of one series, and of none. */
enum joining { JOIN_SUM, JOIN_MOST, JOIN_LEAST };

static const struct {
    const char *name; /* with the unit, and without the _total of counters */
    const char *unit;
    const char *help;
    enum joining joining;
    bool counter;
} table[METRIC_COUNT] = {
    [METRIC_SOCKETS] = {"closewait_sockets", NULL,
                        "TCP sockets whose peer has closed and which the program still holds.",
                        .joining = JOIN_SUM},
    [METRIC_SOCKETS_AGE] = {"closewait_sockets_oldest_age_seconds", "seconds",
                            "Time since the peer of the oldest of those sockets closed.",
                            .joining = JOIN_MOST},
    [METRIC_LEAKED] = {"closewait_leaked_sockets", NULL,
                       "Those of the sockets that were reported as leaks and are still held.",
                       .joining = JOIN_SUM},
    [METRIC_QUEUED] = {"closewait_accept_queue_connections", NULL,
                       "Connections that wait to be accepted.", .joining = JOIN_SUM},
    [METRIC_QUEUED_HUNG_UP] = {"closewait_accept_queue_hung_up_connections", NULL,
                               "Those of them whose peer has closed already.", .joining = JOIN_SUM},
    [METRIC_QUEUED_AGE] = {"closewait_accept_queue_oldest_age_seconds", "seconds",
                           "Time since the first peer of a waiting connection closed.",
                           .joining = JOIN_MOST},
    [METRIC_QUEUE_LIMIT] = {"closewait_accept_queue_limit_connections", NULL,
                            "The backlog of the listeners with waiting connections.",
                            .joining = JOIN_SUM},
    [METRIC_DESCRIPTORS_LEFT] = {"closewait_descriptors_left", NULL,
                                 "Descriptors left until RLIMIT_NOFILE, in the process with the "
                                 "fewest left.",
                                 .joining = JOIN_LEAST},
    [METRIC_DESCRIPTORS_SHARE] = {"closewait_descriptors_left_ratio", "ratio",
                                  "Descriptors left as a share of RLIMIT_NOFILE, in the process "
                                  "with the smallest.",
                                  .joining = JOIN_LEAST},
    [METRIC_PROCESSES] = {"closewait_processes", NULL,
                          "Processes that are watched, or that ps has found to hold such a socket "
                          "or queue.",
                          .joining = JOIN_SUM},
    [METRIC_UNSEEN] = {"closewait_unseen_processes", NULL,
                       "Processes that could not be looked into.", .joining = JOIN_SUM},
    [METRIC_LEAKS] = {"closewait_leaks", NULL,
                      "Leaked sockets found since closewait watch was started.", .counter = true},
    [METRIC_REAPS] = {"closewait_reaps", NULL,
                      "Leaked sockets that closewait closed, or failed to close.", .counter = true},
    [METRIC_LATE_CLOSES] = {"closewait_late_closes", NULL,
                            "Leaks that the program closed after they were reported.",
                            .counter = true},
};

struct series {
    enum metric metric;
    bool set; /* something was added since it was made, or renewed */
    double value;
    uint64_t added_ms; /* the round in which something was added last */
    char *labels;      /* as they are written */
};

static int compare(const void *a, const void *b)
{
    const struct series *left = a;
    const struct series *right = b;
    if (left->metric != right->metric)
        return left->metric < right->metric ? -1 : 1;
    return strcmp(left->labels, right->labels);
}

/* A reader refuses the whole file for one byte that is no UTF-8, and a name can have any. */
static void print_value(FILE *to, const char *value)
{
    while (*value) {
        const size_t size = utf8_length(value);
        if (*value == '"' || *value == '\\')
            fputc('\\', to);
        if (size == 0)
            fputs("\xef\xbf\xbd", to);
        else if (*value == '\n')
            fputs("\\n", to);
        else
            fwrite(value, 1, size, to);
        value += size ? size : 1;
    }
}

/* For free(3). */
static char *written(const struct metrics *metrics, const struct label *labels)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = must(open_memstream(&text, &len));
    fputs("source=\"", to);
    print_value(to, metrics->source);
    for (; labels->name; labels++) {
        if (!labels->value || !labels->value[0])
            continue;
        fprintf(to, "\",%s=\"", labels->name);
        print_value(to, labels->value);
    }
    fputc('"', to);
    fclose(to);
    return must(text);
}

static struct series *find(const struct metrics *metrics, enum metric metric, char *labels)
{
    const struct series key = {.metric = metric, .labels = labels};
    const void *found = tfind(&key, &metrics->series, compare);
    return found ? *(struct series *const *)found : NULL;
}

static void free_series(void *node)
{
    struct series *series = node;
    free(series->labels);
    free(series);
}

static void remove_series(struct metrics *metrics, struct series *series)
{
    metrics->sets[series->metric]--;
    tdelete(series, &metrics->series, compare);
    free_series(series);
}

/* Whatever of them still lives would have been added to by now. */
static bool is_gone(const struct metrics *metrics, const struct series *series)
{
    if (table[series->metric].counter)
        return metrics->now_ms - series->added_ms >= METRICS_COUNTER_MS;
    return !series->set && series->added_ms < metrics->before_ms;
}

struct seeking {
    const struct metrics *metrics;
    enum metric metric;
    struct series *oldest; /* of that metric, of those that are gone; NULL: none is */
};

static void seek(const void *node, VISIT visit, void *with)
{
    struct series *series = *(struct series *const *)node;
    struct seeking *seeking = with;
    if ((visit == postorder || visit == leaf) && series->metric == seeking->metric &&
        is_gone(seeking->metrics, series) &&
        (!seeking->oldest || series->added_ms < seeking->oldest->added_ms))
        seeking->oldest = series;
}

/* Sought in vain once, nothing is until the next round: there may be thousands to add. */
static bool has_room(struct metrics *metrics, enum metric metric)
{
    while (metrics->sets[metric] >= METRICS_SETS && !metrics->full[metric]) {
        struct seeking seeking = {.metrics = metrics, .metric = metric};
        twalk_r(metrics->series, seek, &seeking);
        if (seeking.oldest)
            remove_series(metrics, seeking.oldest);
        else
            metrics->full[metric] = true;
    }
    return metrics->sets[metric] < METRICS_SETS;
}

static struct series *series_of(struct metrics *metrics, enum metric metric,
                                const struct label *labels)
{
    static const struct label other[] = {{"process", "other"}, {NULL, NULL}};
    char *text = written(metrics, labels);
    struct series *series = find(metrics, metric, text);
    if (!series && labels != other && !has_room(metrics, metric)) {
        free(text);
        return series_of(metrics, metric, other);
    }
    if (series) {
        free(text);
        return series;
    }
    series = must(calloc(1, sizeof(*series)));
    *series = (struct series){.metric = metric, .labels = text};
    must(tsearch(series, &metrics->series, compare));
    metrics->sets[metric]++;
    return series;
}

void metrics_add(struct metrics *metrics, enum metric metric, const struct label *labels,
                 double value)
{
    struct series *series = series_of(metrics, metric, labels);
    const enum joining joining = table[metric].joining;
    const bool better = (value > series->value) == (joining == JOIN_MOST);
    if (series->set && joining == JOIN_SUM)
        series->value += value;
    else if (!series->set || better)
        series->value = value;
    series->set = true;
    series->added_ms = metrics->now_ms;
    metrics->counted += table[metric].counter;
}

struct renewing {
    const struct metrics *metrics;
    struct series **gone; /* which a walk must not remove */
    size_t count;
};

static void renew(const void *node, VISIT visit, void *with)
{
    struct series *series = *(struct series *const *)node;
    struct renewing *renewing = with;
    if ((visit != postorder && visit != leaf) || table[series->metric].counter)
        return;
    series->set = false;
    series->value = 0;
    if (renewing->metrics->now_ms - series->added_ms < METRICS_ZERO_MS ||
        !is_gone(renewing->metrics, series))
        return;
    renewing->gone = array_grow(renewing->gone, renewing->count, sizeof(struct series *));
    renewing->gone[renewing->count++] = series;
}

void metrics_renew(struct metrics *metrics, uint64_t now_ms)
{
    struct renewing renewing = {.metrics = metrics};
    metrics->before_ms = metrics->now_ms;
    metrics->now_ms = now_ms;
    memset(metrics->full, 0, sizeof(metrics->full));
    twalk_r(metrics->series, renew, &renewing);
    for (size_t i = 0; i < renewing.count; i++)
        remove_series(metrics, renewing.gone[i]);
    free(renewing.gone);
}

struct printing {
    FILE *to;
    enum exposition exposition;
    enum metric last; /* whose series are being printed; METRIC_COUNT: none yet */
};

static void print_head(const struct printing *printing, enum metric metric)
{
    const bool open = printing->exposition == EXPOSITION_OPENMETRICS;
    const char *name = table[metric].name;
    const char *end = table[metric].counter && !open ? "_total" : "";
    fprintf(printing->to, "# HELP %s%s %s\n", name, end, table[metric].help);
    fprintf(printing->to, "# TYPE %s%s %s\n", name, end,
            table[metric].counter ? "counter" : "gauge");
    if (open && table[metric].unit)
        fprintf(printing->to, "# UNIT %s %s\n", name, table[metric].unit);
}

static void print(const void *node, VISIT visit, void *with)
{
    const struct series *series = *(struct series *const *)node;
    struct printing *printing = with;
    if ((visit != postorder && visit != leaf) ||
        (!series->set && table[series->metric].joining == JOIN_LEAST))
        return;
    if (printing->last != series->metric)
        print_head(printing, series->metric);
    printing->last = series->metric;
    fprintf(printing->to, "%s%s{%s} %.15g\n", table[series->metric].name,
            table[series->metric].counter ? "_total" : "", series->labels, series->value);
}

void metrics_print(const struct metrics *metrics, enum exposition exposition, FILE *to)
{
    struct printing printing = {to, exposition, METRIC_COUNT};
    twalk_r(metrics->series, print, &printing);
    if (exposition == EXPOSITION_OPENMETRICS)
        fputs("# EOF\n", to);
}

static enum exposition exposition_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".prom") == 0 ? EXPOSITION_PROMETHEUS : EXPOSITION_OPENMETRICS;
}

/* Closes fd. */
static bool print_into(const struct metrics *metrics, enum exposition exposition, int fd)
{
    FILE *to = fdopen(fd, "w");
    if (!to) {
        close(fd);
        return false;
    }
    metrics_print(metrics, exposition, to);
    const bool good = fchmod(fd, 0644) == 0 && fflush(to) == 0 && !ferror(to);
    const int why = errno;
    fclose(to);
    errno = why;
    return good;
}

/* Beside the file, and not named as one that is read: node_exporter takes every *.prom. */
static bool name_beside(const char *path, char beside[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash - path + 1) : 0;
    return snprintf(beside, PATH_MAX, "%.*s.%s.XXXXXX", folder, path, path + folder) < PATH_MAX;
}

/* What stands for a device or another file would be replaced, and removed at the end. */
static bool is_replaceable(const char *path)
{
    struct stat file;
    return lstat(path, &file) != 0 || S_ISREG(file.st_mode);
}

bool metrics_write(const struct metrics *metrics, const char *path, char *why, size_t why_size)
{
    char beside[PATH_MAX];
    if (!is_replaceable(path)) {
        snprintf(why, why_size, "the metrics cannot be written to '%s': it is no regular file",
                 path);
        return false;
    }
    errno = ENAMETOOLONG;
    const int fd = name_beside(path, beside) ? mkostemp(beside, O_CLOEXEC) : -1;
    if (fd >= 0 && print_into(metrics, exposition_of(path), fd) && rename(beside, path) == 0)
        return true;
    const int error = errno;
    snprintf(why, why_size, "the metrics cannot be written to '%s': %s", path, strerror(error));
    if (fd >= 0)
        unlink(beside);
    return false;
}

void metrics_free(struct metrics *metrics)
{
    tdestroy(metrics->series, free_series);
    *metrics = (struct metrics){0};
}
