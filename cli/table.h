/*
 * Rows on standard output, by libsmartcols.
 */
#ifndef CLOSEWAIT_TABLE_H
#define CLOSEWAIT_TABLE_H

#include <stdbool.h>

#include "listing.h"

struct table_style {
    bool headings;
    bool colors;
};

/* Prints them as a table; nothing, when there are no rows. */
void table_print(const struct choice *choice, const struct rows *rows, struct table_style style);

/* Prints one JSON object with an array of them: durations in seconds, sizes in bytes. */
void table_print_json(const struct listing *listing, const struct choice *choice,
                      const struct rows *rows);

#endif
