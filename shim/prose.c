#include "prose.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "names.h"
#include "prose_holder.h"
#include "prose_shortage.h"
#include "suppress.h"

enum { COLUMNS = 100 };

void prose_begin(struct text *text, const char *comm, int pid, const char *container)
{
    text_add(text, "closewait: ");
    text_add_name(text, comm);
    text_add(text, "[");
    text_add_uint(text, (uint64_t)pid);
    text_add(text, container && container[0] ? "] in " : "]");
    if (container)
        text_add_name(text, container);
    text_add(text, ": ");
}

static void add_ends(struct text *text, const struct leak *leak)
{
    text_add(text, "fd ");
    text_add_uint(text, (uint64_t)leak->fd);
    for (int i = 0; i < leak->copies.count; i++) {
        text_add(text, i == 0 ? " (also fd " : ", ");
        text_add_uint(text, (uint64_t)leak->copies.at[i]);
    }
    text_add(text, leak->copies.count > 0 ? ")" : "");
    if (!leak->local.family && !leak->peer.family)
        return;
    text_add(text, "  ");
    text_add_endpoint(text, &leak->local);
    text_add(text, " -> ");
    text_add_endpoint(text, &leak->peer);
}

static void add_state(struct text *text, const struct leak *leak)
{
    if (leak->state == TCP_CLOSE_WAIT) {
        text_add(text, "  CLOSE_WAIT: the peer closed ");
        text_add_duration(text, leak->gone_ms);
        text_add(text, " ago, the program never did\n");
    } else {
        text_add(text, "  CLOSE: the connection has been over for ");
        text_add_duration(text, leak->gone_ms);
        text_add(text, ", the program still holds it\n");
    }
}

