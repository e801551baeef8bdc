/*
 * What the rows of the table of doors share. A row does what one call does to a socket, and says
 * with must and must_fail what the slot, the errno and the return value have to be. What it wants
 * to see reported it leaves behind, open, with must_leak or must_tell; at the end all of that must
 * have been told once, and nothing else.
 */
#ifndef CLOSEWAIT_TESTS_DOORS_H
#define CLOSEWAIT_TESTS_DOORS_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "slots.h"

#define must(condition) must_(condition, #condition)

/* The call fails as it does without us: -1, with this errno. */
#define must_fail(call, why) (errno = 0, must((call) == -1), must(errno == (why)))

/* Notes the first thing that was wrong in a row. */
void must_(int holds, const char *what);
int has_failed(void);

extern struct sockaddr_in addr; /* of the listener */
extern int listener;
extern int peer; /* the other end of what live() made */

/* A connection, within the watcher's reach. */
int live(void);

/* A connection whose peer has sent bytes, if any, and its FIN. */
int ended(const char *bytes);

/* Waits until the peer's FIN is there. */
void await_fin(int fd);

enum slot_state state(int fd);
enum how how(int fd);
int eof_read(int fd);

/* Exit status of what a child does; 128 + n when a signal ended it. */
int in_child(void (*what)(void));

/* fd stays open, and its leak must be told once: "class eof-unread", "connect". */
void must_leak(int fd, const char *class, const char *how_opened);

/* A bind to the listener's port fails here, and the report of this process must say so. */
void must_tell_conflict(void);

/* The report of a process that has this pid must hold what, once. */
void must_tell(pid_t pid, const char *what);

#define CALL(returns, name, parameters, kernel) void door_##name(void);
#define ALIAS(name, of)                         void door_##name(void);
#include "calls.h"
#undef CALL

/*
 * Data, nothing asked for, the end of stream, nothing there yet, no such descriptor; by reads len
 * bytes. Leaves a socket whose end was read.
 */
void read_through(ssize_t (*by)(int fd, size_t len));

/* Two bytes written; leaves the socket. */
void write_through(ssize_t (*by)(int fd));

/* fd and its copy, whose leak must be told once. Closes the peer. */
void must_be_copy(int fd, int copy);

/* What unshare(CLONE_NEWUSER) says to a process with one thread: 0, or its errno. */
int alone(void);

#endif
