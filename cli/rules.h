/*
 * What is asked of those who watch from outside: the options, and the patterns of leaks that nobody
 * wants to hear of (suppress.h). Where a socket was opened is not known from outside: a pattern
 * that asks for it suppresses no report, but what it could match is not closed.
 */
#ifndef CLOSEWAIT_RULES_H
#define CLOSEWAIT_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"
#include "record.h"
#include "suppress.h"

struct rules {
    const char *verb; /* who tells: "run" or "watch" */
    struct options options;
    struct suppressions *patterns; /* NULL without a file */
    struct suppressions *spared;   /* the same without what they ask of the stack */
    bool stacks;                   /* with a process's first leak, also those of its threads */
    const char *debuginfo_path;    /* for these: where debug files are searched, or NULL */
};

/* False, with a line in why, when the file of patterns cannot be read. rules_end in either case. */
bool rules_begin(struct rules *rules, const char *verb, const struct options *options, char *why,
                 size_t why_size);

void rules_end(struct rules *rules);

/* Whether the leak is not to be reported; counts it for the pattern. */
bool rules_suppress(const struct rules *rules, const struct leak *leak);

/* Whether it is not to be closed. */
bool rules_spare(const struct rules *rules, const struct leak *leak);

#endif
