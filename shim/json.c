#include "json.h"

#include <string.h>

#include "names.h"
#include "suppress.h"
#include "utf8.h"
#include "version.h"

/* The name of a member and what separates it from the one before. */
static void key(struct text *text, const char *name)
{
    const bool first = text->len == 0 || text->at[text->len - 1] == '{';
    text_add(text, first ? "\"" : ",\"");
    text_add(text, name);
    text_add(text, "\":");
}

static void add_escaped(struct text *text, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    text_add_bytes(text, escape, sizeof(escape));
}

/*
 * RFC 8259 section 7. What is not UTF-8, as a path or a program's name may be, is written byte by
 * byte as Latin-1 would be: the line stays valid, and nothing is left out.
 */
static void string(struct text *text, const char *value)
{
    text_add(text, "\"");
    while (*value) {
        const size_t size = utf8_length(value);
        if (*value == '"' || *value == '\\')
            text_add(text, "\\");
        if (size == 0 || (unsigned char)*value < ' ' || *value == 0x7f)
            add_escaped(text, (unsigned char)*value);
        else
            text_add_bytes(text, value, size);
        value += size ? size : 1;
    }
    text_add(text, "\"");
}

static void add_string(struct text *text, const char *name, const char *value)
{
    key(text, name);
    string(text, value);
}

static void add_number(struct text *text, const char *name, uint64_t value)
{
    key(text, name);
    text_add_uint(text, value);
}

static void add_three_digits(struct text *text, uint64_t number)
{
    text_add(text, number < 10 ? ".00" : number < 100 ? ".0" : ".");
    text_add_uint(text, number);
}

static void add_seconds(struct text *text, const char *name, uint64_t ms)
{
    key(text, name);
    text_add_uint(text, ms / 1000);
    add_three_digits(text, ms % 1000);
}

static void add_endpoint(struct text *text, const char *name, const struct endpoint *end)
{
    char address[80];
    struct text value = text_in(address, sizeof(address));
    if (!end->family)
        return;
    text_add_endpoint(&value, end);
    add_string(text, name, address);
}

static void add_two_digits(struct text *text, const char *before, uint64_t number)
{
    text_add(text, before);
    text_add(text, number < 10 ? "0" : "");
    text_add_uint(text, number);
}

/* RFC 3339, UTC. The days since 1970 to a date: Fliegel and Van Flandern, CACM 11 (1968), 657. */
static void add_time(struct text *text, uint64_t ms)
{
    const uint64_t s = ms / 1000;
    uint64_t l = s / 86400 + 2440588 + 68569;
    const uint64_t n = 4 * l / 146097;
    l -= (146097 * n + 3) / 4;
    const uint64_t i = 4000 * (l + 1) / 1461001;
    l = l - 1461 * i / 4 + 31;
    const uint64_t j = 80 * l / 2447;
    const uint64_t k = j / 11;
    key(text, "time");
    text_add(text, "\"");
    text_add_uint(text, 100 * (n - 49) + i + k);
    add_two_digits(text, "-", j + 2 - 12 * k);
    add_two_digits(text, "-", l - 2447 * j / 80);
    add_two_digits(text, "T", s / 3600 % 24);
    add_two_digits(text, ":", s / 60 % 60);
    add_two_digits(text, ":", s % 60);
    add_three_digits(text, ms % 1000);
    text_add(text, "Z\"");
}

static void add_frame(struct text *text, const struct frame *frame)
{
    text_add(text, text->at[text->len - 1] == '[' ? "{" : ",{");
    add_string(text, "module", frame->module ? frame->module : "");
    add_string(text, "build_id", frame->build_id ? frame->build_id : "");
    add_number(text, "offset", frame->offset);
    add_string(text, "symbol", frame->function ? frame->function : "");
    if (frame->file) {
        add_string(text, "file", frame->file);
        add_number(text, "line", (uint64_t)frame->line);
    }
    if (frame->inlined) {
        key(text, "inlined");
        text_add(text, "true");
    }
    text_add(text, "}");
}

static void add_trace(struct text *text, const char *name, const struct trace *trace)
{
    if (trace->count == 0)
        return;
    key(text, name);
    text_add(text, "[");
    for (int i = 0; i < trace->count; i++)
        add_frame(text, &trace->frames[i]);
    text_add(text, "]");
}

static void add_fds(struct text *text, const char *name, const struct fds *fds)
{
    key(text, name);
    text_add(text, "[");
    for (int i = 0; i < fds->count; i++) {
        text_add(text, i > 0 ? "," : "");
        text_add_uint(text, (uint64_t)fds->at[i]);
    }
    text_add(text, "]");
}

