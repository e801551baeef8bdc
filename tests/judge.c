/*
 * The judge, as a table of facts and verdicts.
 */
#include <criterion/criterion.h>
#include <netinet/tcp.h>

#include "judge.h"

enum { NEVER = UINT32_MAX };

static const struct {
    const char *name;
    enum action action;
    struct facts facts;
    struct history history;
    enum verdict verdict;
    enum leak_class class;
    enum reap_as reap;
} rows[] = {
    {"an open connection is healthy",
     ACTION_CLOSE,
     {.state = TCP_ESTABLISHED, .sent_ms = 99999},
     {.touched_ms = NEVER},
     VERDICT_HEALTHY,
     CLASS_NONE,
     REAP_NOT},
    {"our own half-close is healthy",
     ACTION_CLOSE,
     {.state = TCP_FIN_WAIT2, .sent_ms = 99999},
     {.touched_ms = NEVER},
     VERDICT_HEALTHY,
     CLASS_NONE,
     REAP_NOT},
    {"closing after the peer is healthy",
     ACTION_CLOSE,
     {.state = TCP_LAST_ACK, .sent_ms = 99999},
     {.touched_ms = NEVER},
     VERDICT_HEALTHY,
     CLASS_NONE,
     REAP_NOT},
    {"a socket that never connected is healthy",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .sent_ms = 99999},
     {.gone_ms = 99999, .touched_ms = NEVER},
     VERDICT_HEALTHY,
     CLASS_NONE,
     REAP_NOT},
    {"a connection that is being made is healthy",
     ACTION_CLOSE,
     {.state = TCP_SYN_SENT, .sent_ms = 99999},
     {.touched_ms = NEVER},
     VERDICT_HEALTHY,
     CLASS_NONE,
     REAP_NOT},
    {"a FIN just now is waited for",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.gone_ms = 999, .touched_ms = NEVER},
     VERDICT_WAITING,
     CLASS_NONE,
     REAP_NOT},
    {"a FIN of one grace ago is leaked",
     ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_NOT},
    {"with action=close it is reaped",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_AS_ENDED},
    {"with action=close-dead it is not proven",
     ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_NOT},
    {"the end of stream was read long ago",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.eof_read = true, .gone_ms = 5000, .touched_ms = 4000},
     VERDICT_LEAKED,
     CLASS_EOF_IGNORED,
     REAP_AS_ENDED},
    {"the end of stream was read just now",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.eof_read = true, .gone_ms = 5000, .touched_ms = 10},
     VERDICT_WAITING,
     CLASS_NONE,
     REAP_NOT},
    {"unread bytes are a leak of their own class",
     ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_DATA_UNREAD,
     REAP_NOT},
    {"unread bytes are never reaped over",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_DATA_UNREAD,
     REAP_NOT},
    {"unread bytes are not reaped over for a port",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.port_wanted = true, .gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_DATA_UNREAD,
     REAP_NOT},
    {"bytes on their way out are use",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unsent_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE,
     CLASS_NONE,
     REAP_NOT},
    {"an answer within grace is use",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 500},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE,
     CLASS_NONE,
     REAP_NOT},
    {"an answer within grace is use, even for a port",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 500},
     {.port_wanted = true, .gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE,
     CLASS_NONE,
     REAP_NOT},
    {"an answer of one grace ago is over",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 1000},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_AS_ENDED},
    {"a wanted port ends grace",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 800},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_AS_ENDED},
    {"a wanted port ends grace for close-dead too",
     ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 800},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_AS_ENDED},
    {"a wanted port is only explained by action=log",
     ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 800},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_NOT},
    {"a send shortly before the FIN may have been an answer to it",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent = true, .sent_ms = 600},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_IN_USE,
     CLASS_NONE,
     REAP_NOT},
    {"where nothing was sent the time of the last send is that of the connect",
     ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 510},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED,
     CLASS_EOF_UNREAD,
     REAP_AS_ENDED},
    {"dead whose error was not read is reaped with it",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true, .error = true},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_AS_RESET},
    {"dead after a FIN reads its end, error or not",
     ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE, .handshake = true, .error = true},
     {.gone_ms = 1000, .touched_ms = NEVER, .fin_seen = true},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_AS_ENDED},
    {"a reset just now is waited for",
     ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE, .handshake = true},
     {.gone_ms = 10, .touched_ms = NEVER},
     VERDICT_WAITING,
     CLASS_NONE,
     REAP_NOT},
    {"dead within grace of the last send is waited for",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true, .sent = true, .sent_ms = 999},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_WAITING,
     CLASS_NONE,
     REAP_NOT},
    {"dead after an end that was read reads it again, error or not",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true, .error = true},
     {.eof_read = true, .gone_ms = 1000, .touched_ms = 1000},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_AS_ENDED},
    {"a reset of one grace ago is dead",
     ACTION_LOG,
     {.state = TCP_CLOSE, .handshake = true},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_NOT},
    {"dead is reaped by close-dead",
     ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE, .handshake = true},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_AS_ENDED},
    {"dead is reaped by close",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_AS_ENDED},
    {"dead with unread bytes is not reaped",
     ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true, .unread_bytes = 1},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD,
     CLASS_RESET_IGNORED,
     REAP_NOT},
};

Test(judge, gives_the_verdict_of_every_row)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct options options = {.action = rows[i].action, .grace_ms = 1000};
        const struct ruling ruling = judge(&rows[i].facts, &rows[i].history, &options);
        cr_expect_eq(ruling.verdict, rows[i].verdict, "%s: verdict %d", rows[i].name,
                     (int)ruling.verdict);
        cr_expect_eq(ruling.class, rows[i].class, "%s: class %d", rows[i].name, (int)ruling.class);
        cr_expect_eq(ruling.reap, rows[i].reap, "%s: reap %d", rows[i].name, (int)ruling.reap);
    }
}

Test(judge, asks_for_a_proof_of_what_is_leaked_with_close_dead_and_no_byte_to_lose)
{
    static const struct {
        enum action action;
        uint32_t gone_ms;
        uint32_t unread_bytes;
        bool port_wanted;
        bool probe;
    } asked[] = {
        {ACTION_CLOSE_DEAD, 1000, 0, false, true},  {ACTION_CLOSE_DEAD, 999, 0, false, false},
        {ACTION_CLOSE_DEAD, 1000, 1, false, false}, {ACTION_CLOSE_DEAD, 1000, 0, true, false},
        {ACTION_CLOSE, 1000, 0, false, false},      {ACTION_LOG, 1000, 0, false, false},
    };
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        const struct options options = {.action = asked[i].action, .grace_ms = 1000};
        const struct facts facts = {.state = TCP_CLOSE_WAIT, .unread_bytes = asked[i].unread_bytes};
        const struct history history = {
            .gone_ms = asked[i].gone_ms, .touched_ms = NEVER, .port_wanted = asked[i].port_wanted};
        cr_expect_eq(judge(&facts, &history, &options).probe, asked[i].probe, "row %zu", i);
    }
}

Test(judge, looks_again_when_grace_is_over)
{
    const struct options options = {.grace_ms = 1000};
    const struct facts facts = {.state = TCP_CLOSE_WAIT, .sent_ms = 99999};
    const struct history history = {.gone_ms = 400, .touched_ms = NEVER};
    cr_expect_eq(judge(&facts, &history, &options).again_ms, 600);
}
