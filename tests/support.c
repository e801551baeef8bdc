#define _GNU_SOURCE
#include "support.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

bool eventually(bool (*holds)(const void *), const void *argument)
{
    const uint64_t start = now_ms();
    while (!holds(argument)) {
        if (now_ms() - start > PATIENCE_MS)
            return false;
        pause_ms(10);
    }
    return true;
}

char *built(const char *name)
{
    static char paths[16][512];
    static unsigned next;
    const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
    char *path = paths[next++ % 16];
    char *here = realpath(build, NULL);
    cr_assert_not_null(here, "no build tree at %s", build);
    snprintf(path, sizeof(paths[0]), "%s/%s", here, name);
    free(here);
    return path;
}

char *step(const char *word, int number)
{
    static char steps[16][64];
    static unsigned next;
    char *text = steps[next++ % 16];
    snprintf(text, sizeof(steps[0]), "%s=%d", word, number);
    return text;
}

static void become(const int *in, const int *out, const int *err, const char *options,
                   char *const argv[])
{
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* Criterion's own: descriptors start at 3 */
    if (options) {
        setenv("LD_PRELOAD", built("libclosewait.so"), 1);
        setenv("CLOSEWAIT_OPTIONS", options, 1);
    }
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

void program_start(struct program *program, const char *options, char *const argv[])
{
    int in[2];
    int out[2];
    int err[2];
    memset(program, 0, sizeof(*program));
    signal(SIGPIPE, SIG_IGN);
    cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
              pipe2(err, O_CLOEXEC) == 0);
    program->pid = fork();
    cr_assert_geq(program->pid, 0);
    if (program->pid == 0)
        become(in, out, err, options, argv);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    program->in = in[1];
    program->out = out[0];
    program->err = err[0];
}

/* Appends what there is to read; false at the end of it. */
static bool collect(int fd, char *text, size_t size)
{
    const size_t len = strlen(text);
    cr_assert_lt(len, size - 1, "the program wrote more than the test can hold");
    const ssize_t n = read(fd, text + len, size - 1 - len);
    if (n > 0)
        text[len + (size_t)n] = '\0';
    return n > 0;
}

/* Waits at most ms for anything; false when both ends are closed. */
static bool listen_to(struct program *program, int ms)
{
    struct pollfd polled[] = {{.fd = program->out, .events = POLLIN},
                              {.fd = program->err, .events = POLLIN}};
    if (program->out < 0 && program->err < 0)
        return false;
    poll(polled, 2, ms);
    if (polled[0].revents && !collect(program->out, program->said, sizeof(program->said))) {
        close(program->out);
        program->out = -1;
    }
    if (polled[1].revents && !collect(program->err, program->reported, sizeof(program->reported))) {
        close(program->err);
        program->err = -1;
    }
    return true;
}

static void await_text(struct program *program, const char *where, const char *text, int count)
{
    const uint64_t start = now_ms();
    while (times(where, text) < count) {
        const bool open = listen_to(program, 50);
        cr_assert(open && now_ms() - start < PATIENCE_MS,
                  "the program never wrote '%s' (%d times)\nstdout: %s\nstderr: %s", text, count,
                  program->said, program->reported);
    }
}

void program_must_say(struct program *program, const char *text)
{
    await_text(program, program->said, text, 1);
}

void program_must_report(struct program *program, const char *text)
{
    await_text(program, program->reported, text, 1);
}

void program_must_report_times(struct program *program, const char *text, int count)
{
    await_text(program, program->reported, text, count);
}

/* No more than one answer a second comes, and none where there is nothing to tell. */
void program_must_sum(struct program *program, const char *summary)
{
    const uint64_t start = now_ms();
    while (!strstr(program->reported, summary)) {
        cr_assert(now_ms() - start < PATIENCE_MS, "never '%s': %s", summary, program->reported);
        kill(program->pid, SIGUSR2);
        listen_to(program, 100);
    }
}

void program_go_on(struct program *program)
{
    /* It may have ended by itself. */
    cr_assert(write(program->in, "\n", 1) == 1 || errno == EPIPE);
}

int program_end(struct program *program)
{
    close(program->in);
    const uint64_t start = now_ms();
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(program->pid, &status, WNOHANG)) == 0) {
        if (!listen_to(program, 20))
            pause_ms(5);
        if (now_ms() - start > PATIENCE_MS) {
            kill(program->pid, SIGKILL);
            waitpid(program->pid, &status, 0);
            cr_assert_fail("the program did not end\nstdout: %s\nstderr: %s", program->said,
                           program->reported);
        }
    }
    cr_assert_eq(ended, program->pid);
    /* What it left in the pipes; a child of it may hold them open, so not until their end. */
    for (int i = 0; i < 64; i++)
        listen_to(program, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int times(const char *where, const char *text)
{
    int n = 0;
    for (const char *at = where; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

int peer_listen(int family, in_port_t *port)
{
    /* Both families have the port in the same place. */
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
    if (family == AF_INET)
        memcpy(&in6, &in, sizeof(in));
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    /* accept waits no longer than we do elsewhere, when the program never comes. */
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(bind(fd, (struct sockaddr *)&in6, len), 0);
    cr_assert_eq(listen(fd, 128), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&in6, &len), 0);
    *port = ntohs(in6.sin6_port);
    return fd;
}

int meet(int listener, struct program *program, const char *made)
{
    char text[64];
    snprintf(text, sizeof(text), "did %s", made);
    program_must_say(program, text);
    const int peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0);
    return peer;
}

static bool has_got_the_fin(const void *peer)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    getsockopt(*(const int *)peer, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_FIN_WAIT1;
}

void peer_hang_up(int peer)
{
    shutdown(peer, SHUT_WR);
    cr_assert(eventually(has_got_the_fin, &peer));
    close(peer);
}

static bool is_in_time_wait(const void *port)
{
    char said[256];
    shell(said, sizeof(said), "ss -tanH state time-wait sport = :%d", *(const in_port_t *)port);
    return said[0] != '\0';
}

void await_time_wait(in_port_t port)
{
    cr_assert(eventually(is_in_time_wait, &port), "port %d", port);
}

/*
 * Below the range from which the kernel picks ports itself (ip_local_port_range), where another
 * test's connection could get it in the meantime; bind refuses one that is in TIME_WAIT.
 */
in_port_t free_port(void)
{
    enum { FIRST = 11000, PORTS = 20000, STRIDE = 37 };
    static unsigned next;
    for (unsigned i = 0; i < PORTS; i++) {
        const unsigned at = ((unsigned)getpid() * STRIDE + next++) % PORTS;
        const struct sockaddr_in in = {.sin_family = AF_INET,
                                       .sin_port = htons((in_port_t)(FIRST + at))};
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool is_free = bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;
        close(fd);
        if (is_free)
            return (in_port_t)(FIRST + at);
    }
    cr_assert_fail("no port is free");
    return 0;
}

char process_state(pid_t pid)
{
    char said[512];
    shell(said, sizeof(said), "cat /proc/%d/stat 2>/dev/null", (int)pid);
    const char *end = strrchr(said, ')');
    return (char)(end && end[1] == ' ' ? end[2] : '\0');
}

in_port_t port_of(struct program *program)
{
    program_must_say(program, "port ");
    return (in_port_t)strtol(strstr(program->said, "port ") + 5, NULL, 10);
}

int shell(char *said, size_t size, const char *format, ...)
{
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    FILE *pipe = popen(command, "re");
    cr_assert_not_null(pipe);
    const size_t n = fread(said, 1, size - 1, pipe);
    said[n] = '\0';
    const int status = pclose(pipe);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
