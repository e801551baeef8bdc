/*
 * One end of a TCP connection, which does what its arguments say, one step each: both ends of most
 * scenarios are this program. A step may have a value: send=hello. What a read, a write or a
 * connect gave is a line on standard output, and nothing else is: two runs of a scenario are
 * compared by those lines. No step waits for time to pass but pass, trickle and compute.
 */
#ifndef CLOSEWAIT_TESTS_VERDICTS_END_H
#define CLOSEWAIT_TESTS_VERDICTS_END_H

#include <sys/types.h>

enum { PORT = 7070, PATIENCE_MS = 60000 };

typedef void step(const char *value);

/* The socket that steps are about, and the steps that are left (as of argv). */
extern int fd;
extern char **steps_left;

/* A line of the transcript. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what failed and why, on standard error, and exits with 1. */
_Noreturn void fail(const char *what);

/* How a read or write ended: "5", "0", "ECONNRESET". Static storage. */
const char *result(ssize_t n);

/* Fails when the time from start_ms is longer than a scenario can take. */
void bear(long long start_ms, const char *what);
long long now_ms(void);
void pause_ms(long ms);
long grace_ms(void); /* GRACE_MS of the environment */

/* opening.c */
step use_port, use_ipv6, use_mapped, use_mptcp, bind_from, serve, listen_only, accept_one, dial, dial_nonblock,
    unix_pair, udp;

/* reading.c; a reader gives what read(2) does. */
typedef ssize_t reader(char *buf, size_t size);
step read_once, read_nothing, read_half, drain, peek, arrived;

/* sending.c */
step send_text, write_text, pour, fill, trickle, urgent;

/* processes.c */
step fork_child, scm_child, to_flight, from_flight, exec_rest, exec_bare, inetd, borrow, dup_it, close_copy, take;

/* Waits for the children of fork_child; what of them failed is the status. */
int wait_for_children(void);

#endif
