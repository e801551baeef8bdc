#define _GNU_SOURCE
#include "retell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prose.h"
#include "told_json.h"
#include "traces.h"

enum { TEXT_SIZE = 1 << 18 };

static bool complain(const char *what)
{
    fprintf(stderr, "closewait run: %s\n", what);
    return false;
}

bool retell_begin(struct retell *retell, const struct options *options)
{
    char why[PATH_MAX + 256];
    *retell = (struct retell){.options = *options};
    retell->symbols = symbols_begin();
    retell->sites = json_object();
    retell->pids = json_object();
    if (!retell->symbols || !retell->sites || !retell->pids)
        return complain("no memory");
    if (!options->suppress[0])
        return true;
    retell->patterns = calloc(1, sizeof(*retell->patterns));
    if (!retell->patterns)
        return complain("no memory");
    return suppress_read(retell->patterns, options->suppress, why, sizeof(why)) || complain(why);
}

bool retell_search(struct retell *retell, const char *path)
{
    return symbols_search(retell->symbols, path);
}

void retell_end(struct retell *retell)
{
    symbols_end(retell->symbols);
    json_decref(retell->sites);
    json_decref(retell->pids);
    free(retell->patterns);
}

/*
 * A reader who has gone, or who sleeps, is no reason to stop or to keep the program: where poll(2)
 * says that there is room, a write of PIPE_BUF does not block.
 */
