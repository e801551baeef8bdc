/*
 * One look at one socket: identity, facts, what we remember of it, the verdict.
 */
#ifndef CLOSEWAIT_LOOK_H
#define CLOSEWAIT_LOOK_H

#include <stdbool.h>

#include "judge.h"
#include "options.h"
#include "record.h"
#include "slots.h"

struct look {
    struct ruling ruling;
    struct leak leak; /* complete when the verdict is leaked or dead */
};

/*
 * Looks at fd, whose slot the caller has claimed. The first look that finds the peer gone notes
 * it in the slot. False when the number is not the socket of that slot (any more): an unseen
 * close; the slot is to be freed. Whoever holds the claim.
 */
bool look_at(int fd, struct slot *slot, const struct options *options, struct look *look);

/* The same at the moment when the program itself asks for the port that the socket holds. */
bool look_at_wanted(int fd, struct slot *slot, const struct options *options, struct look *look);

/*
 * Notes when the socket was opened, as far as we know, when it is first seen: hooks do not ask for
 * the time. A FIN that waited in an accept queue counts from here. Whoever holds the claim.
 */
void look_stamp(struct slot *slot);

#endif
