/*
 * The hook of vfork. It notes that a child may run in our memory from now on (owner_lends), and
 * jumps to the real one: the child returns from that first, and a frame of ours would be gone when
 * the parent returns after it. So it cannot be written in C.
 */
#include "owner.h"
#include "real.h"

/* Where it jumps: to fork until the constructor has come, which is right for every program. */
static pid_t like_fork(void)
{
    return real.fork();
}

pid_t (*vfork_next)(void) = like_fork;

void vfork_resolve(void)
{
    if (real.vfork != vfork_next)
        vfork_next = real.vfork;
}

__asm__(".text\n"
        ".globl vfork\n"
        ".globl __vfork\n"
        ".type vfork, %function\n"
        ".type __vfork, %function\n"
        "vfork:\n"
        "__vfork:\n"
#if defined(__x86_64__)
        "    endbr64\n"
        "    movb $1, owner_lent(%rip)\n"
        "    jmp *vfork_next(%rip)\n"
#elif defined(__i386__)
        "    endbr32\n"
        "    call 1f\n"
        "1:  popl %ecx\n"
        "    addl $_GLOBAL_OFFSET_TABLE_+(.-1b), %ecx\n"
        "    movb $1, owner_lent@GOTOFF(%ecx)\n"
        "    jmp *vfork_next@GOTOFF(%ecx)\n"
#elif defined(__aarch64__)
        "    hint #34\n"
        "    adrp x16, owner_lent\n"
        "    mov w17, #1\n"
        "    strb w17, [x16, #:lo12:owner_lent]\n"
        "    adrp x16, vfork_next\n"
        "    ldr x16, [x16, #:lo12:vfork_next]\n"
        "    br x16\n"
#endif
        ".size vfork, .-vfork\n"
        ".size __vfork, .-__vfork\n");
