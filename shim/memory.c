/*
 * The functions of <string.h> that the compiler and we call in the watcher, for the shim alone:
 * those that the program would get may be a sanitizer's, and use thread-local storage, which the
 * watcher has none of. Hidden, so that every call in the shim comes here.
 */
#include <stddef.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    char *out = to;
    const char *in = from;
    while (len-- > 0)
        *out++ = *in++;
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    char *out = to;
    while (len-- > 0)
        *out++ = (char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (; len > 0; len--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

size_t strlen(const char *string)
{
    size_t len = 0;
    while (string[len])
        len++;
    return len;
}
