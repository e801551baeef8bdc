/*
 * What is put on the number of a leaked socket: an unconnected, shut socket of the same family,
 * with the same flags. It reads 0, refuses to send with EPIPE, polls readable and hung up, and has
 * no peer: a connection that is over.
 */
#ifndef CLOSEWAIT_TOMBSTONE_H
#define CLOSEWAIT_TOMBSTONE_H

/*
 * Makes one for the socket fd. Returns its descriptor, the lowest free number, or a negative errno.
 * Any thread, any signal handler.
 */
long tombstone_make(int fd);

/*
 * The same for a socket whose reset the program has yet to hear of: the first read, or SO_ERROR,
 * says ECONNRESET, as without us; what was cut off must not look whole.
 */
long tombstone_make_reset(int fd);

#endif
