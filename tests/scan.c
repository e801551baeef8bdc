/*
 * Sockets that no hook saw: found by their numbers, and reaped while the program stands still.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "freeze.h"
#include "raw.h"
#include "support.h"
#include "thread.h"

/* id: whom it becomes after connect, or NULL. */
static int start_inline_as(struct program *program, const char *options, char *id)
{
    in_port_t port = 0;
    char text[16];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(text, sizeof(text), "%d", port);
    program_start(program, options, ARGS(built("tests/inline"), text, "1", id));
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    close(listener);
    return peer;
}

static int start_inline(struct program *program, const char *options)
{
    return start_inline_as(program, options, NULL);
}

Test(scan, finds_a_socket_that_no_hook_saw_and_reaps_it)
{
    struct program program;
    const int peer = start_inline(&program, "scan=on,action=close,grace=200ms");
    shutdown(peer, SHUT_WR);
    program_must_report(&program, ": leak: fd 3 ");
    program_must_report(&program, "opened where closewait could not see it");
    program_must_report(&program, ": reap: fd 3 ");
    char c;
    cr_expect_eq(read(peer, &c, 1), 0, "the FIN of the reaped socket");
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}

/* How often the first thread, which waits in a call, was woken, or stopped. */
static long wakings_of(pid_t pid)
{
    char said[64];
    shell(said, sizeof(said), "sed -n 's/^voluntary_ctxt_switches:.//p' /proc/%d/status", (int)pid);
    return strtol(said, NULL, 10);
}

Test(scan, stops_the_program_once_for_all_that_are_due)
{
    enum { COUNT = 50 };
    struct program program;
    in_port_t port = 0;
    char text[16];
    int peers[COUNT];
    const int listener = peer_listen(AF_INET, &port);
    snprintf(text, sizeof(text), "%d", port);
    program_start(&program, "scan=on,action=close,grace=500ms",
                  ARGS(built("tests/inline"), text, "50"));
    for (int i = 0; i < COUNT; i++)
        cr_assert_geq(peers[i] = accept(listener, NULL, NULL), 0);
    usleep(100000); /* it waits by then */
    const long before = wakings_of(program.pid);
    for (int i = 0; i < COUNT; i++)
        shutdown(peers[i], SHUT_WR);
    for (int i = 0; i < COUNT; i++) {
        char c;
        cr_expect_eq(read(peers[i], &c, 1), 0, "the FIN of a reaped socket");
        close(peers[i]);
    }
    const long stops = wakings_of(program.pid) - before;
    cr_expect(stops > 0 && stops < COUNT / 2, "%ld", stops);
    program_must_report(&program, ": summary: 50 sockets leaked at 1 call site");
    cr_expect_eq(program_end(&program), 0);
}

Test(scan, leaves_a_program_of_libcs_alone_unless_it_is_asked_for)
{
    struct program program;
    const int peer = start_inline(&program, "action=close,grace=1ms");
    close(peer);
    char said[4096];
    shell(said, sizeof(said), "ls /proc/%d/task | wc -l", (int)program.pid);
    cr_expect_str_eq(said, "1\n");
    cr_expect_eq(program_end(&program), 0);
    cr_expect_str_empty(program.reported);
}

/* Two threads, and both are 65534 in all of their identifiers, the supplementary group too. */
static bool threads_are_nobody(const void *pid)
{
    char said[4096];
    shell(said, sizeof(said), "grep -hE '^(Uid|Gid|Groups):' /proc/%d/task/*/status | xargs",
          (int)*(const pid_t *)pid);
#define NOBODY "Uid: 65534 65534 65534 65534 Gid: 65534 65534 65534 65534 Groups: 65534"
    return strcmp(said, NOBODY " " NOBODY "\n") == 0;
}

/* No hook hears of its setuid, and the program is not dumpable after it: /proc/PID is root's. */
Test(scan, gives_up_what_the_program_gives_up)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    struct program program;
    const int peer = start_inline_as(&program, "scan=on", "65534");
    cr_expect(eventually(threads_are_nobody, &program.pid));
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}

/* Its tracer holds every thread of it already: nobody else can stop them. */
Test(scan, reaps_nothing_while_the_program_is_traced_and_says_so)
{
    struct program program;
    const int peer = start_inline(&program, "scan=on,action=close,grace=300ms");
    cr_assert_eq(ptrace(PTRACE_SEIZE, program.pid, 0, 0), 0);
    shutdown(peer, SHUT_WR);
    program_must_report(&program, "could not be closed: the program could not be stopped for it");
    ptrace(PTRACE_INTERRUPT, program.pid, 0, 0);
    waitpid(program.pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, program.pid, 0, 0);
    program_must_report(&program, "closed, and the connection is gone");
    cr_expect_eq(program_end(&program), 0);
    close(peer);
}

static _Atomic unsigned long turns[4];
static _Atomic bool stop;

static void *spin(void *turn)
{
    while (!atomic_load(&stop))
        atomic_fetch_add((_Atomic unsigned long *)turn, 1);
    return NULL;
}

static void *end_at_once(void *unused)
{
    return unused;
}

/* Threads come and go all the time. */
static void *breed(void *unused)
{
    while (!atomic_load(&stop)) {
        pthread_t child;
        if (pthread_create(&child, NULL, end_at_once, NULL) == 0)
            pthread_join(child, NULL);
    }
    return unused;
}

static unsigned long sum(void)
{
    unsigned long all = 0;
    for (int i = 0; i < 4; i++)
        all += atomic_load(&turns[i]);
    return all;
}

/* What the watcher of a test does: its thread is the one that is not stopped. */
static _Atomic int frozen_times;
static _Atomic int moved;
static _Atomic int refused;
static _Atomic bool over;

static void freeze_often(void)
{
    for (int i = 0; i < 200; i++) {
        const int error = freeze_begin();
        if (error) {
            refused += error != EAGAIN;
            continue;
        }
        frozen_times++;
        const unsigned long before = sum();
        const struct timespec pause = {.tv_nsec = 200000};
        raw2(SYS_nanosleep, (long)&pause, 0);
        moved += sum() != before;
        freeze_end();
    }
    atomic_store(&over, true);
}

static bool is_over(const void *unused)
{
    (void)unused;
    return atomic_load(&over);
}

static _Atomic unsigned long handled;

static void count_signal(int number)
{
    (void)number;
    handled++;
}

Test(scan, stands_still_whatever_its_threads_do)
{
    pthread_t threads[6];
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, spin, &turns[i]), 0);
    for (int i = 4; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, breed, NULL), 0);
    cr_assert(thread_start(freeze_often));
    unsigned long sent = 0;
    while (!atomic_load(&over)) { /* bounded by the 200 rounds */
        const unsigned long before = handled;
        sent += pthread_kill(pthread_self(), SIGUSR1) == 0;
        cr_assert_eq(handled, before + 1, "a signal is delivered once, frozen or not");
        usleep(50);
    }
    cr_expect(eventually(is_over, NULL));
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(moved, 0, "%d of %d times", moved, frozen_times);
    cr_expect_eq(refused, 0);
    cr_expect_gt(frozen_times, 100, "%d", frozen_times);
    cr_expect_eq(handled, sent);
    cr_expect_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1, "no child is left behind");
}
