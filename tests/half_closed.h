/*
 * Sockets of the test's own in CLOSE_WAIT, and what closewait ps says of them.
 */
#ifndef CLOSEWAIT_TESTS_HALF_CLOSED_H
#define CLOSEWAIT_TESTS_HALF_CLOSED_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* A connection to a loopback port; fails the test when there is none. */
int dial(int family, in_port_t port);

/* The same without Criterion, which takes no assertion from a forked child; -1 when it fails. */
int try_dial(int family, in_port_t port);

/* A connection to the listener, whose peer sent so many bytes, at most 64, and closed. */
int half_closed(int listener, in_port_t port, size_t bytes);

/* Whether the peer of a descriptor, const int *, has closed; for eventually(). */
bool is_hung_up(const void *fd);

in_port_t local_port(int fd);

/* Runs closewait ps with arguments, which may go on as a pipeline, and compares what it prints. */
void must_say(const char *expected, const char *arguments);

/* The format with the test's own pid as its %d. Static storage. */
char *own_pid(const char *format);

#endif
