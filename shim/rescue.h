/*
 * Rescue: the program needs what a leak holds, at this moment.
 */
#ifndef CLOSEWAIT_RESCUE_H
#define CLOSEWAIT_RESCUE_H

#include "caller.h"
#include "calls_types.h"
#include "options.h"

/* Called once, by the constructor; options stay valid. Until then nothing is rescued. */
void rescue_start(const struct options *options);

/*
 * For the hook of bind, after EADDRINUSE. With any action but log, reaps the leaked sockets of
 * this process that hold the port, every descriptor of them, and binds again, for as long as the
 * acknowledgement of their FIN takes, at most a second. What the kernel would not hold against the
 * bind is not in its way: another network namespace, another interface, IPv4 beside IPV6_V6ONLY.
 * Reaps none when that would not free the port: when another socket of this process keeps it as
 * well, or the process from which this one was forked has the leaked one, too, or might have it.
 * Posts what it found and did. Returns what bind returns, with errno EADDRINUSE when that is -1,
 * and what it was before when it is 0. Any thread, any signal handler.
 */
int rescue_bind(int fd, const struct sockaddr *addr, socklen_t len, int before,
                const struct caller *caller);

/*
 * The same for the hook of connect, after EADDRNOTAVAIL: between a port that the program has bound
 * and addr there is a connection already (__inet_check_established), which may be a leaked one.
 * A connect of a socket that is bound to no port is none of ours. errno is that of the last
 * connect.
 */
int rescue_connect(int fd, const struct sockaddr *addr, socklen_t len, int before,
                   const struct caller *caller);

#endif
