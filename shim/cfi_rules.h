/*
 * The rules of .eh_frame that hold at an address, as they are written there; cfi.c follows them.
 */
#ifndef CLOSEWAIT_CFI_RULES_H
#define CLOSEWAIT_CFI_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF's numbers of the stack pointer, the frame pointer and the return address. */
#if defined(__x86_64__)
enum { REG_SP = 7, REG_FP = 6, REG_RA = 16 };
#elif defined(__i386__)
enum { REG_SP = 4, REG_FP = 5, REG_RA = 8 };
#elif defined(__aarch64__)
enum { REG_SP = 31, REG_FP = 29, REG_RA = 30 };
#endif

/* Reads forward through rules; after an overrun everything reads as 0 and bad is set. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

/* How a register of the caller's is found. */
enum rule { SAME, AT_OFFSET, AT_EXPRESSION, UNDEFINED, BEYOND_US };

struct found {
    enum rule rule;
    int64_t offset;           /* from the CFA */
    struct reader expression; /* gives the address */
};

struct rules {
    uint64_t cfa_reg;
    int64_t cfa_offset;
    struct reader cfa_expression; /* when at is not NULL */
    struct found fp;
    struct found ra;
};

/* What a CIE says of all its FDEs. */
struct common {
    uint64_t code_align;
    int64_t data_align;
    uint64_t ra_reg;
    uint8_t encoding;
    bool augmented;
    bool signal_frame;
    struct reader program;
};

/* The next bytes as a number, and DWARF's numbers of any length. */
uint64_t cfi_bytes(struct reader *in, size_t size);
uint64_t cfi_uleb(struct reader *in);
int64_t cfi_sleb(struct reader *in);

/* False when pc is in no function of the table, or its rules are none that we know. */
bool cfi_find_rules(const uint8_t *header, uintptr_t pc, struct rules *rules,
                    struct common *common);

#endif
