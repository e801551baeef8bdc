/*
 * The functions of <string.h> that the compiler and we call in the watcher, for the shim alone:
 * those that the program would get may be a sanitizer's, and use thread-local storage, which the
 * watcher has none of. Hidden, so that every call in the shim comes here.
 */
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *string);
int strcmp(const char *a, const char *b);
char *strchr(const char *string, int wanted);
char *strrchr(const char *string, int wanted);

/* Without it the compiler finds a call of memcpy in the loop that is memcpy. */
static inline void stay_a_loop(void)
{
    __asm__ volatile("");
}

/* Options are 8 KiB that are zeroed at every start: by the processor's own way where it has one. */
void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    char *out = to;
    const char *in = from;
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("rep movsb" : "+D"(out), "+S"(in), "+c"(len) : : "memory");
#endif
    for (; len > 0; len--) {
        *out++ = *in++;
        stay_a_loop();
    }
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    char *out = to;
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("rep stosb" : "+D"(out), "+c"(len) : "a"(byte) : "memory");
#endif
    for (; len > 0; len--) {
        *out++ = (char)byte;
        stay_a_loop();
    }
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
    while (string[len]) {
        len++;
        stay_a_loop();
    }
    return len;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        stay_a_loop();
    return (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *string, int wanted)
{
    for (; *string != (char)wanted; string++)
        if (!*string)
            return NULL;
    return (char *)string;
}

char *strrchr(const char *string, int wanted)
{
    char *last = NULL;
    for (char *at = strchr(string, wanted); at; at = *at ? strchr(at + 1, wanted) : NULL)
        last = at;
    return last;
}
