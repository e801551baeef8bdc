#define _GNU_SOURCE
#include "entry.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "names.h"

/* In the order in which the shim writes them, as far as it has one. */
enum {
    TYPE,
    TIME,
    PID,
    COMM,
    WHAT,
    FD,
    CLASS,
    LOCAL,
    PEER,
    HOW,
    FIN_AGE,
    WHY,
    CLOSED,
    OUTCOME,
    SITE,
    OPEN_STACK,
    EOF_STACK,
    REAPED,
    COUNT,
    SINCE,
    SITE_AGE,
    HELD,
    GRACE,
    LEAKED,
    WAITING,
    HUNG_UP,
    AGE,
    FDS,
    LEAK,
    MEMBERS,
};

static const char *const names[MEMBERS] = {
    [TYPE] = "type",
    [TIME] = "time",
    [PID] = "pid",
    [COMM] = "comm",
    [WHAT] = "what",
    [FD] = "fd",
    [CLASS] = "class",
    [LOCAL] = "local",
    [PEER] = "peer",
    [HOW] = "how",
    [FIN_AGE] = "fin_age_s",
    [WHY] = "why",
    [CLOSED] = "closed",
    [OUTCOME] = "outcome",
    [SITE] = "site",
    [OPEN_STACK] = "open_stack",
    [EOF_STACK] = "eof_stack",
    [REAPED] = "reaped",
    [COUNT] = "count",
    [SINCE] = "since",
    [SITE_AGE] = "site_age_s",
    [HELD] = "held",
    [GRACE] = "grace_s",
    [LEAKED] = "leaked",
    [WAITING] = "waiting",
    [HUNG_UP] = "hung_up",
    [AGE] = "age_s",
    [FDS] = "fds",
    [LEAK] = "leak",
};

/* The readers of members take one that is missing for not told, and leave its value alone. */

static bool read_text(const struct member *member, struct log_entry *entry, const char **text)
{
    char *const to = entry->texts + entry->texts_len;
    if (!member->at)
        return true;
    if (member_kind(member) != '"')
        return false;
    const long len = member_text(member, to, sizeof(entry->texts) - entry->texts_len);
    if (len < 0)
        return false;
    entry->texts_len += (size_t)len + 1;
    *text = to;
    return true;
}

static bool read_flag(const struct member *member, bool *flag)
{
    *flag = member->at && member_kind(member) == 't';
    return !member->at || *flag || member_kind(member) == 'f';
}

