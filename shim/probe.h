/*
 * Asks whether the peer of a leaked socket is still there, by TCP keepalive: to a peer that only
 * half-closed the kernel answers each time, one that has closed fully answers with RST once its
 * FIN_WAIT2 is over (tcp_fin_timeout), and the socket goes to CLOSE. The judge sees that.
 *
 * Silence proves nothing, or not soon: a firewall that drops, a NAT that forgot, a cable. So the
 * kernel gives up no sooner than it would by its own defaults (PROBE_SILENCE_S without an answer).
 *
 * The program's own settings are kept while a probe is on, and are put back when it ends. The slot
 * says which they are (SLOT_KEPT): an index into a table of those that were ever met, of which a
 * program has one or two.
 */
#ifndef CLOSEWAIT_PROBE_H
#define CLOSEWAIT_PROBE_H

#include <stdint.h>

#include "slots.h"

/* Called once, by the constructor. */
void probe_init(uint32_t grace_ms);

/*
 * Starts to probe fd, if its socket is not probed already: for who holds the claim of its slot, and
 * the watcher alone. Where the program's settings could not be put back as they were (a default of
 * the machine's that is beyond what may be set), or the table is full, nothing is done.
 */
void probe_begin(int fd, struct slot *slot);

/*
 * Puts the program's settings back, if the word of its slot says that fd is probed, and nobody has
 * changed ours: for whoever has just vacated it, and has yet to close it. Another process may go on
 * with the socket. Any thread, any signal handler.
 */
void probe_put_back(int fd, uint32_t word);

/* The same for who holds the claim of its slot, which forgets them. As probe_put_back. */
void probe_end(int fd, struct slot *slot);

/*
 * The same for every descriptor that the socket of fd has here: before the program asks for or sets
 * an option that a probe changes. Waits while a slot is claimed. Any thread, any
 * signal handler.
 */
void probe_yield(int fd);

/* The same for all sockets: the process ends, or is watched no more. The watcher's. */
void probe_end_all(void);

#endif
