#define _GNU_SOURCE
#include "retell.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
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
    retell->pids = json_object();
    if (!retell->symbols || !retell->pids)
        return complain("no memory");
    return quiet_begin(&retell->quiet, options->suppress, why, sizeof(why)) || complain(why);
}

bool retell_search(struct retell *retell, const char *path)
{
    return symbols_search(retell->symbols, path);
}

void retell_end(struct retell *retell)
{
    symbols_end(retell->symbols);
    quiet_end(&retell->quiet);
    json_decref(retell->pids);
}

static void write_out(struct retell *retell, const struct told *told, const struct text *text)
{
    retell->lost += !output_write("run", &retell->options, told, text);
}

static void tell_json(struct retell *retell, const json_t *record, const struct told *told)
{
    char *line = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(12));
    char *whole = NULL;
    const int len = line ? asprintf(&whole, "%s\n", line) : -1;
    if (len > 0)
        write_out(retell, told, &(struct text){.at = whole, .len = (size_t)len});
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
    write_out(retell, &retold->told, &text);
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

/* In one summary, whoever's they are. */
static void add_lost(struct retell *retell, json_t *summary)
{
    const json_int_t lost = json_integer_value(json_object_get(summary, "lost"));
    json_object_set_new(summary, "lost", json_integer(lost + retell->lost));
    retell->lost = 0;
}

static void retell_record(struct retell *retell, json_t *json)
{
    static struct retold retold;
    traces_symbolize(json, retell->symbols);
    if (!told_read(json, &retold))
        return;
    retell_note_pid(retell, retold.told.pid);
    if (quiet_keeps(&retell->quiet, &retold))
        return;
    retell->leaked |= quiet_is_leak(&retell->quiet, &retold);
    quiet_correct(&retell->quiet, json, &retold.told);
    if (retold.record.type == RECORD_SUMMARY) {
        add_lost(retell, json);
        told_read(json, &retold);
        if (is_empty(&retold.told.totals))
            return;
        quiet_show(&retell->quiet, json, &retold.told);
    }
    retold.told.action = retell->options.action;
    retold.told.reuseaddr = retell->options.reuseaddr;
    if (retell->options.format == FORMAT_JSON)
        tell_json(retell, json, &retold.told);
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
