/*
 * The child processes of a program that closewait run watches from outside, and theirs: each that
 * the shim does not serve is watched, too.
 */
#ifndef CLOSEWAIT_KIN_H
#define CLOSEWAIT_KIN_H

#include <stdbool.h>
#include <stddef.h>

#include "processes.h"
#include "rules.h"
#include "watched.h"

struct kin {
    struct watched **at;
    size_t count;
    struct pid_list refused; /* out of reach, which was said */
    bool full;               /* that there are too many was said */
    bool leaked;             /* something has in one of them, so far */
};

/*
 * One look at each, those that have come since among them. One that has lost its parent stays.
 * shim: the path of the shim; a process that has it mapped tells its leaks itself.
 */
void kin_look(struct kin *kin, pid_t program, const char *shim, const struct rules *rules);

/* Tells what there is to sum up, and frees it. */
void kin_end(struct kin *kin, const struct rules *rules);

/* Frees it. */
void kin_free(struct kin *kin);

#endif
