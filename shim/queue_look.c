#define _GNU_SOURCE
#include "queue_look.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "kernel.h"
#include "queue_diag.h"
#include "telling.h"
#include "thread.h"

/*
 * The shortest time between two looks; and how far apart two times that mean the same can be: ours
 * are centiseconds, those of the kernel jiffies, of 10 ms at the most.
 */
enum { SHORTEST_MS = 200, SLACK_MS = 100 };

/* What one look has seen. */
struct sight {
    uint64_t now;
    uint32_t quiet_ms; /* since the queue was seen empty last, or somebody accepted */
    uint32_t told_ms;  /* since it was told; UINT32_MAX: never */
    struct queue_facts facts;
    struct listener listener;
    bool answered; /* sock_diag has */
};

static uint32_t get(_Atomic uint32_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void set(_Atomic uint32_t *field, uint32_t value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A time that is not 0, which stands for never. */
static uint32_t stamp(uint64_t ms)
{
    return clock_cs(ms) | 1;
}

static uint32_t quiet_ms_of(struct slot *slot, uint64_t now)
{
    const uint32_t since_cs = get(&slot->gone_cs);
    return since_cs ? clock_age_ms(since_cs, now) : 0;
}

static uint32_t told_ms_of(struct slot *slot, uint64_t now)
{
    const uint32_t told_cs = get(&slot->opened_cs);
    return told_cs ? clock_age_ms(told_cs, now) : UINT32_MAX;
}

static void set_due(struct slot *slot, uint64_t at_ms)
{
    set(&slot->due_cs, clock_cs(at_ms + 9));
}

/* At the next common point of time, or sooner. */
static void set_next(struct slot *slot, uint64_t now, uint32_t grace_ms, uint32_t sooner_ms)
{
    const uint32_t step_ms = grace_ms / 2 > SHORTEST_MS ? grace_ms / 2 : SHORTEST_MS;
    set_due(slot, now + least(step_ms - (uint32_t)(now % step_ms), sooner_ms));
}

/* With the slot claimed. */
static void note_length(struct slot *slot, struct sight *sight)
{
    if (sight->facts.waiting == 0 || get(&slot->gone_cs) == 0)
        set(&slot->gone_cs, stamp(sight->now));
    sight->quiet_ms = quiet_ms_of(slot, sight->now);
}

/* With the slot claimed. A number that came to be another listener, unseen by us, begins anew. */
static void identify(int fd, struct slot *slot, struct sight *sight)
{
    const uint32_t known = get(&slot->cookie);
    sight->listener = (struct listener){
        .cookie = kernel_cookie(fd),
        .netns = kernel_netns(fd),
        .domain = (uint8_t)kernel_domain(fd),
        .local = kernel_local(fd),
    };
    set(&slot->cookie, (uint32_t)sight->listener.cookie);
    if (known == 0 || known == (uint32_t)sight->listener.cookie)
        return;
    set(&slot->opened_cs, 0);
    set(&slot->gone_cs, stamp(sight->now));
    atomic_store_explicit(&slot->opened_at, 0, memory_order_relaxed);
    sight->quiet_ms = 0;
}

/* Another descriptor of the same socket may be the one that is accepted from, or was told of. */
static void heed_copies(int fd, struct sight *sight)
{
    for (int other = slots_next(0); other >= 0; other = slots_next(other + 1)) {
        struct slot *slot = slot_of(other);
        if (other == fd || !(slot_word(slot) & SLOT_LISTENS) ||
            kernel_cookie(other) != sight->listener.cookie)
            continue;
        sight->quiet_ms = least(sight->quiet_ms, quiet_ms_of(slot, sight->now));
        sight->told_ms = least(sight->told_ms, told_ms_of(slot, sight->now));
    }
}

/*
 * The first look, and, when the queue was quiet for grace, who the listener is. False when that is
 * all there is to do.
 */
static bool see(int fd, struct slot *slot, uint32_t grace_ms, struct sight *sight)
{
    if (!slot_claim_listener(slot))
        return false;
    if (!kernel_queue(fd, &sight->facts.waiting, &sight->facts.backlog)) {
        atomic_fetch_and_explicit(&slot->word, ~(uint32_t)SLOT_LISTENS, memory_order_relaxed);
        slot_release(slot, SLOT_MADE, 0); /* shut down, or closed by a call that nobody saw */
        return false;
    }
    note_length(slot, sight);
    if (sight->quiet_ms >= grace_ms)
        identify(fd, slot, sight);
    slot_release(slot, SLOT_MADE, 0);
    sight->told_ms = told_ms_of(slot, sight->now);
    if (sight->quiet_ms >= grace_ms)
        heed_copies(fd, sight);
    return sight->quiet_ms >= grace_ms;
}

static void run_diag(void *with)
{
    struct sight *sight = with;
    sight->answered = queue_diag(&sight->listener, &sight->facts);
}

/*
 * Whether the queue is what it was before sock_diag was asked: nobody accepted here meanwhile. What
 * came or went elsewhere makes the shorter of two lengths the one that is sure.
 */
static bool is_unchanged(int fd, struct slot *slot, struct sight *sight)
{
    uint32_t waiting = 0;
    uint32_t backlog = 0;
    if (!slot_claim_listener(slot))
        return false;
    const bool same = kernel_cookie(fd) == sight->listener.cookie && get(&slot->gone_cs) != 0 &&
                      kernel_queue(fd, &waiting, &backlog);
    slot_release(slot, SLOT_MADE, 0);
    sight->facts.waiting = least(sight->facts.waiting, waiting);
    return same && waiting > 0;
}

static bool tell(int fd, struct slot *slot, const struct sight *sight, uint32_t grace_ms)
{
    const struct queue queue = queue_of(&sight->facts, grace_ms);
    return telling_queue(
        &(struct leak){
            .fd = fd,
            .cookie = sight->listener.cookie,
            .local = sight->listener.local,
            .opened_at = atomic_load_explicit(&slot->opened_at, memory_order_relaxed),
        },
        &queue);
}

/* What sock_diag said: from when on the queue is to be watched again, and whether it is told. */
static void settle(int fd, struct slot *slot, const struct sight *sight, uint32_t grace_ms)
{
    const uint32_t waited_ms = least(sight->facts.oldest_ms, grace_ms);
    switch (queue_judge(&sight->facts)) {
    case QUEUE_SERVED:
        if (waited_ms < grace_ms)
            set(&slot->gone_cs, stamp(sight->now - waited_ms));
        set_next(slot, sight->now, grace_ms,
                 waited_ms < grace_ms ? grace_ms - waited_ms : grace_ms);
        return;
    case QUEUE_STUCK:
        if (tell(fd, slot, sight, grace_ms))
            set(&slot->opened_cs, stamp(sight->now));
        break;
    case QUEUE_KNOWN:
        break;
    }
    set_due(slot, sight->now + grace_ms);
}

/*
 * How long a connection has waited that waited when the queue was told. What came just then may
 * have come after it. Those that it was told for had waited for grace already.
 */
static uint32_t older_ms(uint32_t told_ms, uint32_t grace_ms)
{
    return told_ms == UINT32_MAX ? UINT32_MAX : told_ms + least(grace_ms / 2, SLACK_MS);
}

void queue_look(int fd, struct slot *slot, const struct options *options)
{
    const uint32_t grace_ms = options->grace_ms;
    struct sight sight = {.now = clock_ms()};
    const bool suspect = see(fd, slot, grace_ms, &sight);
    set_next(slot, sight.now, grace_ms,
             sight.quiet_ms < grace_ms ? grace_ms - sight.quiet_ms : grace_ms);
    if (!suspect || sight.quiet_ms < grace_ms)
        return;
    sight.listener.old_ms = grace_ms;
    sight.listener.older_ms = older_ms(sight.told_ms, grace_ms);
    thread_apart(run_diag, &sight);
    if (sight.answered && is_unchanged(fd, slot, &sight))
        settle(fd, slot, &sight, grace_ms);
}
