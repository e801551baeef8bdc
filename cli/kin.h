/*
 * The processes of closewait run: its program, the children of that, and theirs. Each that the shim
 * does not serve is watched from outside, for as long as that is so.
 */
#ifndef CLOSEWAIT_KIN_H
#define CLOSEWAIT_KIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processes.h"
#include "rules.h"
#include "service.h"
#include "watched.h"

/* One that the shim does not serve, since then; by CLOCK_MONOTONIC. */
struct newcomer {
    pid_t pid;
    uint64_t since_ms;
};

struct kin {
    pid_t program;
    struct watched **at;
    size_t count;
    struct newcomer *newcomers;
    size_t newcomer_count;
    struct pid_list refused; /* out of reach, which was said */
    char **told;             /* the programs that were said to be watched */
    size_t told_count;
    bool met;    /* the program itself was watched, or refused */
    bool full;   /* that there are too many was said */
    bool leaked; /* something has in one of them, so far */
    uint64_t due_ms;
};

/* program: the process that closewait run has started. */
void kin_begin(struct kin *kin, pid_t program);

/* How long until the next look is due, in milliseconds. */
int kin_due_ms(const struct kin *kin);

/*
 * A look at each, if it is due. Says of the first process that runs a program why the shim does
 * not serve it, and that it is watched, or why not. One that has lost its parent stays.
 */
void kin_look(struct kin *kin, const struct service *service, const struct rules *rules);

/* Tells what there is to sum up, of the program itself in any case, and frees it. */
void kin_end(struct kin *kin, const struct rules *rules);

#endif
