/*
 * What the kernel says of sockets that we hold no descriptor of, by sock_diag(7). The watcher's:
 * each call opens a netlink socket for its time, and needs 9 KiB of stack.
 */
#ifndef CLOSEWAIT_DIAG_H
#define CLOSEWAIT_DIAG_H

#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

/* What became of a connection whose descriptor was dropped. */
enum fate {
    FATE_UNKNOWN, /* the kernel could not be asked */
    FATE_GONE,
    FATE_CLOSING, /* our FIN is on its way (LAST_ACK), or the kernel waits (TIME_WAIT) */
    FATE_HELD,    /* another descriptor or another process holds it */
};

/*
 * cookie and netns are the socket's (kernel.h); ends are what it was connected with. Unknown when
 * this thread is not in that network namespace any more: sock_diag tells of its own alone.
 */
enum fate diag_fate(const struct endpoint *local, const struct endpoint *peer, uint64_t cookie,
                    uint64_t netns);

/* Who keeps a port from being bound, or a connection from being made once more. */
enum holder_kind {
    HOLDER_UNKNOWN,
    HOLDER_SELF,      /* this process, as fd */
    HOLDER_TIME_WAIT, /* nobody: the kernel, for left_ms more */
    HOLDER_CLOSING,   /* nobody: the kernel waits for the peer to acknowledge */
    HOLDER_OTHER,     /* another process: pid, when it could be found */
};

struct holder {
    enum holder_kind kind;
    uint8_t state;    /* of its socket */
    uint32_t left_ms; /* HOLDER_TIME_WAIT: until it is gone */
    int fd;           /* HOLDER_SELF: the lowest descriptor of its socket */
    int pid;          /* HOLDER_OTHER; 0: not known */
    char comm[16];    /* the name of pid; TASK_COMM_LEN */
    bool same;        /* HOLDER_OTHER: what it has is the very socket that leaked here */
    uint64_t cookie;  /* of its socket */
};

/*
 * Of the socket that keeps wanted from being bound, or, where to has a family, from being connected
 * to that. HOLDER_UNKNOWN where sock_diag or /proc cannot be asked: nobody is accused without
 * proof.
 */
struct holder diag_holder(const struct endpoint *wanted, const struct endpoint *to);

/* Another process that has the socket open. Left as it is when none is found. */
void diag_sharer(uint32_t inode, struct holder *holder);

/* Which TCP sockets to be told of: those of a domain with that local port in one of these states.
 */
struct diag_wanted {
    uint8_t domain;
    uint16_t port;
    uint32_t states; /* 1 << TCP_LISTEN | ... */
    uint64_t netns;  /* theirs (kernel.h); 0: whichever this thread is in */
};

/* One of them: what the kernel says of it, and its TCP_INFO, which is NULL where there is none. */
struct diag_found {
    const struct inet_diag_msg *msg;
    const void *info;
    size_t info_size;
};

/* Calls see with each. False when that were not all of them. */
bool diag_each(const struct diag_wanted *wanted,
               void (*see)(const struct diag_found *found, void *with), void *with);

/* The local end of one, and its cookie, as kernel_cookie has it. */
struct endpoint diag_local(const struct inet_diag_msg *msg);
uint64_t diag_cookie(const struct inet_diag_msg *msg);

#endif
