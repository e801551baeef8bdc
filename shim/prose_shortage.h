/*
 * The limit of open files, in words. Pure.
 */
#ifndef CLOSEWAIT_PROSE_SHORTAGE_H
#define CLOSEWAIT_PROSE_SHORTAGE_H

#include "record.h"
#include "text.h"

/* One line: what failed, and how many descriptors there are. */
void prose_limit_met(struct text *text, const struct record *record);

/* One line: what was given back, and why. */
void prose_given_back(struct text *text, const struct record *record);

#endif
