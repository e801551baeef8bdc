/*
 * The client of the story: it connects from a fixed port of its own, ignores the connection, and
 * does the same again later. The mistake is left in: it never closes. With "close" it does, and
 * then it is the first to close.
 *
 *     client [SERVER_PORT [OWN_PORT [SECONDS [close]]]]
 */
#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned number(const char *text, long long max)
{
    const char *wrong = NULL;
    const long long n = strtonum(text, 0, max, &wrong);
    if (wrong) {
        fprintf(stderr,
                "usage: client [SERVER_PORT [OWN_PORT [SECONDS [close]]]]: '%s' is %s, "
                "expected 0 to %lld\n",
                text, wrong, max);
        exit(2);
    }
    return (unsigned)n;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

static int dial(unsigned server_port, unsigned own_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((in_port_t)own_port)};
    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0)
        fail("bind");
    struct sockaddr_in server = loopback(server_port);
    if (connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0)
        fail("connect");
    return fd;
}

int main(int argc, char **argv)
{
    const unsigned server_port = argc > 1 ? number(argv[1], 65535) : 7070;
    const unsigned own_port = argc > 2 ? number(argv[2], 65535) : 10001;
    const unsigned seconds = argc > 3 ? number(argv[3], 3600) : 5;
    const int closes = argc > 4 && strcmp(argv[4], "close") == 0;

    for (int take = 1; take <= 2; take++) {
        int fd = dial(server_port, own_port);
        printf("take %d: connected\n", take);
        fflush(stdout);
        if (closes)
            close(fd);
        sleep(seconds);
    }
    return 0;
}
