/*
 * What sock_diag(7) tells of the accept queue of a listener. The watcher's, on an errand, as
 * diag.h.
 */
#ifndef CLOSEWAIT_QUEUE_DIAG_H
#define CLOSEWAIT_QUEUE_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "queue.h"

/* A listening socket, and what is asked of its queue. */
struct listener {
    uint64_t cookie;
    uint64_t netns;
    uint8_t domain; /* its connections are of the same */
    struct endpoint local;
    uint32_t old_ms;   /* a connection is old when it has waited that long */
    uint32_t older_ms; /* and older when it has waited that long; UINT32_MAX: none is */
};

/*
 * Fills in what is not waiting and backlog, which the listener itself tells. False when the kernel
 * could not be asked.
 */
bool queue_diag(const struct listener *listener, struct queue_facts *facts);

#endif
