/*
 * The verdict on an accept queue: whether connections wait in it and nobody accepts them. Pure. Any
 * thread, any signal handler.
 *
 * The kernel does not say in which queue a connection waits, only to which address it came. Where
 * listeners share the address (SO_REUSEPORT, or one on 0.0.0.0 beside one on an address) what is
 * said of a queue is what must be true of it whatever is in those of the others.
 */
#ifndef CLOSEWAIT_QUEUE_H
#define CLOSEWAIT_QUEUE_H

#include <stdint.h>

/* What the kernel says, at one moment. */
struct queue_facts {
    uint32_t waiting;    /* connections in this queue */
    uint32_t backlog;    /* its length as listen gave it; it takes one more */
    uint32_t others;     /* connections in the queues of other listeners that share the address */
    uint32_t unaccepted; /* that came to the address and are in one of those queues, if not reset */
    uint32_t old;        /* of those: that have waited for grace */
    uint32_t older;      /* of those: that waited when this queue was told last; 0: it never was */
    uint32_t closed;     /* of those: whose peer has sent its FIN */
    uint32_t oldest_ms;  /* how long the first of those has waited */
};

/* What is told. hung_up and age_ms are the least that must be so. */
struct queue {
    uint32_t waiting;
    uint32_t hung_up; /* their peers have closed or reset */
    uint32_t backlog;
    uint32_t age_ms; /* how long the first has waited */
};

enum queue_verdict {
    QUEUE_SERVED, /* it cannot be proven that one has waited for grace: somebody accepts */
    QUEUE_KNOWN,  /* some wait that waited when it was told */
    QUEUE_STUCK,
};

enum queue_verdict queue_judge(const struct queue_facts *facts);

/* Of a queue that is stuck. */
struct queue queue_of(const struct queue_facts *facts, uint32_t grace_ms);

#endif
