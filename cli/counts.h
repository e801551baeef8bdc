/*
 * How often each of many names was met.
 */
#ifndef CLOSEWAIT_COUNTS_H
#define CLOSEWAIT_COUNTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "quota.h"

struct met {
    char *name;
    uint64_t times;
    uint32_t tag; /* the user's own; 0 at first */
};

/* In the order in which they were met. Empty when zeroed. */
struct counts {
    struct met *all;
    size_t count;
    uint32_t *index; /* places in all, by hash, less one; 0: none */
    size_t size;
};

/*
 * Counts a name. NULL when it is new, and limit are known already or there is no room for more.
 * What is returned is valid until the next call.
 */
struct met *counts_meet(struct counts *counts, struct quota *quota, size_t limit, const char *name);

/* Counts it so many times. */
struct met *counts_add(struct counts *counts, struct quota *quota, size_t limit, const char *name,
                       uint64_t times);

/*
 * The most frequent, at most size, the most frequent first; of equals in the order of strcmp(3).
 * Returns how many there are.
 */
size_t counts_top(const struct counts *counts, const struct met **top, size_t size);

/* An object of integers; for json_decref. */
json_t *counts_json(const struct counts *counts);

void counts_free(struct counts *counts);

#endif
