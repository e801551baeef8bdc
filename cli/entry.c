#define _GNU_SOURCE
#include "entry.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "names.h"

/* The readers of members take one that is missing for not told, and leave its value alone. */

static bool read_text(const json_t *from, const char *name, const char **text)
{
    const json_t *member = json_object_get(from, name);
    if (json_is_string(member))
        *text = json_string_value(member);
    return !member || json_is_string(member);
}

static bool read_flag(const json_t *from, const char *name, bool *flag)
{
    const json_t *member = json_object_get(from, name);
    *flag = json_is_true(member);
    return !member || json_is_boolean(member);
}

/* The shim counts in 32 bits. */
static bool read_number(const json_t *from, const char *name, uint32_t *number)
{
    const json_t *member = json_object_get(from, name);
    const json_int_t value = json_integer_value(member);
    if (!member)
        return true;
    if (!json_is_integer(member) || value < 0 || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* The shim's ages are milliseconds in 32 bits. */
static bool read_age(const json_t *from, const char *name, int64_t *age_ms)
{
    const json_t *member = json_object_get(from, name);
    const double seconds = json_number_value(member);
    if (!member)
        return true;
    if (!json_is_number(member) || seconds < 0 || seconds * 1000 > UINT32_MAX)
        return false;
    *age_ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

static bool read_stack(const json_t *from, const char *name, json_t **stack)
{
    *stack = json_object_get(from, name);
    return !*stack || json_is_array(*stack);
}

static bool has_pattern(const char *text, const char *pattern)
{
    for (; *pattern; text++, pattern++)
        if (*pattern == '0' ? !isdigit((unsigned char)*text) : *text != *pattern)
            return false;
    return true;
}

bool entry_read_time(const char *text, int64_t *time_ms)
{
    static const char pattern[] = "0000-00-00T00:00:00";
    struct tm tm = {0};
    if (!has_pattern(text, pattern) || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return false;
    text += sizeof(pattern) - 1;
    *time_ms = (int64_t)timegm(&tm) * 1000;
    if (has_pattern(text, ".000")) {
        *time_ms += (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
        text += strlen(".000");
    }
    return strcmp(text, "Z") == 0;
}

static bool is_site(const char *text)
{
    const size_t len = strlen(text);
    return len > 0 && len < ENTRY_SITE_SIZE && text[strspn(text, "0123456789abcdef")] == '\0';
}

static bool read_process(const json_t *record, struct log_entry *entry)
{
    const char *time = "";
    uint32_t pid = 0;
    if (!read_text(record, "time", &time) || !read_number(record, "pid", &pid) ||
        !read_text(record, "comm", &entry->comm))
        return false;
    entry->pid = pid <= INT_MAX ? (int)pid : 0;
    return entry->pid > 0 && json_object_get(record, "comm") &&
           entry_read_time(time, &entry->time_ms);
}

/* The leak itself, which a rescue and a conflict have within. */
static bool read_leak(const json_t *leak, struct log_entry *entry)
{
    return read_text(leak, "site", &entry->site) && is_site(entry->site) &&
           read_text(leak, "class", &entry->class) && read_text(leak, "how", &entry->how) &&
           read_text(leak, "peer", &entry->peer) &&
           read_age(leak, "fin_age_s", &entry->fin_age_ms) &&
           read_stack(leak, "open_stack", &entry->open_stack) &&
           read_stack(leak, "eof_stack", &entry->eof_stack);
}

static bool read_counts(const json_t *record, struct log_entry *entry)
{
    uint32_t since = 0;
    if (!read_number(record, "count", &entry->count) || !read_number(record, "since", &since) ||
        !read_age(record, "site_age_s", &entry->site_age_ms))
        return false;
    if (json_object_get(record, "since"))
        entry->since = since;
    /* The answer to a signal tells what was told before. */
    if (json_object_get(record, "held"))
        entry->since = entry->count;
    return entry->since <= entry->count;
}

static bool read_hindsight(const json_t *record, struct log_entry *entry)
{
    return read_age(record, "grace_s", &entry->grace_ms);
}

static bool read_reaped(const json_t *record, struct log_entry *entry)
{
    const json_t *fds = json_object_get(record, "fds");
    entry->reaped = (uint32_t)json_array_size(fds);
    return (!fds || json_is_array(fds)) && read_number(record, "closed", &entry->reaped);
}

static bool read_outcome(const json_t *record, struct log_entry *entry)
{
    const char *outcome = "";
    const bool sound = read_text(record, "outcome", &outcome);
    entry->failed = strcmp(outcome, "failed") == 0;
    return sound;
}

static bool read_queue(const json_t *record, struct log_entry *entry)
{
    return read_text(record, "local", &entry->local) && entry->local[0] &&
           read_number(record, "waiting", &entry->waiting) &&
           read_number(record, "hung_up", &entry->hung_up) &&
           read_age(record, "age_s", &entry->age_ms) && read_text(record, "site", &entry->site) &&
           is_site(entry->site) && read_stack(record, "open_stack", &entry->open_stack);
}

static bool read_body(const json_t *record, const json_t *leak, struct log_entry *entry)
{
    switch (entry->type) {
    case RECORD_LEAK:
        return read_leak(record, entry) && read_counts(record, entry) && entry->count > 0 &&
               read_hindsight(record, entry);
    case RECORD_REAP:
        return read_leak(record, entry) && read_counts(record, entry) && entry->count > 0 &&
               read_outcome(record, entry);
    case RECORD_LATE_CLOSE:
        return read_leak(record, entry) && read_counts(record, entry) && entry->count > 0 &&
               read_flag(record, "reaped", &entry->of_reaped) && read_hindsight(record, entry);
    case RECORD_RESCUE:
        return json_is_object(leak) && read_leak(leak, entry) && read_counts(record, entry) &&
               read_reaped(record, entry);
    case RECORD_BIND_CONFLICT:
        return json_is_object(leak) && read_leak(leak, entry) && read_counts(record, entry);
    case RECORD_ACCEPT_QUEUE:
        return read_queue(record, entry);
    case RECORD_SUMMARY:
        return read_number(record, "leaked", &entry->leaked);
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        break;
    }
    return false;
}

/* A rescue of no socket: numbers of tombstones were given back. */
static bool is_of_descriptors(const json_t *record)
{
    const char *what = json_string_value(json_object_get(record, "what"));
    return what && strcmp(what, "descriptors") == 0;
}

enum entry_found entry_read(const json_t *record, struct log_entry *entry)
{
    const json_t *type = json_object_get(record, "type");
    const json_t *leak = json_object_get(record, "leak");
    if (!json_is_string(type))
        return ENTRY_WRONG;
    const int known = names_find(names_type, json_string_value(type));
    if (known < 0 || known == RECORD_DESCRIPTORS || (known == RECORD_BIND_CONFLICT && !leak) ||
        (known == RECORD_RESCUE && is_of_descriptors(record)))
        return ENTRY_NO_LEAK;
    *entry = (struct log_entry){.type = (enum record_type)known,
                                .comm = "",
                                .site = "",
                                .class = "",
                                .how = "",
                                .peer = "",
                                .local = "",
                                .since = -1};
    return read_process(record, entry) && read_body(record, leak, entry) ? ENTRY_READ : ENTRY_WRONG;
}
