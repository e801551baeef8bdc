/*
 * The verdict on an accept queue, as a table; what is told of it; and what the kernel says of one.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "kernel.h"
#include "queue.h"
#include "queue_diag.h"
#include "support.h"

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

/* A second listener on the port of the first. */
static int listen_too(const struct sockaddr *addr, socklen_t len)
{
    const int on = 1;
    const int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    cr_assert_eq(bind(fd, addr, len), 0);
    cr_assert_eq(listen(fd, 16), 0);
    return fd;
}

static uint32_t waiting_in(int fd)
{
    uint32_t waiting = 0;
    uint32_t backlog = 0;
    cr_assert(kernel_queue(fd, &waiting, &backlog));
    cr_expect_eq(backlog, 16);
    return waiting;
}

/* The kernel spreads connections as it likes: one listener's are those that the other has not. */
Test(queue, of_listeners_that_share_a_port_are_counted_together)
{
    enum { DIALS = 8 };
    int fds[DIALS];
    const in_port_t port = free_port();
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int first = listen_too((const struct sockaddr *)&in, sizeof(in));
    const int second = listen_too((const struct sockaddr *)&in, sizeof(in));
    for (int i = 0; i < DIALS; i++)
        fds[i] = dial(AF_INET, port);
    cr_expect_eq(waiting_in(first) + waiting_in(second), DIALS);
    const int listeners[] = {first, second};
    for (int i = 0; i < 2; i++) {
        struct queue_facts facts = {0};
        const struct listener listener = {
            .cookie = kernel_cookie(listeners[i]),
            .netns = kernel_netns(listeners[i]),
            .domain = AF_INET,
            .local = kernel_local(listeners[i]),
            .older_ms = UINT32_MAX,
        };
        cr_assert(queue_diag(&listener, &facts));
        cr_expect_eq(facts.others, waiting_in(listeners[!i]));
        cr_expect_eq(facts.unaccepted, DIALS);
        cr_expect_eq(facts.old, DIALS);
        cr_expect_eq(facts.older, 0);
        cr_expect_eq(facts.closed, 0);
    }
    close(first);
    close(second);
    for (int i = 0; i < DIALS; i++)
        close(fds[i]);
}

Test(queue, is_not_known_in_another_network_namespace)
{
    in_port_t port = 0;
    const int fd = peer_listen(AF_INET, &port);
    struct queue_facts facts = {0};
    struct listener listener = {.cookie = kernel_cookie(fd),
                                .netns = kernel_netns(fd),
                                .domain = (uint8_t)kernel_domain(fd),
                                .local = kernel_local(fd)};
    cr_expect_eq(listener.domain, AF_INET);
    cr_expect(queue_diag(&listener, &facts));
    listener.netns++;
    cr_expect_not(queue_diag(&listener, &facts));
    close(fd);
}
