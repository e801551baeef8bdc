/*
 * Single calls for callgrind to count, each made again and again from below 16 frames of the
 * program's:
 *
 *     calls TIMES
 *
 * makes each kind of call TIMES times, and then three times as often, and has callgrind write its
 * counters after each, under the name "KIND TIMES". Two lengths, since what is done once, a
 * stack that is walked or a page of slots, is no part of what a call costs.
 *
 * Only what is between open_window and close_window is counted. Around it the other end of the
 * connection is used by system calls that no hook sees: they are not what is measured.
 */
#define _GNU_SOURCE
#include <bsd/stdlib.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "loopback.h"

enum { FRAMES = 16, MOST = 1000000 };

static struct sockaddr_in address;
static int listener;
static int near = -1; /* a connection that lasts, and its other end */
static int far = -1;
static char byte[1];
static struct iovec room = {byte, sizeof(byte)};
static struct msghdr message = {.msg_iov = &room, .msg_iovlen = 1};

static void open_window(void)
{
    CALLGRIND_TOGGLE_COLLECT;
}

static void close_window(void)
{
    CALLGRIND_TOGGLE_COLLECT;
}

static int new_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static bool connects(int fd)
{
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static void once_nothing(void)
{
    open_window();
    close_window();
}

static void once_read(void)
{
    unseen_write(far);
    open_window();
    const ssize_t n = read(near, byte, 1);
    close_window();
    must(n == 1, "calls: read");
}

static void once_recv(void)
{
    unseen_write(far);
    open_window();
    const ssize_t n = recv(near, byte, 1, 0);
    close_window();
    must(n == 1, "calls: recv");
}

static void once_recvmsg(void)
{
    unseen_write(far);
    open_window();
    const ssize_t n = recvmsg(near, &message, 0);
    close_window();
    must(n == 1, "calls: recvmsg");
}

static void once_write(void)
{
    open_window();
    const ssize_t n = write(near, byte, 1);
    close_window();
    must(n == 1, "calls: write");
    unseen_read(far);
}

static void once_poll(void)
{
    struct pollfd polled = {.fd = near, .events = POLLIN};
    open_window();
    const int ready = poll(&polled, 1, 0);
    close_window();
    must(ready == 0, "calls: poll");
}

/* The first read at the end of a stream, and the second. */
static void read_end(bool second)
{
    const int fd = dial(&address);
    unseen_close(unseen_accept(listener));
    must(!second || read(fd, byte, 1) == 0, "calls: the end");
    open_window();
    const ssize_t n = read(fd, byte, 1);
    close_window();
    must(n == 0, "calls: the end");
    close(fd);
}

static void once_end(void)
{
    read_end(false);
}

static void once_end_again(void)
{
    read_end(true);
}

static void once_socket(void)
{
    open_window();
    const int fd = new_socket();
    close_window();
    must(fd >= 0, "calls: socket");
    close(fd);
}

static void once_connect(void)
{
    const int fd = new_socket();
    open_window();
    const bool good = connects(fd);
    close_window();
    must(good, "calls: connect");
    unseen_close(unseen_accept(listener));
    close(fd);
}

static void once_close(void)
{
    const int fd = dial(&address);
    open_window();
    close(fd);
    close_window();
    unseen_close(unseen_accept(listener));
}

static void once_connection(void)
{
    open_window();
    const int fd = new_socket();
    const bool good = connects(fd);
    close(fd);
    close_window();
    must(good, "calls: connect");
    unseen_close(unseen_accept(listener));
}

static void once_accept(void)
{
    const int peer = unseen_dial(&address);
    open_window();
    const int fd = accept(listener, NULL, NULL);
    close(fd);
    close_window();
    must(fd >= 0, "calls: accept");
    unseen_close(peer);
}

/* Their names are those of the rows in instructions.py. */
static const struct {
    const char *name;
    void (*once)(void);
} kinds[] = {
    {"nothing", once_nothing}, {"read", once_read},   {"recv", once_recv},
    {"recvmsg", once_recvmsg}, {"end", once_end},     {"end-again", once_end_again},
    {"write", once_write},     {"poll", once_poll},   {"socket", once_socket},
    {"connect", once_connect}, {"close", once_close}, {"connection", once_connection},
    {"accept", once_accept},
};

static void make(const char *name, void (*once)(void), long times)
{
    char what[64];
    snprintf(what, sizeof(what), "%s %ld", name, times);
    once();
    CALLGRIND_ZERO_STATS;
    for (long i = 0; i < times; i++)
        once();
    CALLGRIND_DUMP_STATS_AT(what);
}

static void make_all(long times)
{
    near = dial(&address);
    far = unseen_accept(listener);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        make(kinds[i].name, kinds[i].once, times);
        make(kinds[i].name, kinds[i].once, 3 * times);
    }
}

static __attribute__((noinline)) void below(int frames, long times)
{
    if (frames > 0)
        below(frames - 1, times);
    else
        make_all(times);
    __asm__ volatile(""); /* no tail call */
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: calls TIMES\n", stderr);
        return 2;
    }
    const long times = (long)strtonum(argv[1], 1, MOST, NULL);
    listener = listen_here(&address);
    below(FRAMES, times);
    return 0;
}
