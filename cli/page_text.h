/*
 * Text from a record, which may be anything, on a page. Characters that are not to be seen, or that
 * would turn around what is beside them, become '?'.
 */
#ifndef CLOSEWAIT_PAGE_TEXT_H
#define CLOSEWAIT_PAGE_TEXT_H

#include <stdio.h>

/* In HTML, between tags or in an attribute within quotes. */
void page_text(FILE *to, const char *text);

/* In JSON within a script element: a string with its quotes. */
void page_string(FILE *to, const char *text);

#endif
