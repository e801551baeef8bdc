/*
 * From a record's JSON (docs/schema.json) back to what prose.h tells: the command speaks with the
 * words of the shim.
 */
#ifndef CLOSEWAIT_TOLD_JSON_H
#define CLOSEWAIT_TOLD_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "told.h"

enum { RETOLD_FRAMES = 256 };

/* Its strings are the JSON object's. */
struct retold {
    struct told told;
    struct record record;
    struct frame frames[4][RETOLD_FRAMES];
};

/* False when it is no record that can be told: what is wrong in it is left out otherwise. */
bool told_read(const json_t *json, struct retold *retold);

#endif
