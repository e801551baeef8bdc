/*
 * Putting a tombstone (tombstone.h) on a socket of a process that stands still.
 */
#ifndef CLOSEWAIT_GRAVE_H
#define CLOSEWAIT_GRAVE_H

#include <stdbool.h>

#include "found.h"
#include "target.h"
#include "world.h"

enum burial {
    BURIAL_DONE,
    BURIAL_OTHER,   /* the descriptors are not this socket any more */
    BURIAL_SPARED,  /* the judge, asked again, would not have it closed now */
    BURIAL_FAILED,  /* error says why; nothing is changed */
    BURIAL_NOT_YET, /* nobody has come to it */
};

struct grave {
    struct found *found;
    bool forced; /* whatever the judge says, as long as it is this socket */
    enum burial burial;
    int error;
};

/*
 * For a visitor of a world: compares the cookie of every descriptor, asks the judge once more, and
 * replaces them. While the world stands still nothing can come between. A descriptor that was
 * closed or replaced since the socket was found is left out of found->fds.
 */
void grave_dig(struct grave *grave, struct world *world, const struct target *target,
               const struct options *options);

#endif
