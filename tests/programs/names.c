/*
 * Which names of the list of calls there are for a program: it prints those that it finds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

static const char *const names[] = {
#define CALL(returns, name, parameters, kernel) #name,
#define ALIAS(name, of)                         #name,
#include "calls.h"
#undef CALL
    NULL};

extern int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak));

int main(void)
{
    printf("weak %d\n", close_range != NULL);
    for (int i = 0; names[i]; i++)
        if (dlsym(RTLD_DEFAULT, names[i]))
            printf("%s\n", names[i]);
    return 0;
}
