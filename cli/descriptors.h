/*
 * The command's own descriptors: how many it may have.
 */
#ifndef CLOSEWAIT_DESCRIPTORS_H
#define CLOSEWAIT_DESCRIPTORS_H

#include <stdbool.h>

/*
 * As many as the hard limit of RLIMIT_NOFILE has. For a verb that starts no program: the limit is
 * inherited.
 */
void descriptors_take_all(void);

/* Whether so many can be kept for good; some always stay free for what is open for a moment. */
bool descriptors_have_room(int count);

/* The limit as it is now, RLIMIT_NOFILE. */
unsigned long descriptors_limit(void);

#endif
