#define _GNU_SOURCE
#include "queues.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "must.h"

static int compare_names(const void *a, const void *b)
{
    const struct stuck_queue *left = a;
    const struct stuck_queue *right = b;
    const int locals = strcmp(left->local, right->local);
    return locals ? locals : strcmp(left->comm, right->comm);
}

/* NULL when it is new and there is no room for it. */
static struct stuck_queue *find_queue(struct queues *queues, struct quota *quota,
                                      const struct log_entry *entry)
{
    const struct stuck_queue key = {.local = (char *)entry->local, .comm = (char *)entry->comm};
    const void *found = tfind(&key, &queues->by_name, compare_names);
    if (found)
        return *(struct stuck_queue *const *)found;
    const size_t bytes = sizeof(struct stuck_queue) + strlen(entry->local) + strlen(entry->comm) +
                         3 * (size_t)QUOTA_OF_BLOCK + QUOTA_OF_NODE + 2 * sizeof(void *);
    if (!quota_ask(quota, QUOTA_QUEUES, bytes))
        return NULL;
    struct stuck_queue *queue = must(calloc(1, sizeof(*queue)));
    queue->local = must(strdup(entry->local));
    queue->comm = must(strdup(entry->comm));
    queue->first_ms = INT64_MAX;
    queue->last_ms = INT64_MIN;
    must(tsearch(queue, &queues->by_name, compare_names));
    queues->all = array_grow(queues->all, queues->count, sizeof(struct stuck_queue *));
    queues->all[queues->count++] = queue;
    return queue;
}

void queues_add(struct queues *queues, struct quota *quota, const struct log_entry *entry)
{
    struct stuck_queue *queue = find_queue(queues, quota, entry);
    if (!queue)
        return;
    queue->times++;
    if (entry->waiting > queue->waiting)
        queue->waiting = entry->waiting;
    if (entry->hung_up > queue->hung_up)
        queue->hung_up = entry->hung_up;
    if (entry->age_ms > queue->age_ms)
        queue->age_ms = entry->age_ms;
    if (entry->time_ms < queue->first_ms)
        queue->first_ms = entry->time_ms;
    if (entry->time_ms > queue->last_ms)
        queue->last_ms = entry->time_ms;
    snprintf(queue->site, sizeof(queue->site), "%s", entry->site);
    kept_stack_offer(&queue->open_stack, quota, &entry->open_stack);
}

static int compare_queues(const void *a, const void *b)
{
    return compare_names(*(struct stuck_queue *const *)a, *(struct stuck_queue *const *)b);
}

void queues_sort(struct queues *queues)
{
    if (queues->count > 0)
        qsort(queues->all, queues->count, sizeof(struct stuck_queue *), compare_queues);
}

static void free_queue(void *node)
{
    struct stuck_queue *queue = node;
    kept_stack_free(&queue->open_stack);
    free(queue->local);
    free(queue->comm);
    free(queue);
}

void queues_free(struct queues *queues)
{
    tdestroy(queues->by_name, free_queue);
    free(queues->all);
}
