/*
 * poll(2) and tombstones. A half-closed connection is not hung up, and a tombstone is: who waits
 * for neither bytes nor room on it (for urgent data, say) slept before, and would be woken again
 * and again. For such a wait the tombstone is left out.
 */
#ifndef CLOSEWAIT_QUIET_H
#define CLOSEWAIT_QUIET_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

/*
 * Does what poll and ppoll do, with *ready and errno what they return, if there is a tombstone to
 * leave out; false, and nothing done, if there is none, there are more than 64 descriptors, or this
 * process does not own the table. For who has seen that there may be one
 * (tombs.h). Any thread, any signal handler.
 */
bool quiet_poll(struct pollfd *polled, nfds_t count, int timeout_ms, int *ready);
bool quiet_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask, int *ready);

#endif
