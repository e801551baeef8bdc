/*
 * The watcher looks at listeners: whether connections wait in the accept queue and nobody accepts
 * them. The watcher's.
 *
 * A look is one system call, every grace/2, at points of time that all listeners have in common:
 * that is all that a listener costs while it waits for connections. Only of a queue that was never
 * seen empty for one grace, in which this process accepted nothing, sock_diag is asked how long its
 * connections have waited. That counts: somebody else may accept them, as the children of a server
 * do, or nobody's call at all (io_uring).
 */
#ifndef CLOSEWAIT_QUEUE_LOOK_H
#define CLOSEWAIT_QUEUE_LOOK_H

#include "options.h"
#include "slots.h"

/*
 * Looks at the listener of a slot that is due. Tells of its queue when it is stuck, once until all
 * that waits in it is gone. Sets when the slot is due next.
 */
void queue_look(int fd, struct slot *slot, const struct options *options);

#endif
