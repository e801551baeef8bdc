#define _GNU_SOURCE
#include "reap_tell.h"

#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "as_utf8.h"
#include "found_record.h"
#include "must.h"
#include "names.h"
#include "prose.h"
#include "text.h"

enum { TEXT_SIZE = 4096 };

static const char *const verdicts[] = {
    [VERDICT_HEALTHY] = "healthy", [VERDICT_IN_USE] = "in-use", [VERDICT_WAITING] = "waiting",
    [VERDICT_LEAKED] = "leaked",   [VERDICT_DEAD] = "dead",
};

static const char *const acts[] = {
    [ACT_CLOSED] = "closed",           [ACT_FAILED] = "failed",           [ACT_REFUSED] = "refused",
    [ACT_WOULD_CLOSE] = "would close", [ACT_WOULD_LEAVE] = "would leave",
};

const char *reap_reason(const struct found *found, const struct options *options)
{
    static char reason[256];
    struct text text = text_in(reason, sizeof(reason));
    const struct ruling *ruling = &found->ruling;
    if (ruling->verdict == VERDICT_HEALTHY) {
        text_add(&text, found->facts.state == TCP_CLOSE ? "it was never connected"
                                                        : "its peer has not closed");
    } else if (ruling->verdict == VERDICT_IN_USE) {
        text_add(&text, found->facts.unsent_bytes > 0
                            ? "in use: the program's last bytes are on their way"
                            : "in use: the program has sent something within grace, which is ");
        if (found->facts.unsent_bytes == 0)
            text_add_duration(&text, options->grace_ms);
    } else if (ruling->verdict == VERDICT_WAITING) {
        text_add(&text, "waiting: grace is ");
        text_add_duration(&text, options->grace_ms);
        text_add(&text, " and is not over");
    } else if (found->facts.unread_bytes > 0) {
        text_add(&text, "bytes lie unread, and would be lost");
    } else if (found->shared) {
        text_add(&text, "another process shares it, and the error is read by neither yet");
    } else {
        text_add(&text, "leaked, but not proven dead");
    }
    return reason;
}

static void tell_closed(const struct deed *deed, struct text *text)
{
    const struct record record = found_reap(deed->found, 0, deed->ending);
    const struct told told = {
        .record = &record,
        .pid = deed->target->pid,
        .comm = deed->target->comm,
        .container = deed->target->container,
        .count = 1,
    };
    prose_add(text, &told);
}

static void add_socket(struct text *text, const struct found *found)
{
    text_add(text, "fd ");
    text_add_uint(text, (uint64_t)found->fds[0]);
    for (size_t i = 1; i < found->fd_count; i++) {
        text_add(text, i == 1 ? " (also fd " : ", ");
        text_add_uint(text, (uint64_t)found->fds[i]);
    }
    text_add(text, found->fd_count > 1 ? ")  " : "  ");
    text_add_endpoint(text, &found->local);
    text_add(text, " -> ");
    text_add_endpoint(text, &found->peer);
    text_add(text, "  ");
    text_add(text, names_state[found->facts.state]);
}

static void add_verdict(struct text *text, const struct found *found)
{
    text_add(text, "\n    ");
    text_add(text, verdicts[found->ruling.verdict]);
    if (found->ruling.class != CLASS_NONE) {
        text_add(text, ", class ");
        text_add(text, names_class[found->ruling.class]);
    }
    if (found->facts.state == TCP_CLOSE_WAIT) {
        text_add(text, "; the peer closed ");
        text_add_duration(text, found->history.gone_ms);
        text_add(text, " ago");
    } else if (found->ruling.verdict == VERDICT_DEAD) {
        text_add(text, "; the peer was last heard ");
        text_add_duration(text, found->history.gone_ms);
        text_add(text, " ago");
    }
    text_add(text, "; ");
    text_add_uint(text, found->facts.unread_bytes);
    text_add(text, " bytes unread, ");
    text_add_uint(text, found->facts.unsent_bytes);
    text_add(text, " unsent\n    ");
}

