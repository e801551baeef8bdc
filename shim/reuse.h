/*
 * The option reuseaddr: a port that is in TIME_WAIT can be bound again.
 *
 * The kernel allows that when both sockets have SO_REUSEADDR, the new one when it is bound and the
 * old one when it entered TIME_WAIT (inet_bind_conflict, inet_twsk_alloc). So a socket that the
 * program has bound to a port of its choice and then connected has it from then on, and one whose
 * bind was refused, while nothing of this process holds the port, has it for a second attempt,
 * which succeeds where all that holds the port has it, and none listens.
 * That one keeps it until it listens: without, a server of another program that has the option and
 * the port, and does not listen yet, could not any more. It can, and it is this program's listen
 * that fails then, and not its bind. No other socket has it of ours while it is bound and nothing
 * more. Where the program asks for the option, or sets it, it finds its own again.
 *
 * Any thread, any signal handler; errno is kept, but for reuse_bind.
 */
#ifndef CLOSEWAIT_REUSE_H
#define CLOSEWAIT_REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "calls_types.h"
#include "hidden.h"
#include "options.h"

/* Called once, by the constructor. Until then, and without the option, nothing is done. */
void reuse_start(const struct options *options);

/* Plain, as the table real is: the constructor alone writes it. */
extern HIDDEN bool reuse_wanted;

/* After EADDRINUSE, when nothing of this process holds the port: the call bind once more. */
int reuse_bind(int fd, const struct sockaddr *addr, socklen_t len);

/* For the hook of bind, after the call. */
void reuse_bound(int fd, const struct sockaddr *addr, socklen_t len, int ret);

/* For the hook of connect, after track_connect. before: what the slot said before the call. */
void reuse_connected(int fd, uint32_t before);

/* Around the call listen, for which the socket is as the program set it. */
void reuse_listens(int fd);
void reuse_listened(int fd, int ret);

/* The program is about to ask for this option, or to set it. */
void reuse_yield(int fd, int level, int name);

#endif
