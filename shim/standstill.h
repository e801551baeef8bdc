/*
 * Where no hook tells of a close (scan.h), the program is stopped for what changes anything
 * (freeze.h): once for all that is due at a time, and for some milliseconds at the most. What there
 * is to tell waits until it goes on, as whoever reads it may stand still with it. Elsewhere nothing
 * is stopped, and is told at once. The watcher's, all of it.
 */
#ifndef CLOSEWAIT_STANDSTILL_H
#define CLOSEWAIT_STANDSTILL_H

#include <stdbool.h>

#include "look.h"

/* A leak that was found and what was done to it, to be told. */
struct tidings {
    struct look look;
    int error; /* of the reap: 0 or an errno */
    bool leak; /* tell of it as one */
    bool copied;
    bool reap; /* tell what became of its reap */
    bool held; /* another descriptor holds it still */
};

/* Stops the program, unless it stands still already. 0, or an errno, the same until the end. */
int standstill_begin(void);

void standstill_tell(const struct tidings *tidings);

/* Whether it has lasted long enough, or there is no room for more tidings: end it. */
bool standstill_is_over(void);

/* Lets the program go on if it stands still, and tells. */
void standstill_end(void);

#endif
