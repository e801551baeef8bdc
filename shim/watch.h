/*
 * The watcher: a thread that looks at tracked sockets, acts on verdicts and tells. It starts with
 * the first tracked socket, sleeps without a timer while there is none, and ends with the program.
 */
#ifndef CLOSEWAIT_WATCH_H
#define CLOSEWAIT_WATCH_H

#include "options.h"

/* Called once, by the constructor; options stay valid. Starts no thread. */
void watch_init(const struct options *options);

/*
 * Somebody must be watching: starts the watcher, or wakes it when it sleeps without a timer. One
 * load when it is running already. Any thread, any signal handler.
 */
void watch_start(void);

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
