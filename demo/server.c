/*
 * The server of the story: it accepts, and closes at once (or after SECONDS).
 *
 *     server [PORT [SECONDS]]
 */
#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned number(const char *text, long long max)
{
    const char *wrong = NULL;
    const long long n = strtonum(text, 0, max, &wrong);
    if (wrong) {
        fprintf(stderr, "usage: server [PORT [SECONDS]]: '%s' is %s, expected 0 to %lld\n", text,
                wrong, max);
        exit(2);
    }
    return (unsigned)n;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    const unsigned port = argc > 1 ? number(argv[1], 65535) : 7070;
    const unsigned seconds = argc > 2 ? number(argv[2], 3600) : 0;

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        fail("socket");
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        fail("bind");
    if (listen(listener, 10) != 0)
        fail("listen");
    printf("listening on port %u\n", port);
    fflush(stdout);

    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            fail("accept");
        sleep(seconds);
        close(client);
    }
}
