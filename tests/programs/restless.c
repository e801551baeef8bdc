/*
 * A program with leaked sockets that never stands still:
 *
 *     restless PORT COUNT threads    makes threads and ends them, as fast as it can
 *     restless PORT COUNT signals    gets numbered signals, as fast as they can be sent
 *     restless PORT COUNT execs      executes itself from a second thread, again and again
 *     restless PORT COUNT forks      forks, and spawns another program
 *
 * connects COUNT times, waits until the peer of each has closed, says "leaked", and goes on until
 * there is something on standard input. Then it says "fine", if nothing went another way than
 * it should have.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_bool over;

#define MUST(condition) ((condition) ? (void)0 : wrong(#condition, __LINE__))

static _Noreturn void wrong(const char *what, int line)
{
    fprintf(stderr, "restless: line %d: not %s: %s\n", line, what, strerror(errno));
    abort();
}

static void leak(const char *port, int count)
{
    for (int i = 0; i < count; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons((in_port_t)strtol(port, NULL, 10))};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        MUST(connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
        MUST(poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, -1) == 1);
    }
}

static int is_asked_to_end(int wait_ms)
{
    return poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, wait_ms) > 0;
}

static void *live_shortly(void *argument)
{
    int ends[2];
    char byte = 0;
    MUST(pipe(ends) == 0);
    MUST(write(ends[1], argument, 1) == 1);
    MUST(read(ends[0], &byte, 1) == 1 && byte == *(char *)argument);
    MUST(nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL) == 0);
    MUST(close(ends[0]) == 0 && close(ends[1]) == 0);
    return argument;
}

static void *make_threads(void *unused)
{
    char byte = 'a';
    while (!over) {
        pthread_t thread;
        void *result = NULL;
        MUST(pthread_create(&thread, NULL, live_shortly, &byte) == 0);
        MUST(pthread_join(thread, &result) == 0 && result == &byte);
        byte++;
    }
    return unused;
}

static void run_threads(void)
{
    enum { MAKERS = 4 };
    pthread_t makers[MAKERS];
    for (int i = 0; i < MAKERS; i++)
        MUST(pthread_create(&makers[i], NULL, make_threads, NULL) == 0);
    is_asked_to_end(-1);
    over = 1;
    for (int i = 0; i < MAKERS; i++)
        MUST(pthread_join(makers[i], NULL) == 0);
}

/* Signals of this kind are queued and come in their order: none may be lost, none come twice. */
static atomic_int received;

static void on_signal(int signal, siginfo_t *info, void *unused)
{
    (void)signal;
    (void)unused;
    MUST(info->si_value.sival_int == received);
    received++;
}

static void *await_signals(void *unused)
{
    volatile double sum = 0;
    while (!over) {
        for (int i = 0; i < 1000; i++)
            sum = sum + 1;
        const int slept = nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
        MUST(slept == 0 || errno == EINTR);
    }
    return unused;
}

static void run_signals(void)
{
    pthread_t target;
    int sent = 0;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGRTMIN, &action, NULL) == 0);
    MUST(pthread_create(&target, NULL, await_signals, NULL) == 0);
    enum { UNDER_WAY = 500 }; /* all of a user's are counted together (RLIMIT_SIGPENDING) */
    while (!is_asked_to_end(0))
        if (sent - received < UNDER_WAY &&
            pthread_sigqueue(target, SIGRTMIN, (union sigval){.sival_int = sent}) == 0)
            sent++;
    while (received < sent)
        sched_yield();
    over = 1;
    MUST(pthread_join(target, NULL) == 0);
    MUST(received == sent && sent > 1000);
}

static void *become_self(void *argument)
{
    char **argv = argument;
    execv("/proc/self/exe", argv);
    MUST(!"executed");
    return NULL;
}

static void run_execs(char **argv)
{
    static char none[] = "0";
    pthread_t thread;
    if (is_asked_to_end(0))
        return;
    argv[2] = none;
    MUST(pthread_create(&thread, NULL, become_self, argv) == 0);
    for (;;)
        pause();
}

static void run_forks(void)
{
    while (!is_asked_to_end(0)) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
        char *argv[] = {"true", NULL};
        MUST(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
        MUST(waitpid(pid, &status, 0) == pid && status == 0);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int count = (int)strtol(argv[2], NULL, 10);
    leak(argv[1], count);
    if (count > 0) {
        printf("leaked\n");
        fflush(stdout);
    }
    if (strcmp(argv[3], "threads") == 0)
        run_threads();
    else if (strcmp(argv[3], "signals") == 0)
        run_signals();
    else if (strcmp(argv[3], "execs") == 0)
        run_execs(argv);
    else
        run_forks();
    printf("fine\n");
    return 0;
}
