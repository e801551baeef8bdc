#include "judge.h"

#include <netinet/tcp.h>

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static enum leak_class class_of(const struct facts *facts, const struct history *history)
{
    if (facts->unread_bytes > 0)
        return CLASS_DATA_UNREAD;
    return history->eof_read ? CLASS_EOF_IGNORED : CLASS_EOF_UNREAD;
}

/* Bytes in either queue would be lost: nobody reaps over them (design, rule 6). */
static bool queues_empty(const struct facts *facts)
{
    return facts->unread_bytes == 0 && facts->unsent_bytes == 0;
}

static uint32_t sent_ms_of(const struct facts *facts)
{
    return facts->sent ? facts->sent_ms : UINT32_MAX;
}

static struct ruling wait_for(enum verdict verdict, uint32_t again_ms)
{
    return (struct ruling){.verdict = verdict, .again_ms = again_ms};
}

/*
 * The next read would say so. After a FIN none does: it says that the stream has ended, whatever
 * came later (SOCK_DONE comes before sk_err in tcp_recvmsg_locked).
 */
static bool is_reset_unheard(const struct facts *facts, const struct history *history)
{
    return facts->error && !history->fin_seen && !history->eof_read;
}

static struct ruling judge_dead(const struct facts *facts, const struct history *history,
                                const struct options *options)
{
    const uint32_t quiet_ms =
        least(least(history->gone_ms, history->touched_ms), sent_ms_of(facts));
    if (quiet_ms < options->grace_ms && !history->port_wanted)
        return wait_for(VERDICT_WAITING, options->grace_ms - quiet_ms);
    const bool reap = options->action != ACTION_LOG && queues_empty(facts);
    return (struct ruling){
        .verdict = VERDICT_DEAD,
        .class = CLASS_RESET_IGNORED,
        .reap = !reap                              ? REAP_NOT
                : is_reset_unheard(facts, history) ? REAP_AS_RESET
                                                   : REAP_AS_ENDED,
        .again_ms = JUDGE_NEVER_MS,
    };
}

/* The program's own bind is a better proof than time that it has no more use for the holder. */
static bool wants_reaped(const struct history *history, const struct options *options)
{
    return options->action == ACTION_CLOSE ||
           (options->action == ACTION_CLOSE_DEAD && history->port_wanted);
}

static struct ruling judge_close_wait(const struct facts *facts, const struct history *history,
                                      const struct options *options)
{
    const uint32_t gone_ms = history->gone_ms;
    const uint32_t sent_ms = sent_ms_of(facts);
    const uint32_t quiet_ms = least(least(gone_ms, history->touched_ms), sent_ms);
    const bool sent_since = sent_ms <= gone_ms || sent_ms - gone_ms <= JUDGE_ORDER_MS;
    const bool answering = facts->unsent_bytes > 0 || (sent_since && sent_ms < options->grace_ms);
    if (answering)
        return wait_for(VERDICT_IN_USE, sent_ms < options->grace_ms ? options->grace_ms - sent_ms
                                                                    : options->grace_ms);
    if (quiet_ms < options->grace_ms && !history->port_wanted)
        return wait_for(VERDICT_WAITING, options->grace_ms - quiet_ms);
    const bool lossless = queues_empty(facts);
    const bool reap = lossless && wants_reaped(history, options);
    return (struct ruling){
        .verdict = VERDICT_LEAKED,
        .class = class_of(facts, history),
        .reap = reap ? REAP_AS_ENDED : REAP_NOT,
        .probe = lossless && !reap && options->action == ACTION_CLOSE_DEAD,
        .again_ms = JUDGE_NEVER_MS,
    };
}

struct ruling judge(const struct facts *facts, const struct history *history,
                    const struct options *options)
{
    if (facts->state == TCP_CLOSE_WAIT)
        return judge_close_wait(facts, history, options);
    if (facts->state == TCP_CLOSE && facts->handshake)
        return judge_dead(facts, history, options);
    return wait_for(VERDICT_HEALTHY, JUDGE_NEVER_MS);
}
