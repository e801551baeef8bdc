/*
 * The JSON objects of a file that has one a line, with whatever else is between them.
 */
#ifndef CLOSEWAIT_JSON_LINES_H
#define CLOSEWAIT_JSON_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct json_lines {
    FILE *file;
    char *text;
    size_t size;
    unsigned long count;       /* lines read so far */
    unsigned long wrong;       /* of them, those that were refused */
    unsigned long first_wrong; /* the number of the first of those, from 1 */
    int error;                 /* errno of what ended the reading, 0: the end of the file */
};

/* path is a file, or "-" for standard input. False, with errno, when it cannot be opened. */
bool json_lines_open(struct json_lines *lines, const char *path);

/*
 * The next line that is a JSON object, for json_decref; NULL at the end. Lines that are not are
 * refused.
 */
json_t *json_lines_next(struct json_lines *lines);

/* The line that came last is not what its reader wants either. */
void json_lines_refuse(struct json_lines *lines);

void json_lines_close(struct json_lines *lines);

#endif
