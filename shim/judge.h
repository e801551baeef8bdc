/*
 * The verdict on a socket. Pure: facts and history in, a ruling out; no system call, no state, no
 * clock. Any thread, any signal handler.
 */
#ifndef CLOSEWAIT_JUDGE_H
#define CLOSEWAIT_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "facts.h"
#include "options.h"

enum verdict {
    VERDICT_HEALTHY, /* the peer has not gone, or there never was a connection */
    VERDICT_IN_USE,  /* half-closed, and the program still sends */
    VERDICT_WAITING, /* the peer is gone, grace is not over */
    VERDICT_LEAKED,
    VERDICT_DEAD,
};

enum leak_class {
    CLASS_NONE,
    CLASS_EOF_IGNORED,
    CLASS_EOF_UNREAD,
    CLASS_DATA_UNREAD,
    CLASS_RESET_IGNORED
};

/* What the facts do not tell and we remember. Ages in ms; UINT32_MAX for never. */
struct history {
    bool eof_read;       /* the program read the end of stream */
    bool fin_seen;       /* it was once seen in CLOSE_WAIT */
    bool port_wanted;    /* the program asks for its port at this moment: grace is over */
    uint32_t gone_ms;    /* since the FIN; in CLOSE, since it was first seen there, unless it was
                            leaked before */
    uint32_t touched_ms; /* since the program last read from it, counted from the FIN on */
};

/* Whether the action asks for it and nothing would be lost, and what the program is to meet then.
 */
enum reap_as {
    REAP_NOT,
    REAP_AS_ENDED, /* a stream that has come to its end */
    REAP_AS_RESET, /* the same, after the error of which it has yet to hear */
};

struct ruling {
    enum verdict verdict;
    enum leak_class class; /* CLASS_NONE unless leaked or dead */
    enum reap_as reap;
    bool probe;        /* the action asks for a proof that the peer is gone (probe.h) */
    uint32_t again_ms; /* the earliest moment at which time alone could change the verdict */
};

/*
 * Times that the kernel gives are in jiffies, of 10 ms at the most (CONFIG_HZ): two that are this
 * close together have no order. And an answer that was sent after the FIN, and acknowledged
 * before we first looked, makes the FIN look younger than the answer, by a round trip and a
 * delayed acknowledgement (TCP_DELACK_MAX is 200 ms): a send this much older than the FIN may
 * have been one.
 */
enum { JUDGE_SLACK_MS = 20, JUDGE_ORDER_MS = 250, JUDGE_NEVER_MS = UINT32_MAX / 10 };

struct ruling judge(const struct facts *facts, const struct history *history,
                    const struct options *options);

#endif
