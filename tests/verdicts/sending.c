/* The ways in which programs send. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "end.h"

enum { BLOCK = 1024 };

void send_text(const char *text)
{
    say("send %s", result(send(fd, text, strlen(text), MSG_NOSIGNAL)));
}

void write_text(const char *text)
{
    say("write %s", result(write(fd, text, strlen(text))));
}

static void fill_block(char *block, size_t number)
{
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = (char)('a' + (number * 31 + i) % 26);
}

void pour(const char *kib)
{
    char block[BLOCK];
    const size_t count = strtoul(kib, NULL, 10);
    for (size_t i = 0; i < count; i++) {
        fill_block(block, i);
        for (size_t done = 0; done < BLOCK;) {
            const ssize_t n = send(fd, block + done, BLOCK - done, MSG_NOSIGNAL);
            if (n <= 0) {
                say("pour stopped: %s", result(n));
                return;
            }
            done += (size_t)n;
        }
    }
    say("pour %zu KiB", count);
}

/* How much that is depends on the machine: not said. */
void fill(const char *unused)
{
    char block[BLOCK] = {0};
    (void)unused;
    while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    say("fill %s", result(-1));
}

void trickle(const char *graces)
{
    const long count = PER_GRACE * strtol(graces, NULL, 10);
    long sent = 0;
    for (long i = 0; i < count; i++) {
        pause_ms(grace_ms() / PER_GRACE);
        sent += send(fd, ".", 1, MSG_NOSIGNAL) == 1;
    }
    say("trickle %ld of %ld", sent, count);
}

void urgent(const char *unused)
{
    (void)unused;
    say("urgent %s", result(send(fd, "!", 1, MSG_OOB | MSG_NOSIGNAL)));
}
