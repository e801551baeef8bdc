/*
 * What strace counts:
 *
 *     life dialed TIMES      connections that this program makes
 *     life accepted TIMES    and that it accepts: each writes, reads, reads the end, and is closed
 *     life apart TIMES       as dialed, each after a pause
 *     life never SECONDS     sleeps, and has never had a socket
 *     life after SECONDS     after its only connection was closed
 *     life listening SECONDS with a listener that nobody connects to
 *     life one SECONDS       with one connection
 *
 * Each sleep begins after SETTLE_S more, in which what was begun may end, and lies between two
 * calls of getppid. Then it tells how often a thread of the process gave up a processor meanwhile:
 * once it did so itself.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "raw.h"

enum { MOST = 1000000 };

static struct sockaddr_in address;
static int listener;

static void use(int fd, int other)
{
    char byte = 0;
    must(write(fd, &byte, 1) == 1, "life: write");
    unseen_read(other);
    unseen_write(other);
    must(read(fd, &byte, 1) == 1, "life: read");
    unseen_close(other);
    must(read(fd, &byte, 1) == 0, "life: the end");
    close(fd);
}

static void dialed(int times)
{
    listener = listen_here(&address);
    for (int i = 0; i < times; i++) {
        const int fd = dial(&address);
        use(fd, unseen_accept(listener));
    }
}

static void accepted(int times)
{
    listener = listen_here(&address);
    for (int i = 0; i < times; i++) {
        const int other = unseen_dial(&address);
        use(accept(listener, NULL, NULL), other);
    }
}

/* The watcher lingers for a second, and a machine may be slow. */
enum { SETTLE_S = 3 };

static void doze(int seconds)
{
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
}

/* Of every thread, those included that no hook of a thread library knows. */
static long switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

/* Longer than the watcher's sweep: it has seen that there is none, and sleeps. */
static void apart(int times)
{
    for (int i = 0; i < times; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
        dialed(1);
        close(listener);
    }
}

static void never(int seconds)
{
    doze(SETTLE_S);
    const long before = switches();
    raw0(SYS_getppid);
    doze(seconds);
    raw0(SYS_getppid);
    printf("%ld\n", switches() - before);
}

static void after(int seconds)
{
    dialed(1);
    close(listener);
    never(seconds);
}

static void listening(int seconds)
{
    listener = listen_here(&address);
    never(seconds);
}

static void one(int seconds)
{
    listener = listen_here(&address);
    dial(&address);
    unseen_accept(listener);
    never(seconds);
}

static const struct {
    const char *name;
    void (*run)(int number);
} ways[] = {
    {"dialed", dialed}, {"accepted", accepted},   {"apart", apart}, {"never", never},
    {"after", after},   {"listening", listening}, {"one", one},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(argv[1], ways[i].name) == 0) {
            ways[i].run((int)strtonum(argv[2], 0, MOST, NULL));
            return 0;
        }
    fputs("usage: life dialed|accepted|apart|never|after|listening|one NUMBER\n", stderr);
    return 2;
}
