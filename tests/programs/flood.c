/*
 * Leaks many sockets from three places, in rounds, and prints how many:
 *
 *     flood ROUNDS SOCKETS [MS]
 *
 * A round opens SOCKETS connections to a listener of its own, which closes them at once, waits for
 * a line on standard input, or for MS, and closes them all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define APART __attribute__((noinline))

static struct sockaddr_in addr = {.sin_family = AF_INET};
static int listener;

static int dial(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        perror("flood");
        exit(1);
    }
    close(accept(listener, NULL, NULL));
    return fd;
}

static APART int dial_often(void)
{
    const int fd = dial();
    __asm__ volatile("" ::: "memory");
    return fd;
}

static APART int dial_sometimes(void)
{
    const int fd = dial();
    __asm__ volatile("" ::: "memory");
    return fd;
}

static APART int dial_seldom(void)
{
    const int fd = dial();
    __asm__ volatile("" ::: "memory");
    return fd;
}

static void open_listener(void)
{
    socklen_t len = sizeof(addr);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 512) != 0)
        exit(1);
    getsockname(listener, (struct sockaddr *)&addr, &len);
}

static void rest(const char *ms)
{
    char line[16];
    if (ms)
        poll(NULL, 0, (int)strtol(ms, NULL, 10));
    else if (!fgets(line, sizeof(line), stdin))
        exit(0);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    const int sockets = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int *fds = calloc((size_t)sockets + 1, sizeof(*fds));
    open_listener();
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < sockets; i++)
            fds[i] = i % 10 < 7 ? dial_often() : i % 10 < 9 ? dial_sometimes() : dial_seldom();
        printf("leaked %d\n", sockets);
        fflush(stdout);
        rest(argc > 3 ? argv[3] : NULL);
        for (int i = 0; i < sockets; i++)
            close(fds[i]);
    }
    free(fds);
    return 0;
}
