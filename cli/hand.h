/*
 * The one thread of a stopped process that makes system calls for us, and is then as it was.
 */
#ifndef CLOSEWAIT_HAND_H
#define CLOSEWAIT_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "registers.h"

struct hand {
    pid_t pid;
    pid_t tid;
    uint64_t instruction; /* the address of one that makes a system call */
    struct registers before;
    uint64_t mask_before; /* of blocked signals, as the kernel has it */
    bool moved;           /* the registers and the mask are not those of before */
    bool lost;            /* it has ended */
};

/*
 * The address of an instruction that makes a system call, in a process that need not be stopped; 0:
 * none was found. To be looked for before the process is stopped, as that takes long where there
 * are many threads: each has a stack in /proc/PID/maps.
 */
uint64_t hand_instruction(pid_t pid, pid_t tid);

/*
 * The thread tid, which is in a PTRACE_EVENT_STOP of the calling thread's, with
 * PTRACE_O_TRACESYSGOOD and the registers before. False, with what is wrong in why, when it can
 * make no calls for us. instruction: what hand_instruction has found; it is made sure of.
 */
bool hand_take(struct hand *hand, pid_t pid, pid_t tid, const struct registers *before,
               uint64_t instruction, char *why, size_t why_size);

/* Its result or -errno. -ESRCH: the process has ended; -EAGAIN: it could not be made. */
long hand_call(struct hand *hand, long number, const long arguments[3]);

/* Puts everything back. The thread is in a PTRACE_EVENT_STOP again, ready to be detached. */
void hand_release(struct hand *hand);

/* Whether the thread is where a move to other instructions would break what it does (rseq(2)). */
bool hand_would_break(pid_t tid, const struct registers *registers);

#endif
