#define _GNU_SOURCE
#include "hand.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "target.h"

/* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG and its answer, since Linux 6.4. */
enum { GET_DISPATCH = 0x4210 };

struct dispatch {
    uint64_t mode;
    uint64_t selector;
    uint64_t offset;
    uint64_t len;
};

/* A process whose cgroup is frozen does not come as far as the call; then it is left as it was. */
enum { PATIENCE_MS = 1000, EAGER_TURNS = 200, LOOK_US = 50, SYSCALL_STOP = SIGTRAP | 0x80 };

static bool read_memory(pid_t tid, uint64_t at, void *to, size_t size)
{
    const struct iovec here = {to, size};
    const struct iovec there = {(void *)(uintptr_t)at, size};
    return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* The address of the instruction in [at, end); 0: it is not there, or cannot be read. */
static uint64_t find_instruction(pid_t tid, uint64_t at, uint64_t end)
{
    unsigned char bytes[4096];
    for (; at < end; at += sizeof(bytes)) {
        const size_t size = end - at < sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
        if (!read_memory(tid, at, bytes, size))
            return 0;
        const unsigned char *found =
            memmem(bytes, size, registers_instruction, registers_instruction_size);
        if (found)
            return at + (uint64_t)(found - bytes);
    }
    return 0;
}

/* Of a line of /proc/PID/maps; 0: it is no code that can be read, or has none. */
static uint64_t instruction_in(pid_t tid, const char *line)
{
    char *rest = NULL;
    const uint64_t start = strtoull(line, &rest, 16);
    const uint64_t end = *rest == '-' ? strtoull(rest + 1, &rest, 16) : 0;
    return strncmp(rest, " r-x", 4) == 0 ? find_instruction(tid, start, end) : 0;
}

/* In the vdso, which every process has unless that was switched off; else wherever there is one. */
uint64_t hand_instruction(pid_t pid, pid_t tid)
{
    char path[64];
    char line[512];
    uint64_t found = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", (int)pid, (int)tid);
    for (int any = 0; any < 2 && !found; any++) {
        FILE *file = fopen(path, "re");
        while (file && !found && fgets(line, sizeof(line), file))
            if (any || strstr(line, "[vdso]"))
                found = instruction_in(tid, line);
        if (file)
            fclose(file);
    }
    return found;
}

/* The process may have become another program since it was found. */
static bool is_instruction(pid_t tid, uint64_t at)
{
    unsigned char bytes[8];
    return at && registers_instruction_size <= sizeof(bytes) &&
           read_memory(tid, at, bytes, registers_instruction_size) &&
           memcmp(bytes, registers_instruction, registers_instruction_size) == 0;
}

/*
 * A filter would judge our calls as the process's own, and could end it for them. Who may not lift
 * one asks whether there is any, which takes longer.
 */
static bool lift_filter(pid_t pid, pid_t tid)
{
    return ptrace(PTRACE_SETOPTIONS, tid, NULL,
                  (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP)) == 0 ||
           target_status(pid, tid, "Seccomp") <= 0;
}

static bool is_dispatched(pid_t tid)
{
    struct dispatch dispatch = {0};
    return ptrace((enum __ptrace_request)GET_DISPATCH, tid, sizeof(dispatch), &dispatch) == 0 &&
           dispatch.mode != 0;
}

bool hand_take(struct hand *hand, pid_t pid, pid_t tid, const struct registers *before,
               uint64_t instruction, char *why, size_t why_size)
{
    *hand = (struct hand){.pid = pid, .tid = tid, .before = *before};
    if (is_dispatched(tid)) {
        snprintf(why, why_size,
                 "process %d takes its own system calls (PR_SET_SYSCALL_USER_DISPATCH): ours would "
                 "be among them",
                 (int)pid);
        return false;
    }
    if (!lift_filter(pid, tid)) {
        snprintf(why, why_size,
                 "process %d filters its system calls (seccomp); it takes CAP_SYS_ADMIN to make "
                 "others in it, and no such filter on closewait itself: run as root%s",
                 (int)pid,
                 target_status(getpid(), getpid(), "Seccomp") > 0 ? ", outside of the container"
                                                                  : "");
        return false;
    }
    hand->instruction = is_instruction(tid, instruction) ? instruction : hand_instruction(pid, tid);
    if (!hand->instruction)
        snprintf(why, why_size, "process %d has no instruction that makes a system call", (int)pid);
    return hand->instruction != 0;
}

bool hand_would_break(pid_t tid, const struct registers *registers)
{
    struct __ptrace_rseq_configuration rseq = {0};
    uint64_t section = 0;
    struct {
        uint32_t version;
        uint32_t flags;
        uint64_t start;
        uint64_t size;
    } bounds = {0};
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(rseq), &rseq) <= 0 ||
        rseq.rseq_abi_pointer == 0)
        return false;
    enum { SECTION_AT = 8 }; /* struct rseq: rseq_cs */
    if (!read_memory(tid, rseq.rseq_abi_pointer + SECTION_AT, &section, sizeof(section)) ||
        !section)
        return false;
    return read_memory(tid, section, &bounds, sizeof(bounds)) &&
           registers_pc(registers) - bounds.start < bounds.size;
}

