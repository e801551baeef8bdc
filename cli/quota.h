/*
 * How much memory an analysis may have for each kind of what it keeps: whatever a log holds, it has
 * an end, and what found no room is counted.
 */
#ifndef CLOSEWAIT_QUOTA_H
#define CLOSEWAIT_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quota_kind {
    QUOTA_SITES,
    QUOTA_STACKS,
    QUOTA_NAMES,     /* of peers above all */
    QUOTA_PROCESSES, /* with what each counts of its call sites */
    QUOTA_QUEUES,
    QUOTA_KINDS,
};

/* Empty when zeroed. */
struct quota {
    size_t used[QUOTA_KINDS];
    uint64_t refused[QUOTA_KINDS]; /* how often there was no room */
};

/* What malloc(3) and the trees of tsearch(3) take for themselves, about. */
enum { QUOTA_OF_BLOCK = 16, QUOTA_OF_NODE = 48 };

/* Takes so many bytes of the kind; false when they are not to be had. */
bool quota_take(struct quota *quota, enum quota_kind kind, size_t bytes);

/* The same for what there has to be room for, limit or not. */
void quota_force(struct quota *quota, enum quota_kind kind, size_t bytes);

/* As quota_take, and counts it when there is no room. */
bool quota_ask(struct quota *quota, enum quota_kind kind, size_t bytes);

void quota_give(struct quota *quota, enum quota_kind kind, size_t bytes);

#endif
