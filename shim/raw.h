/*
 * System calls without libc.
 *
 * Everything that the shim asks of the kernel on its own account goes through here: it touches
 * no errno, is no cancellation point, takes no lock, and never meets one of our own hooks. All of
 * it may be called from any thread, from a signal handler and in a vfork child.
 */
#ifndef CLOSEWAIT_RAW_H
#define CLOSEWAIT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/*
 * Returns what the kernel returned: a value, or -errno (-4095 to -1). Arguments that a call does
 * not have may be anything.
 */
static inline long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
#elif defined(__i386__)
    /* The first argument and the sixth have registers that compiled code may need as they are. */
    const long args[] = {nr, a, f};
    long ret;
    __asm__ volatile("pushl %%ebp\n\t"
                     "pushl %%ebx\n\t"
                     "movl 8(%%eax), %%ebp\n\t"
                     "movl 4(%%eax), %%ebx\n\t"
                     "movl (%%eax), %%eax\n\t"
                     "int $0x80\n\t"
                     "popl %%ebx\n\t"
                     "popl %%ebp"
                     : "=a"(ret)
                     : "a"(args), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "closewait knows the system calls of x86-64, i386 and aarch64"
#endif
}

/* Whether a result is an error and not a value; addresses at the very end are none. */
static inline bool raw_failed(long ret)
{
    return ret < 0 && ret >= -4095;
}

static inline long raw0(long nr)
{
    return raw6(nr, 0, 0, 0, 0, 0, 0);
}

static inline long raw1(long nr, long a)
{
    return raw6(nr, a, 0, 0, 0, 0, 0);
}

static inline long raw2(long nr, long a, long b)
{
    return raw6(nr, a, b, 0, 0, 0, 0);
}

static inline long raw3(long nr, long a, long b, long c)
{
    return raw6(nr, a, b, c, 0, 0, 0);
}

static inline long raw4(long nr, long a, long b, long c, long d)
{
    return raw6(nr, a, b, c, d, 0, 0);
}

static inline long raw5(long nr, long a, long b, long c, long d, long e)
{
    return raw6(nr, a, b, c, d, e, 0);
}

/* An anonymous mapping of size bytes; with MAP_FIXED at that address. */
static inline long raw_map_at(const void *at, size_t size, int protection, int flags)
{
#ifdef SYS_mmap2
    return raw6(SYS_mmap2, (long)at, (long)size, protection, flags, -1, 0);
#else
    return raw6(SYS_mmap, (long)at, (long)size, protection, flags, -1, 0);
#endif
}

static inline long raw_map(size_t size, int protection, int flags)
{
    return raw_map_at(NULL, size, protection, flags);
}

#endif