/* What has stopped it: a signal's number, with 0x80 for a system call and an event above. */
static int await_stop(struct hand *hand, bool *entered)
{
    const uint64_t begin = clock_ms();
    bool recalled = false;
    for (int turn = 0;; turn++) {
        siginfo_t info = {0};
        const int options = WSTOPPED | WNOHANG | __WALL;
        if (waitid(P_PID, (id_t)hand->tid, &info, options) != 0 && errno == ECHILD)
            return 0;
        if (info.si_pid)
            return info.si_status;
        if (turn < EAGER_TURNS) {
            sched_yield();
            continue;
        }
        const char state = target_state(hand->pid, hand->tid);
        if (state == 0 || state == 'Z' || state == 'X')
            return 0;
        if (!*entered && !recalled && clock_ms() - begin > PATIENCE_MS)
            recalled = ptrace(PTRACE_INTERRUPT, hand->tid, NULL, NULL) == 0;
        clock_sleep_us(LOOK_US);
    }
}

static bool is_event_stop(int stop)
{
    return stop >> 8 == PTRACE_EVENT_STOP;
}

static bool is_at_exit(const struct hand *hand)
{
    struct __ptrace_syscall_info info = {0};
    return ptrace(PTRACE_GET_SYSCALL_INFO, hand->tid, sizeof(info), &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_EXIT;
}

/* With all signals blocked but the two that cannot be. */
static bool move(struct hand *hand)
{
    const uint64_t all = UINT64_MAX;
    if (hand->moved)
        return true;
    if (ptrace(PTRACE_GETSIGMASK, hand->tid, sizeof(all), &hand->mask_before) != 0 ||
        ptrace(PTRACE_SETSIGMASK, hand->tid, sizeof(all), &all) != 0)
        return false;
    hand->moved = true;
    return true;
}

/*
 * Lets it run to the end of one system call. It may be told to stop on the way (SIGSTOP), and its
 * group then is stopped; it goes on for us all the same, and stops again when it is let go.
 */
static long run_call(struct hand *hand)
{
    bool entered = false;
    int signal = 0;
    for (;;) {
        const uint64_t before = clock_ms();
        if (ptrace(PTRACE_SYSCALL, hand->tid, NULL, (void *)(intptr_t)signal) != 0)
            return -ESRCH;
        const int stop = await_stop(hand, &entered);
        signal = 0;
        if (stop == 0)
            return -ESRCH;
        if (stop == SYSCALL_STOP) {
            entered = true;
            if (is_at_exit(hand))
                return 0;
        } else if (is_event_stop(stop)) {
            if (!entered && clock_ms() - before >= PATIENCE_MS)
                return -EAGAIN;
        } else {
            signal = stop & 0x7f;
        }
    }
}

long hand_call(struct hand *hand, long number, const long arguments[3])
{
    const struct registers call =
        registers_for_call(&hand->before, hand->instruction, number, arguments);
    struct registers after;
    if (hand->lost || !move(hand) || !registers_write(hand->tid, &call))
        return -ESRCH;
    const long trouble = run_call(hand);
    hand->lost = trouble == -ESRCH;
    if (trouble)
        return trouble;
    return registers_read(hand->tid, &after) == REGISTERS_READ ? registers_result(&after) : -ESRCH;
}

/*
 * Back into a stop of the kind in which the kernel sees to interrupted calls when it ends. After a
 * system call nothing promises that, and the program could see -ERESTARTSYS. It is asked for before
 * the thread is resumed, so that not one instruction is run between.
 */
static bool return_to_event_stop(struct hand *hand)
{
    bool entered = true;
    int signal = 0;
    for (;;) {
        if (ptrace(PTRACE_INTERRUPT, hand->tid, NULL, NULL) != 0 ||
            ptrace(PTRACE_CONT, hand->tid, NULL, (void *)(intptr_t)signal) != 0)
            return false;
        const int stop = await_stop(hand, &entered);
        if (stop == 0)
            return false;
        if (is_event_stop(stop))
            return true;
        signal = stop == SYSCALL_STOP ? 0 : stop & 0x7f;
    }
}

void hand_release(struct hand *hand)
{
    if (!hand->moved || hand->lost)
        return;
    if (!return_to_event_stop(hand))
        return;
    registers_write(hand->tid, &hand->before);
    ptrace(PTRACE_SETSIGMASK, hand->tid, sizeof(hand->mask_before), &hand->mask_before);
    hand->moved = false;
}
