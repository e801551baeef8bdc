/*
 * Tombstones once they lie: since when, and how their numbers are given back. That is the one
 * exception to "a number is the program's" (design, rule 5): a program that closes the number later
 * closes what has it by then. So only for a program that is about to run out of descriptors.
 *
 * Any thread, any signal handler, except where noted.
 */
#ifndef CLOSEWAIT_TOMBS_H
#define CLOSEWAIT_TOMBS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "hidden.h"
#include "slots.h"

struct fds; /* record.h */

/* fd has a tombstone now. For who has put it there and still holds the claim of its slot. */
void tombs_note(int fd, struct slot *slot);

/* Whether fd has a tombstone still, by its cookie: it may have been closed unseen. */
bool tombs_is(int fd);

/* fd is a tombstone that this process has not made, or another descriptor of one: it is not told.
 */
void tombs_publish(int fd, enum how how, uint32_t flags);

/* Frees the slot of a tombstone that the program has closed unseen. For who scans. */
void tombs_check(int fd);

/* Descriptors of this process that are tombstones of its own making, and leaked sockets that were
 * told. */
struct census {
    int tombstones;
    int leaked;
};
struct census tombs_count(void);

/* Of tombs.c. */
extern HIDDEN _Atomic uint32_t tombs_noted;
extern HIDDEN _Atomic uint32_t tombs_noted_at_none;

/* False when there is no tombstone for certain: what is asked before anything is paid for them. */
static inline bool tombs_may_be(void)
{
    return atomic_load(&tombs_noted) != atomic_load(&tombs_noted_at_none);
}

/*
 * Closes tombstones, at most so many, those that were buried first before others. Notes the first
 * of their numbers in fds, and returns how many there were. Never one on whose number a call of the
 * program's is under way.
 */
int tombs_give_back(int most, struct fds *fds);

#endif