static void add_site(struct text *text, const struct told *told)
{
    char hash[24];
    struct text value = text_in(hash, sizeof(hash));
    text_add_hex(&value, told->site);
    add_string(text, "site", hash);
}

static void add_leak_body(struct text *text, const struct told *told)
{
    const struct leak *leak = &told->record->leak;
    add_number(text, "fd", (uint64_t)leak->fd);
    if (leak->copies.count > 0)
        add_fds(text, "fds", &leak->copies);
    add_string(text, "class", names_class[leak->class]);
    add_string(text, "state", names_state[leak->state]);
    add_endpoint(text, "local", &leak->local);
    add_endpoint(text, "peer", &leak->peer);
    add_string(text, "how", names_how[leak->how]);
    if (leak->how == HOW_INHERITED && told->opener)
        add_number(text, "opener_pid", (uint64_t)told->opener);
    add_seconds(text, "fin_age_s", leak->gone_ms);
    add_seconds(text, "open_age_s", leak->open_ms);
    add_number(text, "unread", leak->unread_bytes);
    add_number(text, "unsent", leak->unsent_bytes);
    if (leak->error) {
        key(text, "error");
        text_add(text, "true");
    }
    add_site(text, told);
    add_trace(text, "open_stack", &told->opened);
    add_trace(text, "eof_stack", &told->eof);
    add_trace(text, "last_stack", &told->last);
}

static void add_trend(struct text *text, const struct told *told)
{
    if (told->trend != TREND_UNKNOWN)
        add_string(text, "trend", names_trend[told->trend]);
}

static void add_right_grace(struct text *text, uint32_t grace_ms)
{
    if (grace_ms > 0)
        add_seconds(text, "grace_s", grace_ms);
}

static void add_counts(struct text *text, const struct told *told)
{
    add_number(text, "count", told->count);
    add_number(text, "since", told->since);
    add_seconds(text, "site_age_s", told->site_age_ms);
}

static void add_leak(struct text *text, const struct told *told)
{
    add_leak_body(text, told);
    add_counts(text, told);
    add_trend(text, told);
    if (told->held)
        add_number(text, "held", told->held);
    add_right_grace(text, told->grace_ms);
}

static void add_reap(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    add_number(text, "fd", (uint64_t)record->leak.fd);
    add_string(text, "class", names_class[record->leak.class]);
    add_endpoint(text, "local", &record->leak.local);
    add_endpoint(text, "peer", &record->leak.peer);
    add_seconds(text, "fin_age_s", record->leak.gone_ms);
    add_string(text, "why", names_why[record->why]);
    add_string(text, "outcome", record->error ? "failed" : names_outcome[record->fate]);
    if (record->error)
        add_number(text, "errno", (uint64_t)record->error);
    add_site(text, told);
    add_counts(text, told);
}

/* The leak that holds the port, and how many there are. */
static void add_holding_leak(struct text *text, const struct told *told)
{
    key(text, "leak");
    text_add(text, "{");
    add_leak_body(text, told);
    text_add(text, "}");
    add_number(text, "leaks", (uint64_t)told->record->leaks);
    add_counts(text, told);
}

/* Which call wanted what. */
static void add_wish(struct text *text, const struct record *record)
{
    add_string(text, "call", record->to.family ? "connect" : "bind");
    add_endpoint(text, "local", &record->wanted);
    add_endpoint(text, "peer", &record->to);
}

static void add_asked(struct text *text, const struct told *told)
{
    add_trace(text, told->record->to.family ? "connect_stack" : "bind_stack", &told->asked);
}

/* The process that is in the way. */
static void add_process(struct text *text, const struct holder *holder)
{
    if (holder->kind != HOLDER_OTHER || !holder->pid)
        return;
    add_number(text, "holder_pid", (uint64_t)holder->pid);
    add_string(text, "holder_comm", holder->comm);
    if (!holder->same)
        return;
    key(text, "shared");
    text_add(text, "true");
}

static void add_holder(struct text *text, const struct holder *holder)
{
    add_string(text, "holder", names_holder[holder->kind]);
    if (holder->state)
        add_string(text, "state", names_state[holder->state]);
    if (holder->kind == HOLDER_TIME_WAIT)
        add_seconds(text, "left_s", holder->left_ms);
    if (holder->kind == HOLDER_SELF)
        add_number(text, "holder_fd", (uint64_t)holder->fd);
    add_process(text, holder);
}

static void add_rescue(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    add_string(text, "what", "port");
    add_wish(text, record);
    add_fds(text, "fds", &record->fds);
    add_number(text, "closed", (uint64_t)record->reaped);
    add_seconds(text, "waited_s", record->waited_ms);
    add_string(text, "outcome", record->error ? "failed" : "works");
    if (record->error)
        add_holder(text, &record->holder);
    add_holding_leak(text, told);
    add_asked(text, told);
}

