/*
 * A program of closewait run that the shim does not serve: it is watched from outside instead.
 */
#ifndef CLOSEWAIT_OUTSIDE_H
#define CLOSEWAIT_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "kin.h"
#include "rules.h"
#include "watched.h"

struct outside {
    bool on;
    bool leaked; /* something has, so far */
    uint64_t due_ms;
    struct watched watched;
    struct kin kin;
};

/*
 * Begins to, and says so, or why it cannot, in one line with the reason why the shim does not. pid
 * is 0 when the program has ended already.
 */
void outside_begin(struct outside *outside, pid_t pid, const char *program, const char *reason,
                   const struct rules *rules);

/* A look at it and its children, when it is time for one. shim: see kin.h. */
void outside_look(struct outside *outside, const char *shim, const struct rules *rules);

/* The program has ended: tells the summaries. */
void outside_end(struct outside *outside, const struct rules *rules);

/* The shim serves it after all: nothing is told any more. */
void outside_drop(struct outside *outside);

#endif