static void add_class(struct text *text, const struct leak *leak)
{
    static const char *const meanings[] = {
        [CLASS_NONE] = "",
        [CLASS_EOF_IGNORED] = " (it read the end of stream and went on)",
        [CLASS_EOF_UNREAD] = " (it has not read since)",
        [CLASS_DATA_UNREAD] = " (bytes lie unread before the end of stream)",
        [CLASS_RESET_IGNORED] = " (reset, timed out or shut down)",
    };
    text_add(text, "    class ");
    text_add(text, names_class[leak->class]);
    text_add(text, meanings[leak->class]);
    text_add(text, "; ");
    text_add_uint(text, leak->unread_bytes);
    text_add(text, " bytes unread, ");
    text_add_uint(text, leak->unsent_bytes);
    text_add(text, " unsent\n");
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add_frame(struct text *text, const struct frame *frame, int number)
{
    text_add(text, "#");
    text_add_uint(text, (uint64_t)number);
    text_add(text, " ");
    if (!frame->function) {
        text_add_name(text, frame->module ? last_part(frame->module) : "?");
        text_add(text, "+0x");
        text_add_hex(text, frame->offset);
        return;
    }
    text_add_name(text, frame->function);
    text_add(text, "  ");
    if (!frame->file) {
        text_add_name(text, frame->module ? last_part(frame->module) : "?");
        return;
    }
    text_add_name(text, last_part(frame->file));
    text_add(text, ":");
    text_add_uint(text, (uint64_t)frame->line);
}

static bool is_main(const struct frame *frame)
{
    return frame->function && strcmp(frame->function, "main") == 0;
}

/* On as many lines as it takes, down to main: what libc does before it is no news. */
static void add_trace(struct text *text, const char *title, const struct trace *trace)
{
    if (trace->count == 0)
        return;
    text_add(text, title);
    size_t line = text->len;
    while (line > 0 && text->at[line - 1] != '\n')
        line--;
    for (int i = 0; i < trace->count && (i == 0 || !is_main(&trace->frames[i - 1])); i++) {
        char frame[512];
        struct text one = text_in(frame, sizeof(frame));
        add_frame(&one, &trace->frames[i], i);
        const bool fits = text->len - line + one.len + 3 <= COLUMNS;
        text_add(text, i == 0 ? "  " : fits ? "   " : "\n        ");
        if (i > 0 && !fits)
            line = text->len - 8;
        text_add(text, frame);
    }
    text_add(text, "\n");
}

static void add_origin(struct text *text, const struct told *told)
{
    static const char *const ways[] = {
        [HOW_CONNECT] = "opened by connect ",
        [HOW_ACCEPT] = "opened by accept ",
        [HOW_INHERITED] = "inherited over fork, or over exec without FD_CLOEXEC; first seen ",
        [HOW_RECEIVED] = "received from another process (SCM_RIGHTS) ",
        [HOW_FOUND] = "opened where closewait could not see it, so without a stack; found ",
    };
    const struct leak *leak = &told->record->leak;
    text_add(text, "    ");
    text_add(text, ways[leak->how]);
    text_add_duration(text, leak->open_ms);
    text_add(text, " ago");
    if (leak->how == HOW_INHERITED && told->opener) {
        text_add(text, ", from process ");
        text_add_uint(text, (uint64_t)told->opener);
    }
    if (told->opened.count == 0)
        text_add(text, "\n");
    add_trace(text, ", at:", &told->opened);
    add_trace(text, "    end of stream read at:", &told->eof);
    add_trace(text, "    last read or written at:", &told->last);
}

/* Who could close it, where nobody may: the shim by its options, the command by its own. */
static const char *leave_to_close(const struct told *told)
{
    if (told->action != ACTION_LOG)
        return "";
    return told->outside ? ", or give closewait --action=close" : ", or run with action=close";
}

static void add_advice(struct text *text, const struct told *told)
{
    const struct leak *leak = &told->record->leak;
    text_add(text, "    close(");
    text_add_uint(text, (uint64_t)leak->fd);
    text_add(text, leak->state == TCP_CLOSE_WAIT ? ") when the peer closes" : ") it");
    if (leak->class == CLASS_DATA_UNREAD)
        text_add(text, "; never closed for the program while bytes are unread");
    else if (told->action == ACTION_CLOSE_DEAD && leak->state == TCP_CLOSE_WAIT)
        text_add(text, "; closed for the program once its peer is proven gone");
    else
        text_add(text, leave_to_close(told));
    text_add(text, "\n");
    if (told->opened.count > 0 && !told->symbolized)
        text_add(text, "    for functions and lines: closewait run, or closewait report\n");
}

static void add_leak_body(struct text *text, const struct told *told)
{
    add_class(text, &told->record->leak);
    add_origin(text, told);
    add_advice(text, told);
}

static void add_site(struct text *text, const struct told *told)
{
    if (!told->site)
        return;
    text_add(text, " at site ");
    text_add_hex(text, told->site);
}

/* What grows is told with its speed, in the unit in which it is a number to remember. */
static void add_rate(struct text *text, const struct told *told)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{1000, " a second"}, {60000, " a minute"}, {3600000, " an hour"}};
    size_t i = 0;
    if (told->count < 2 || told->site_age_ms == 0)
        return;
    while (i < 2 && (told->count - 1) * units[i].ms < told->site_age_ms)
        i++;
    text_add(text, ", ");
    text_add_uint(text, (told->count - 1) * units[i].ms / told->site_age_ms);
    text_add(text, units[i].name);
}

static void add_trend(struct text *text, const struct told *told)
{
    static const char *const meanings[] = {
        [TREND_UNKNOWN] = "",
        [TREND_FLAT] = " (flat: often a pool)",
        [TREND_GROWING] = " (growing)",
    };
    text_add(text, meanings[told->trend]);
}

static void add_right_grace(struct text *text, uint32_t grace_ms)
{
    text_add(text, "grace=");
    text_add_grace(text, grace_ms);
    text_add(text, " would have been right");
}

static void add_leak(struct text *text, const struct told *told)
{
    const struct leak *leak = &told->record->leak;
    text_add(text, told->held ? "held now: " : "leak: ");
    if (told->held) {
        text_add_count(text, told->held, "socket", "sockets");
        add_site(text, told);
        add_trend(text, told);
        if (told->grace_ms) {
            text_add(text, "; most were closed late: ");
            add_right_grace(text, told->grace_ms);
        }
        text_add(text, told->grace_ms ? "; among them\n    " : ", among them\n    ");
    }
    if (told->since == 0) {
        add_ends(text, leak);
        add_state(text, leak);
        add_leak_body(text, told);
        return;
    }
    text_add_uint(text, told->count);
    text_add(text, " sockets by now");
    add_site(text, told);
    add_rate(text, told);
    add_trend(text, told);
    text_add(text, "; the last is ");
    add_ends(text, leak);
    text_add(text, ", ");
    text_add(text, names_class[leak->class]);
    text_add(text, "\n");
    add_trace(text, "    opened at:", &told->opened);
}

