/*
 * The elements that the tables of the page are made of. All print to standard output.
 */
#ifndef CLOSEWAIT_PAGE_CELLS_H
#define CLOSEWAIT_PAGE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "counts.h"

struct page_column {
    const char *title;
    const char *class; /* NULL: text; how it is sorted, too */
};

#define PAGE_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A section with its heading and what it is about, in HTML. "</section>" ends it. */
void page_begin_section(const char *id, const char *title, const char *about);

/* Of the section of that id. The script adds the buttons to sort by, and what searches. */
void page_begin_table(const char *id, const char *caption, const struct page_column *columns,
                      size_t count);
void page_end_table(void);

/* With a comma between each three digits, as the script writes them. */
void page_print_grouped(uint64_t number);

/* A cell each. Negative: there is none, and the cell is empty. */
void page_print_number(uint64_t number);
void page_print_duration(int64_t ms);
void page_print_rate(double an_hour);

/* The names that were met most, at most GROUP_TOP of them. */
void page_print_met(const struct counts *counts, size_t most);

/* "2026-01-31 08:00:00", UTC; ms since 1970. */
void page_print_time(int64_t ms);

#endif
