/*
 * A process whose world stands still: every thread is in a ptrace-stop, and one of them, the hand,
 * makes system calls for us.
 *
 * How it stays whole, whatever happens:
 *  - A thread is seized and interrupted (ptrace(2)), so that no signal is involved and none is
 * lost: those that arrive meanwhile stay pending. One that was just being delivered is let through
 * to its handler, which stops before its first instruction.
 *  - Nothing is resumed but the hand, with all signals blocked for that time, and nothing of it but
 *    one system call instruction at a time, between two stops of ours.
 *  - A system call that the stop has interrupted is made again by the kernel, as after any stop
 *    (restart_syscall(2) with what is left of its time), once the registers are as they were; those
 *    that it would end with EINTR (signal(7): epoll_wait, semop, sigtimedwait, a socket with
 *    SO_RCVTIMEO) are handed to it as ones to be made again. A time limit of these begins anew.
 *  - A process that is stopped (SIGSTOP) runs none of its own instructions, and stays stopped.
 *  - It is all done on a thread of its own, with signals blocked: when that ends, the kernel lets
 *    go of whatever is still traced. SIGKILL to closewait itself does the same, but would leave
 *    the registers of the hand as they are at that moment, if it came within one of its calls.
 *
 * On aarch64 the kernel does not tell a tracer which call was interrupted. There the hand's own
 * call begins anew with its whole time, and those of signal(7) say EINTR.
 */
#ifndef CLOSEWAIT_WORLD_H
#define CLOSEWAIT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target.h"

struct world;

/* Called while the world stands still. Must be short: it costs the process as much. */
typedef void world_visitor(struct world *world, void *argument);

/*
 * Stops it, calls visit, and lets it go on. stood_us: from when the first thread was stopped until
 * the last was let go. False, with what was wrong and what to do in why, when it could not be
 * stopped within some tenths of a second, or ended: visit was not called then. Not for two threads
 * at once.
 */
bool world_visit(const struct target *target, world_visitor *visit, void *argument,
                 uint64_t *stood_us, char *why, size_t why_size);

/* For a visitor: a system call of the process's own. Its result or -errno; -ESRCH: it has ended. */
long world_call(struct world *world, long number, long a, long b, long c);

/* For a visitor: the thread of that index, which stands still; 0 after the last. */
pid_t world_thread(const struct world *world, size_t index);

/* For a visitor: since the first thread was stopped. */
uint64_t world_stopped_us(const struct world *world);

#endif
