#define _GNU_SOURCE
#include "json_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool json_lines_open(struct json_lines *lines, const char *path)
{
    *lines = (struct json_lines){.file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re")};
    return lines->file != NULL;
}

void json_lines_refuse(struct json_lines *lines)
{
    if (lines->wrong++ == 0)
        lines->first_wrong = lines->count;
}

json_t *json_lines_next(struct json_lines *lines)
{
    ssize_t len;
    while (errno = 0, (len = getline(&lines->text, &lines->size, lines->file)) >= 0) {
        lines->count++;
        json_t *object = json_loadb(lines->text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(object))
            return object;
        json_decref(object);
        json_lines_refuse(lines);
    }
    lines->error = feof(lines->file) && !ferror(lines->file) ? 0 : errno;
    return NULL;
}

void json_lines_close(struct json_lines *lines)
{
    free(lines->text);
    if (lines->file && lines->file != stdin)
        fclose(lines->file);
}
