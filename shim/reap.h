/*
 * The tombstone: the one act of ours that changes anything in the host.
 */
#ifndef CLOSEWAIT_REAP_H
#define CLOSEWAIT_REAP_H

#include <stdint.h>

/*
 * Puts a tombstone on fd, if it still is the socket with that cookie: an unconnected, shut socket
 * that reads 0, refuses to send with EPIPE and polls readable and hung up. The program's last
 * descriptor of the connection is dropped by it, which sends our FIN and frees a bound port.
 *
 * Only for who holds the claim of fd's slot, and was told by the judge to reap. Returns 0, or the
 * errno of what failed; fd is untouched then. ESTALE: it is another socket. EAGAIN: a call of the
 * program's is in the way, try another time.
 */
int reap_bury(int fd, uint64_t cookie);

/* Closes a tombstone that had to stay where it was made, when there is one. The watcher's. */
void reap_tidy(void);

/*
 * Around fork, and what else copies the memory: the child gets no descriptor of ours. Waits for a
 * tombstone that is being made, for some microseconds. resume in the parent and in the child, which
 * have a count each. Any thread, any signal handler.
 */
void reap_pause(void);
void reap_resume(void);

/* For a forked child that adopts: whoever was at it is not here. */
void reap_adopt(void);

#endif
