#define _GNU_SOURCE
#include "sigframe.h"

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#if defined(__aarch64__)

/* An instruction has half the size of the words that are read. */
static bool is_code(uintptr_t at, uint32_t wanted, cfi_read *read, const void *memory)
{
    uintptr_t word;
    return at % 4 == 0 && read(memory, at & ~(uintptr_t)7, &word) &&
           (uint32_t)(word >> (8 * (at & 4))) == wanted;
}

static bool is_trampoline(uintptr_t pc, cfi_read *read, const void *memory)
{
    enum { MOV_X8_RT_SIGRETURN = (int)0xd2801168, SVC_0 = (int)0xd4000001 };
    return is_code(pc, (uint32_t)MOV_X8_RT_SIGRETURN, read, memory) &&
           is_code(pc + 4, (uint32_t)SVC_0, read, memory);
}

bool sigframe_step(struct cursor *cursor, cfi_read *read, const void *memory)
{
    if (cursor->exact || !is_trampoline(cursor->pc, read, memory))
        return false;
    /* struct rt_sigframe of arch/arm64/kernel/signal.c: what SA_SIGINFO hands over, in a row. */
    const uintptr_t context = cursor->sp + sizeof(siginfo_t);
    struct cursor next = {
        .at = context + offsetof(ucontext_t, uc_mcontext.pc),
        .fp_at = context + offsetof(ucontext_t, uc_mcontext.regs[29]),
        .lr_at = context + offsetof(ucontext_t, uc_mcontext.regs[30]),
        .exact = true,
    };
    if (!read(memory, next.at, &next.pc) || !read(memory, next.fp_at, &next.fp) ||
        !read(memory, context + offsetof(ucontext_t, uc_mcontext.sp), &next.sp))
        return false;
    *cursor = next;
    return true;
}

#else

bool sigframe_step(struct cursor *cursor, cfi_read *read, const void *memory)
{
    (void)cursor;
    (void)read;
    (void)memory;
    return false;
}

#endif
