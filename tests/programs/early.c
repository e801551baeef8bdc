/*
 * A library that is busy with sockets before main, and with the same ones after it. To be
 * preloaded before the shim and after it. EARLY_PORT is a listener's.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd = -1;

__attribute__((constructor)) static void rise(void)
{
    const char *port = getenv("EARLY_PORT");
    if (!port)
        return;
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)strtol(port, NULL, 10))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("early connect %d\n", connect(fd, (struct sockaddr *)&in, sizeof(in)));
    FILE *stream = fopen("/dev/null", "re");
    if (stream)
        fclose(stream);
    fflush(stdout);
}

__attribute__((destructor)) static void set(void)
{
    char c;
    if (fd < 0)
        return;
    printf("late recv %d\n", (int)recv(fd, &c, 1, 0));
    printf("late close %d\n", close(fd));
    fflush(stdout);
}
