#define _GNU_SOURCE
#include "watched_tell.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "must.h"
#include "names.h"
#include "prose.h"
#include "text.h"
#include "threads.h"

enum { TEXT_SIZE = 8192 };

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* In one write, so that lines of several writers do not mix. */
static void write_out(const struct watched *watched, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(watched->output, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

struct leak watched_leak(const struct found *found)
{
    struct leak leak = {
        .fd = found->fds[0],
        .class = found->ruling.class,
        .gone_ms = found->history.gone_ms,
        .unread_bytes = found->facts.unread_bytes,
        .unsent_bytes = found->facts.unsent_bytes,
        .local = found->local,
        .peer = found->peer,
        .state = found->facts.state,
        .error = found->facts.error,
    };
    const int room = sizeof(leak.copies.at) / sizeof(leak.copies.at[0]);
    for (size_t i = 1; i < found->fd_count && leak.copies.count < room; i++)
        leak.copies.at[leak.copies.count++] = found->fds[i];
    return leak;
}

static void tell(const struct watched *watched, struct told *told, const struct rules *rules)
{
    char words[TEXT_SIZE];
    struct text text = text_in(words, sizeof(words));
    told->pid = watched->target.pid;
    told->comm = watched->target.comm;
    told->time_ms = wall_ms();
    told->action = rules->options.action;
    told->site_age_ms = watched->leaked ? (uint32_t)(clock_ms() - watched->first_ms) : 0;
    if (rules->options.format == FORMAT_JSON)
        json_add(&text, told);
    else
        prose_add(&text, told);
    write_out(watched, text.at, text.len);
}

static void add_socket(struct text *text, const struct leak *leak)
{
    text_add(text, "fd ");
    text_add_uint(text, (uint64_t)leak->fd);
    for (int i = 0; i < leak->copies.count; i++) {
        text_add(text, i == 0 ? " (also fd " : ", ");
        text_add_uint(text, (uint64_t)leak->copies.at[i]);
    }
    text_add(text, leak->copies.count > 0 ? ")  " : "  ");
    text_add_endpoint(text, &leak->local);
    text_add(text, " -> ");
    text_add_endpoint(text, &leak->peer);
}

static void add_body(struct text *text, const struct leak *leak, enum action action)
{
    const bool waits = leak->state == TCP_CLOSE_WAIT;
    text_add(text, waits ? "  CLOSE_WAIT: the peer closed "
                         : "  CLOSE: the connection has been over for ");
    text_add_duration(text, leak->gone_ms);
    text_add(text, waits ? " ago, the program never did\n" : ", the program still holds it\n");
    text_add(text, "    class ");
    text_add(text, names_class[leak->class]);
    text_add(text, "; ");
    text_add_uint(text, leak->unread_bytes);
    text_add(text, " bytes unread, ");
    text_add_uint(text, leak->unsent_bytes);
    text_add(text, " unsent\n    found from outside: where it was opened is not known\n    close(");
    text_add_uint(text, (uint64_t)leak->fd);
    text_add(text, waits ? ") when the peer closes" : ") it");
    if (leak->class == CLASS_DATA_UNREAD)
        text_add(text, "; never closed for the program while bytes are unread\n");
    else
        text_add(text, action == ACTION_LOG ? ", or watch with --action=close\n" : "\n");
}

static void tell_leak_text(struct watched *watched, const struct leak *leak,
                           const struct rules *rules)
{
    char words[TEXT_SIZE];
    struct text text = text_in(words, sizeof(words));
    const struct told news = {.count = watched->leaked, .since = watched->leaked_told};
    if (!told_is_news(&news))
        return;
    prose_begin(&text, watched->target.comm, watched->target.pid);
    text_add(&text, "leak: ");
    if (watched->leaked > 1) {
        text_add_uint(&text, watched->leaked);
        text_add(&text, " sockets by now; the last is ");
    }
    add_socket(&text, leak);
    if (watched->leaked == 1) {
        add_body(&text, leak, rules->options.action);
    } else {
        text_add(&text, ", ");
        text_add(&text, names_class[leak->class]);
        text_add(&text, "\n");
    }
    watched->leaked_told = watched->leaked;
    write_out(watched, text.at, text.len);
}

static void write_line(const struct watched *watched, const json_t *object)
{
    char *line = must(json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)));
    char *whole = NULL;
    if (asprintf(&whole, "%s\n", line) > 0)
        write_out(watched, whole, strlen(whole));
    free(whole);
    free(line);
}

static void tell_threads_text(const struct watched *watched, const json_t *threads)
{
    char *words = NULL;
    size_t len = 0;
    FILE *to = must(open_memstream(&words, &len));
    threads_print(to, threads);
    fclose(to);
    write_out(watched, words, len);
    free(words);
}

