/*
 * The floor of interposition: a preload that has every call of the list and only forwards it, in
 * one jump. Linked with -z initfirst, as other libraries' constructors call what it has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#ifndef __x86_64__
#error "the pass-through preload is written for x86-64"
#endif

#define CALL(returns, name, parameters, kernel)                                                    \
    __attribute__((visibility("hidden"))) void *next_##name;                                       \
    __asm__(".globl " #name "\n\t.type " #name ", %function\n" #name ":\n\tjmp *next_" #name       \
            "(%rip)\n");
#define ALIAS(name, of) __asm__(".globl " #name "\n\t.set " #name ", " #of);
#include "calls.h"
#undef ALIAS
#undef CALL

__attribute__((constructor)) static void find(void)
{
#define CALL(returns, name, parameters, kernel) next_##name = dlsym(RTLD_NEXT, #name);
#include "calls.h"
#undef CALL
}
