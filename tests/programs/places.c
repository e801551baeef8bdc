/*
 * Says of places in itself what their symbols should say: address less the load bias, line and
 * function, a line each. It is built in several ways.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>

static volatile int sink; /* after a call, so that it is no tail call */

static int first_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
    (void)size;
    *(uintptr_t *)bias = info->dlpi_addr;
    return 1;
}

static __attribute__((noinline)) void say(const char *function, int line)
{
    uintptr_t bias = 0;
    dl_iterate_phdr(first_bias, &bias);
    printf("%lx %d %s\n", (uintptr_t)__builtin_return_address(0) - 1 - bias, line, function);
}

static __attribute__((noinline)) int apart(int n)
{
    say(__func__, __LINE__);
    return n + sink;
}

static inline __attribute__((always_inline)) int inner(int n)
{
    say(__func__, __LINE__);
    return n + sink;
}

static inline __attribute__((always_inline)) int outer(int n)
{
    if (n > 0) {
        int more = inner(n);
        say(__func__, __LINE__);
        sink = more;
    }
    return inner(n + 1);
}

__attribute__((noinline)) int exported(int n); /* not static: in the dynamic table too */

int exported(int n)
{
    sink = outer(n);
    return apart(n) + sink;
}

int main(int argc, char **argv)
{
    (void)argv;
    say(__func__, __LINE__);
    sink = exported(argc);
    return 0;
}
