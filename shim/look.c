#include "look.h"

#include <netinet/tcp.h>
#include <stddef.h>

#include "clock.h"
#include "kernel.h"

/* A slot's fields are ordered by its word; see struct slot. */
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

/* A change of more bytes than fit is a change all the same, but for multiples of the prime. */
static uint16_t folded(uint32_t bytes)
{
    return (uint16_t)(bytes % 65521);
}

static bool peer_gone(const struct facts *facts)
{
    return facts->state == TCP_CLOSE_WAIT || facts->state == TCP_CLOSE;
}

/*
 * When the FIN came is known to the kernel: the last segment of a peer that has closed (tcp_ack
 * sets rcv_tstamp, which tcpi_last_ack_recv tells). Later acknowledgements of what we still send
 * only make it look younger.
 */
static uint32_t since_fin_ms(struct slot *slot, const struct facts *facts, uint64_t now)
{
    const uint32_t open_ms = clock_age_ms(get(&slot->opened_cs), now);
    const uint32_t fin_ms = least(facts->heard_ms, open_ms);
    if (!(get(&slot->word) & SLOT_EOF_READ))
        return fin_ms;
    const uint32_t eof_ms = clock_age_ms(get(&slot->eof_cs), now);
    const bool answered = facts->sent && facts->sent_ms <= eof_ms;
    if (answered || eof_ms <= facts->heard_ms + JUDGE_SLACK_MS)
        return fin_ms > eof_ms ? fin_ms : eof_ms;
    /* It was read before the FIN: our own SHUT_RD reads 0, too. */
    atomic_fetch_and_explicit(&slot->word, ~(uint32_t)SLOT_EOF_READ, memory_order_relaxed);
    return fin_ms;
}

/* When a socket went to CLOSE nothing tells; it counts from now. */
static void note_gone(struct slot *slot, const struct facts *facts, uint64_t now)
{
    const bool over = facts->state == TCP_CLOSE;
    const uint32_t gone_ms = over ? 0 : since_fin_ms(slot, facts, now);
    set(&slot->gone_cs, clock_cs(now - gone_ms + 9));
    atomic_store_explicit(&slot->unread_bytes, folded(facts->unread_bytes), memory_order_relaxed);
    set(&slot->due_cs, clock_cs(now));
    atomic_fetch_or_explicit(&slot->word, over ? SLOT_GONE | SLOT_OVER : SLOT_GONE,
                             memory_order_relaxed);
}

/*
 * A program that has served a half-closed peer for long has all of grace to close once the
 * connection is over. One that has sat on a leak has had it.
 */
static bool is_news(uint32_t word, uint8_t state)
{
    if (state == TCP_CLOSE && (word & SLOT_GONE))
        return !(word & (SLOT_OVER | SLOT_TOLD));
    return !(word & SLOT_GONE);
}

static struct history history_of(struct slot *slot, const struct facts *facts, uint64_t now)
{
    const uint32_t word = get(&slot->word);
    /* 0 is of an accept that has met a number which was its listener's no more (track.c). */
    const uint32_t gone_cs = get(&slot->gone_cs);
    const bool read_on = atomic_load_explicit(&slot->unread_bytes, memory_order_relaxed) !=
                         folded(facts->unread_bytes);
    const uint32_t eof_ms =
        word & SLOT_EOF_READ ? clock_age_ms(get(&slot->eof_cs), now) : UINT32_MAX;
    return (struct history){
        .eof_read = word & SLOT_EOF_READ,
        .fin_seen = word & SLOT_FIN,
        .gone_ms = gone_cs ? clock_age_ms(gone_cs, now) : 0,
        .touched_ms = read_on ? 0 : eof_ms,
    };
}

void look_stamp(struct slot *slot)
{
    if (get(&slot->opened_cs) == 0)
        set(&slot->opened_cs, clock_cs(clock_ms()) | 1);
}

/* Whether it is the socket of the slot; 0 when not, else its cookie. */
static uint64_t same_socket(int fd, struct slot *slot)
{
    const uint64_t cookie = kernel_cookie(fd);
    const uint32_t known = get(&slot->cookie);
    if (known == 0)
        set(&slot->cookie, (uint32_t)cookie);
    return known == 0 || known == (uint32_t)cookie ? cookie : 0;
}

static struct leak leak_of(int fd, struct slot *slot, const struct facts *facts,
                           const struct history *history, uint64_t cookie, uint64_t now)
{
    return (struct leak){
        .fd = fd,
        .state = facts->state,
        .how = slot_how(get(&slot->word)),
        .gone_ms = history->gone_ms,
        .open_ms = clock_age_ms(get(&slot->opened_cs), now),
        .unread_bytes = facts->unread_bytes,
        .unsent_bytes = facts->unsent_bytes,
        .error = facts->error,
        .local = kernel_local(fd),
        .peer = kernel_peer(fd),
        .cookie = cookie,
        .netns = kernel_netns(fd),
        .opened_at = atomic_load_explicit(&slot->opened_at, memory_order_relaxed),
        .eof_at = get(&slot->word) & SLOT_EOF_READ
                      ? atomic_load_explicit(&slot->eof_at, memory_order_relaxed)
                      : 0,
        .last_at = atomic_load_explicit(&slot->last_at, memory_order_relaxed),
    };
}

/* What one look has seen, before it is judged. */
struct sight {
    uint64_t now;
    uint64_t cookie;
    struct facts facts;
    struct history history;
};

static bool see(int fd, struct slot *slot, struct sight *sight)
{
    sight->now = clock_ms();
    look_stamp(slot);
    sight->cookie = same_socket(fd, slot);
    if (sight->cookie == 0 || !kernel_facts(fd, &sight->facts))
        return false;
    if (peer_gone(&sight->facts) && is_news(get(&slot->word), sight->facts.state))
        note_gone(slot, &sight->facts, sight->now);
    if (sight->facts.state == TCP_CLOSE_WAIT)
        atomic_fetch_or_explicit(&slot->word, SLOT_FIN, memory_order_relaxed);
    sight->history = history_of(slot, &sight->facts, sight->now);
    return true;
}

static void rule(int fd, struct slot *slot, const struct sight *sight,
                 const struct options *options, struct look *look)
{
    look->ruling = judge(&sight->facts, &sight->history, options);
    look->leak = leak_of(fd, slot, &sight->facts, &sight->history, sight->cookie, sight->now);
    look->leak.class = look->ruling.class;
}

bool look_at(int fd, struct slot *slot, const struct options *options, struct look *look)
{
    struct sight sight;
    if (!see(fd, slot, &sight))
        return false;
    rule(fd, slot, &sight, options, look);
    atomic_store_explicit(&slot->unread_bytes, folded(sight.facts.unread_bytes),
                          memory_order_relaxed);
    return true;
}

bool look_at_wanted(int fd, struct slot *slot, const struct options *options, struct look *look)
{
    struct sight sight;
    if (!see(fd, slot, &sight))
        return false;
    /* A server's bind says nothing of the connections that it has accepted on that port. */
    sight.history.port_wanted = slot_was_dialed(get(&slot->word));
    rule(fd, slot, &sight, options, look);
    return true;
}
