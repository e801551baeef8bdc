/*
 * The table: one slot a descriptor, and who may touch it when.
 *
 * A slot's word holds its state. Hooks and the watcher move it by compare-and-swap only:
 *
 *     FREE     the number is nothing of ours
 *     MADE     a TCP socket without a connection (socket, bind, listen): the watcher passes by
 *     LIVE     a connection, within the watcher's reach
 *     CLAIMED  a watcher or a rescuer is looking at it, for a few system calls that do not block
 *     BURIED   a tombstone of ours lies on the number
 *
 *            track_socket          track_connect              track_claim
 *     FREE ---------------> MADE ----------------> LIVE <--------------------> CLAIMED
 *       ^                    |      track_accept     |       track_release       |
 *       |                    |  (from FREE, at once) |                           v
 *       +--------------------+-----------------------+------------ track_leave BURIED
 *
 * Why a tombstone never lands on another descriptor: every hook after which the number may mean
 * something else (close, dup2, ...) calls track_leave *before* the real call. track_leave ends
 * with the word FREE, and it cannot take it out of CLAIMED: it waits there until the claim is
 * released. So while a slot is CLAIMED no hooked call can change what its number means, and a
 * tombstone is put down only in a claimed slot, after the socket's cookie was compared. A close
 * that no hook sees before the claim is found by the cookie.
 *
 * A claim is held with all signals blocked, so that no handler on the claiming thread can wait
 * for itself; a waiter holds nothing, so handlers may wait too. A forked child frees the claims
 * of its parent's threads (track_adopt); a vfork child never enters (owner_here).
 *
 * Unless it says otherwise, a function here may be called by any thread and any signal handler,
 * keeps errno, and does nothing while tracking is off.
 */
#ifndef CLOSEWAIT_TRACK_H
#define CLOSEWAIT_TRACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "calls_types.h"

enum slot_state { SLOT_FREE, SLOT_MADE, SLOT_LIVE, SLOT_CLAIMED, SLOT_BURIED };

enum how { HOW_CONNECT, HOW_ACCEPT, HOW_INHERITED };

/* Besides the state, in a slot's word. */
enum {
    SLOT_STATE = 7,
    SLOT_HOW_SHIFT = 3,
    SLOT_HOW = 3 << SLOT_HOW_SHIFT,
    SLOT_EOF_READ = 1 << 5, /* a read returned 0; eof_cs says when */
    SLOT_GONE = 1 << 6,     /* the watcher saw that the peer is gone; gone_cs says since when */
    SLOT_TOLD = 1 << 7,     /* its leak was reported */
    SLOT_COPIED = 1 << 8,   /* it was duplicated by dup2: other slots may hold the same socket */
    SLOT_AWAITED = 1 << 9,  /* somebody sleeps on the word until the claim is released */
};

/*
 * The fields are atomic because a program that uses one descriptor from two threads makes our
 * hooks do so as well; their order is given by the word alone, so all of them are relaxed.
 * opened_cs and eof_cs are written by hooks; cookie, gone_cs, touched_cs, unread_bytes and due_cs
 * by who holds the claim. Times are clock_cs().
 */
struct slot {
    _Atomic uint32_t word;
    _Atomic uint32_t opened_cs;
    _Atomic uint64_t cookie; /* 0 until the first claim that needs it */
    _Atomic uint32_t eof_cs;
    _Atomic uint32_t gone_cs;
    _Atomic uint32_t unread_bytes; /* at the last look */
    _Atomic uint32_t due_cs;       /* when to look again, once SLOT_GONE */
};
_Static_assert(sizeof(struct slot) == 32, "design section 6: 32 bytes a slot");

static inline enum slot_state slot_state(uint32_t word)
{
    return (enum slot_state)(word & SLOT_STATE);
}

static inline enum how slot_how(uint32_t word)
{
    return (enum how)((word & SLOT_HOW) >> SLOT_HOW_SHIFT);
}

/* From here on hooks are heard. Called once, by the constructor. */
void track_start(void);

/*
 * For hooks, after the real call, with what it returned. They return true when a connection came
 * within the watcher's reach: somebody must be watching from now on.
 */
void track_socket(int fd, int domain, int type, int protocol);
void track_listen(int fd, int ret);
bool track_connect(int fd, const struct sockaddr *addr, int ret);
bool track_accept(int listener, int fd);
bool track_copy(int from, int fd);

/* For hooks, after a read into a buffer with room returned 0. A hint: the kernel is the judge. */
void track_eof(int fd);
bool iov_has_room(const struct iovec *iov, int n);
bool msg_has_room(const struct msghdr *msg);

/*
 * For hooks, before the real call: the number may mean something else when it returns. Waits
 * while the slot is claimed, which is for a few system calls that do not block.
 */
void track_leave(int fd);

/* The slot of fd, NULL where there never was one. */
struct slot *track_slot(int fd);

/* The first descriptor >= fd whose slot is not FREE, -1 after the last. */
int track_next(int fd);

/*
 * LIVE to CLAIMED; false when it was not LIVE. The caller has all signals blocked. Release with
 * the state that follows (LIVE, MADE, FREE, BURIED) and flags to set.
 */
bool track_claim(struct slot *slot);
void track_release(struct slot *slot, enum slot_state next, uint32_t flags);

/* For a forked child that adopts the table: frees claims, marks connections as inherited. */
void track_adopt(void);

#endif
