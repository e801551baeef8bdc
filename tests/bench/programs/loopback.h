/*
 * Both ends of a connection in one process. What is unseen goes by system calls that no hook meets:
 * it is the other end, and not what is measured.
 */
#ifndef CLOSEWAIT_BENCH_LOOPBACK_H
#define CLOSEWAIT_BENCH_LOOPBACK_H

#include <netinet/in.h>
#include <stdbool.h>

/* Ends the program with what perror says, unless good. */
void must(bool good, const char *what);

/* Takes the next word off a line, and the number that it is: at least 0. */
int next_number(char **line);

/* A listener on a free port of 127.0.0.1, whose address it gives. */
int listen_here(struct sockaddr_in *address);

/* A connected socket. */
int dial(const struct sockaddr_in *address);

int unseen_dial(const struct sockaddr_in *address);
int unseen_accept(int listener);
void unseen_close(int fd);
void unseen_write(int fd); /* one byte */
void unseen_read(int fd);  /* one byte */

#endif
