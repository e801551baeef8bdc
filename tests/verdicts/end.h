/*
 * One end of a TCP connection, which does what its arguments say, one step each: both ends of most
 * scenarios are this program. What a read, a write or a connect gave is a line on standard output,
 * and nothing else is: two runs of a scenario are compared by those lines. No step waits for time
 * to pass but pass, compute, trickle and sip, which count in graces.
 *
 *     ipv6 mapped mptcp port=N from=N   of the next socket; mapped: IPv4 over IPv6; from: bound so
 *     listen=BACKLOG accept=COUNT       accept one, or COUNT and go on with the last
 *     serve                             listen, accept one, close the listener
 *     dial=IP crowd=COUNT               connect, again while nobody listens; crowd: so often
 *     dial-nonblock=IP                  without waiting
 *     unix udp                          sockets of other kinds
 *
 *     read read-half read-nothing       once: all that is there, the half of it, no bytes
 *     read-error                        one that must find the connection cut, by whatever errno
 *     drain=HOW                         to the end of stream; HOW: recv, stdio, ... (reading.c)
 *     peek                              by MSG_PEEK
 *     sip=GRACES                        a byte every quarter of a grace
 *     arrived=BYTES                     wait until so many can be read
 *
 *     send=TEXT write=TEXT              without and with SIGPIPE
 *     pour=KIB fill                     so much, or until a write would wait
 *     trickle=GRACES                    a byte every quarter of a grace
 *     urgent                            a byte out of band
 *
 *     fin shut-read close               half-close, the other half, both
 *     reset                             close by RST (SO_LINGER 0)
 *     exit=STATUS
 *
 *     hold                              until the runner has seen what it wants to see
 *     hold-in-poll hold-in-epoll        in a poll that has no news for a program in CLOSE_WAIT
 *     tell=NAME await=NAME              a file of the folder that all ends share; wait for it
 *     pass=GRACES compute=GRACES        asleep, busy
 *     gone dead                         wait until the peer's FIN or RST is here; until CLOSE
 *     listening=PORT                    wait until somebody does
 *
 *     keepalive                         a peer that does not answer is given up after 3 s
 *     user-timeout=MS linger=SECONDS
 *     ask                               print the settings of keepalive
 *
 *     dup close-copy                    a copy of the descriptor
 *     fork ... parent ...               the child's steps, the parent's, who then waits for it
 *     scm ... parent ...                the same, and the socket goes to the child by SCM_RIGHTS
 *     to-flight from-flight             the socket in a message that nobody has received, and back
 *     vfork                             a child that closes it before it executes
 *     exec bare take=FD                 the rest in a new image; bare: without the shim
 *     inetd=COMMAND                     a shell with the socket as standard input and output
 *     run=COMMAND                       a shell
 */
#ifndef CLOSEWAIT_TESTS_VERDICTS_END_H
#define CLOSEWAIT_TESTS_VERDICTS_END_H

#include <sys/types.h>

enum { PORT = 7070, PER_GRACE = 4 };

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

/* Fails when the time from start_ms is longer than a scenario takes: PATIENCE_S. */
void bear(long long start_ms, const char *what);

/* PATIENCE_S and GRACE_MS of the environment. */
int patience_ms(void);
long grace_ms(void);

long long now_ms(void);
void pause_ms(long ms);

/* opening.c */
step use_port, use_ipv6, use_mapped, use_mptcp, bind_from, serve, listen_only, accept_some, dial,
    crowd, dial_nonblock, unix_pair, udp;

/* reading.c; a reader gives what read(2) does. */
typedef ssize_t reader(char *buf, size_t size);
step read_once, read_error, read_nothing, read_half, drain, peek, sip, arrived;

/* sending.c */
step send_text, write_text, pour, fill, trickle, urgent;

/* processes.c */
step fork_child, scm_child, to_flight, from_flight, exec_rest, exec_bare, inetd, borrow, dup_it,
    close_copy, take;

/* Waits for the children of fork_child; what of them failed is the status. */
int wait_for_children(void);

#endif
