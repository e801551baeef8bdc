/*
 * A program to stop:
 *
 *     standing THREADS SOCKETS
 *
 * has so many threads, the first among them, that wait in a call, and so many sockets whose peer,
 * its own, has closed. It tells the descriptors of the sockets, a line each, and "leaked", and ends
 * with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024, MOST = 10000 };

static void must(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void *stand(void *unused)
{
    pause();
    return unused;
}

static void start_threads(int count)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_SIZE);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        must(pthread_create(&thread, &small, stand, NULL) == 0, "standing: a thread");
    }
}

static void leak(int listener, const struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "standing: connect");
    must(close(accept(listener, NULL, NULL)) == 0, "standing: accept");
    must(poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, -1) == 1, "standing: poll");
    printf("%d\n", fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    char byte = 0;
    if (argc != 3) {
        fputs("usage: standing THREADS SOCKETS\n", stderr);
        return 2;
    }
    const int threads = (int)strtonum(argv[1], 1, MOST, NULL);
    const int sockets = (int)strtonum(argv[2], 1, MOST, NULL);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
             getsockname(listener, (struct sockaddr *)&address, &len) == 0,
         "standing: listen");
    start_threads(threads - 1);
    for (int i = 0; i < sockets; i++)
        leak(listener, &address);
    puts("leaked");
    fflush(stdout);
    return read(0, &byte, 1) < 0;
}
