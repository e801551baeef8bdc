/*
 * Connects to PORT by a chain of functions that a test knows, and waits for its standard input:
 *
 *     caller PORT [PLUGIN]
 *
 * With PLUGIN the connection is made by the function "plug" of that library, which is closed again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define APART __attribute__((noinline))

APART int dial(int port);
APART int outer(int port);

APART int dial(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        perror("connect");
    return fd;
}

/* With a frame of a size that is known only when it runs. */
static APART int middle(int port, size_t size)
{
    volatile char room[size];
    room[0] = (char)port;
    const int fd = dial(port);
    return fd + (room[0] - (char)port);
}

static inline __attribute__((always_inline)) int within(int port)
{
    const int fd = middle(port, (size_t)port + 1);
    __asm__ volatile("" ::: "memory");
    return fd;
}

APART int outer(int port)
{
    const int fd = within(port);
    __asm__ volatile("" ::: "memory");
    return fd;
}

static APART void plug(int port, const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    int (*const plugged)(int, int (*)(int)) =
        library ? (int (*)(int, int (*)(int)))dlsym(library, "plug") : NULL;
    if (!plugged || plugged(port, dial) < 0 || dlclose(library) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    const int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    char c;
    if (argc > 2)
        plug(port, argv[2]);
    else
        outer(port);
    printf("connected\n");
    fflush(stdout);
    return read(0, &c, 1) < 0;
}
