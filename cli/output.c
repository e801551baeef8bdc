#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"

static bool complained;

/* How much of it was written, in pieces. A reader who has gone, or who sleeps, stops nobody. */
static size_t write_some(int fd, const char *text, size_t len, size_t piece)
{
    enum { PATIENCE_MS = 1000 };
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    size_t done = 0;
    while (done < len) {
        if (poll(&polled, 1, PATIENCE_MS) == 0) {
            errno = EAGAIN;
            return done;
        }
        const size_t left = len - done;
        const ssize_t n = write(fd, text + done, left < piece ? left : piece);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return done;
        done += n > 0 ? (size_t)n : 0;
    }
    return done;
}

/* Where poll(2) says that there is room, a write of PIPE_BUF does not block. */
static bool write_stderr(const struct text *text)
{
    return write_some(STDERR_FILENO, text->at, text->len, PIPE_BUF) == text->len;
}

/*
 * In one write, so that those of several writers do not mix; it does not block. A line that was cut
 * off by a full disk ends here, and not with the next one.
 */
static bool write_record(int fd, const char *path, const struct text *text)
{
    static char torn[OPTIONS_PATH_SIZE];
    if (strcmp(path, torn) == 0 && write_some(fd, "\n", 1, 1) < 1)
        return false;
    const size_t done = write_some(fd, text->at, text->len, text->len);
    if (done > 0 && done < text->len)
        snprintf(torn, sizeof(torn), "%s", path);
    else if (strcmp(path, torn) == 0)
        torn[0] = '\0';
    return done == text->len;
}

/* Each time anew, so that logrotate(8) can rename it. A planted symbolic link is not followed. */
static bool write_file(const char *path, const struct text *text)
{
    const int flags =
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    const int fd = open(path, flags, 0600);
    if (fd < 0)
        return false;
    const bool written = write_record(fd, path, text);
    const int why = errno;
    close(fd);
    errno = why;
    return written;
}

static bool write_journal(const char *verb, const struct told *told, const struct text *text)
{
    const int error = journal_send(told, text);
    if (error == 0 || error == -EAGAIN)
        return error == 0;
    if (!complained)
        fprintf(stderr,
                "closewait %s: --output: no journal can be reached at "
                "/run/systemd/journal/socket: %s: reports go to standard error\n",
                verb, strerror(-error));
    complained = true;
    return write_stderr(text);
}

bool output_write(const char *verb, const struct options *options, const struct told *told,
                  const struct text *text)
{
    char path[OPTIONS_PATH_SIZE];
    if (options->journal)
        return write_journal(verb, told, text);
    if (!options->output[0])
        return write_stderr(text);
    if (!options_output(options, told->pid, path))
        errno = ENAMETOOLONG;
    else if (write_file(path, text))
        return true;
    if (!complained)
        fprintf(stderr,
                "closewait %s: --output: %s: %s%s: reports are lost; expected a file that can be "
                "written\n",
                verb, path, strerror(errno),
                errno == ELOOP ? " (a symbolic link is not followed)" : "");
    complained = true;
    return false;
}
