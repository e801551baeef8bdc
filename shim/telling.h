/*
 * The watcher tells: each record on an errand with a descriptor table of its own (thread.h). The
 * watcher's, all of it.
 */
#ifndef CLOSEWAIT_TELLING_H
#define CLOSEWAIT_TELLING_H

#include "look.h"
#include "options.h"
#include "record.h"

/* A leak that was found, with the other descriptors that it has; and what became of its reap: 0 or
 * an errno, and whether another descriptor still holds the socket. */
void telling_leak(struct leak *leak, bool copied);
void telling_reap(const struct look *look, int error, bool held);

/* The accept queue of a listener (fd, local, opened_at). False when it got no line. */
bool telling_queue(const struct leak *listener, const struct queue *queue);

/* What hooks have posted, and what got no line before. Stops when leaving says so. */
void telling_posted(const struct options *options, bool (*leaving)(void));

/* The first leak that is found of each site, as it is now, and the summary. As telling_posted. */
void telling_held(const struct options *options, bool (*leaving)(void));

/*
 * Where nobody tells us of the exit (scan.h): the summary so far, when a count has changed, some
 * seconds after the first change, and then at most once a minute. In words alone (report_changes).
 */
void telling_interim(void);

/* At the exit: what is owed, and the summary, if there is anything to sum up. */
void telling_last(void);

#endif
