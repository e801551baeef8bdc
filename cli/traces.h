/*
 * The stacks of a record, from places in files to functions and lines.
 */
#ifndef CLOSEWAIT_TRACES_H
#define CLOSEWAIT_TRACES_H

#include <jansson.h>

#include "symbol.h"

/*
 * Fills in symbol, file and line in every stack of a record (docs/schema.json), and puts the
 * functions that were inlined into a frame before it. What has a symbol already stays as it is, and
 * so does what nothing is known of.
 */
void traces_symbolize(json_t *record, struct symbols *symbols);

/* Each stack of a record by its name, "open_stack" first; NULL after the last. */
extern const char *const traces_names[];

#endif
