/*
 * Leaks that only the command can see to be suppressed, by function or source file: they are kept
 * from the reader, and taken out of what the shims have counted.
 */
#ifndef CLOSEWAIT_QUIET_H
#define CLOSEWAIT_QUIET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "suppress.h"
#include "told_json.h"

struct quiet {
    struct suppressions *patterns; /* NULL without a file */
    json_t *sites; /* by pid and site: how many "leaks" it has had, its "trend" when one was told
                      last, and how many were "quiet": a pattern of ours matched */
};

/* path "": no file. False, with a line in why, when it is none, or there is no memory. */
bool quiet_begin(struct quiet *quiet, const char *path, char *why, size_t why_size);
void quiet_end(struct quiet *quiet);

/* Counts a record's leaks. Whether a pattern keeps it from the reader. */
bool quiet_keeps(struct quiet *quiet, const struct retold *retold);

/* Whether a record is of a leak that no pattern matches. */
bool quiet_is_leak(const struct quiet *quiet, const struct retold *retold);

/* Takes what is quiet out of a summary, and out of what a site is said to hold. */
void quiet_correct(struct quiet *quiet, json_t *json, struct told *told);

/* What the patterns of a summary matched, for prose. */
void quiet_show(struct quiet *quiet, const json_t *summary, struct told *told);

#endif
