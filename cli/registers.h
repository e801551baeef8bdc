/*
 * The registers of a stopped thread, and what the kernel makes of them: the one part of the
 * command that knows the processor.
 */
#ifndef CLOSEWAIT_REGISTERS_H
#define CLOSEWAIT_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct registers {
    struct user_regs_struct at;
};

enum registers_found {
    REGISTERS_READ,
    REGISTERS_FOREIGN, /* of a program for another word size */
    REGISTERS_NONE,    /* the thread is not stopped, or not there */
};

/* The bytes of the instruction that makes a system call. */
extern const unsigned char registers_instruction[];
extern const size_t registers_instruction_size;

/* Of a thread in a ptrace-stop of ours. */
enum registers_found registers_read(pid_t tid, struct registers *registers);
bool registers_write(pid_t tid, const struct registers *registers);

/* The address of the next instruction. */
uint64_t registers_pc(const struct registers *registers);

/* The top of the stack. */
uint64_t registers_sp(const struct registers *registers);

/*
 * Those that an unwinder begins with, in the numbers that DWARF has for them (x86-64 psABI, table
 * 3.36; AADWARF64, 4.1). Returns how many.
 */
enum { REGISTERS_OF_DWARF = 33 };
int registers_to_dwarf(const struct registers *registers, uint64_t dwarf[REGISTERS_OF_DWARF]);

/* As they must be for a system call with three arguments, by the instruction at pc. */
struct registers registers_for_call(const struct registers *from, uint64_t pc, long number,
                                    const long arguments[3]);

/* After the call: its result, or -errno. */
long registers_result(const struct registers *registers);

/* The number of the system call that the stop has interrupted; -1: none. */
long registers_interrupted(const struct registers *registers);

/*
 * Whether that call would now say EINTR although no handler runs, as signal(7) lists them ("after
 * the process is stopped by one of the stop signals and then resumed"); and the change that lets
 * the kernel make it again instead, unless a handler does run.
 */
bool registers_say_eintr(const struct registers *registers);
void registers_restart(struct registers *registers);

#endif