/* The shim counts in 32 bits. */
static bool read_number(const struct member *member, uint32_t *number)
{
    uint64_t value = 0;
    if (!member->at)
        return true;
    if (member_kind(member) != '\0' || !member_count(member, UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

/* The shim's ages are milliseconds in 32 bits. */
static bool read_age(const struct member *member, int64_t *age_ms)
{
    double seconds = 0;
    if (!member->at)
        return true;
    if (member_kind(member) != '\0' || !member_real(member, &seconds) || seconds < 0 ||
        seconds * 1000 > UINT32_MAX)
        return false;
    *age_ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

static bool read_stack(const struct member *member, struct member *stack)
{
    *stack = *member;
    return !member->at || member_kind(member) == '[';
}

static bool has_pattern(const char *text, const char *pattern)
{
    for (; *pattern; text++, pattern++)
        if (*pattern == '0' ? !isdigit((unsigned char)*text) : *text != *pattern)
            return false;
    return true;
}

static int digits(const char *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++)
        number = number * 10 + (text[i] - '0');
    return number;
}

static bool is_moment(const struct tm *tm)
{
    return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
           tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

bool entry_read_time(const char *text, int64_t *time_ms)
{
    static const char pattern[] = "0000-00-00T00:00:00";
    if (!has_pattern(text, pattern))
        return false;
    struct tm tm = {
        .tm_year = digits(text, 4) - 1900,
        .tm_mon = digits(text + 5, 2) - 1,
        .tm_mday = digits(text + 8, 2),
        .tm_hour = digits(text + 11, 2),
        .tm_min = digits(text + 14, 2),
        .tm_sec = digits(text + 17, 2),
    };
    if (!is_moment(&tm))
        return false;
    text += sizeof(pattern) - 1;
    *time_ms = (int64_t)timegm(&tm) * 1000;
    if (has_pattern(text, ".000")) {
        *time_ms += digits(text + 1, 3);
        text += strlen(".000");
    }
    return strcmp(text, "Z") == 0;
}

static bool is_site(const char *text)
{
    const size_t len = strlen(text);
    return len > 0 && len < ENTRY_SITE_SIZE && text[strspn(text, "0123456789abcdef")] == '\0';
}

static bool read_process(const struct member *of, struct log_entry *entry)
{
    const char *time = "";
    uint32_t pid = 0;
    if (!read_text(&of[TIME], entry, &time) || !read_number(&of[PID], &pid) ||
        !read_text(&of[COMM], entry, &entry->comm))
        return false;
    entry->pid = pid <= INT_MAX ? (int)pid : 0;
    return entry->pid > 0 && of[COMM].at && entry_read_time(time, &entry->time_ms);
}

static bool read_ends(const struct member *of, struct log_entry *entry)
{
    return read_text(&of[LOCAL], entry, &entry->local) && read_text(&of[PEER], entry, &entry->peer);
}

/* The leak itself, which a rescue and a conflict have within. */
static bool read_leak(const struct member *of, struct log_entry *entry)
{
    return read_text(&of[SITE], entry, &entry->site) && is_site(entry->site) &&
           read_number(&of[FD], &entry->fd) && read_text(&of[CLASS], entry, &entry->class) &&
           read_text(&of[HOW], entry, &entry->how) && read_ends(of, entry) &&
           read_age(&of[FIN_AGE], &entry->fin_age_ms) &&
           read_stack(&of[OPEN_STACK], &entry->open_stack) &&
           read_stack(&of[EOF_STACK], &entry->eof_stack);
}

static bool read_inner_leak(const struct member *leak, struct log_entry *entry)
{
    struct member of[MEMBERS];
    return members_read(leak->at, leak->len, names, MEMBERS, of) && read_leak(of, entry);
}

static bool read_counts(const struct member *of, struct log_entry *entry)
{
    uint32_t since = 0;
    if (!read_number(&of[COUNT], &entry->count) || !read_number(&of[SINCE], &since) ||
        !read_age(&of[SITE_AGE], &entry->site_age_ms))
        return false;
    if (of[SINCE].at)
        entry->since = since;
    /* The answer to a signal tells what was told before. */
    if (of[HELD].at)
        entry->since = entry->count;
    return entry->since <= entry->count;
}

static bool read_hindsight(const struct member *of, struct log_entry *entry)
{
    return read_age(&of[GRACE], &entry->grace_ms);
}

static uint32_t elements_of(const struct member *array)
{
    json_t *const value = json_loadb(array->at, array->len, 0, NULL);
    const uint32_t count = (uint32_t)json_array_size(value);
    json_decref(value);
    return count;
}

static bool read_reaped(const struct member *of, struct log_entry *entry)
{
    if (of[FDS].at && member_kind(&of[FDS]) != '[')
        return false;
    if (of[FDS].at)
        entry->reaped = elements_of(&of[FDS]);
    return read_number(&of[CLOSED], &entry->reaped);
}

static bool read_outcome(const struct member *of, struct log_entry *entry)
{
    if (!read_text(&of[WHY], entry, &entry->why) ||
        !read_text(&of[OUTCOME], entry, &entry->outcome))
        return false;
    entry->failed = strcmp(entry->outcome, "failed") == 0;
    return true;
}

static bool read_queue(const struct member *of, struct log_entry *entry)
{
    return read_text(&of[LOCAL], entry, &entry->local) && entry->local[0] &&
           read_number(&of[WAITING], &entry->waiting) &&
           read_number(&of[HUNG_UP], &entry->hung_up) && read_age(&of[AGE], &entry->age_ms) &&
           read_text(&of[SITE], entry, &entry->site) && is_site(entry->site) &&
           read_stack(&of[OPEN_STACK], &entry->open_stack);
}

static bool read_body(const struct member *of, struct log_entry *entry)
{
    switch (entry->type) {
    case RECORD_LEAK:
        return read_leak(of, entry) && read_counts(of, entry) && entry->count > 0 &&
               read_hindsight(of, entry);
    case RECORD_REAP:
        return read_leak(of, entry) && read_counts(of, entry) && entry->count > 0 &&
               read_outcome(of, entry);
    case RECORD_LATE_CLOSE:
        return read_leak(of, entry) && read_counts(of, entry) && entry->count > 0 &&
               read_flag(&of[REAPED], &entry->of_reaped) && read_hindsight(of, entry);
    case RECORD_RESCUE:
        return member_kind(&of[LEAK]) == '{' && read_inner_leak(&of[LEAK], entry) &&
               read_counts(of, entry) && read_reaped(of, entry) &&
               read_text(&of[OUTCOME], entry, &entry->outcome);
    case RECORD_BIND_CONFLICT:
        return member_kind(&of[LEAK]) == '{' && read_inner_leak(&of[LEAK], entry) &&
               read_counts(of, entry);
    case RECORD_ACCEPT_QUEUE:
        return read_queue(of, entry);
    case RECORD_SUMMARY:
        return read_number(&of[LEAKED], &entry->leaked);
    case RECORD_DESCRIPTORS:
    case RECORD_GIVEN_BACK:
        break;
    }
    return false;
}

/* A rescue of no socket: numbers of tombstones were given back. */
static bool is_of_descriptors(const struct member *what)
{
    static const char descriptors[] = "descriptors";
    char word[sizeof(descriptors)];
    return what->at && member_kind(what) == '"' && member_text(what, word, sizeof(word)) > 0 &&
           strcmp(word, descriptors) == 0;
}

static void entry_clear(struct log_entry *entry)
{
    entry->comm = entry->site = entry->class = entry->how = "";
    entry->peer = entry->local = entry->why = entry->outcome = "";
    entry->texts_len = 0;
    entry->pid = 0;
    entry->time_ms = entry->fin_age_ms = entry->site_age_ms = entry->grace_ms = entry->age_ms = 0;
    entry->fd = entry->count = entry->reaped = entry->leaked = entry->waiting = entry->hung_up = 0;
    entry->since = -1;
    entry->failed = entry->of_reaped = false;
    entry->open_stack = entry->eof_stack = (struct member){0};
}

enum entry_found entry_read(const char *line, size_t len, struct log_entry *entry)
{
    struct member of[MEMBERS];
    const char *type = "";
    if (!members_read(line, len, names, MEMBERS, of) || !of[TYPE].at)
        return ENTRY_WRONG;
    entry_clear(entry);
    if (!read_text(&of[TYPE], entry, &type))
        return ENTRY_WRONG;
    const int known = names_find(names_type, type);
    if (known < 0)
        return ENTRY_UNKNOWN;
    if (known == RECORD_DESCRIPTORS || (known == RECORD_BIND_CONFLICT && !of[LEAK].at) ||
        (known == RECORD_RESCUE && is_of_descriptors(&of[WHAT])))
        return ENTRY_NO_LEAK;
    entry->type = (enum record_type)known;
    return (known != RECORD_RESCUE || of[LEAK].at) && read_process(of, entry) &&
                   read_body(of, entry)
               ? ENTRY_READ
               : ENTRY_WRONG;
}
