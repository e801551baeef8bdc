#define _GNU_SOURCE
#include "registers.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* include/linux/errno.h of the kernel: seen by a tracer alone. */
enum { ERESTARTNOHAND = 514 };

enum registers_found registers_read(pid_t tid, struct registers *registers)
{
    struct iovec all = {&registers->at, sizeof(registers->at)};
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &all) != 0)
        return REGISTERS_NONE;
    return all.iov_len == sizeof(registers->at) ? REGISTERS_READ : REGISTERS_FOREIGN;
}

bool registers_write(pid_t tid, const struct registers *registers)
{
    struct registers copy = *registers;
    struct iovec all = {&copy.at, sizeof(copy.at)};
    return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &all) == 0;
}

#if defined(__x86_64__)

const unsigned char registers_instruction[] = {0x0f, 0x05}; /* syscall */
const size_t registers_instruction_size = sizeof(registers_instruction);

uint64_t registers_pc(const struct registers *registers)
{
    return registers->at.rip;
}

uint64_t registers_sp(const struct registers *registers)
{
    return registers->at.rsp;
}

int registers_to_dwarf(const struct registers *registers, uint64_t dwarf[REGISTERS_OF_DWARF])
{
    const struct user_regs_struct *at = &registers->at;
    const uint64_t values[] = {at->rax, at->rdx, at->rcx, at->rbx, at->rsi, at->rdi,
                               at->rbp, at->rsp, at->r8,  at->r9,  at->r10, at->r11,
                               at->r12, at->r13, at->r14, at->r15, at->rip};
    memcpy(dwarf, values, sizeof(values));
    return sizeof(values) / sizeof(values[0]);
}

/* orig_rax -1: what is in rax is no result of a call that the kernel should make again. */
struct registers registers_for_call(const struct registers *from, uint64_t pc, long number,
                                    const long arguments[3])
{
    struct registers call = *from;
    call.at.rip = pc;
    call.at.rax = (unsigned long)number;
    call.at.orig_rax = (unsigned long)-1;
    call.at.rdi = (unsigned long)arguments[0];
    call.at.rsi = (unsigned long)arguments[1];
    call.at.rdx = (unsigned long)arguments[2];
    return call;
}

long registers_result(const struct registers *registers)
{
    return (long)registers->at.rax;
}

long registers_interrupted(const struct registers *registers)
{
    return (long)registers->at.orig_rax;
}

/*
 * Nothing is done yet when one of these says EINTR. Others are left alone: close(2) has already
 * given the descriptor up then.
 */
static bool can_be_made_again(long number)
{
    static const long calls[] = {
        SYS_epoll_wait,    SYS_epoll_pwait,    SYS_epoll_pwait2, SYS_rt_sigtimedwait,
        SYS_semop,         SYS_semtimedop,     SYS_read,         SYS_readv,
        SYS_recvfrom,      SYS_recvmsg,        SYS_recvmmsg,     SYS_write,
        SYS_writev,        SYS_sendto,         SYS_sendmsg,      SYS_sendmmsg,
        SYS_accept,        SYS_accept4,        SYS_connect,      SYS_io_getevents,
        SYS_io_pgetevents, SYS_io_uring_enter,
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i] == number)
            return true;
    return false;
}

bool registers_say_eintr(const struct registers *registers)
{
    return registers_result(registers) == -EINTR &&
           can_be_made_again(registers_interrupted(registers));
}

/* The kernel turns it into EINTR when a handler runs, and makes the call again when none does. */
void registers_restart(struct registers *registers)
{
    registers->at.rax = (unsigned long)-ERESTARTNOHAND;
}

#elif defined(__aarch64__)

const unsigned char registers_instruction[] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */
const size_t registers_instruction_size = sizeof(registers_instruction);

uint64_t registers_pc(const struct registers *registers)
{
    return registers->at.pc;
}

uint64_t registers_sp(const struct registers *registers)
{
    return registers->at.sp;
}

int registers_to_dwarf(const struct registers *registers, uint64_t dwarf[REGISTERS_OF_DWARF])
{
    enum { GENERAL = 31 };
    for (int i = 0; i < GENERAL; i++)
        dwarf[i] = registers->at.regs[i];
    dwarf[GENERAL] = registers->at.sp;
    return GENERAL + 1;
}

struct registers registers_for_call(const struct registers *from, uint64_t pc, long number,
                                    const long arguments[3])
{
    struct registers call = *from;
    call.at.pc = pc;
    call.at.regs[8] = (unsigned long)number;
    for (int i = 0; i < 3; i++)
        call.at.regs[i] = (unsigned long)arguments[i];
    return call;
}

long registers_result(const struct registers *registers)
{
    return (long)registers->at.regs[0];
}

/*
 * The kernel has wound the program counter back to the instruction before we see the thread, and
 * forgotten which call it was (do_signal): from here it looks like one that is yet to be made.
 */
long registers_interrupted(const struct registers *registers)
{
    (void)registers;
    return -1;
}

/* The first argument is lost by then: such a call says EINTR, as after SIGSTOP and SIGCONT. */
bool registers_say_eintr(const struct registers *registers)
{
    (void)registers;
    return false;
}

void registers_restart(struct registers *registers)
{
    (void)registers;
    (void)ERESTARTNOHAND;
}

#else
#error "closewait reap knows the registers of x86-64 and aarch64"
#endif
