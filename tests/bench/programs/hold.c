/*
 * A program with many sockets, which never looks at them again:
 *
 *     hold SOCKETS DESCRIPTORS PORT...
 *
 * connects SOCKETS sockets to the ports in turn, duplicates them until it has DESCRIPTORS, and says
 * so. Then it obeys lines on its standard input:
 *
 *     pace MS      writes and reads single bytes on a connection of its own; tells how many a
 * second
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"

enum { MOST = 1000000, BETWEEN_LOOKS = 64 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void hold(int sockets, int descriptors, char **ports, int count)
{
    static int fds[MOST];
    for (int i = 0; i < sockets; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons((in_port_t)strtonum(ports[i % count], 1, UINT16_MAX, NULL));
        fds[i] = dial(&address);
    }
    for (int i = sockets; i < descriptors; i++)
        must(dup(fds[i % sockets]) >= 0, "hold: dup");
}

static void pace(int near, int far, int ms)
{
    const uint64_t start_ms = now_ms();
    long done = 0;
    char byte = 0;
    while (now_ms() - start_ms < (uint64_t)ms)
        for (int i = 0; i < BETWEEN_LOOKS; i++, done++)
            must(write(near, &byte, 1) == 1 && read(far, &byte, 1) == 1, "hold: a byte");
    printf("%.1f\n", (double)done * 1000 / (double)(now_ms() - start_ms));
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: hold SOCKETS DESCRIPTORS PORT...\n", stderr);
        return 2;
    }
    const int sockets = (int)strtonum(argv[1], 1, MOST, NULL);
    const int descriptors = (int)strtonum(argv[2], 1, MOST, NULL);
    struct sockaddr_in address;
    const int listener = listen_here(&address);
    const int near = dial(&address);
    const int far = accept(listener, NULL, NULL);
    close(listener);
    hold(sockets, descriptors, argv + 3, argc - 3);
    puts("held");
    char line[64];
    while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin)) {
        char *rest = line;
        must(strcmp(strsep(&rest, " "), "pace") == 0, "hold: a line");
        pace(near, far, next_number(&rest));
    }
    return 0;
}
