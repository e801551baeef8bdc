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

static struct ruling judge_dead(const struct facts *facts, const struct history *history,
                                const struct options *options)
{
    const uint32_t quiet_ms = least(history->gone_ms, history->touched_ms);
    if (quiet_ms < options->grace_ms && !history->port_wanted)
        return (struct ruling){VERDICT_WAITING, CLASS_NONE, false, options->grace_ms - quiet_ms};
    /* A tombstone reads 0: an error that the program has yet to read would look like the end. */
    const bool lossless = queues_empty(facts) && !facts->error;
    return (struct ruling){VERDICT_DEAD, CLASS_RESET_IGNORED,
                           options->action != ACTION_LOG && lossless, JUDGE_NEVER_MS};
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
    const uint32_t sent_ms = facts->sent ? facts->sent_ms : UINT32_MAX;
    const uint32_t quiet_ms = least(least(gone_ms, history->touched_ms), sent_ms);
    const bool sent_since = sent_ms <= gone_ms || sent_ms - gone_ms <= JUDGE_ORDER_MS;
    const bool answering = facts->unsent_bytes > 0 || (sent_since && sent_ms < options->grace_ms);
    if (answering)
        return (struct ruling){VERDICT_IN_USE, CLASS_NONE, false,
                               sent_ms < options->grace_ms ? options->grace_ms - sent_ms
                                                           : options->grace_ms};
    if (quiet_ms < options->grace_ms && !history->port_wanted)
        return (struct ruling){VERDICT_WAITING, CLASS_NONE, false, options->grace_ms - quiet_ms};
    return (struct ruling){VERDICT_LEAKED, class_of(facts, history),
                           wants_reaped(history, options) && queues_empty(facts), JUDGE_NEVER_MS};
}

struct ruling judge(const struct facts *facts, const struct history *history,
                    const struct options *options)
{
    if (facts->state == TCP_CLOSE_WAIT)
        return judge_close_wait(facts, history, options);
    if (facts->state == TCP_CLOSE && facts->handshake)
        return judge_dead(facts, history, options);
    return (struct ruling){VERDICT_HEALTHY, CLASS_NONE, false, JUDGE_NEVER_MS};
}
