/*
 * Records as JSON, for machines: one object on one line. Pure. docs/schema.json says what may be
 * in it.
 */
#ifndef CLOSEWAIT_JSON_H
#define CLOSEWAIT_JSON_H

#include "text.h"
#include "told.h"

/* One record and its "\n". What does not fit is cut, and text->cut says so. Any thread. */
void json_add(struct text *text, const struct told *told);

#endif
