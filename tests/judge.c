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
    bool reap;
} rows[] = {
    {"an open connection is healthy", ACTION_CLOSE,
     {.state = TCP_ESTABLISHED, .sent_ms = 99999}, {.connected = true, .touched_ms = NEVER},
     VERDICT_HEALTHY, CLASS_NONE, false},
    {"our own half-close is healthy", ACTION_CLOSE,
     {.state = TCP_FIN_WAIT2, .sent_ms = 99999}, {.connected = true, .touched_ms = NEVER},
     VERDICT_HEALTHY, CLASS_NONE, false},
    {"closing after the peer is healthy", ACTION_CLOSE,
     {.state = TCP_LAST_ACK, .sent_ms = 99999}, {.connected = true, .touched_ms = NEVER},
     VERDICT_HEALTHY, CLASS_NONE, false},
    {"a socket that never connected is healthy", ACTION_CLOSE,
     {.state = TCP_CLOSE, .sent_ms = 99999}, {.gone_ms = 99999, .touched_ms = NEVER},
     VERDICT_HEALTHY, CLASS_NONE, false},
    {"a connection that is being made is healthy", ACTION_CLOSE,
     {.state = TCP_SYN_SENT, .sent_ms = 99999}, {.touched_ms = NEVER},
     VERDICT_HEALTHY, CLASS_NONE, false},
    {"a FIN just now is waited for", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999}, {.gone_ms = 999, .touched_ms = NEVER},
     VERDICT_WAITING, CLASS_NONE, false},
    {"a FIN of one grace ago is leaked", ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999}, {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, false},
    {"with action=close it is reaped", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999}, {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, true},
    {"with action=close-dead it is not proven", ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999}, {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, false},
    {"the end of stream was read long ago", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.eof_read = true, .gone_ms = 5000, .touched_ms = 4000},
     VERDICT_LEAKED, CLASS_EOF_IGNORED, true},
    {"the end of stream was read just now", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 99999},
     {.eof_read = true, .gone_ms = 5000, .touched_ms = 10},
     VERDICT_WAITING, CLASS_NONE, false},
    {"unread bytes are a leak of their own class", ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_DATA_UNREAD, false},
    {"unread bytes are never reaped over", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_DATA_UNREAD, false},
    {"unread bytes are not reaped over for a port", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unread_bytes = 1, .sent_ms = 99999},
     {.port_wanted = true, .gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_DATA_UNREAD, false},
    {"bytes on their way out are use", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .unsent_bytes = 1, .sent_ms = 99999},
     {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE, CLASS_NONE, false},
    {"an answer within grace is use", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 500}, {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE, CLASS_NONE, false},
    {"an answer within grace is use, even for a port", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 500},
     {.port_wanted = true, .gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_IN_USE, CLASS_NONE, false},
    {"an answer of one grace ago is over", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 1000}, {.gone_ms = 5000, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, true},
    {"a wanted port ends grace", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 600},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, true},
    {"a wanted port ends grace for close-dead too", ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 600},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, true},
    {"a wanted port is only explained by action=log", ACTION_LOG,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 600},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, false},
    {"a send and a FIN in one jiffy have no order", ACTION_CLOSE,
     {.state = TCP_CLOSE_WAIT, .sent_ms = 490},
     {.port_wanted = true, .gone_ms = 500, .touched_ms = NEVER},
     VERDICT_LEAKED, CLASS_EOF_UNREAD, true},
    {"a reset just now is waited for", ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE, .handshake = true}, {.gone_ms = 10, .touched_ms = NEVER},
     VERDICT_WAITING, CLASS_NONE, false},
    {"a reset of one grace ago is dead", ACTION_LOG,
     {.state = TCP_CLOSE, .handshake = true}, {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD, CLASS_RESET_IGNORED, false},
    {"dead is reaped by close-dead", ACTION_CLOSE_DEAD,
     {.state = TCP_CLOSE, .handshake = true}, {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD, CLASS_RESET_IGNORED, true},
    {"dead is reaped by close", ACTION_CLOSE,
     {.state = TCP_CLOSE}, {.connected = true, .gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD, CLASS_RESET_IGNORED, true},
    {"dead with unread bytes is not reaped", ACTION_CLOSE,
     {.state = TCP_CLOSE, .handshake = true, .unread_bytes = 1},
     {.gone_ms = 1000, .touched_ms = NEVER},
     VERDICT_DEAD, CLASS_RESET_IGNORED, false},
};

Test(judge, gives_the_verdict_of_every_row)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct options options = {.action = rows[i].action, .grace_ms = 1000};
        const struct ruling ruling = judge(&rows[i].facts, &rows[i].history, &options);
        cr_expect_eq(ruling.verdict, rows[i].verdict, "%s: verdict %d", rows[i].name,
                     (int)ruling.verdict);
        cr_expect_eq(ruling.class, rows[i].class, "%s: class %d", rows[i].name,
                     (int)ruling.class);
        cr_expect_eq(ruling.reap, rows[i].reap, "%s: reap %d", rows[i].name, ruling.reap);
    }
}

Test(judge, looks_again_when_grace_is_over)
{
    const struct options options = {.grace_ms = 1000};
    const struct facts facts = {.state = TCP_CLOSE_WAIT, .sent_ms = 99999};
    const struct history history = {.gone_ms = 400, .touched_ms = NEVER};
    cr_expect_eq(judge(&facts, &history, &options).again_ms, 600);
}
