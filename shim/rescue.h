/*
 * Rescue: the program needs what a leak holds, at this moment.
 */
#ifndef CLOSEWAIT_RESCUE_H
#define CLOSEWAIT_RESCUE_H

#include "caller.h"
#include "calls_types.h"
#include "options.h"

/* Called once, by the constructor; options stay valid. Until then rescue_bind only fails. */
void rescue_start(const struct options *options);

/*
 * For the hook of bind, after EADDRINUSE. With any action but log, reaps the leaked sockets of
 * this process that hold the port and binds again, for as long as the acknowledgement of their
 * FIN takes, at most a second. Posts what it found and did. Returns what bind returns, with errno
 * EADDRINUSE when that is -1, and what it was before when it is 0. Any thread, any signal handler.
 */
int rescue_bind(int fd, const struct sockaddr *addr, socklen_t len, int before,
                struct caller caller);

#endif
