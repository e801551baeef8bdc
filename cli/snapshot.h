/*
 * The machine's CLOSE_WAIT sockets and who holds them, at one moment.
 */
#ifndef CLOSEWAIT_SNAPSHOT_H
#define CLOSEWAIT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "holders.h"
#include "processes.h"
#include "sockets.h"

struct snapshot {
    struct sockets sockets;   /* TCP_CLOSE: it was closed between two looks */
    struct holders holders;   /* of CLOSE_WAIT sockets, and of listeners in whose queue some wait */
    size_t closed_namespaces; /* network namespaces that may not be entered */
};

/*
 * Looks at these processes and at the network namespaces that they are in. False, with what was
 * wrong and what to do in why, when the kernel cannot be asked. snapshot_free in either case.
 */
bool snapshot_take(struct snapshot *snapshot, const struct pid_list *pids, char *why,
                   size_t why_size);

void snapshot_free(struct snapshot *snapshot);

#endif
