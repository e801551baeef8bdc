#define _GNU_SOURCE
#include "thread.h"

#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "clock.h"
#include "raw.h"
#include "signals.h"

/*
 * A guard, the stack, and what stands for the thread's static TLS block. Each is as large as the
 * largest page (aarch64): the kernel protects and maps whole pages, and a smaller guard would take
 * most of the stack with it.
 */
enum {
    PAGE_MOST = 64 * 1024,
    STACK_SIZE = 64 * 1024,
    MAP_SIZE = PAGE_MOST + STACK_SIZE + PAGE_MOST
};

/* Three places: the watcher's, that of its errands, and that of the process beside. */
struct place {
    char *map;
    int tid; /* of the thread that was started last */
};

static struct place watcher;
static struct place apart;
static struct place beside;
static void (*run_in_it)(void);

static struct {
    void (*what)(void *);
    void *with;
} errand;

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

static bool make_map(struct place *place)
{
    if (place->map)
        return true;
    const long at = raw_map(MAP_SIZE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK);
    if (raw_failed(at))
        return false;
    raw3(SYS_mprotect, at, PAGE_MOST, PROT_NONE);
    place->map = (char *)at;
    return true;
}

/*
 * Returns the thread's id here; there it calls run and ends without a word to libc. Both find the
 * id in *tid: the kernel writes it before the thread runs.
 */
static long clone_thread(unsigned long flags, const char *stack_end, const char *tls, int *tid,
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
                     : "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(tid), "r"(r10), "r"(r8),
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
                     : "a"(SYS_clone), "c"(stack), "d"(tid), "S"(0),
                       "D"(flags), [exit] "i"(SYS_exit)
                     : "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register const char *x1 __asm__("x1") = stack_end;
    register int *x2 __asm__("x2") = tid;
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

enum {
    OF_PROCESS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SETTLS | CLONE_PARENT_SETTID,
    OF_THREAD = OF_PROCESS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
};

static bool start(struct place *place, unsigned long flags, void (*run)(void))
{
    if (!make_map(place))
        return false;
    char *stack_end = place->map + PAGE_MOST + STACK_SIZE;
    fill_tls(stack_end);
    const uint64_t before = signals_block();
    const long ret = clone_thread(flags, stack_end, stack_end, &place->tid, run);
    signals_restore(before);
    if (ret < 0)
        place->tid = (int)ret;
    return ret > 0;
}

bool thread_start(void (*run)(void))
{
    return start(&watcher, OF_THREAD, run);
}

/*
 * Not by CLONE_CHILD_CLEARTID: the kernel clears that word while the thread still counts as one
 * of the process's (mm_release comes before release_task), and unshare(2) would see it.
 */
static bool is_gone(const struct place *place)
{
    return place->tid <= 0 || raw3(SYS_tgkill, raw0(SYS_getpid), place->tid, 0) == -ESRCH;
}

static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 50000};
    raw2(SYS_nanosleep, (long)&pause, 0);
}

bool thread_await_end(uint32_t patience_ms)
{
    if (is_gone(&watcher))
        return true;
    for (const uint64_t start_ms = clock_ms(); !is_gone(&watcher); pause_shortly())
        if (clock_ms() - start_ms >= patience_ms)
            return false;
    return true;
}

int thread_id(void)
{
    return watcher.tid;
}

/*
 * close_range(2) with CLOSE_RANGE_UNSHARE copies nothing of what it would close: the new table has
 * 0, 1 and 2 alone, and no socket of the program's is held by it for a moment. Before Linux 5.9
 * the errand has the program's table, as every thread.
 */
static bool take_own_table(void)
{
    if (raw3(SYS_close_range, 3, (long)UINT32_MAX, CLOSE_RANGE_UNSHARE) != 0)
        return false;
    raw1(SYS_close, 0);
    raw1(SYS_close, 1);
    return true;
}

static void run_errand(void)
{
    /* memcheck does not mark the first large frame of a stack that is new to it: this is it. */
    char first_frame[1024];
    __asm__ volatile("" : : "r"(first_frame) : "memory");
    take_own_table();
    errand.what(errand.with);
}

void thread_apart(void (*what)(void *), void *with)
{
    errand.what = what;
    errand.with = with;
    if (!start(&apart, OF_THREAD, run_errand)) {
        what(with);
        return;
    }
    while (!is_gone(&apart))
        pause_shortly();
    /* A fresh stack each time: memcheck takes a used one for freed. Errands are rare. */
    raw_map_at(apart.map + PAGE_MOST, MAP_SIZE - PAGE_MOST, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK | MAP_FIXED);
}

static void run_beside(void)
{
    if (take_own_table())
        run_in_it();
}

bool thread_beside(void (*what)(void))
{
    run_in_it = what;
    return start(&beside, OF_PROCESS, run_beside);
}

bool thread_beside_lives(void)
{
    return raw4(SYS_wait4, beside.tid, 0, __WALL | WNOHANG, 0) == 0;
}

void thread_beside_await(void)
{
    while (raw4(SYS_wait4, beside.tid, 0, __WALL, 0) == -EINTR) {
    }
}

void thread_adopt(void)
{
    watcher.tid = 0;
    apart.tid = 0;
}
