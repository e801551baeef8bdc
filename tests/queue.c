/*
 * The verdict on an accept queue, as a table; and what is told of it.
 */
#include <criterion/criterion.h>

#include "queue.h"

enum { GRACE_MS = 10000 };

static const struct {
    const char *name;
    struct queue_facts facts;
    enum queue_verdict verdict;
    uint32_t hung_up;
    uint32_t age_ms;
} rows[] = {
    {"one that has waited for grace is stuck",
     {.waiting = 1, .unaccepted = 1, .old = 1, .oldest_ms = 12000},
     QUEUE_STUCK,
     0,
     12000},
    {"one that came just now is served",
     {.waiting = 1, .unaccepted = 1, .oldest_ms = 20},
     QUEUE_SERVED,
     0,
     20},
    {"one that waited when it was told is known",
     {.waiting = 5, .unaccepted = 5, .old = 5, .older = 1, .oldest_ms = 30000},
     QUEUE_KNOWN,
     0,
     30000},
    {"all that waited when it was told have gone, and others wait: stuck anew",
     {.waiting = 2, .unaccepted = 2, .old = 2, .oldest_ms = 11000},
     QUEUE_STUCK,
     0,
     11000},
    {"those whose peer has closed hung up",
     {.waiting = 5, .unaccepted = 5, .old = 5, .closed = 3, .oldest_ms = 12000},
     QUEUE_STUCK,
     3,
     12000},
    {"those that are in the queue and nowhere else were reset, and hung up too",
     {.waiting = 5, .unaccepted = 3, .old = 3, .closed = 2, .oldest_ms = 12000},
     QUEUE_STUCK,
     4,
     12000},
    {"a queue of nothing but resets proves nothing", {.waiting = 5}, QUEUE_SERVED, 5, 0},
    {"of two that are old one is here, if the other listener has but one",
     {.waiting = 3, .others = 1, .unaccepted = 4, .old = 2, .closed = 2, .oldest_ms = 60000},
     QUEUE_STUCK,
     1,
     GRACE_MS},
    {"all that are old may be in the queues of other listeners",
     {.waiting = 3, .others = 2, .unaccepted = 5, .old = 2, .closed = 1, .oldest_ms = 60000},
     QUEUE_SERVED,
     0,
     GRACE_MS},
    {"no more hang up than wait: others came while the kernel was asked",
     {.waiting = 2, .unaccepted = 4, .old = 2, .closed = 4, .oldest_ms = 12000},
     QUEUE_STUCK,
     2,
     12000},
};

Test(queue, is_judged_by_what_is_proven)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(queue_judge(&rows[i].facts), rows[i].verdict, "%s", rows[i].name);
}

Test(queue, is_told_with_the_least_that_must_be_so)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct queue queue = queue_of(&rows[i].facts, GRACE_MS);
        cr_expect_eq(queue.waiting, rows[i].facts.waiting, "%s", rows[i].name);
        cr_expect_eq(queue.hung_up, rows[i].hung_up, "%s: %u", rows[i].name, queue.hung_up);
        cr_expect_eq(queue.age_ms, rows[i].age_ms, "%s: %u", rows[i].name, queue.age_ms);
    }
}
