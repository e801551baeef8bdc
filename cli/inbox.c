#define _GNU_SOURCE
#include "inbox.h"

#include <bsd/stdlib.h>
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
    snprintf(inbox->path, sizeof(inbox->path), "%.*s/%08x%08x%08x%08x", PATH_MAX - 48,
             inbox->folder, arc4random(), arc4random(), arc4random(), arc4random());
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

/* A line of the shim's is much shorter (LINE_SIZE of report.c). */
enum { LONGEST = 1024 * 1024, AT_ONCE = 64 * 1024 };

/* The bytes up to the end of a line, or all that there are. */
static void add_to_rest(struct inbox *inbox, const char *bytes, size_t len)
{
    if (inbox->skipping || inbox->rest_len + len > LONGEST) {
        inbox->skipping = true;
        inbox->rest_len = 0;
        return;
    }
    memcpy(inbox->rest + inbox->rest_len, bytes, len);
    inbox->rest_len += len;
}

static void cut_lines(struct inbox *inbox, const char *bytes, size_t len,
                      void (*tell)(void *with, const char *line, size_t len), void *with)
{
    const char *end;
    while ((end = memchr(bytes, '\n', len))) {
        add_to_rest(inbox, bytes, (size_t)(end - bytes));
        if (!inbox->skipping)
            tell(with, inbox->rest, inbox->rest_len);
        inbox->skipping = false;
        inbox->rest_len = 0;
        len -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    add_to_rest(inbox, bytes, len);
}

/* A program may run for months, and its records are in a file system that may be memory. */
static void forget_read(struct inbox *inbox)
{
    fallocate(inbox->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, inbox->done);
}

bool inbox_read(struct inbox *inbox, void (*tell)(void *with, const char *line, size_t len),
                void *with)
{
    char events[4096];
    char bytes[AT_ONCE];
    while (inbox->news >= 0 && read(inbox->news, events, sizeof(events)) > 0) {
    }
    if (!inbox->rest)
        inbox->rest = malloc(LONGEST);
    const ssize_t n = inbox->rest ? read(inbox->fd, bytes, sizeof(bytes)) : 0;
    if (n <= 0)
        return false;
    cut_lines(inbox, bytes, (size_t)n, tell, with);
    inbox->done += n;
    forget_read(inbox);
    return n == AT_ONCE;
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
