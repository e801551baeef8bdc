/*
 * The network namespaces of the machine. sock_diag tells only of the one that its asker is in,
 * and containers have their own.
 */
#ifndef CLOSEWAIT_NETNS_H
#define CLOSEWAIT_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processes.h"

/* Called inside a network namespace, with its inode number, as lsns(8) shows it. */
typedef bool netns_visitor(uint64_t netns, void *argument);

/*
 * Visits each network namespace that one of the processes is in, once, until a visit returns
 * false; whether none did. The calling thread stays in its own. Namespaces of processes that may
 * not be looked at are passed over; those that may not be entered are counted in closed.
 */
bool netns_visit(const struct pid_list *pids, netns_visitor *visit, void *argument, size_t *closed);

#endif