static bool write_all(int fd, const char *text, size_t len)
{
    enum { PATIENCE_MS = 1000 };
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    while (len > 0) {
        if (poll(&polled, 1, PATIENCE_MS) == 0) {
            errno = EAGAIN;
            return false;
        }
        const ssize_t n = write(fd, text, len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_file(const char *path, const char *text, size_t len)
{
    const int flags =
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    const int fd = open(path, flags, 0600);
    if (fd < 0)
        return false;
    const bool written = write_all(fd, text, len);
    const int why = errno;
    close(fd);
    errno = why;
    return written;
}

static void write_out(struct retell *retell, int pid, const char *text, size_t len)
{
    char path[OPTIONS_PATH_SIZE];
    if (!retell->options.output[0]) {
        retell->lost += !write_all(STDERR_FILENO, text, len);
        return;
    }
    if (!options_output(&retell->options, pid, path))
        errno = ENAMETOOLONG;
    else if (write_file(path, text, len))
        return;
    retell->lost++;
    if (!retell->unwritten)
        fprintf(stderr,
                "closewait run: --output: %s: %s%s: reports are lost; expected a file that can be "
                "written\n",
                path, strerror(errno), errno == ELOOP ? " (a symbolic link is not followed)" : "");
    retell->unwritten = true;
}

static void tell_json(struct retell *retell, const json_t *record, int pid)
{
    char *line = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(12));
    char *whole = NULL;
    const int len = line ? asprintf(&whole, "%s\n", line) : -1;
    if (len > 0)
        write_out(retell, pid, whole, (size_t)len);
    free(line);
    free(whole);
}

/* What is not news to people was told at the 1st, 2nd, 4th, ... of its site, or will be. */
static bool is_news(const struct told *told)
{
    switch (told->record->type) {
    case RECORD_LEAK:
    case RECORD_REAP:
    case RECORD_LATE_CLOSE:
        return told_is_news(told);
    case RECORD_RESCUE:
    case RECORD_BIND_CONFLICT:
    case RECORD_ACCEPT_QUEUE:
    case RECORD_SUMMARY:
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        break;
    }
    return true;
}

static void tell_prose(struct retell *retell, const struct retold *retold)
{
    static char buffer[TEXT_SIZE];
    struct text text = text_in(buffer, sizeof(buffer));
    if (!is_news(&retold->told))
        return;
    prose_add(&text, &retold->told);
    if (text.cut)
        text.at[text.len - 1] = '\n';
    write_out(retell, retold->told.pid, text.at, text.len);
}

/* The sites of a process; see struct retell. */
static json_t *sites_of(struct retell *retell, const struct told *told)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", told->pid);
    json_t *sites = json_object_get(retell->sites, pid);
    if (!sites) {
        sites = json_object();
        json_object_set_new(retell->sites, pid, sites);
    }
    return sites;
}

static json_t *site_of(struct retell *retell, const struct told *told)
{
    char name[24];
    json_t *sites = sites_of(retell, told);
    snprintf(name, sizeof(name), "%llx", (unsigned long long)told->site);
    json_t *site = json_object_get(sites, name);
    if (!site) {
        site = json_object();
        json_object_set_new(sites, name, site);
    }
    return site;
}

static json_int_t count_of(const json_t *site, const char *name)
{
    return json_integer_value(json_object_get(site, name));
}

static bool is_leak(const struct record *record)
{
    return record->type == RECORD_LEAK || record->type == RECORD_RESCUE ||
           (record->type == RECORD_BIND_CONFLICT && record->leaks > 0);
}

static void note_leaks(struct retell *retell, const struct retold *retold)
{
    if (!retell->patterns || !is_leak(&retold->record))
        return;
    json_t *site = site_of(retell, &retold->told);
    if (retold->told.count > count_of(site, "leaks"))
        json_object_set_new(site, "leaks", json_integer(retold->told.count));
}

/* NULL when none matches. */
static struct suppression *pattern_of(struct retell *retell, const struct retold *retold)
{
    return retell->patterns
               ? suppress_find(retell->patterns, &retold->record.leak, &retold->told.opened)
               : NULL;
}

static bool is_suppressed(struct retell *retell, const struct retold *retold)
{
    const struct told *told = &retold->told;
    struct suppression *pattern = pattern_of(retell, retold);
    if (!pattern || retold->record.type != RECORD_LEAK)
        return false;
    if (told->held) /* once more, and counted before */
        return true;
    /* What had no line since the site's last one is taken for what has this one. */
    const uint32_t leaks = told->count > told->since ? told->count - told->since : 1;
    json_t *site = site_of(retell, told);
    pattern->matched += leaks;
    json_object_set_new(site, "quiet", json_integer(count_of(site, "quiet") + leaks));
    return true;
}

/* What the shim says that a site holds has those in it that only we could see to be suppressed. */
static void correct_held(struct retell *retell, json_t *json, struct told *told)
{
    const json_int_t quiet = count_of(site_of(retell, told), "quiet");
    told->held = told->held > quiet ? told->held - (uint32_t)quiet : 1;
    json_object_set_new(json, "held", json_integer(told->held));
}

static void move_count(json_t *summary, const char *name, json_int_t by)
{
    const json_int_t value = json_integer_value(json_object_get(summary, name)) + by;
    json_object_set_new(summary, name, json_integer(value > 0 ? value : 0));
}

/* The shim has counted as leaks what only we could see to be suppressed. */
static void correct_summary(struct retell *retell, json_t *summary, const struct told *told)
{
    json_t *patterns = json_object_get(summary, "suppressions");
    json_int_t quiet = 0;
    json_int_t quiet_sites = 0;
    const char *name;
    json_t *site;
    size_t i;
    json_t *pattern;
    json_object_foreach(sites_of(retell, told), name, site)
    {
        const json_int_t of_site = count_of(site, "quiet");
        quiet += of_site;
        quiet_sites += of_site > 0 && of_site >= count_of(site, "leaks");
    }
    move_count(summary, "leaked", -quiet);
    move_count(summary, "suppressed", quiet);
    move_count(summary, "sites", -quiet_sites);
    move_count(summary, "held", -quiet);
    move_count(summary, "lost", retell->lost);
    retell->lost = 0;
    json_array_foreach(patterns, i, pattern)
    {
        if (retell->patterns && (int)i < retell->patterns->count &&
            suppress_is_symbolic(&retell->patterns->at[i]))
            json_object_set_new(pattern, "matched", json_integer(retell->patterns->at[i].matched));
    }
}

/* What the patterns of a summary matched, for prose. */
static void read_patterns(struct retell *retell, const json_t *summary, struct told *told)
{
    const json_t *patterns = json_object_get(summary, "suppressions");
    if (!retell->patterns || !patterns)
        return;
    for (int i = 0; i < retell->patterns->count; i++)
        retell->patterns->at[i].matched = (uint32_t)json_integer_value(
            json_object_get(json_array_get(patterns, (size_t)i), "matched"));
    told->suppressions = retell->patterns->at;
    told->suppression_count = retell->patterns->count;
}

void retell_note_pid(struct retell *retell, int pid)
{
    char name[16];
    snprintf(name, sizeof(name), "%d", pid);
    json_object_set_new(retell->pids, name, json_true());
}

/* A summary of nothing but what we have suppressed is none. */
static bool is_empty(const struct totals *totals)
{
    return totals->leaked + totals->reaped + totals->suppressed + totals->lost + totals->late == 0;
}

static void retell_record(struct retell *retell, json_t *json)
{
    static struct retold retold;
    traces_symbolize(json, retell->symbols);
    if (!told_read(json, &retold))
        return;
    retell_note_pid(retell, retold.told.pid);
    note_leaks(retell, &retold);
    if (is_suppressed(retell, &retold))
        return;
    if (retold.told.held)
        correct_held(retell, json, &retold.told);
    retell->leaked |= is_leak(&retold.record) && !pattern_of(retell, &retold);
    if (retold.record.type == RECORD_SUMMARY) {
        correct_summary(retell, json, &retold.told);
        told_read(json, &retold);
        if (is_empty(&retold.told.totals))
            return;
        read_patterns(retell, json, &retold.told);
    }
    retold.told.action = retell->options.action;
    if (retell->options.format == FORMAT_JSON)
        tell_json(retell, json, retold.told.pid);
    else
        tell_prose(retell, &retold);
}

void retell_line(void *with, const char *line, size_t len)
{
    json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        retell_record(with, json);
    json_decref(json);
}
