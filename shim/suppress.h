/*
 * Leaks that nobody wants to hear of, by patterns in a file:
 *
 *     # the pool keeps them on purpose
 *     module:libpool.so* class:eof-unread
 *     peer:10.0.0.7:*
 *     function:legacy_dial
 *
 * Every word of a line must match: module, function and file (of the source) some frame of the
 * stack that opened the socket, by path or by its last part; peer the peer's address; class the
 * class. * stands for any characters, ? for one. Functions and files are known to the command only.
 */
#ifndef CLOSEWAIT_SUPPRESS_H
#define CLOSEWAIT_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "told.h"

enum { SUPPRESS_PATTERNS = 256, SUPPRESS_WORDS = 8, SUPPRESS_FILE_SIZE = 65536 };

struct suppress_word {
    enum suppress_key { KEY_MODULE, KEY_FUNCTION, KEY_FILE, KEY_PEER, KEY_CLASS } key;
    const char *pattern;
};

struct suppression {
    int line;
    const char *text; /* the line, without its comment and the blanks around it */
    int count;
    struct suppress_word words[SUPPRESS_WORDS];
    uint32_t matched;
};

struct suppressions {
    int count;
    struct suppression at[SUPPRESS_PATTERNS];
    char text[SUPPRESS_FILE_SIZE];  /* as it was read */
    char words[SUPPRESS_FILE_SIZE]; /* cut into words */
};

/*
 * Reads the patterns in text, of size bytes, which has been put into list->text. On a mistake
 * returns false and says in why which line it is in, what was wrong and what would be right. Not
 * for signal handlers.
 */
bool suppress_parse(struct suppressions *list, size_t size, const char *path, char *why,
                    size_t why_size);

/* The same from a file; one that cannot be read, or is too long, is a mistake as well. */
bool suppress_read(struct suppressions *list, const char *path, char *why, size_t why_size);

/* Whether a pattern asks for a function or a file. */
bool suppress_is_symbolic(const struct suppression *pattern);

/*
 * Whether a pattern could match a leak, were its functions and files known: it is not to be closed
 * then. Pure.
 */
bool suppress_could(const struct suppressions *list, const struct leak *leak,
                    const struct trace *opened);

/* The first pattern that matches a leak, NULL when none does. Counts nothing. Pure. */
struct suppression *suppress_find(struct suppressions *list, const struct leak *leak,
                                  const struct trace *opened);

#endif