static void add_conflict(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    add_wish(text, record);
    if (record->leaks > 0) {
        add_string(text, "holder", names_holder[HOLDER_SELF]);
        add_number(text, "fd", (uint64_t)record->leak.fd);
        add_fds(text, "fds", &record->fds);
        if (record->holder.kind == HOLDER_SELF)
            add_number(text, "holder_fd", (uint64_t)record->holder.fd);
        add_process(text, &record->holder);
        add_holding_leak(text, told);
    } else {
        add_holder(text, &record->holder);
    }
    add_asked(text, told);
}

static void add_late_close(struct text *text, const struct told *told)
{
    const struct leak *leak = &told->record->leak;
    add_number(text, "fd", (uint64_t)leak->fd);
    add_endpoint(text, "local", &leak->local);
    add_endpoint(text, "peer", &leak->peer);
    add_seconds(text, "fin_age_s", leak->gone_ms);
    key(text, "reaped");
    text_add(text, told->record->reaped ? "true" : "false");
    if (told->record->reaped)
        add_string(text, "why", names_why[told->record->why]);
    add_site(text, told);
    add_counts(text, told);
    add_number(text, "leaks", told->leaks);
    add_right_grace(text, told->grace_ms);
}

static void add_accept_queue(struct text *text, const struct told *told)
{
    const struct record *record = told->record;
    add_number(text, "fd", (uint64_t)record->leak.fd);
    add_endpoint(text, "local", &record->leak.local);
    add_number(text, "waiting", record->queue.waiting);
    add_number(text, "hung_up", record->queue.hung_up);
    add_number(text, "backlog", record->queue.backlog);
    add_seconds(text, "age_s", record->queue.age_ms);
    add_site(text, told);
    add_trace(text, "open_stack", &told->opened);
}

static void add_suppressions(struct text *text, const struct told *told)
{
    if (told->suppression_count == 0)
        return;
    key(text, "suppressions");
    text_add(text, "[");
    for (int i = 0; i < told->suppression_count; i++) {
        const struct suppression *pattern = &told->suppressions[i];
        text_add(text, i > 0 ? ",{" : "{");
        add_number(text, "line", (uint64_t)pattern->line);
        add_string(text, "pattern", pattern->text);
        add_number(text, "matched", pattern->matched);
        text_add(text, "}");
    }
    text_add(text, "]");
}

static void add_summary(struct text *text, const struct told *told)
{
    const struct totals *totals = &told->totals;
    add_string(text, "version", CLOSEWAIT_VERSION);
    add_number(text, "leaked", totals->leaked);
    add_number(text, "sites", totals->sites);
    add_number(text, "growing", totals->growing);
    add_number(text, "flat", totals->flat);
    add_number(text, "held", totals->held);
    add_number(text, "reaped", totals->reaped);
    add_number(text, "suppressed", totals->suppressed);
    add_number(text, "late", totals->late);
    add_right_grace(text, totals->grace_ms);
    add_number(text, "lost", totals->lost);
    add_number(text, "stackless", totals->stackless);
    if (totals->sweep_ms)
        add_seconds(text, "sweep_s", totals->sweep_ms);
    add_suppressions(text, told);
}

static void add_limit_met(struct text *text, const struct told *told)
{
    const struct limits *limits = &told->record->limits;
    if (limits->call != LIMITED_NONE) {
        add_string(text, "call", names_limited[limits->call]);
        add_number(text, "errno", (uint64_t)told->record->error);
    }
    add_number(text, "open", (uint64_t)limits->open);
    add_number(text, "limit", (uint64_t)limits->limit);
    add_number(text, "leaked", (uint64_t)limits->leaked);
    add_number(text, "tombstones", (uint64_t)limits->tombstones);
    add_trace(text, "call_stack", &told->asked);
}

static void add_given_back(struct text *text, const struct told *told)
{
    add_string(text, "what", "descriptors");
    add_fds(text, "fds", &told->record->fds);
    add_number(text, "given_back", (uint64_t)told->record->limits.given);
    add_string(text, "outcome", "works");
    add_limit_met(text, told);
}

void json_add(struct text *text, const struct told *told)
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
    text_add(text, "{");
    add_string(text, "type", names_type[told->record->type]);
    add_time(text, told->time_ms);
    add_number(text, "pid", (uint64_t)told->pid);
    add_string(text, "comm", told->comm);
    if (told->container && told->container[0])
        add_string(text, "container", told->container);
    adders[told->record->type](text, told);
    text_add(text, "}\n");
}
