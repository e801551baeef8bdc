/*
 * The types that the list of calls names, and no prototype of theirs: <sys/socket.h> and
 * <unistd.h> declare the very functions that hooks.c defines, with transparent unions and
 * fortified inline bodies that ours would clash with.
 */
#ifndef CLOSEWAIT_CALLS_TYPES_H
#define CLOSEWAIT_CALLS_TYPES_H

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef unsigned int socklen_t;
struct iovec;
struct mmsghdr;
struct msghdr;
struct pollfd;
struct sockaddr;
struct timespec;

#endif
