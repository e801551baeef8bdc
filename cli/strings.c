#define _GNU_SOURCE
#include "strings.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

const char *strings_keep(struct strings *strings, const char *text)
{
    if (!text)
        return NULL;
    const void *found = tfind(text, &strings->tree, compare);
    if (found)
        return *(const char *const *)found;
    char *copy = strdup(text);
    if (copy && tsearch(copy, &strings->tree, compare))
        return copy;
    free(copy);
    return NULL;
}

void strings_free(struct strings *strings)
{
    tdestroy(strings->tree, free);
    strings->tree = NULL;
}
