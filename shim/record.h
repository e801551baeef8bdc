/*
 * What there is to tell, on its way to who tells it. Hooks and the watcher post; only the watcher
 * takes. A fixed ring without a lock: a signal handler that interrupts a post just posts to the
 * next place. When it is full the record is counted as lost, and the summary says so.
 */
#ifndef CLOSEWAIT_RECORD_H
#define CLOSEWAIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "diag.h"
#include "endpoint.h"
#include "judge.h"
#include "limited.h"
#include "queue.h"
#include "slots.h"

/* Some descriptors: as many as a report has room for. */
struct fds {
    int count;
    int at[8];
};

/* Notes one more, while there is room. */
static inline void fds_add(struct fds *fds, int fd)
{
    if (fds->count < (int)(sizeof(fds->at) / sizeof(fds->at[0])))
        fds->at[fds->count++] = fd;
}

/* The descriptors of the process at that moment. */
struct limits {
    enum limited call; /* that failed; LIMITED_NONE: none has, yet */
    int open;
    int limit; /* RLIMIT_NOFILE */
    int leaked;
    int tombstones;
    int given; /* how many numbers were given back */
};

/* A leaked socket, as it was when it was judged. */
struct leak {
    uint64_t cookie;
    uint64_t netns; /* the cookie of its network namespace */
    int fd;
    struct fds copies; /* the other descriptors of the same socket */
    enum leak_class class;
    enum how how;
    uint32_t gone_ms;
    uint32_t open_ms;
    uint32_t unread_bytes;
    uint32_t unsent_bytes;
    struct endpoint local;
    struct endpoint peer;
    site_t opened_at;
    site_t eof_at; /* 0 when the end of the stream was not read */
    site_t last_at;
    uint8_t state;
    bool error; /* one waits to be read */
};

enum record_type {
    RECORD_LEAK,          /* leak */
    RECORD_REAP,          /* leak, why, error, fate */
    RECORD_RESCUE,        /* wanted, to, leak (the first of leaks), fds, waited_ms, error, holder */
    RECORD_BIND_CONFLICT, /* wanted, to, leak (the first of leaks), fds, holder */
    RECORD_LATE_CLOSE,   /* leak, as far as it is remembered; reaped: a tombstone was closed; why */
    RECORD_ACCEPT_QUEUE, /* leak (the listener: fd, local, opened_at), queue */
    RECORD_SUMMARY,      /* nothing but the totals */
    RECORD_DESCRIPTORS,  /* limits, error: nothing could be given back */
    RECORD_GIVEN_BACK,   /* limits, error, fds; in JSON a rescue, too */
};

enum reap_why { WHY_GRACE, WHY_DEAD, WHY_PORT, WHY_DESCRIPTORS };

struct record {
    enum record_type type;
    enum reap_why why;
    int error;      /* 0, or the errno of what failed: the reap, or the last bind or connect */
    int leaks;      /* leaked sockets of this process that hold the port */
    int fresh;      /* how many of the leaks were never told before */
    int reaped;     /* how many of them were reaped */
    int released;   /* how many sockets have gone with that: another descriptor may hold one */
    struct fds fds; /* of the leaks: those that were buried, or else all */
    uint32_t waited_ms;
    struct endpoint wanted; /* the program's end */
    struct endpoint to;     /* of a connect: the peer's end; no family: it was a bind */
    struct holder holder;   /* who is in the way, besides the leaks */
    uint32_t inode;         /* of the leak's socket: others may have it, when ours is closed */
    struct limits limits;
    struct queue queue;
    struct leak leak;
    site_t asked_at; /* where the call was that failed */
    enum fate fate;
};

/* Any thread, any signal handler. What does not fit is lost, and counted. */
void record_post(const struct record *record);

/* The same for what is counted elsewhere: it is just dropped. */
void record_offer(const struct record *record);

/* The watcher's. False when there is none. */
bool record_take(struct record *record);

/* Whether there is one. */
bool record_waits(void);

/* How many did not fit since the start. */
uint32_t record_lost(void);

/* For a forked child that adopts: its parent tells what was posted before. */
void record_adopt(void);

#endif
