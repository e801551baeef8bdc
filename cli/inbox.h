/*
 * Where the shims of a run put their records: a file of the command's, which a program that has
 * become another user can still write to. Whoever knows its name could: so nobody else can find it
 * out, its folder being one that others can pass through and not look into.
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
    bool skipping;  /* it is longer than any of ours */
    long long done; /* bytes that were read and given back to the disk */
};

/* Under TMPDIR, or /tmp. False when it cannot be made; errno says why. */
bool inbox_open(struct inbox *inbox);

/*
 * Gives lines that have come since to tell, without their ends: some, and true when there are more,
 * so that the caller can look at other things between.
 */
bool inbox_read(struct inbox *inbox, void (*tell)(void *with, const char *line, size_t len),
                void *with);

/* Closes it: the file stays, for somebody still writes; or removes it. */
void inbox_close(struct inbox *inbox);
void inbox_remove(struct inbox *inbox);

#endif
