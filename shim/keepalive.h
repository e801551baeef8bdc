/*
 * The settings of TCP keepalive by which a probe asks for a peer (probe.h), and those of a
 * program's own. The command probes with the same ones from outside.
 */
#ifndef CLOSEWAIT_KEEPALIVE_H
#define CLOSEWAIT_KEEPALIVE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PROBE_SILENCE_S = 675,    /* tcp(7): 9 probes at intervals of 75 s */
    PROBE_INTERVAL_S = 75,    /* the longest that we choose */
    PROBE_COUNT_MAX = 127,    /* MAX_TCP_KEEPCNT */
    PROBE_SETTING_MAX = 32767 /* MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL; in seconds */
};

/* In the order in which they are set: what the timer starts with comes last. */
struct keepalive {
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT: it would cut the silence short */
    uint32_t count;
    uint32_t interval_s;
    uint32_t idle_s;
    uint32_t on;
};

/* The settings of a probe. Pure. */
struct keepalive keepalive_of_probe(uint32_t grace_ms);

/* Pure. */
bool keepalive_same(const struct keepalive *a, const struct keepalive *b);

/* Whether they can be set again: a default of the machine's may be beyond what may be set. Pure. */
bool keepalive_can_be_put_back(const struct keepalive *keepalive);

/* Whether this option of a socket is one of them. Pure. */
bool keepalive_has(int level, int name);

/*
 * Those of a TCP socket; false when fd is none, or they cannot be known. Raw system calls: any
 * thread, any signal handler. errno is untouched.
 */
bool keepalive_get(int fd, struct keepalive *keepalive);
void keepalive_set(int fd, struct keepalive keepalive);

#endif
