#include "queue.h"

static uint32_t beyond(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

enum queue_verdict queue_judge(const struct queue_facts *facts)
{
    if (facts->older > 0)
        return QUEUE_KNOWN;
    return facts->old > facts->others ? QUEUE_STUCK : QUEUE_SERVED;
}

/*
 * What was reset waits on, to be accepted and to say so then, but sock_diag shows it no more: it is
 * in the length of the queue alone.
 */
struct queue queue_of(const struct queue_facts *facts, uint32_t grace_ms)
{
    const uint32_t reset = beyond(facts->waiting, facts->unaccepted);
    const uint32_t hung_up = beyond(facts->closed, facts->others) + reset;
    return (struct queue){
        .waiting = facts->waiting,
        .hung_up = hung_up < facts->waiting ? hung_up : facts->waiting,
        .backlog = facts->backlog,
        .age_ms = facts->others > 0 ? grace_ms : facts->oldest_ms,
    };
}
