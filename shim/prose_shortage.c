#include "prose_shortage.h"

#include <errno.h>

#include "names.h"

/* "64 of 64 descriptors in use, 40 leaked sockets and 5 tombstones among them". */
static void add_numbers(struct text *text, const struct limits *limits)
{
    text_add_uint(text, (uint64_t)limits->open);
    text_add(text, " of ");
    text_add_count(text, (uint64_t)limits->limit, "descriptor in use, ", "descriptors in use, ");
    text_add_count(text, (uint64_t)limits->leaked, "leaked socket and ", "leaked sockets and ");
    text_add_count(text, (uint64_t)limits->tombstones, "tombstone among them\n",
                   "tombstones among them\n");
}

static void add_error(struct text *text, const struct record *record)
{
    text_add(text,
             record->error == ENFILE ? "too many open files in the system" : "too many open files");
}

void prose_limit_met(struct text *text, const struct record *record)
{
    text_add(text, names_limited[record->limits.call]);
    text_add(text, " failed, ");
    add_error(text, record);
    text_add(text, ": ");
    add_numbers(text, &record->limits);
}

static void add_numbers_given(struct text *text, const struct record *record)
{
    for (int i = 0; i < record->fds.count; i++) {
        text_add(text, i == 0 ? " (fd " : ", ");
        text_add_uint(text, (uint64_t)record->fds.at[i]);
    }
    text_add(text, record->limits.given > record->fds.count ? ", ...)" : ")");
}

void prose_given_back(struct text *text, const struct record *record)
{
    const struct limits *limits = &record->limits;
    text_add(text, "rescue: ");
    if (limits->call == LIMITED_NONE) {
        text_add(text, "less than a tenth of the descriptors was left");
    } else {
        text_add(text, names_limited[limits->call]);
        text_add(text, " met ");
        add_error(text, record);
    }
    text_add(text, "; ");
    text_add_count(text, (uint64_t)limits->given, "number that a leaked socket had was given back",
                   "numbers that leaked sockets had were given back");
    add_numbers_given(text, record);
    text_add(text, "\n    before: ");
    add_numbers(text, limits);
}
