#define _GNU_SOURCE
#include "inbox.h"

#include <bsd/string.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* No comma: it would end the option that names the path. */
static const char *temporary(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && folder[0] == '/' && !strpbrk(folder, ",%") ? folder : "/tmp";
}

bool inbox_open(struct inbox *inbox)
{
    *inbox = (struct inbox){.fd = -1, .news = -1};
    snprintf(inbox->folder, sizeof(inbox->folder), "%s/closewait.XXXXXX", temporary());
    if (!mkdtemp(inbox->folder))
        return false;
    snprintf(inbox->path, sizeof(inbox->path), "%.*s/records", PATH_MAX - 16, inbox->folder);
    inbox->fd = open(inbox->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (inbox->fd < 0 || fchmod(inbox->fd, 0622) != 0 || chmod(inbox->folder, 0711) != 0) {
        inbox_remove(inbox);
        return false;
    }
    inbox->news = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (inbox->news >= 0)
        inotify_add_watch(inbox->news, inbox->path, IN_MODIFY);
    return true;
}

/* Whole lines of the bytes that are there. */
static void cut_lines(struct inbox *inbox,
                      void (*read_line)(void *with, const char *line, size_t len), void *with)
{
    size_t start = 0;
    const char *end;
    while ((end = memchr(inbox->rest + start, '\n', inbox->rest_len - start))) {
        const size_t len = (size_t)(end - (inbox->rest + start));
        read_line(with, inbox->rest + start, len);
        start += len + 1;
    }
    inbox->rest_len -= start;
    memmove(inbox->rest, inbox->rest + start, inbox->rest_len);
}

void inbox_read(struct inbox *inbox, void (*read_line)(void *with, const char *line, size_t len),
                void *with)
{
    char events[4096];
    char bytes[65536];
    ssize_t n;
    while (inbox->news >= 0 && read(inbox->news, events, sizeof(events)) > 0) {
    }
    while ((n = read(inbox->fd, bytes, sizeof(bytes))) > 0) {
        char *rest = realloc(inbox->rest, inbox->rest_len + (size_t)n);
        if (!rest)
            return;
        memcpy(rest + inbox->rest_len, bytes, (size_t)n);
        inbox->rest = rest;
        inbox->rest_len += (size_t)n;
        cut_lines(inbox, read_line, with);
    }
}

void inbox_close(struct inbox *inbox)
{
    if (inbox->fd >= 0)
        close(inbox->fd);
    if (inbox->news >= 0)
        close(inbox->news);
    free(inbox->rest);
    *inbox = (struct inbox){.fd = -1, .news = -1};
}

void inbox_remove(struct inbox *inbox)
{
    unlink(inbox->path);
    rmdir(inbox->folder);
    inbox_close(inbox);
}
