/*
 * The command's own descriptors: how many it may have, and the first three.
 */
#ifndef CLOSEWAIT_DESCRIPTORS_H
#define CLOSEWAIT_DESCRIPTORS_H

#include <stdbool.h>

/*
 * Takes those of 0 to 2 that are closed, lest a file of ours becomes standard error. Who reads or
 * writes them gets EBADF as before, and a program that is started has them closed. First of all.
 */
void descriptors_take_standard(void);

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
