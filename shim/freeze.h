/*
 * Stops the program for some microseconds: where no hook tells of a close, nothing else makes sure
 * that a number is still the socket that was judged.
 *
 * A thread cannot trace its own process. So a process is made that shares our memory, with
 * descriptors of its own; it traces every thread but the watcher (ptrace(2), PTRACE_SEIZE), and
 * lets go of them when the watcher says so, or when it ends, however that comes about.
 *
 * What a thread waited in goes on. Some calls say EINTR instead, as they do after SIGSTOP and
 * SIGCONT (signal(7)): epoll_wait, semop, sigtimedwait and their kin.
 */
#ifndef CLOSEWAIT_FREEZE_H
#define CLOSEWAIT_FREEZE_H

/*
 * 0 when no thread of the program moves until freeze_end. Else an errno, and all of them move:
 * EAGAIN when one could not be stopped in time, another when it is not allowed (a tracer that is
 * there already, a filter of system calls, ptrace_scope). The watcher's.
 */
int freeze_begin(void);
void freeze_end(void);

#endif
