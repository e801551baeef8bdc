/*
 * The lines of a file, of which one is in memory at a time.
 */
#ifndef CLOSEWAIT_TEXT_LINES_H
#define CLOSEWAIT_TEXT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is given as an empty one. */
enum { TEXT_LINES_LONGEST = 16 * 1024 * 1024 };

struct text_lines {
    int fd;
    int error; /* errno of what ended the reading, 0: the end of the file */
    bool ended;
    uint64_t bytes; /* read so far */
    uint64_t count; /* lines given so far */
    char *buffer;
    size_t size;
    size_t from; /* what was read and not given yet */
    size_t to;
};

/* path is a file, or "-" for standard input. False, with errno, when it cannot be opened. */
bool text_lines_open(struct text_lines *lines, const char *path);

/*
 * The next line, without its end, and with a NUL after it; NULL at the end. The last one may lack
 * its end. It is valid until the next call.
 */
const char *text_lines_next(struct text_lines *lines, size_t *len);

void text_lines_close(struct text_lines *lines);

#endif
