/*
 * Which sockets a server has accepted, and which a client has connected: the kernel does not tell
 * (TCP_INFO has no such field), and both look alike once they are established.
 */
#ifndef CLOSEWAIT_ACCEPTED_H
#define CLOSEWAIT_ACCEPTED_H

#include "sockets.h"

/*
 * Sets accepted of each. Once, when all are there, listeners too. A socket was accepted when a
 * listener has its own port. Listeners close, as those of a server that drains do; then two of
 * three signs tell:
 *   - its own port is none that the kernel picks (ip_local_port_range);
 *   - the peer's port is one of these;
 *   - another socket has its own port too: connections from one port are rare, and those to one are
 *     what a server is for. One in TIME_WAIT, which nobody holds, is no other.
 * What that gets wrong: a client that binds one fixed port and connects from it to many peers at a
 * time (SO_REUSEADDR), or to a service on a port that the kernel picks.
 */
void accepted_find(struct sockets *sockets);

#endif
