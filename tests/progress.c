/*
 * closewait report: how far it has come, on a terminal.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json_log.h"

TestSuite(progress, .init = json_log_begin, .fini = json_log_end);

/* A report that reads from in, and has a terminal of ours for its standard error alone. */
static pid_t report_on(int terminal, int in, char *term)
{
    const pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid > 0)
        return pid;
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(in, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    dup2(terminal, STDERR_FILENO);
    execle(built("closewait"), "closewait", "report", NULL, (char *[]){term, NULL});
    _exit(127);
}

static size_t hear(int terminal, char *said, size_t size, int wait_ms)
{
    struct pollfd pollfd = {.fd = terminal, .events = POLLIN};
    size_t len = strlen(said);
    while (len + 1 < size && poll(&pollfd, 1, wait_ms) == 1) {
        const ssize_t n = read(terminal, said + len, size - len - 1);
        if (n <= 0)
            break;
        len += (size_t)n;
        said[len] = '\0';
    }
    return len;
}

/* Feeds lines until the report says something, or has had so many. */
static void feed_until_heard(int to, int terminal, char *said, size_t size, int lines)
{
    static const char line[] = LEAK(00, 1, a1, 1, 0);
    for (int i = 0; i < lines && said[0] == '\0'; i++) {
        cr_assert_eq(write(to, line, strlen(line)), (ssize_t)strlen(line));
        hear(terminal, said, size, 10);
    }
}

static int report_with(char *term, int lines, char *said, size_t size)
{
    int ours;
    int terminal;
    int pipes[2];
    int status;
    said[0] = '\0';
    cr_assert_eq(openpty(&ours, &terminal, NULL, NULL, NULL), 0);
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    const pid_t pid = report_on(terminal, pipes[0], term);
    close(terminal);
    feed_until_heard(pipes[1], ours, said, size, lines);
    close(pipes[1]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    hear(ours, said, size, 100);
    close(pipes[0]);
    close(ours);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(progress, is_shown_on_a_terminal_while_it_reads_and_erased_at_the_end)
{
    static const char erased[] = "\r\033[K";
    char said[65536];
    cr_expect_eq(report_with("TERM=xterm", 1000, said, sizeof(said)), 0);
    cr_expect_eq(strncmp(said, "\rclosewait report: ", 19), 0, "%s", said);
    cr_expect_not_null(strstr(said, "B\033[K"), "%s", said);
    const size_t len = strlen(said);
    cr_expect(len > strlen(erased) && strcmp(said + len - strlen(erased), erased) == 0, "%s", said);
}

Test(progress, is_not_shown_where_it_could_not_be_erased)
{
    char said[65536];
    cr_expect_eq(report_with("TERM=dumb", 100, said, sizeof(said)), 0);
    cr_expect_str_eq(said, "", "%s", said);
}

Test(progress, is_not_shown_when_little_is_read)
{
    char said[65536];
    cr_expect_eq(report_with("TERM=xterm", 1, said, sizeof(said)), 0);
    cr_expect_str_eq(said, "", "%s", said);
}
