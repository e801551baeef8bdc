#define _GNU_SOURCE
#include "text_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"

enum { AT_ONCE = 256 * 1024 };

bool text_lines_open(struct text_lines *lines, const char *path)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    *lines = (struct text_lines){.fd = fd};
    if (fd < 0)
        return false;
    lines->size = AT_ONCE;
    lines->buffer = must(malloc(lines->size + 1));
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return true;
}

static void make_room(struct text_lines *lines)
{
    memmove(lines->buffer, lines->buffer + lines->from, lines->to - lines->from);
    lines->to -= lines->from;
    lines->from = 0;
    if (lines->to < lines->size)
        return;
    lines->size *= 2;
    lines->buffer = must(realloc(lines->buffer, lines->size + 1));
}

/* False at the end. */
static bool read_more(struct text_lines *lines)
{
    ssize_t n;
    if (lines->ended)
        return false;
    make_room(lines);
    do
        n = read(lines->fd, lines->buffer + lines->to, lines->size - lines->to);
    while (n < 0 && errno == EINTR);
    lines->ended = n <= 0;
    lines->error = n < 0 ? errno : 0;
    if (n <= 0)
        return false;
    lines->to += (size_t)n;
    lines->bytes += (uint64_t)n;
    return true;
}

/* Up to the line's end, or the file's. */
static const char *skip_long(struct text_lines *lines)
{
    char *end;
    do {
        end = memchr(lines->buffer + lines->from, '\n', lines->to - lines->from);
        lines->from = end ? (size_t)(end + 1 - lines->buffer) : lines->to;
    } while (!end && read_more(lines));
    return "";
}

static const char *give(struct text_lines *lines, char *end, size_t *len)
{
    const char *const line = lines->buffer + lines->from;
    *len = (size_t)(end - line);
    *end = '\0';
    lines->from = (size_t)(end - lines->buffer) + 1;
    if (lines->from > lines->to)
        lines->from = lines->to;
    return line;
}

const char *text_lines_next(struct text_lines *lines, size_t *len)
{
    size_t sought = 0;
    char *end;
    while (!(end = memchr(lines->buffer + lines->from + sought, '\n',
                          lines->to - lines->from - sought))) {
        sought = lines->to - lines->from;
        if (sought > TEXT_LINES_LONGEST) {
            lines->count++;
            *len = 0;
            return skip_long(lines);
        }
        if (read_more(lines))
            continue;
        if (sought == 0)
            return NULL;
        end = lines->buffer + lines->to;
        break;
    }
    lines->count++;
    return give(lines, end, len);
}

void text_lines_close(struct text_lines *lines)
{
    free(lines->buffer);
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
}
