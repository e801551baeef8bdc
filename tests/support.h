/*
 * What the tests of the whole line need: a program under the shim, a peer, and patience with a
 * limit. Everything fails the test that calls it, with a reason.
 */
#ifndef CLOSEWAIT_TESTS_SUPPORT_H
#define CLOSEWAIT_TESTS_SUPPORT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PATIENCE_MS = 10000 };

struct program {
    pid_t pid;
    int in;               /* its standard input */
    int out;              /* its standard output, read as it comes */
    int err;              /* its standard error */
    char said[65536];     /* on standard output, so far */
    char reported[65536]; /* on standard error, so far */
};

/* The end of an argument vector. */
#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})

/* Starts argv[0] with the shim and CLOSEWAIT_OPTIONS=options; options NULL: without the shim. */
void program_start(struct program *program, const char *options, char *const argv[]);

/* Waits until the program has written text; fails the test after PATIENCE_MS. */
void program_must_say(struct program *program, const char *text);
void program_must_report(struct program *program, const char *text);
void program_must_report_times(struct program *program, const char *text, int count);

/* Asks by SIGUSR2, the program's option signal, for its summary until it says so. */
void program_must_sum(struct program *program, const char *summary);

/* Lets a step "wait" go on. */
void program_go_on(struct program *program);

/* Ends its standard input and waits for its end. Returns its status as a shell gives it. */
int program_end(struct program *program);

/* How often text is in where. */
int times(const char *where, const char *text);

/* A loopback listener on a free port, of the test's own. */
int peer_listen(int family, in_port_t *port);

/* The peer's end of the connection that the program makes in a step, once it has said so. */
int meet(int listener, struct program *program, const char *made);

/* Closes it, and returns when the program's end has got the FIN. */
void peer_hang_up(int peer);

/* Waits until the kernel keeps a port in TIME_WAIT. */
void await_time_wait(in_port_t port);

/* A port that nobody has at this moment. */
in_port_t free_port(void);

/* A step of the leaker with a number: step("connect4", port). Static storage, 16 at a time. */
char *step(const char *word, int number);

/* The port that a leaker listens on: waits for its "port N". */
in_port_t port_of(struct program *program);

/* A path in the build tree, from the repository's top: built("demo/client"). */
char *built(const char *name);

/* Runs a shell command, returns its status, with its output (both) in said. */
int shell(char *said, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Polls a condition until it holds or PATIENCE_MS are over; returns whether it held. */
bool eventually(bool (*holds)(const void *), const void *argument);

uint64_t now_ms(void);

/* The state of a process as proc(5) has it: 'T' is stopped, 'S' sleeps; 0 when there is none. */
char process_state(pid_t pid);

#endif
