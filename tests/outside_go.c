/*
 * closewait reap on a Go server, which makes its system calls itself: what it leaks is closed, and
 * none of its thousand busy connections notices.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "half_closed.h"
#include "support.h"

enum { LEAKED = 100, BUSY = 1000, CHUNK = 64, SAID = 256 * 1024 };

static char said[SAID];

/* One connection that is echoed, with how far it is. */
struct talk {
    int fd;
    size_t sent;
    size_t heard;
};

/* What its n-th byte is. */
static unsigned char byte_of(const struct talk *talk, size_t n)
{
    return (unsigned char)(n * 31 + n / 256 + (size_t)talk->fd);
}

static void send_some(struct talk *talk)
{
    unsigned char bytes[CHUNK];
    for (size_t i = 0; i < CHUNK; i++)
        bytes[i] = byte_of(talk, talk->sent + i);
    cr_assert_eq(send(talk->fd, bytes, CHUNK, 0), CHUNK, "%s", strerror(errno));
    talk->sent += CHUNK;
}

/* Every byte as it was sent; once all are back, more. */
static void hear_some(struct talk *talk)
{
    unsigned char bytes[CHUNK];
    const ssize_t n = recv(talk->fd, bytes, CHUNK, MSG_DONTWAIT);
    cr_assert_gt(n, 0, "%zd %s", n, strerror(errno));
    for (ssize_t i = 0; i < n; i++)
        cr_assert_eq(bytes[i], byte_of(talk, talk->heard + (size_t)i));
    talk->heard += (size_t)n;
    if (talk->heard == talk->sent)
        send_some(talk);
}

static void talk_for(struct talk *talks, struct pollfd *polled, uint64_t ms)
{
    const uint64_t begin = now_ms();
    while (now_ms() - begin < ms) {
        poll(polled, BUSY, 100);
        for (int i = 0; i < BUSY; i++)
            if (polled[i].revents)
                hear_some(&talks[i]);
    }
}

Test(outside_go, a_busy_server_loses_its_leaks_and_nothing_else, .timeout = 60)
{
    static struct talk talks[BUSY];
    static struct pollfd polled[BUSY];
    const struct rlimit many = {4096, 4096};
    if (access(built("tests/go-server"), X_OK) != 0)
        cr_skip_test("no Go");
    if (setrlimit(RLIMIT_NOFILE, &many) != 0)
        cr_skip_test("no more descriptors");
    struct program program;
    program_start(&program, NULL, ARGS(built("tests/go-server")));
    program_must_say(&program, "\n");
    const in_port_t port = (in_port_t)strtol(strstr(program.said, "port ") + 5, NULL, 10);
    for (int i = 0; i < LEAKED; i++) {
        const int fd = dial(AF_INET, port);
        cr_assert_eq(send(fd, "L", 1, 0), 1);
        close(fd);
    }
    for (int i = 0; i < BUSY; i++) {
        talks[i] = (struct talk){.fd = dial(AF_INET, port)};
        polled[i] = (struct pollfd){.fd = talks[i].fd, .events = POLLIN};
        cr_assert_eq(send(talks[i].fd, "E", 1, 0), 1);
        send_some(&talks[i]);
    }
    talk_for(talks, polled, 300);

    char command[1024];
    snprintf(command, sizeof(command),
             "ss -tanpH state close-wait | grep -c 'pid=%d,'; %s reap --dry-run --grace=1ms %d | "
             "grep -c 'would be closed'; for i in $(seq 10); do %s reap --all --grace=1ms %d 2>&1; "
             "done; ss -tanpH state close-wait | grep -c 'pid=%d,'",
             (int)program.pid, built("closewait"), (int)program.pid, built("closewait"),
             (int)program.pid, (int)program.pid);
    FILE *pipe = popen(command, "re");
    struct pollfd over = {.fd = fileno(pipe), .events = POLLIN};
    while (!(over.revents & POLLHUP)) {
        talk_for(talks, polled, 50);
        poll(&over, 1, 0);
    }
    said[fread(said, 1, sizeof(said) - 1, pipe)] = '\0';
    pclose(pipe);
    cr_expect_eq(strncmp(said, "100\n100\n", 8), 0, "%s", said);
    cr_expect_eq(times(said, ": closed, and the connection is gone\n"), LEAKED, "%s", said);
    cr_expect_str_eq(said + strlen(said) - 3, "\n0\n", "%s", said);

    const size_t heard = talks[0].heard;
    talk_for(talks, polled, 300);
    for (int i = 0; i < BUSY; i++)
        cr_expect_gt(talks[i].heard, (size_t)CHUNK);
    cr_expect_gt(talks[0].heard, heard);
    cr_expect_eq(program_end(&program), 0, "%s", program.reported);
}