static void add_reap(struct text *text, const struct told *told)
{
    static const char *const fates[] = {
        [FATE_UNKNOWN] = "closed; the kernel could not be asked what became of it",
        [FATE_GONE] = "closed, and the connection is gone",
        [FATE_CLOSING] = "closed, the peer has yet to acknowledge",
        [FATE_HELD] = "closed here, but another descriptor or process still holds the connection",
    };
    const struct record *record = told->record;
    text_add(text, "reap: ");
    add_ends(text, &record->leak);
    text_add(text, record->why == WHY_DEAD ? "  dead for " : "  leaked for ");
    text_add_duration(text, record->leak.gone_ms);
    text_add(text, ": ");
    if (record->error == EPERM) {
        text_add(text, "could not be closed: the program could not be stopped for it; a tracer is "
                       "there, or tracing is not allowed");
    } else if (record->error) {
        text_add(text, "could not be closed (errno ");
        text_add_uint(text, (uint64_t)record->error);
        text_add(text, ")");
    } else {
        text_add(text, fates[record->fate]);
        if (record->why == WHY_DESCRIPTORS)
            text_add(text, "; its number was given back, descriptors ran out");
    }
    if (told->count > 1) {
        text_add(text, "; ");
        text_add_uint(text, told->count);
        text_add(text, " by now");
        add_site(text, told);
    }
    text_add(text, "\n");
}

static void add_asked(struct text *text, const struct told *told)
{
    add_trace(text, told->record->to.family ? "    connect called at:" : "    bind called at:",
              &told->asked);
}

static void add_more(struct text *text, int more)
{
    if (more <= 0)
        return;
    text_add(text, "    and ");
    text_add_count(text, (uint64_t)more, "more leaked socket holds", "more leaked sockets hold");
    text_add(text, " the port\n");
}

static void add_rescue(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    const char *call = record->to.family ? "connect" : "bind";
    text_add(text, "rescue: ");
    prose_wish(text, record);
    text_add(text, " met ");
    if (record->reaped > 1) {
        text_add_uint(text, (uint64_t)record->reaped);
        text_add(text, " leaked sockets of this program, which were closed for it; ");
    } else {
        text_add(text, "a leaked socket of this program, which was closed for it; ");
    }
    text_add(text, call);
    text_add(text, record->error ? " still fails after " : " works after ");
    text_add_uint(text, record->waited_ms);
    text_add(text, " ms\n    ");
    add_ends(text, &record->leak);
    add_state(text, &record->leak);
    add_leak_body(text, told);
    prose_sharer(text, told);
    add_asked(text, told);
    add_more(text, record->leaks - 1);
}

static void add_conflict(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    prose_wish(text, record);
    text_add(text, record->to.family ? " failed, cannot assign requested address: "
                                     : " failed, address already in use: ");
    if (record->leaks == 0) {
        prose_holder(text, told);
        add_asked(text, told);
        return;
    }
    text_add(text, record->to.family ? "this program still holds that connection\n    "
                                     : "this program still holds the port\n    ");
    add_ends(text, &record->leak);
    add_state(text, &record->leak);
    add_leak_body(text, told);
    prose_sharer(text, told);
    add_asked(text, told);
    add_more(text, record->leaks - 1);
}

/* Of a site that is mostly closed late. One socket can have had several descriptors. */
static void add_hindsight(struct text *text, const struct told *told)
{
    if (!told->grace_ms)
        return;
    text_add(text, "; ");
    if (told->leaks > 1) {
        text_add_uint(text, told->count < told->leaks ? told->count : told->leaks);
        text_add(text, " of ");
        text_add_uint(text, told->leaks);
        text_add(text, " leaks of this site were closed late: ");
    }
    add_right_grace(text, told->grace_ms);
}

/* A retraction: the report was too early. */
static void add_late_close(struct text *text, const struct told *told)
{
    const struct leak *leak = &told->record->leak;
    text_add(text, "late close: ");
    add_ends(text, leak);
    text_add(text, "  was closed by the program after ");
    text_add_duration(text, leak->gone_ms);
    const bool for_port = told->record->why == WHY_PORT;
    text_add(text, for_port               ? ": its port had been wanted before"
                   : told->record->reaped ? ": a longer grace would have spared it the tombstone"
                                          : ": no leak, but slower than grace");
    if (told->count > 1) {
        text_add(text, "; ");
        text_add_uint(text, told->count);
        text_add(text, " by now");
        add_site(text, told);
    }
    if (!for_port)
        add_hindsight(text, told);
    text_add(text, "\n");
}

