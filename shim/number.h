/*
 * The listed calls when they come by number, through syscall(2): libuv closes like that. The real
 * call is made in between as the program made it, since libc's function of the same name is a
 * cancellation point and syscall is none.
 *
 * Any thread, any signal handler; errno is kept.
 */
#ifndef CLOSEWAIT_NUMBER_H
#define CLOSEWAIT_NUMBER_H

#include <stdbool.h>

#include "caller.h"
#include "pipe.h"
#include "track.h"

/* What is begun before the call and ended after it. */
struct number {
    struct departure from;
    struct hush hush;
    bool told;  /* of a range */
    bool left;  /* the watcher is away */
    int before; /* errno */
};

struct number number_before(long nr, const long *args);

/*
 * After the call. True when a connection came within the watcher's reach. *ret is what the call
 * returned, and what it is to return: a bind may have been rescued.
 */
bool number_after(long nr, long *ret, const long *args, struct number begun,
                  const struct caller *caller);

#endif
