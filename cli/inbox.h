/*
 * Where the shims of a run put their records: a file of the command's, in a folder of its own that
 * others can pass through and not look into, so that a program which has become another user can
 * still write.
 */
#ifndef CLOSEWAIT_INBOX_H
#define CLOSEWAIT_INBOX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct inbox {
    char folder[PATH_MAX];
    char path[PATH_MAX];
    int fd;
    int news; /* readable (poll(2)) when something was written; -1 where inotify is not to be had */
    char *rest; /* of a line that has not ended */
    size_t rest_len;
};

/* Under TMPDIR, or /tmp. False when it cannot be made; errno says why. */
bool inbox_open(struct inbox *inbox);

/* Gives every line that has come since to read, without its end. */
void inbox_read(struct inbox *inbox, void (*read)(void *with, const char *line, size_t len),
                void *with);

/* Closes it: the file stays, for somebody still writes; or removes it. */
void inbox_close(struct inbox *inbox);
void inbox_remove(struct inbox *inbox);

#endif