static void add_accept_queue(struct text *text, const struct told *told)
{
    const struct leak *listener = &told->record->leak;
    const struct queue *queue = &told->record->queue;
    text_add(text, "accept queue of ");
    text_add_endpoint(text, &listener->local);
    text_add(text, " (fd ");
    text_add_uint(text, (uint64_t)listener->fd);
    text_add(text, "): ");
    text_add_count(text, queue->waiting, "connection has waited ",
                   "connections have waited up to ");
    text_add_duration(text, queue->age_ms);
    text_add(text, " for an accept, ");
    if (queue->hung_up > 0)
        text_add_uint(text, queue->hung_up);
    text_add(text, queue->hung_up > 0 ? " of them already hung up" : "none of them hung up");
    text_add(text, queue->waiting > queue->backlog ? "; the queue is full\n" : "\n");
    add_trace(text, "    listen called at:", &told->opened);
}

static void add_if_any(struct text *text, uint32_t number, const char *what)
{
    if (number == 0)
        return;
    text_add(text, ", ");
    text_add_uint(text, number);
    text_add(text, what);
}

static void add_suppression(struct text *text, const struct suppression *pattern, bool symbolized)
{
    text_add(text, "    suppression in line ");
    text_add_uint(text, (uint64_t)pattern->line);
    text_add(text, " (");
    text_add_name(text, pattern->text);
    if (pattern->matched > 0) {
        text_add(text, ") matched ");
        text_add_count(text, pattern->matched, "leak\n", "leaks\n");
    } else if (suppress_is_symbolic(pattern) && !symbolized) {
        text_add(text, ") was not tried: functions and files are known under closewait run\n");
    } else {
        text_add(text, ") matched nothing\n");
    }
}

static void add_summary(struct text *text, const struct told *told)
{
    const struct totals *totals = &told->totals;
    text_add(text, "summary: ");
    text_add_count(text, totals->leaked, "socket leaked at ", "sockets leaked at ");
    text_add_count(text, totals->sites, "call site (", "call sites (");
    text_add_uint(text, totals->growing);
    text_add(text, " growing");
    add_if_any(text, totals->flat,
               totals->flat == 1 ? " flat: often a pool" : " flat: often pools");
    text_add(text, "), ");
    text_add_uint(text, totals->reaped);
    text_add(text, " reaped, ");
    text_add_uint(text, totals->suppressed);
    text_add(text, " suppressed");
    add_if_any(text, totals->late, " closed late");
    if (totals->grace_ms) {
        text_add(text, " (");
        add_right_grace(text, totals->grace_ms);
        text_add(text, ")");
    }
    add_if_any(text, totals->held, " held now");
    add_if_any(text, totals->lost, totals->lost == 1 ? " report lost" : " reports lost");
    add_if_any(text, totals->stackless, " without a stack (too many call sites)");
    if (totals->sweep_ms) {
        text_add(text, "; so many sockets are looked at every ");
        text_add_duration(text, totals->sweep_ms);
    }
    text_add(text, "\n");
    for (int i = 0; i < told->suppression_count; i++)
        add_suppression(text, &told->suppressions[i], told->symbolized);
}

static void add_limit_met(struct text *text, const struct told *told)
{
    prose_limit_met(text, told->record);
    add_trace(text, "    called at:", &told->asked);
}

static void add_given_back(struct text *text, const struct told *told)
{
    prose_given_back(text, told->record);
    add_trace(text, "    called at:", &told->asked);
}

void prose_add(struct text *text, const struct told *told)
{
    static void (*const adders[])(struct text *, const struct told *) = {
        [RECORD_LEAK] = add_leak,
        [RECORD_REAP] = add_reap,
        [RECORD_RESCUE] = add_rescue,
        [RECORD_BIND_CONFLICT] = add_conflict,
        [RECORD_LATE_CLOSE] = add_late_close,
        [RECORD_ACCEPT_QUEUE] = add_accept_queue,
        [RECORD_SUMMARY] = add_summary,
        [RECORD_DESCRIPTORS] = add_limit_met,
        [RECORD_GIVEN_BACK] = add_given_back,
    };
    prose_begin(text, told->comm, told->pid, told->container);
    adders[told->record->type](text, told);
}
