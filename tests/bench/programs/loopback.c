#define _GNU_SOURCE
#include "loopback.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "raw.h"

enum { BACKLOG = 4096 };

void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

int next_number(char **line)
{
    const char *word = strsep(line, " \n");
    const char *why = "missing";
    const long long number = word ? strtonum(word, 0, INT_MAX, &why) : 0;
    if (why) {
        fprintf(stderr, "a number is %s\n", why);
        exit(1);
    }
    return (int)number;
}

int listen_here(struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)address, len) == 0 && listen(listener, BACKLOG) == 0 &&
             getsockname(listener, (struct sockaddr *)address, &len) == 0,
         "listen");
    return listener;
}

int dial(const struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "connect");
    return fd;
}

int unseen_dial(const struct sockaddr_in *address)
{
    const long fd = raw3(SYS_socket, AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && raw3(SYS_connect, fd, (long)address, sizeof(*address)) == 0, "unseen connect");
    return (int)fd;
}

int unseen_accept(int listener)
{
    const long fd = raw4(SYS_accept4, listener, 0, 0, 0);
    must(fd >= 0, "unseen accept");
    return (int)fd;
}

void unseen_close(int fd)
{
    must(raw1(SYS_close, fd) == 0, "unseen close");
}

void unseen_write(int fd)
{
    const char byte = 0;
    must(raw3(SYS_write, fd, (long)&byte, 1) == 1, "unseen write");
}

void unseen_read(int fd)
{
    char byte;
    must(raw3(SYS_read, fd, (long)&byte, 1) == 1, "unseen read");
}
