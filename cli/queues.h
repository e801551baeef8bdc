/*
 * The accept queues that records tell of, by address and by the name of the program that listens.
 */
#ifndef CLOSEWAIT_QUEUES_H
#define CLOSEWAIT_QUEUES_H

#include <stddef.h>
#include <stdint.h>

#include "entry.h"
#include "kept_stack.h"
#include "quota.h"

/* The three worst are each the worst of all records, not those of one. */
struct stuck_queue {
    char *local;
    char *comm;
    uint64_t times; /* that it was told */
    uint32_t waiting;
    uint32_t hung_up;
    int64_t age_ms;
    int64_t first_ms; /* when it was told first, since 1970 */
    int64_t last_ms;
    char site[ENTRY_SITE_SIZE];
    struct kept_stack open_stack; /* where listen was called */
};

/* Empty when zeroed. */
struct queues {
    void *by_name;            /* a tree, as tsearch(3) makes it */
    struct stuck_queue **all; /* once sorted by address and name */
    size_t count;
};

/* Counts an entry of that type, unless its queue is new and there is no room for it. */
void queues_add(struct queues *queues, struct quota *quota, const struct log_entry *entry);

void queues_sort(struct queues *queues);

void queues_free(struct queues *queues);

#endif
