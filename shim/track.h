/*
 * What the program's calls mean for the table. For hooks: each is called after the real call,
 * with what that returned, unless its name says leave: those come before it.
 *
 * All of them may be called by any thread and any signal handler, keep errno, and do nothing
 * where this process does not own the table (a vfork child; owner.h) or tracking is off. Those
 * that return bool return true when a connection or a listener came within the watcher's reach:
 * somebody must be watching from now on.
 */
#ifndef CLOSEWAIT_TRACK_H
#define CLOSEWAIT_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "caller.h"
#include "calls_types.h"
#include "hidden.h"
#include "slots.h"

/*
 * From here on hooks are heard, and reads and writes if last. grace_ms is the option's: a close
 * before that is none that is late. Called once, by the constructor.
 */
void track_start(bool last, uint32_t grace_ms);

void track_socket(int fd, int domain, int type, int protocol);
bool track_listen(int fd, int ret, const struct caller *caller);
bool track_connect(int fd, const struct sockaddr *addr, int ret, const struct caller *caller);
bool track_accept(int listener, int fd, const struct caller *caller);
bool track_copy(int from, int fd);

/* Descriptors 0 to 63 and on, as long as there are any: what came over exec. */
bool track_inherited(void);

/* The descriptors that came with a message of recvmsg (SCM_RIGHTS, unix(7)). */
bool track_received(const struct msghdr *msg, ssize_t ret, const struct caller *caller);
bool track_received_each(const struct mmsghdr *msgs, int count, const struct caller *caller);

/*
 * A read with these flags, into a buffer with room, returned 0. A hint: the kernel is the judge.
 * True when it was news: a forked child that reads on must be watched, too.
 */
bool track_eof(int fd, int flags, const struct caller *caller);
bool iov_has_room(const struct iovec *iov, int n);
bool msg_has_room(const struct msghdr *msg);
bool msg_brings_control(const struct msghdr *msg);
bool track_eof_each(int fd, const struct mmsghdr *msgs, int count, int flags,
                    const struct caller *caller);

/*
 * The option last: with each read or write of a connection, who called. Without it nothing is to
 * be heard of a read that returned more than 0, and of a write: track_heeds is the most, as a
 * size_t, that a read may return and be told to track_eof or track_used: 0, or SIZE_MAX with it. It
 * is plain, as the table real is: the constructor alone writes it, and either value is right.
 */
extern HIDDEN size_t track_heeds;
void track_used(int fd, const struct caller *caller);

/* Before the program asks for an option of a socket, or sets it: it meets its own settings. */
void track_option(int fd, int level, int name);

/*
 * Around a call after which a number may mean something else: leave before it, left after it.
 * gone is false when the call failed and the number is what it was. left returns true when there is
 * something to tell: a leak that was reported has been closed.
 */
struct departure {
    int fd;
    bool counted;    /* the call counts as under way; nothing else is said if not */
    uint32_t word;   /* what the slot said */
    uint32_t cookie; /* which socket it was; 0: that was not known */
    uint32_t gone_cs;
    site_t opened_at;
};

void track_leave(int fd, struct departure *left);
void track_leave_stream(FILE *stream, struct departure *left);

/*
 * For close, after which it is gone: true when there is nothing to tell, and left is not written:
 * then slot_departed is to follow. False: track_left.
 */
bool track_close(int fd, struct departure *left);
void track_replace(int from, int fd, struct departure *left); /* of dup2: nothing if they are one */
bool track_departed(const struct departure *left, bool gone);

static inline bool track_left(const struct departure *left, bool gone)
{
    if (!left->counted)
        return false;
    if (!gone || slot_is_late(left->word))
        return track_departed(left, gone);
    slot_departed(left->fd);
    return false;
}

/*
 * For connect: whether the socket is a connection's already, which departs then. A connect to
 * AF_UNSPEC makes a leaked socket a new one, with the same cookie; what it is to cannot be read
 * before the call, since the address may be a bad one.
 */
static inline bool track_is_connection(int fd)
{
    const enum slot_state state = slot_state(slot_word(slot_of(fd)));
    return state == SLOT_LIVE || state == SLOT_CLAIMED;
}

/* Whether a connect was to AF_UNSPEC: the socket is none of a connection any more. */
bool is_dissolved(const struct sockaddr *addr, int ret);

/* The same for close_range and closefrom. leave: false when the kernel will refuse, or close
 * nothing.
 */
bool track_leave_range(unsigned int first, unsigned int last, unsigned int flags);
bool track_left_range(bool told);

#endif
