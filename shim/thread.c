#define _GNU_SOURCE
#include "thread.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "raw.h"
#include "signals.h"

/* A guard page, the stack, and one page that stands for the thread's static TLS block. */
enum { PAGE = 4096, STACK_SIZE = 64 * 1024, MAP_SIZE = PAGE + STACK_SIZE + PAGE };

static char *map;
static long tid; /* of the thread that was started last */

/*
 * The thread has no TLS of libc's. What compiled code may read without being asked is there all
 * the same: the block's own address, the stack guard and the pointer guard (glibc's tcbhead_t).
 */
static void fill_tls(char *block)
{
#if defined(__x86_64__)
    struct {
        uint64_t tcb, dtv, self, multiple_threads, sysinfo, stack_guard, pointer_guard;
    } head = {.tcb = (uintptr_t)block, .self = (uintptr_t)block};
    __asm__("movq %%fs:0x28, %0\n\tmovq %%fs:0x30, %1"
            : "=r"(head.stack_guard), "=r"(head.pointer_guard));
    memcpy(block, &head, sizeof(head));
#else
    (void)block;
#endif
}

static bool make_map(void)
{
    if (map)
        return true;
    const long at = raw_map(MAP_SIZE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK);
    if (raw_failed(at))
        return false;
    raw3(SYS_mprotect, at, PAGE, PROT_NONE);
    map = (char *)at;
    return true;
}

/* Returns the thread's id here; there it calls run and ends without a word to libc. */
static long clone_thread(unsigned long flags, const char *stack_end, const char *tls,
                         void (*run)(void))
{
#if defined(__x86_64__)
    long ret;
    register long r10 __asm__("r10") = 0;
    register const char *r8 __asm__("r8") = tls;
    register void (*r9)(void) __asm__("r9") = run;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%%r9\n\t"
                     "xor %%edi, %%edi\n\t"
                     "mov %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "1:"
                     : "=a"(ret)
                     : "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(0), "r"(r10), "r"(r8),
                       "r"(r9), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory");
    return ret;
#elif defined(__i386__)
    /* The new stack begins with the function; the thread keeps its maker's %gs, which is not used.
     */
    long ret;
    const char *stack = stack_end - 16 - sizeof(run);
    memcpy((char *)stack, &run, sizeof(run));
    (void)tls;
    flags &= ~(unsigned long)CLONE_SETTLS;
    __asm__ volatile("pushl %%ebx\n\t"
                     "movl %%edi, %%ebx\n\t"
                     "int $0x80\n\t"
                     "testl %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "popl %%eax\n\t"
                     "call *%%eax\n\t"
                     "xorl %%ebx, %%ebx\n\t"
                     "movl %[exit], %%eax\n\t"
                     "int $0x80\n\t"
                     "1: popl %%ebx"
                     : "=a"(ret)
                     : "a"(SYS_clone), "c"(stack), "d"(0), "S"(0), "D"(flags), [exit] "i"(SYS_exit)
                     : "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register const char *x1 __asm__("x1") = stack_end;
    register long x2 __asm__("x2") = 0;
    register const char *x3 __asm__("x3") = tls;
    register long x4 __asm__("x4") = 0;
    register void (*x5)(void) __asm__("x5") = run;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "blr x5\n\t"
                     "mov x0, xzr\n\t"
                     "mov x8, %[exit]\n\t"
                     "svc 0\n\t"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), [exit] "i"(SYS_exit)
                     : "memory");
    return x0;
#endif
}

bool thread_start(void (*run)(void))
{
    const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                CLONE_SYSVSEM | CLONE_SETTLS;
    if (!make_map())
        return false;
    char *stack_end = map + PAGE + STACK_SIZE;
    fill_tls(stack_end);
    const uint64_t before = signals_block();
    tid = clone_thread(flags, stack_end, stack_end, run);
    signals_restore(before);
    return tid > 0;
}

/*
 * Not by CLONE_CHILD_CLEARTID: the kernel clears that word while the thread still counts as one
 * of the process's (mm_release comes before release_task), and unshare(2) would see it.
 */
bool thread_await_end(uint32_t patience_ms)
{
    const struct timespec pause = {.tv_nsec = 50000};
    if (tid <= 0)
        return true;
    const uint64_t start = clock_ms();
    while (raw3(SYS_tgkill, raw0(SYS_getpid), tid, 0) != -ESRCH) {
        if (clock_ms() - start >= patience_ms)
            return false;
        raw2(SYS_nanosleep, (long)&pause, 0);
    }
    return true;
}

void thread_adopt(void)
{
    tid = 0;
}
