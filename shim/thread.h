/*
 * A thread that libc does not know. pthread_create allocates, so no hook that may run in a signal
 * handler could call it; it would also switch the host's malloc and stdio to their locking paths,
 * and keep a program alive whose main thread ended by pthread_exit. This one is a clone(2) on a
 * stack of ours, with every signal blocked.
 */
#ifndef CLOSEWAIT_THREAD_H
#define CLOSEWAIT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts run, of which there is one at a time, on a new thread of this process. What run calls
 * must not use thread-local storage (errno, a locale). False when the kernel says no. Any thread,
 * any signal handler.
 */
bool thread_start(void (*run)(void));

/*
 * Waits until run has returned and the kernel no longer counts the thread as one of the
 * process's; true when none was ever started. False when that did not come about in time. Any
 * thread but this one, any signal handler.
 */
bool thread_await_end(uint32_t patience_ms);

/*
 * The id of run's thread, which has the program's descriptors; what it was when it has ended, and
 * the errno, negative, when it could not be started.
 */
int thread_id(void);

/*
 * Runs what(with) on a thread with a descriptor table of its own, in which there is nothing but
 * standard error, and waits for its end. What it opens has no number in the program, and what the
 * program does to its numbers does not reach it. The watcher's, as for thread_start.
 */
void thread_apart(void (*what)(void *), void *with);

/*
 * Starts what in a process of its own that shares our memory and no descriptor: it can trace this
 * one. False when the kernel says no. lives until it has ended; await waits for that, and takes it
 * from the program's children, where only __WALL shows it (wait(2)). The watcher's.
 */
bool thread_beside(void (*what)(void));
bool thread_beside_lives(void);
void thread_beside_await(void);

/* For a forked child: its parent's thread is none of its own. */
void thread_adopt(void);

#endif
