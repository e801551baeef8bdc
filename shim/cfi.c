#include "cfi.h"

#include <stddef.h>

#include "cfi_rules.h"

static bool register_of(const struct cursor *cursor, uint64_t reg, uintptr_t *value)
{
    *value = reg == REG_FP ? cursor->fp : reg == REG_SP ? cursor->sp : cursor->pc;
    return reg == REG_FP || reg == REG_SP || reg == REG_RA;
}

/* What one operation of an expression does to its stack; false when it is none that we know. */
static bool operate(uint8_t op, struct reader *in, const struct cursor *cursor, uintptr_t *stack,
                    int *depth, cfi_read *read, const void *memory)
{
    uintptr_t *const top = *depth > 0 ? &stack[*depth - 1] : stack;
    if (op >= 0x70 && op <= 0x8f) { /* breg: a register and an offset */
        stack[(*depth)++] = 0;
        if (!register_of(cursor, op - 0x70U, &stack[*depth - 1]))
            return false;
        stack[*depth - 1] += (uintptr_t)cfi_sleb(in);
        return true;
    }
    if (op >= 0x30 && op <= 0x4f) { /* lit */
        stack[(*depth)++] = op - 0x30U;
        return true;
    }
    if (op == 0x06 && *depth >= 1) /* deref */
        return read(memory, *top, top);
    if (op == 0x23 && *depth >= 1) { /* plus_uconst */
        *top += (uintptr_t)cfi_uleb(in);
        return true;
    }
    if (*depth < 2)
        return false;
    (*depth)--;
    switch (op) {
    case 0x1a: /* and */
        top[-1] &= *top;
        return true;
    case 0x22: /* plus */
        top[-1] += *top;
        return true;
    case 0x24: /* shl */
        top[-1] = *top < 8 * sizeof(*top) ? top[-1] << *top : 0;
        return true;
    case 0x2a: /* ge */
        top[-1] = (intptr_t)top[-1] >= (intptr_t)*top;
        return true;
    default:
        return false;
    }
}

/* Enough of DW_OP_... for what is on Linux: signal frames, procedure linkage, realigned stacks. */
static bool evaluate(struct reader in, const struct cursor *cursor, cfi_read *read,
                     const void *memory, uintptr_t *value)
{
    enum { DEPTH = 8 };
    uintptr_t stack[DEPTH + 1];
    int depth = 0;
    while (in.at < in.end && !in.bad) {
        const uint8_t op = (uint8_t)cfi_bytes(&in, 1);
        if (depth >= DEPTH || !operate(op, &in, cursor, stack, &depth, read, memory))
            return false;
    }
    if (in.bad || depth < 1)
        return false;
    *value = stack[depth - 1];
    return true;
}

static bool find_cfa(const struct rules *rules, const struct cursor *cursor, cfi_read *read,
                     const void *memory, uintptr_t *cfa)
{
    if (rules->cfa_expression.at)
        return evaluate(rules->cfa_expression, cursor, read, memory, cfa);
    if (!register_of(cursor, rules->cfa_reg, cfa) || rules->cfa_reg == REG_RA)
        return false;
    *cfa += (uintptr_t)rules->cfa_offset;
    return true;
}

/* Where a register was saved. */
static bool find_saved(const struct found *found, const struct cursor *cursor, uintptr_t cfa,
                       cfi_read *read, const void *memory, uintptr_t *at)
{
    *at = cfa + (uintptr_t)found->offset;
    return found->rule == AT_OFFSET ||
           (found->rule == AT_EXPRESSION && evaluate(found->expression, cursor, read, memory, at));
}

/* A signed return address of aarch64 without its signature: user addresses end below bit 48. */
static uintptr_t strip(uintptr_t pc)
{
#if defined(__aarch64__)
    return pc & (((uintptr_t)1 << 48) - 1);
#else
    return pc;
#endif
}

enum cfi_step cfi_step(struct cursor *cursor, const uint8_t *header, cfi_read *read,
                       const void *memory)
{
    struct rules rules;
    struct common common;
    struct cursor next = {.fp = cursor->fp};
    if (!cfi_find_rules(header, cursor->pc - !cursor->exact, &rules, &common))
        return CFI_UNKNOWN;
    if (rules.ra.rule == UNDEFINED)
        return CFI_END;
    uintptr_t saved = 0;
    const bool is_leaf = rules.ra.rule == SAME && cursor->lr_at;
    next.at = cursor->lr_at;
    if (!find_cfa(&rules, cursor, read, memory, &next.sp) ||
        (!is_leaf && !find_saved(&rules.ra, cursor, next.sp, read, memory, &next.at)))
        return CFI_UNKNOWN;
    if (rules.fp.rule != SAME && rules.fp.rule != UNDEFINED &&
        (!find_saved(&rules.fp, cursor, next.sp, read, memory, &saved) ||
         !read(memory, saved, &next.fp)))
        return CFI_END;
    next.fp_at = saved;
    /* A stack only grows towards its caller; a signal frame may change to another stack. */
    const bool grows = next.sp > cursor->sp || (is_leaf && next.sp == cursor->sp);
    if (!read(memory, next.at, &next.pc) || next.pc == 0 || (!grows && !common.signal_frame))
        return CFI_END;
    next.pc = strip(next.pc);
    next.by_fp = rules.cfa_expression.at || rules.cfa_reg == REG_FP;
    next.exact = common.signal_frame;
    *cursor = next;
    return CFI_STEPPED;
}
