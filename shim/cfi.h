/*
 * One step up a stack, by the call frame information that compilers write for exceptions
 * (.eh_frame; DWARF 5 section 6.4, System V ABI for x86-64 section 3.7). It knows the three
 * registers that a walk needs, and gives up where the rules need more.
 *
 * Any thread, any signal handler: no lock, no allocation, no system call of its own.
 */
#ifndef CLOSEWAIT_CFI_H
#define CLOSEWAIT_CFI_H

#include <stdbool.h>
#include <stdint.h>

/* Where a walk is. at is where pc was read from, 0 at the start of the walk. */
struct cursor {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
    uintptr_t at;
    uintptr_t fp_at; /* where fp was read from, 0 when it is its callee's */
    uintptr_t lr_at; /* where an interrupted leaf's return address is, which aarch64 has in a
                        register; else 0 */
    bool by_fp;      /* the step to here went by its callee's fp */
    bool exact; /* pc is the next instruction of an interrupted function, not a return address */
};

/* Reads a word of the stack; false when it cannot be read. */
typedef bool cfi_read(const void *memory, uintptr_t at, uintptr_t *word);

/* What a step came to. */
enum cfi_step {
    CFI_STEPPED,
    CFI_END,     /* the outermost frame, or a word that could not be read */
    CFI_UNKNOWN, /* these rules are not for us; the cursor is as it was */
};

/*
 * From a frame to its caller. header is the .eh_frame_hdr of the module that pc is in; memory is
 * handed on to read.
 */
enum cfi_step cfi_step(struct cursor *cursor, const uint8_t *header, cfi_read *read,
                       const void *memory);

#endif
