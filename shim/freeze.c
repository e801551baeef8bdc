#define _GNU_SOURCE
#include "freeze.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "clock.h"
#include "raw.h"
#include "text.h"
#include "thread.h"

enum { THREADS_MAX = 4096, PATIENCE_MS = 50, STEP_US = 20, LOOK_S = 1 };

/* A thread that is traced, and the signal that it was about to get when it stopped. */
struct traced {
    int tid;
    bool stopped;
    int signal;
};

/* Of the process beside us, which is one at a time; the watcher waits for its answer. */
static struct traced threads[THREADS_MAX];
static int count;
static int process;

enum { STARTING = -1, THAWED = -2 };
static _Atomic int answer; /* STARTING; 0 while all are stopped, or an errno; THAWED */

static struct traced *find(int tid)
{
    for (int i = 0; i < count; i++)
        if (threads[i].tid == tid)
            return &threads[i];
    return NULL;
}

static void forget(struct traced *thread)
{
    *thread = threads[--count];
}

/* Its end, or a stop: the one that was asked for, or one before the delivery of a signal. */
static void hear_all(void)
{
    int status = 0;
    for (long tid; (tid = raw4(SYS_wait4, -1, (long)&status, __WALL | WNOHANG, 0)) > 0;) {
        struct traced *thread = find((int)tid);
        if (!thread)
            continue;
        if (!WIFSTOPPED(status)) {
            forget(thread);
            continue;
        }
        thread->stopped = true;
        thread->signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
    }
}

static bool all_stopped(void)
{
    for (int i = 0; i < count; i++)
        if (!threads[i].stopped)
            return false;
    return true;
}

/* The folder of a thread's, or of all when tid is 0, and what is in it. */
static long open_task(int tid, const char *what, int flags)
{
    char name[64];
    struct text path = text_in(name, sizeof(name));
    text_add(&path, "/proc/");
    text_add_uint(&path, (uint64_t)process);
    text_add(&path, "/task/");
    if (tid)
        text_add_uint(&path, (uint64_t)tid);
    text_add(&path, what);
    return raw4(SYS_openat, AT_FDCWD, (long)name, O_RDONLY | flags, 0);
}

/*
 * One that has ended cannot be traced, nor move: it is about to go, or it is the first, which stays
 * as long as there are others.
 */
static bool has_ended(int tid)
{
    char stat[64] = "";
    const long fd = open_task(tid, "/stat", 0);
    if (fd < 0)
        return true;
    raw3(SYS_read, fd, (long)stat, sizeof(stat) - 1);
    raw1(SYS_close, fd);
    const char *end = strrchr(stat, ')');
    return !end || end[2] == 'Z' || end[2] == 'X';
}

/* 0, or an errno. One that has ended in the meantime is none to stop. */
static int seize(int tid)
{
    if (count == THREADS_MAX)
        return EAGAIN;
    long ret = raw4(SYS_ptrace, PTRACE_SEIZE, tid, 0, 0);
    if (ret == -ESRCH || (ret == -EPERM && has_ended(tid)))
        return 0;
    if (ret < 0)
        return (int)-ret;
    threads[count++] = (struct traced){.tid = tid};
    ret = raw4(SYS_ptrace, PTRACE_INTERRUPT, tid, 0, 0);
    return ret < 0 && ret != -ESRCH ? (int)-ret : 0;
}

static int number_of(const char *name)
{
    int number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + *name - '0';
    return *name ? 0 : number;
}

/* Those that are not traced yet. 0, or an errno; *more when there were any. */
static int seize_new(long folder, bool *more)
{
    _Alignas(struct dirent64) char entries[4096] = {0};
    int error = 0;
    *more = false;
    raw3(SYS_lseek, folder, 0, SEEK_SET);
    for (long len;
         !error && (len = raw3(SYS_getdents64, folder, (long)entries, sizeof(entries))) > 0;)
        for (long at = 0; at < len && !error;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            const int tid = number_of(entry->d_name);
            at += entry->d_reclen;
            if (tid == 0 || tid == thread_id() || find(tid))
                continue;
            *more = true;
            error = seize(tid);
        }
    return error;
}

/* Again and again: one that was not stopped yet may have made another. */
static int stop_all(void)
{
    const long folder = open_task(0, "", O_DIRECTORY);
    if (folder < 0)
        return (int)-folder;
    const uint64_t start_ms = clock_ms();
    bool more = true;
    int error = 0;
    while (!error && (more || !all_stopped())) {
        error = seize_new(folder, &more);
        hear_all();
        if (!all_stopped())
            clock_sleep_us(STEP_US);
        if (!error && clock_ms() - start_ms > PATIENCE_MS)
            error = EAGAIN;
    }
    return error;
}

static void let_go(void)
{
    for (int i = 0; i < count; i++)
        raw4(SYS_ptrace, PTRACE_DETACH, threads[i].tid, 0, threads[i].signal);
}

static void sleep_while(int seen)
{
    const struct timespec patience = {.tv_sec = LOOK_S};
    raw4(SYS_futex, (long)&answer, FUTEX_WAIT, seen, (long)&patience);
}

static void say(int what)
{
    atomic_store(&answer, what);
    raw3(SYS_futex, (long)&answer, FUTEX_WAKE, INT32_MAX);
}

/* SIGKILL ends it whatever it is stopped in. */
static bool watcher_lives(void)
{
    return raw3(SYS_tgkill, process, thread_id(), 0) == 0;
}

/* In the process beside us. Nothing of what it has is the program's but the memory. */
static void freeze(void)
{
    count = 0;
    const int error = stop_all();
    say(error);
    while (!error && atomic_load(&answer) == 0 && watcher_lives())
        sleep_while(0);
    let_go();
}

/* Where Yama restricts tracing to parents (ptrace_scope 1), a child needs leave; elsewhere EINVAL.
 */
static void allow_tracing(unsigned long by)
{
    raw2(SYS_prctl, PR_SET_PTRACER, (long)by);
}

int freeze_begin(void)
{
    process = (int)raw0(SYS_getpid);
    atomic_store(&answer, STARTING);
    allow_tracing(PR_SET_PTRACER_ANY);
    if (!thread_beside(freeze))
        return EAGAIN;
    while (atomic_load(&answer) == STARTING && thread_beside_lives())
        sleep_while(STARTING);
    allow_tracing(0);
    const int said = atomic_load(&answer);
    if (said != 0)
        thread_beside_await();
    return said == STARTING ? EAGAIN : said;
}

void freeze_end(void)
{
    say(THAWED);
    thread_beside_await();
}
