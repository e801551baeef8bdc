/*
 * The TCP sockets of a network namespace, by sock_diag(7).
 */
#ifndef CLOSEWAIT_SOCKETS_H
#define CLOSEWAIT_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

struct tcp_socket {
    struct endpoint local;
    struct endpoint peer;
    uint64_t cookie; /* the kernel's identity of a socket (SO_COOKIE) */
    uint64_t netns;  /* the inode number of its network namespace */
    uint32_t inode;  /* as /proc/PID/fd shows it; 0: no program has it, it waits to be accepted */
    uint32_t uid;    /* of the user who made it; 0 for one that waits to be accepted */
    uint32_t interface; /* that it is bound to, or 0 */
    uint8_t state;      /* one of those that were asked for */
    uint8_t family;     /* of the socket; an endpoint that is mapped is AF_INET on AF_INET6 */
    bool local_picked;  /* its own port is one that the kernel picks (ip_local_port_range) */
    bool peer_picked;   /* the peer's is */
    bool accepted;      /* as far as can be known: it is an end of a server's (accepted.h) */

    /* CLOSE_WAIT */
    uint32_t age_ms;       /* since the peer was last heard: since the FIN, unless it acknowledged
                              something later */
    uint32_t unread_bytes; /* without the FIN, as FIONREAD says it */
    uint32_t unsent_bytes; /* written and not yet acknowledged */
    uint32_t sent_ms;      /* since data was last sent; UINT32_MAX: never */
    bool eof_read;         /* the program has read as far as the FIN */
    struct tcp_socket *listener; /* in whose accept queue it waits; NULL: in none that is known */
    size_t listeners;            /* in how many queues it could wait (SO_REUSEPORT) */

    /* LISTEN */
    uint32_t waiting;   /* connections in the accept queue */
    uint32_t backlog;   /* the queue takes one more than that, and no more */
    uint32_t hung_up;   /* how many of those that wait are in CLOSE_WAIT */
    uint32_t oldest_ms; /* the greatest age_ms of those */
};

struct sockets {
    struct tcp_socket *at; /* free(3) */
    size_t count;
};

/* Sets of states. A socket in CLOSE is in no table of the kernel's: nothing tells of it here. */
extern const uint32_t sockets_half_closed; /* CLOSE_WAIT, and LISTEN */
extern const uint32_t sockets_all;

/*
 * Appends those in one of the states of the network namespace netns, which the calling thread must
 * be in. False, with what was wrong and what to do in why, when the kernel cannot be asked.
 */
bool sockets_add(struct sockets *sockets, uint64_t netns, uint32_t states, char *why,
                 size_t why_size);

/*
 * Finds the listener of each CLOSE_WAIT socket that waits to be accepted, and counts for it. Once,
 * when all are there: the array must not grow afterwards. Of listeners that share address and
 * port (SO_REUSEPORT) the kernel does not tell which it is: one with room for it in its queue's
 * length is taken.
 */
void sockets_find_listeners(struct sockets *sockets);

#endif