static void tell_other(const struct deed *deed, struct text *text)
{
    static const char *const begins[] = {
        [ACT_CLOSED] = "",
        [ACT_FAILED] = "could not be closed: ",
        [ACT_REFUSED] = "left alone: ",
        [ACT_WOULD_CLOSE] = "would be closed",
        [ACT_WOULD_LEAVE] = "would be left alone: ",
    };
    prose_begin(text, deed->target->comm, deed->target->pid, deed->target->container);
    add_socket(text, deed->found);
    add_verdict(text, deed->found);
    text_add(text, begins[deed->act]);
    if (deed->act == ACT_FAILED)
        text_add(text, strerror(deed->error));
    else if (deed->act != ACT_WOULD_CLOSE)
        text_add(text, deed->reason);
    text_add(text, "\n");
}

/* What a forced close has cost is told beside it. */
static void add_loss(const struct deed *deed, struct text *text)
{
    if (!deed->forced || (deed->act != ACT_CLOSED && deed->act != ACT_WOULD_CLOSE))
        return;
    if (deed->found->facts.unread_bytes > 0) {
        text_add(text, "    lost: ");
        text_add_uint(text, deed->found->facts.unread_bytes);
        text_add(text, " unread bytes; the peer is told by a reset\n");
    }
    if (deed->found->facts.unsent_bytes > 0) {
        text_add(text, "    at risk: ");
        text_add_uint(text, deed->found->facts.unsent_bytes);
        text_add(text, " bytes that the peer has not acknowledged\n");
    }
}

static void tell_text(const struct deed *deed)
{
    char words[TEXT_SIZE];
    struct text text = text_in(words, sizeof(words));
    if (deed->act == ACT_CLOSED)
        tell_closed(deed, &text);
    else
        tell_other(deed, &text);
    add_loss(deed, &text);
    fputs(words, stdout);
}

static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, must(value)) != 0)
        must(NULL);
}

static json_t *string(const char *bytes)
{
    char words[512];
    struct text text = text_in(words, sizeof(words));
    text_add_as_utf8(&text, bytes);
    return json_string(words);
}

static void set_endpoint(json_t *object, const char *name, const struct endpoint *end)
{
    char words[80];
    struct text text = text_in(words, sizeof(words));
    if (!end->family)
        return;
    text_add_endpoint(&text, end);
    set(object, name, json_string(words));
}

static void set_time(json_t *object)
{
    char day[32];
    char words[48];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(words, sizeof(words), "%s.%03ldZ", day, now.tv_nsec / 1000000);
    set(object, "time", json_string(words));
}

static void tell_json(const struct deed *deed)
{
    const struct found *found = deed->found;
    json_t *object = must(json_object());
    json_t *fds = must(json_array());
    for (size_t i = 0; i < found->fd_count; i++)
        json_array_append_new(fds, must(json_integer(found->fds[i])));
    set_time(object);
    set(object, "pid", json_integer(deed->target->pid));
    set(object, "comm", string(deed->target->comm));
    if (deed->target->container[0])
        set(object, "container", string(deed->target->container));
    set(object, "fds", fds);
    set(object, "state", json_string(names_state[found->facts.state]));
    set(object, "verdict", json_string(verdicts[found->ruling.verdict]));
    if (found->ruling.class != CLASS_NONE)
        set(object, "class", json_string(names_class[found->ruling.class]));
    set_endpoint(object, "local", &found->local);
    set_endpoint(object, "peer", &found->peer);
    set(object, "fin_age_s", json_real((double)found->history.gone_ms / 1000));
    set(object, "unread", json_integer(found->facts.unread_bytes));
    set(object, "unsent", json_integer(found->facts.unsent_bytes));
    set(object, "act", json_string(acts[deed->act]));
    if (deed->forced)
        set(object, "forced", json_true());
    if (deed->act == ACT_CLOSED)
        set(object, "outcome", json_string(names_outcome[found_reap(found, 0, deed->ending).fate]));
    if (deed->act == ACT_FAILED)
        set(object, "reason", string(strerror(deed->error)));
    if (deed->act == ACT_REFUSED || deed->act == ACT_WOULD_LEAVE)
        set(object, "reason", string(deed->reason));
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
}

void reap_tell(const struct deed *deed, enum format format)
{
    if (format == FORMAT_JSON)
        tell_json(deed);
    else
        tell_text(deed);
}
