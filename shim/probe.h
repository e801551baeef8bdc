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

#include <stdbool.h>
#include <stdint.h>

#include "slots.h"

enum {
    PROBE_SILENCE_S = 675,    /* tcp(7): 9 probes at intervals of 75 s */
    PROBE_INTERVAL_S = 75,    /* the longest that we choose */
    PROBE_COUNT_MAX = 127,    /* MAX_TCP_KEEPCNT */
    PROBE_SETTING_MAX = 32767 /* MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL; in seconds */
};

/* In the order in which they are set: what the timer starts with comes last. */
struct keepalive {
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT: it would cut the silence short */
    uint32_t count;
    uint32_t interval_s;
    uint32_t idle_s;
    uint32_t on;
};

/* The settings of a probe. Pure. */
struct keepalive probe_settings(uint32_t grace_ms);

/* Called once, by the constructor. */
void probe_init(uint32_t grace_ms);

/*
 * Starts to probe fd, if its socket is not probed already: for who holds the claim of its slot, and
 * the watcher alone. Where the program's settings could not be put back as they were (a default of
 * the machine's that is beyond what may be set), or the table is full, nothing is done.
 */
void probe_begin(int fd, struct slot *slot);

/*
 * Puts the program's settings back, if fd is probed and nobody has changed ours. For who holds the
 * claim of its slot; any thread, any signal handler.
 */
void probe_end(int fd, struct slot *slot);

/*
 * The same for every descriptor that the socket of fd has here: before the program closes it, or
 * asks for or sets an option that a probe changes. Waits while a slot is claimed. Any thread, any
 * signal handler.
 */
void probe_yield(int fd);

/* The same for all sockets: the process ends, or is watched no more. The watcher's. */
void probe_end_all(void);

/* Whether this option is one that a probe changes. Pure. */
bool probe_changes(int level, int name);

#endif
