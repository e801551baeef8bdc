/*
 * The watcher: a thread that looks at tracked sockets, acts on verdicts and tells. It starts with
 * the first tracked socket, sleeps without a timer while there is none, and ends with the program.
 */
#ifndef CLOSEWAIT_WATCH_H
#define CLOSEWAIT_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "hidden.h"
#include "options.h"
#include "retirement.h"

/* Called once, by the constructor; options stay valid. Starts no thread. */
void watch_init(const struct options *options);

/*
 * Somebody must be watching: starts the watcher, or wakes it when it sleeps without a timer. Any
 * thread, any signal handler.
 */
void watch_start(void);

/* Of watch.c: false while there is a watcher that looks around by itself. */
extern HIDDEN _Atomic bool watch_dozing;

static inline void watch_if(bool wanted)
{
    if (wanted && atomic_load(&watch_dozing))
        watch_start();
}

/*
 * The watcher goes, and counts no longer as a thread of the process when this returns: for calls
 * that change every thread's credentials, of which libc would tell its own threads alone (setuid),
 * and for those that the kernel refuses to a process with threads (unshare, setns:
 * user_namespaces(7)). None starts until watch_return, which takes what this returned. Waits for
 * what the watcher is doing, at most some seconds. Any thread, any signal handler.
 */
bool watch_leave(void);
void watch_return(bool left);

/*
 * Around an unshare(2) with these flags: as watch_leave and watch_return, if the flags ask for it.
 * When it succeeded we retire where one table of ours would stand for two of theirs, since the
 * calling thread is not the only one, and where no watcher could be started again.
 */
bool watch_unshare(int flags);
void watch_unshared(int flags, int ret, bool left);

/*
 * Before a clone(2) with these flags: retires when its child is a thread with descriptors of its
 * own, or a process that shares ours, whose calls no hook of ours hears.
 */
void watch_clones(unsigned long flags);

/*
 * The calling thread is about to end. If it is the last but the watcher, that goes, too, and comes
 * back with the next connection. As watch_leave.
 */
void watch_dismiss(void);

/*
 * The watcher goes for good and hooks are deaf. Said in the report, if anything was watched.
 * Any thread, any signal handler.
 */
void watch_retire(enum retirement why);

/* On this signal, what is held is told; 0: none. Called by the constructor. */
void watch_on(int number);

/* A record was posted: starts the watcher or wakes it at once. Any thread, any signal handler. */
void watch_ring(void);

/*
 * At exit: lets the watcher tell what is posted and the summary, for at most a second. Does
 * nothing where no watcher ever ran. The destructor's.
 */
void watch_finish(void);

/* For a forked child that adopts: its parent's watcher is not here. */
void watch_adopt(void);

#endif
