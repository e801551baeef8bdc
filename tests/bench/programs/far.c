/*
 * The other end of many connections:
 *
 *     far SOCKETS
 *
 * listens on some ports, and tells them in a line; accepts SOCKETS connections, and says so; and
 * then obeys lines on its standard input:
 *
 *     one          sends a FIN on a connection of the many; tells when, in ns since the epoch
 *     many N MS    sends N more, evenly over so many ms; tells how many ms it took
 *     wait N MS    until N connections were closed at the other end, but no longer than that: tells
 *                  how many were, and of them the median and the longest time since our FIN, in ms
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"

enum { MOST = 1000000, LISTENERS = 8, EVENTS = 256, LOOK_MS = 100 };

struct end {
    int fd;
    uint64_t fin_ns;
};

static struct end *ends;
static int sockets;
static int finished; /* those up to here have sent their FIN */
static int closings; /* an epoll for those, until the other end closes too */
static uint64_t *answers_ns;
static int answered;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void accept_all(void)
{
    struct pollfd polled[LISTENERS];
    for (int i = 0; i < LISTENERS; i++) {
        struct sockaddr_in address;
        polled[i] = (struct pollfd){.fd = listen_here(&address), .events = POLLIN};
        printf("%d%c", ntohs(address.sin_port), i + 1 < LISTENERS ? ' ' : '\n');
    }
    fflush(stdout);
    for (int count = 0; count < sockets;) {
        must(poll(polled, LISTENERS, -1) > 0, "far: poll");
        for (int i = 0; i < LISTENERS; i++)
            if (polled[i].revents)
                must((ends[count++].fd = accept(polled[i].fd, NULL, NULL)) >= 0, "far: accept");
    }
    puts("accepted");
}

/* The connections that were closed at the other end within so many milliseconds. */
static void collect(int ms)
{
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(closings, events, EVENTS, ms);
    for (int i = 0; i < ready; i++) {
        const struct end *end = &ends[events[i].data.u32];
        answers_ns[answered++] = now_ns(CLOCK_MONOTONIC) - end->fin_ns;
        epoll_ctl(closings, EPOLL_CTL_DEL, end->fd, NULL);
    }
}

static void finish(void)
{
    struct end *end = &ends[finished];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)finished++};
    end->fin_ns = now_ns(CLOCK_MONOTONIC);
    must(shutdown(end->fd, SHUT_WR) == 0 &&
             epoll_ctl(closings, EPOLL_CTL_ADD, end->fd, &event) == 0,
         "far: shutdown");
}

static void one(void)
{
    const uint64_t at_ns = now_ns(CLOCK_REALTIME);
    finish();
    printf("%llu\n", (unsigned long long)at_ns);
}

static void many(int count, int ms)
{
    const uint64_t start_ns = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++) {
        const uint64_t due_ns = start_ns + (uint64_t)ms * 1000000 * (uint64_t)i / (uint64_t)count;
        const uint64_t at_ns = now_ns(CLOCK_MONOTONIC);
        collect(due_ns > at_ns ? (int)((due_ns - at_ns) / 1000000) : 0);
        finish();
    }
    printf("%.3f\n", (double)(now_ns(CLOCK_MONOTONIC) - start_ns) / 1e6);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void wait_for(int count, int ms)
{
    const uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + (uint64_t)ms * 1000000;
    while (answered < count && now_ns(CLOCK_MONOTONIC) < end_ns)
        collect(LOOK_MS);
    qsort(answers_ns, (size_t)answered, sizeof(*answers_ns), by_size);
    const int middle = answered / 2;
    printf("%d %.3f %.3f\n", answered, answered ? (double)answers_ns[middle] / 1e6 : 0,
           answered ? (double)answers_ns[answered - 1] / 1e6 : 0);
}

static void obey(char *line)
{
    const char *word = strsep(&line, " \n");
    if (strcmp(word, "one") == 0) {
        must(finished < sockets, "far: one more");
        one();
        return;
    }
    const int count = next_number(&line);
    const int ms = next_number(&line);
    if (strcmp(word, "many") == 0 && finished + count <= sockets)
        many(count, ms);
    else if (strcmp(word, "wait") == 0)
        wait_for(count, ms);
    else
        must(false, "far: a line");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: far SOCKETS\n", stderr);
        return 2;
    }
    sockets = (int)strtonum(argv[1], 1, MOST, NULL);
    ends = calloc((size_t)sockets, sizeof(*ends));
    answers_ns = calloc((size_t)sockets, sizeof(*answers_ns));
    must(ends && answers_ns, "far: memory");
    must((closings = epoll_create1(0)) >= 0, "far: epoll");
    accept_all();
    char line[64];
    while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin))
        obey(line);
    return 0;
}
