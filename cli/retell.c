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

#include "journal.h"
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

static void write_journal(struct retell *retell, const struct told *told, const struct text *text)
{
    const int error = journal_send(told, text);
    if (error == 0)
        return;
    if (!retell->unwritten && error != -EAGAIN)
        fprintf(stderr,
                "closewait run: --output: no journal can be reached at "
                "/run/systemd/journal/socket: %s: reports go to standard error\n",
                strerror(-error));
    retell->unwritten |= error != -EAGAIN;
    retell->lost += error == -EAGAIN || !write_all(STDERR_FILENO, text->at, text->len);
}

static void write_out(struct retell *retell, const struct told *told, const struct text *text)
{
    char path[OPTIONS_PATH_SIZE];
    if (retell->options.journal) {
        write_journal(retell, told, text);
        return;
    }
    if (!retell->options.output[0]) {
        retell->lost += !write_all(STDERR_FILENO, text->at, text->len);
        return;
    }
    if (!options_output(&retell->options, told->pid, path))
        errno = ENAMETOOLONG;
    else if (write_file(path, text->at, text->len))
        return;
    retell->lost++;
    if (!retell->unwritten)
        fprintf(stderr,
                "closewait run: --output: %s: %s%s: reports are lost; expected a file that can be "
                "written\n",
                path, strerror(errno), errno == ELOOP ? " (a symbolic link is not followed)" : "");
    retell->unwritten = true;
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
