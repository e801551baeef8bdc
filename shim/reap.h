/*
 * The tombstone: the one act of ours that changes anything in the host.
 */
#ifndef CLOSEWAIT_REAP_H
#define CLOSEWAIT_REAP_H

#include <stdint.h>

#include "judge.h"

/*
 * Puts a tombstone on fd, if it still is the socket with that cookie (tombstone.h). The program's
 * last descriptor of the connection is dropped by it, which sends our FIN and frees a bound port.
 *
 * Only for who holds the claim of fd's slot, and was told by the judge to reap. Returns 0, or the
 * errno of what failed; fd is untouched then. ESTALE: it is another socket. EAGAIN: a call of the
 * program's is in the way, or another thread that buries; try another time.
 */
int reap_bury(int fd, uint64_t cookie, enum reap_as as);

/*
 * The same without a tombstone, for which there may be no descriptor left: the number is free. Only
 * for a program that has run out of them.
 */
int reap_drop(int fd, uint64_t cookie);

/*
 * What of ours had to stay where it was made, since a call of the program's was in the way: how
 * many, at most 8, and an attempt to close them. The watcher's.
 */
int reap_strays(void);
void reap_tidy(void);

/*
 * Around fork, and what else copies the memory: the child gets no descriptor of ours. Waits for a
 * tombstone that is being made, for some microseconds. resume in the parent, and in the child
 * before it adopts. Any thread, any signal handler.
 */
void reap_pause(void);
void reap_resume(void);

/* For a forked child that adopts: whoever was at it is not here. */
void reap_adopt(void);

#endif
