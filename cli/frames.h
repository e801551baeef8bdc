/*
 * The frames of a record's stack in words.
 */
#ifndef CLOSEWAIT_FRAMES_H
#define CLOSEWAIT_FRAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Text from a record, which may be anything, without what a terminal would obey: a control
 * character becomes '?'.
 */
void frames_print_text(FILE *to, const char *text);

/*
 * The frame's function; where that is not known module+0xoffset, the module without its folders.
 * Never empty. Control characters are replaced, and taboo by ':' ('\0': nothing is taboo).
 */
void frames_print_name(FILE *to, const json_t *frame, char taboo);

/* "dial  client.c:31 (inlined)", as much of it as is known. */
void frames_print(FILE *to, const json_t *frame);

/* The same as a string; for free(3). */
char *frames_text(const json_t *frame);

/* Whether what called this frame is libc's, and no news to anybody. */
bool frames_is_main(const json_t *frame);

#endif
