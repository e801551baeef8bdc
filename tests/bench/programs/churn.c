/*
 * As many as it can, in so many threads, for so long:
 *
 *     churn storm THREADS MS      connections, opened, accepted and closed at both ends
 *     churn exchange THREADS MS   bytes, written and read, on a connection of each thread's own
 *
 * Tells how many that were in a second, and for how many ns each kept a processor busy.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"

enum { MOST_THREADS = 256, MOST_MS = 1000000 };

/* A line of the cache for each: what threads share here would be no cost of the shim's. */
struct worker {
    _Alignas(128) pthread_t thread;
    long done;
};

static struct worker workers[MOST_THREADS];
static _Atomic bool over;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Of all threads. */
static uint64_t busy_ns(void)
{
    struct timespec busy;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &busy);
    return (uint64_t)busy.tv_sec * 1000000000 + (uint64_t)busy.tv_nsec;
}

static bool is_over(void)
{
    return atomic_load_explicit(&over, memory_order_relaxed);
}

static void *storm(void *argument)
{
    struct worker *worker = argument;
    struct sockaddr_in address;
    const int listener = listen_here(&address);
    for (; !is_over(); worker->done++) {
        const int fd = dial(&address);
        const int accepted = accept(listener, NULL, NULL);
        must(accepted >= 0, "churn: accept");
        close(fd);
        close(accepted);
    }
    close(listener);
    return NULL;
}

static void *exchange(void *argument)
{
    struct worker *worker = argument;
    struct sockaddr_in address;
    const int listener = listen_here(&address);
    const int fd = dial(&address);
    const int accepted = accept(listener, NULL, NULL);
    char byte = 0;
    for (; !is_over(); worker->done++)
        must(write(fd, &byte, 1) == 1 && read(accepted, &byte, 1) == 1, "churn: a byte");
    close(fd);
    close(accepted);
    close(listener);
    return NULL;
}

static int run(void *(*work)(void *), int threads, int ms)
{
    const uint64_t start_ms = now_ms();
    for (int i = 0; i < threads; i++)
        must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "churn: a thread");
    usleep((useconds_t)ms * 1000);
    atomic_store_explicit(&over, true, memory_order_relaxed);
    long done = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
    }
    printf("%.1f %.1f\n", (double)done * 1000 / (double)(now_ms() - start_ms),
           (double)busy_ns() / (double)done);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        const int threads = (int)strtonum(argv[2], 1, MOST_THREADS, NULL);
        const int ms = (int)strtonum(argv[3], 1, MOST_MS, NULL);
        if (strcmp(argv[1], "storm") == 0)
            return run(storm, threads, ms);
        if (strcmp(argv[1], "exchange") == 0)
            return run(exchange, threads, ms);
    }
    fputs("usage: churn storm|exchange THREADS MS\n", stderr);
    return 2;
}