/* As json_add would write it, if the shim knew of sockets that were found. */
static void tell_leak_json(struct watched *watched, const struct leak *leak,
                           const struct memory *memory, const json_t *threads)
{
    char words[TEXT_SIZE];
    char name[80];
    json_t *object = NULL;
    json_t *fds = must(json_array());
    const struct record summary = {.type = RECORD_SUMMARY};
    const struct told told = {.record = &summary,
                              .pid = watched->target.pid,
                              .comm = watched->target.comm,
                              .time_ms = wall_ms()};
    struct text text = text_in(words, sizeof(words));
    json_add(&text, &told); /* for what every record has */
    json_t *common = must(json_loads(words, 0, NULL));
    for (int i = 0; i < leak->copies.count; i++)
        json_array_append_new(fds, must(json_integer(leak->copies.at[i])));
    struct text local = text_in(name, sizeof(name));
    text_add_endpoint(&local, &leak->local);
    object = must(json_pack(
        "{s:s, s:O, s:O, s:O, s:i, s:s, s:s, s:s, s:s, s:f, s:f, s:I, s:I, "
        "s:s, s:I, s:I, s:f}",
        "type", "leak", "time", json_object_get(common, "time"), "pid",
        json_object_get(common, "pid"), "comm", json_object_get(common, "comm"), "fd", leak->fd,
        "class", names_class[leak->class], "state", names_state[leak->state], "local", name, "how",
        "found", "fin_age_s", (double)leak->gone_ms / 1000, "open_age_s",
        (double)(clock_ms() - memory->seen_ms) / 1000, "unread", (json_int_t)leak->unread_bytes,
        "unsent", (json_int_t)leak->unsent_bytes, "site", "0", "count", (json_int_t)watched->leaked,
        "since", (json_int_t)watched->leaked_told, "site_age_s",
        (double)(clock_ms() - watched->first_ms) / 1000));
    if (leak->copies.count > 0)
        json_object_set(object, "fds", fds);
    if (leak->peer.family) {
        struct text peer = text_in(name, sizeof(name));
        text_add_endpoint(&peer, &leak->peer);
        json_object_set_new(object, "peer", must(json_string(name)));
    }
    if (leak->error)
        json_object_set_new(object, "error", json_true());
    if (threads)
        json_object_set(object, "threads", (json_t *)threads);
    write_line(watched, object);
    watched->leaked_told = watched->leaked;
    json_decref(object);
    json_decref(common);
    json_decref(fds);
}

void watched_tell_leak(struct watched *watched, const struct found *found,
                       const struct memory *memory, const json_t *threads,
                       const struct rules *rules)
{
    const struct leak leak = watched_leak(found);
    if (rules->options.format == FORMAT_JSON) {
        tell_leak_json(watched, &leak, memory, threads);
        return;
    }
    tell_leak_text(watched, &leak, rules);
    if (threads)
        tell_threads_text(watched, threads);
}

void watched_tell_reap(const struct watched *watched, const struct found *found, int error,
                       enum ending ending, const struct rules *rules)
{
    static const enum fate fates[] = {
        [ENDING_UNKNOWN] = FATE_UNKNOWN,
        [ENDING_GONE] = FATE_GONE,
        [ENDING_CLOSING] = FATE_CLOSING,
        [ENDING_HELD] = FATE_HELD,
    };
    const struct record record = {
        .type = RECORD_REAP,
        .why = found->facts.state == TCP_CLOSE ? WHY_DEAD : WHY_GRACE,
        .error = error,
        .fate = fates[ending],
        .leak = watched_leak(found),
    };
    struct told told = {.record = &record,
                        .count = watched->reaped ? watched->reaped : 1,
                        .since = watched->reaped ? watched->reaped - 1 : 0};
    tell(watched, &told, rules);
}

void watched_tell_late_close(const struct watched *watched, const struct memory *memory,
                             const struct rules *rules)
{
    const struct record record = {
        .type = RECORD_LATE_CLOSE,
        .leak = {.fd = memory->fd,
                 .local = memory->local,
                 .peer = memory->peer,
                 .gone_ms = (uint32_t)(clock_ms() - memory->gone_ms)},
    };
    struct told told = {.record = &record, .count = watched->late, .since = watched->late - 1};
    tell(watched, &told, rules);
}

void watched_tell_summary(const struct watched *watched, uint32_t held, const struct rules *rules)
{
    const struct record record = {.type = RECORD_SUMMARY};
    struct told told = {.record = &record,
                        .totals = {.leaked = watched->leaked,
                                   .sites = watched->leaked > 0,
                                   .held = held,
                                   .reaped = watched->reaped,
                                   .suppressed = watched->suppressed,
                                   .late = watched->late}};
    if (rules->patterns) {
        told.suppressions = rules->patterns->at;
        told.suppression_count = rules->patterns->count;
    }
    tell(watched, &told, rules);
}
