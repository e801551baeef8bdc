/*
 * UTF-8 as RFC 3629 has it. Pure; any thread, any signal handler.
 */
#ifndef CLOSEWAIT_UTF8_H
#define CLOSEWAIT_UTF8_H

#include <stddef.h>

/*
 * How many bytes the character at has, 1 to 4; 0 when none begins there. Reads no further than the
 * first byte that cannot be part of it, so that any byte below 0x80 ends what is read.
 */
size_t utf8_length(const char *at);

#endif
