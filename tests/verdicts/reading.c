/* The ways in which programs read. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "end.h"

enum { ROOM = 65536 };

static ssize_t by_read(char *buf, size_t size)
{
    return read(fd, buf, size);
}

static ssize_t by_readv(char *buf, size_t size)
{
    const struct iovec iov = {buf, size};
    return readv(fd, &iov, 1);
}

static ssize_t by_recv(char *buf, size_t size)
{
    return recv(fd, buf, size, 0);
}

static ssize_t by_recvfrom(char *buf, size_t size)
{
    return recvfrom(fd, buf, size, 0, NULL, NULL);
}

static ssize_t by_recvmsg(char *buf, size_t size)
{
    struct iovec iov = {buf, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    return recvmsg(fd, &msg, 0);
}

static ssize_t by_recvmmsg(char *buf, size_t size)
{
    struct iovec iov = {buf, size};
    struct mmsghdr msg = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
    return recvmmsg(fd, &msg, 1, 0, NULL) == 1 ? (ssize_t)msg.msg_len : -1;
}

static ssize_t by_splice(char *buf, size_t size)
{
    static int ends[2];
    if (ends[1] == 0 && pipe2(ends, O_CLOEXEC) != 0)
        fail("pipe");
    const ssize_t n = splice(fd, NULL, ends[1], NULL, size, 0);
    return n > 0 ? read(ends[0], buf, (size_t)n) : n;
}

static ssize_t by_stdio(char *buf, size_t size)
{
    static FILE *stream;
    if (!stream)
        stream = fdopen(fd, "r");
    errno = 0;
    if (fgets(buf, (int)size, stream))
        return (ssize_t)strlen(buf);
    return ferror(stream) ? -1 : 0;
}

/* Of uring.c, in the program that has it. */
reader by_io_uring __attribute__((weak));

static reader *reader_of(const char *name)
{
    static const struct {
        const char *name;
        reader *read;
    } readers[] = {{"", by_read},
                   {"readv", by_readv},
                   {"recv", by_recv},
                   {"recvfrom", by_recvfrom},
                   {"recvmsg", by_recvmsg},
                   {"recvmmsg", by_recvmmsg},
                   {"splice", by_splice},
                   {"stdio", by_stdio},
                   {"io_uring", by_io_uring}};
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        if (strcmp(name, readers[i].name) == 0 && readers[i].read)
            return readers[i].read;
    errno = EINVAL;
    fail(name);
}

/* FNV-1a. */
static unsigned add(unsigned sum, const char *buf, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)buf[i]) * 16777619U;
    return sum;
}

void drain(const char *how)
{
    static char buf[ROOM];
    reader *const next = reader_of(how);
    size_t size = 0;
    unsigned sum = 2166136261U;
    ssize_t n = 0;
    while ((n = next(buf, sizeof(buf))) > 0) {
        sum = add(sum, buf, (size_t)n);
        size += (size_t)n;
    }
    say("drain %zu bytes, sum %08x, then %s", size, sum, result(n));
}

void read_once(const char *unused)
{
    static char buf[ROOM];
    (void)unused;
    const ssize_t n = read(fd, buf, sizeof(buf));
    say("read %s %.*s", result(n), n > 0 ? (int)n : 0, buf);
}

/* A tombstone says ECONNRESET, whatever the kernel would have said. */
void read_error(const char *unused)
{
    char c;
    (void)unused;
    const bool failed = read(fd, &c, 1) < 0;
    const bool ended = errno == ECONNRESET || errno == ECONNABORTED || errno == ETIMEDOUT;
    say("read %s", failed && ended ? "of a connection that was cut" : result(failed ? -1 : 0));
}

static int unread(void)
{
    int n = 0;
    ioctl(fd, FIONREAD, &n);
    return n;
}

void read_half(const char *unused)
{
    static char buf[ROOM];
    (void)unused;
    say("read half %s", result(read(fd, buf, (size_t)unread() / 2)));
}

void read_nothing(const char *unused)
{
    char c;
    (void)unused;
    say("read nothing %s", result(read(fd, &c, 0)));
}

void sip(const char *graces)
{
    const long count = PER_GRACE * strtol(graces, NULL, 10);
    long got = 0;
    char c;
    for (long i = 0; i < count; i++) {
        pause_ms(grace_ms() / PER_GRACE);
        got += read(fd, &c, 1);
    }
    say("sip %ld of %ld", got, count);
}

void peek(const char *unused)
{
    char buf[64];
    (void)unused;
    say("peek %s", result(recv(fd, buf, sizeof(buf), MSG_PEEK)));
}

void arrived(const char *bytes)
{
    for (const long long start = now_ms(); unread() < strtol(bytes, NULL, 10); pause_ms(5))
        bear(start, "arrived");
}
