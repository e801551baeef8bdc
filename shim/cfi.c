#include "cfi.h"

#include <stddef.h>
#include <string.h>

/* DWARF's numbers of the stack pointer, the frame pointer and the return address. */
#if defined(__x86_64__)
enum { REG_SP = 7, REG_FP = 6, REG_RA = 16 };
#elif defined(__i386__)
enum { REG_SP = 4, REG_FP = 5, REG_RA = 8 };
#elif defined(__aarch64__)
enum { REG_SP = 31, REG_FP = 29, REG_RA = 30 };
#endif

enum { WORD = sizeof(uintptr_t) };

/* Reads forward through rules; after an overrun everything reads as 0 and bad is set. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static uint64_t bytes(struct reader *in, size_t size)
{
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < size) {
        in->bad = true;
        in->at = in->end;
        return 0;
    }
    memcpy(&value, in->at, size);
    in->at += size;
    return value;
}

static uint64_t uleb(struct reader *in)
{
    uint64_t value = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; (byte & 0x80) && !in->bad; shift += 7) {
        byte = (uint8_t)bytes(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
    }
    return value;
}

static int64_t sleb(struct reader *in)
{
    uint64_t value = 0;
    uint8_t byte = 0x80;
    unsigned shift = 0;
    for (; (byte & 0x80) && !in->bad; shift += 7) {
        byte = (uint8_t)bytes(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
    }
    if ((byte & 0x40) && shift < 64)
        value |= ~(uint64_t)0 << shift;
    return (int64_t)value;
}

/* A pointer as .eh_frame encodes it (DW_EH_PE_...); indirect ones only name personalities. */
static uintptr_t pointer(struct reader *in, uint8_t encoding)
{
    const uintptr_t here = (uintptr_t)in->at;
    uint64_t value = 0;
    switch (encoding & 0x0f) {
    case 0x00:
        value = bytes(in, WORD);
        break;
    case 0x01:
        value = uleb(in);
        break;
    case 0x02:
        value = bytes(in, 2);
        break;
    case 0x03:
        value = bytes(in, 4);
        break;
    case 0x04:
    case 0x0c:
        value = bytes(in, 8);
        break;
    case 0x09:
        value = (uint64_t)sleb(in);
        break;
    case 0x0a:
        value = (uint64_t)(int64_t)(int16_t)bytes(in, 2);
        break;
    case 0x0b:
        value = (uint64_t)(int64_t)(int32_t)bytes(in, 4);
        break;
    default:
        in->bad = true;
    }
    return (encoding & 0x70) == 0x10 && value ? (uintptr_t)value + here : (uintptr_t)value;
}

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

struct state {
    struct rules now;
    struct rules initial; /* after the CIE's program */
    struct rules kept[4];
    int depth;
};

static struct found *rule_of(struct rules *rules, uint64_t reg)
{
    if (reg == REG_FP)
        return &rules->fp;
    return reg == REG_RA ? &rules->ra : NULL;
}

static void set_rule(struct state *state, uint64_t reg, struct found found)
{
    struct found *rule = rule_of(&state->now, reg);
    if (rule)
        *rule = found;
}

static void restore_rule(struct state *state, uint64_t reg)
{
    const struct found *initial = rule_of(&state->initial, reg);
    if (initial)
        set_rule(state, reg, *initial);
}

static struct reader block(struct reader *in)
{
    const uint64_t size = uleb(in);
    struct reader inner = {.at = in->at, .end = in->at};
    if (in->bad || size > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        return inner;
    }
    in->at += size;
    inner.end = in->at;
    return inner;
}

static void keep(struct state *state, struct reader *in)
{
    if (state->depth == (int)(sizeof(state->kept) / sizeof(state->kept[0])))
        in->bad = true;
    else
        state->kept[state->depth++] = state->now;
}

static void take_back(struct state *state, struct reader *in)
{
    if (state->depth == 0)
        in->bad = true;
    else
        state->now = state->kept[--state->depth];
}

static void define_cfa(struct state *state, uint64_t reg, int64_t offset)
{
    state->now.cfa_reg = reg;
    state->now.cfa_offset = offset;
    state->now.cfa_expression.at = NULL;
}

/* The instructions that change rules, by number (DW_CFA_...). */
static void obey(uint8_t op, struct reader *in, const struct common *common, struct state *state)
{
    const uint64_t reg = op >= 0x05 && op <= 0x09 ? uleb(in) : 0;
    uint64_t other;
    switch (op) {
    case 0x00: /* nop */
        return;
    case 0x05: /* offset_extended */
        set_rule(
            state, reg,
            (struct found){.rule = AT_OFFSET, .offset = (int64_t)uleb(in) * common->data_align});
        return;
    case 0x06: /* restore_extended */
        restore_rule(state, reg);
        return;
    case 0x07: /* undefined */
        set_rule(state, reg, (struct found){.rule = UNDEFINED});
        return;
    case 0x08: /* same_value */
        set_rule(state, reg, (struct found){.rule = SAME});
        return;
    case 0x09: /* register */
        uleb(in);
        set_rule(state, reg, (struct found){.rule = BEYOND_US});
        return;
    case 0x0a: /* remember_state */
        keep(state, in);
        return;
    case 0x0b: /* restore_state */
        take_back(state, in);
        return;
    case 0x0c: /* def_cfa */
        other = uleb(in);
        define_cfa(state, other, (int64_t)uleb(in));
        return;
    case 0x0d: /* def_cfa_register */
        define_cfa(state, uleb(in), state->now.cfa_offset);
        return;
    case 0x0e: /* def_cfa_offset */
        define_cfa(state, state->now.cfa_reg, (int64_t)uleb(in));
        return;
    case 0x0f: /* def_cfa_expression */
        state->now.cfa_expression = block(in);
        return;
    case 0x10: /* expression */
        other = uleb(in);
        set_rule(state, other, (struct found){.rule = AT_EXPRESSION, .expression = block(in)});
        return;
    case 0x11: /* offset_extended_sf */
        other = uleb(in);
        set_rule(state, other,
                 (struct found){.rule = AT_OFFSET, .offset = sleb(in) * common->data_align});
        return;
    case 0x12: /* def_cfa_sf */
        other = uleb(in);
        define_cfa(state, other, sleb(in) * common->data_align);
        return;
    case 0x13: /* def_cfa_offset_sf */
        define_cfa(state, state->now.cfa_reg, sleb(in) * common->data_align);
        return;
    case 0x14: /* val_offset */
        other = uleb(in);
        uleb(in);
        set_rule(state, other, (struct found){.rule = BEYOND_US});
        return;
    case 0x16: /* val_expression */
        other = uleb(in);
        block(in);
        set_rule(state, other, (struct found){.rule = BEYOND_US});
        return;
    case 0x2d: /* AARCH64_negate_ra_state: the return address is signed; see strip() */
        return;
    case 0x2e: /* GNU_args_size */
        uleb(in);
        return;
    default:
        in->bad = true;
    }
}

/* Runs a program until it has passed target, of a function that begins at pc. */
static bool run(struct reader in, const struct common *common, uintptr_t pc, uintptr_t target,
                struct state *state)
{
    while (in.at < in.end && !in.bad) {
        const uint8_t op = (uint8_t)bytes(&in, 1);
        uint64_t advance = 0;
        if ((op & 0xc0) == 0x40)
            advance = op & 0x3f;
        else if (op >= 0x02 && op <= 0x04)
            advance = bytes(&in, (size_t)1 << (op - 2));
        else if (op == 0x01)
            pc = pointer(&in, common->encoding);
        else if ((op & 0xc0) == 0x80)
            set_rule(state, op & 0x3f,
                     (struct found){.rule = AT_OFFSET,
                                    .offset = (int64_t)uleb(&in) * common->data_align});
        else if ((op & 0xc0) == 0xc0)
            restore_rule(state, op & 0x3f);
        else
            obey(op, &in, common, state);
        pc += (uintptr_t)(advance * common->code_align);
        if (pc > target)
            break;
    }
    return !in.bad;
}

static bool read_common(const uint8_t *cie, struct common *common)
{
    struct reader in = {.at = cie, .end = cie + 4};
    const uint32_t length = (uint32_t)bytes(&in, 4);
    in.end = in.at + length;
    if (length == 0 || length == UINT32_MAX || bytes(&in, 4) != 0)
        return false;
    const uint8_t version = (uint8_t)bytes(&in, 1);
    const char *augmentation = (const char *)in.at;
    while (bytes(&in, 1) != 0 && !in.bad) {
    }
    *common = (struct common){.code_align = uleb(&in)};
    common->data_align = sleb(&in);
    common->ra_reg = version == 1 ? bytes(&in, 1) : uleb(&in);
    common->augmented = augmentation[0] == 'z';
    struct reader extra = {.at = in.at, .end = in.end};
    if (common->augmented)
        extra = block(&in);
    else if (augmentation[0])
        return false;
    for (const char *at = augmentation + common->augmented; *at; at++) {
        if (*at == 'R')
            common->encoding = (uint8_t)bytes(&extra, 1);
        else if (*at == 'P')
            pointer(&extra, (uint8_t)bytes(&extra, 1) & 0x7f);
        else if (*at == 'L')
            bytes(&extra, 1);
        else if (*at == 'S')
            common->signal_frame = true;
        else if (*at != 'B')
            return false;
    }
    common->program = in;
    return !in.bad && !extra.bad && common->ra_reg == REG_RA;
}

/*
 * The table of .eh_frame_hdr, sorted by address: NULL when pc is in no function of it. Every
 * linker writes it as pairs of 32-bit offsets from the header.
 */
static const uint8_t *find_fde(const uint8_t *header, uintptr_t pc)
{
    enum { VERSION = 1, DATAREL_SDATA4 = 0x3b };
    if (header[0] != VERSION || header[3] != DATAREL_SDATA4)
        return NULL;
    struct reader in = {.at = header + 4, .end = header + 4 + (size_t)3 * WORD};
    pointer(&in, header[1]);
    size_t count = (size_t)pointer(&in, header[2]);
    const int32_t *pairs = (const int32_t *)(const void *)in.at;
    const intptr_t wanted = (intptr_t)(pc - (uintptr_t)header);
    if (in.bad || count == 0 || wanted < pairs[0])
        return NULL;
    size_t first = 0;
    while (count > 1) {
        const size_t half = count / 2;
        if (pairs[(first + half) * 2] <= wanted)
            first += half;
        count -= half;
    }
    return header + pairs[first * 2 + 1];
}

/* The rules that hold at pc. */
static bool find_rules(const uint8_t *header, uintptr_t pc, struct rules *rules,
                       struct common *common)
{
    const uint8_t *fde = find_fde(header, pc);
    if (!fde)
        return false;
    struct reader in = {.at = fde, .end = fde + 8};
    const uint32_t length = (uint32_t)bytes(&in, 4);
    const uint8_t *cie = in.at;
    cie -= (int32_t)bytes(&in, 4);
    in.end = fde + 4 + length;
    if (length < 4 || length == UINT32_MAX || !read_common(cie, common))
        return false;
    const uintptr_t start = pointer(&in, common->encoding);
    const uintptr_t size = pointer(&in, common->encoding & 0x0f);
    if (common->augmented)
        block(&in);
    if (in.bad || pc < start || pc - start >= size)
        return false;
    struct state state = {.depth = 0};
    if (!run(common->program, common, 0, UINTPTR_MAX, &state))
        return false;
    state.initial = state.now;
    if (!run(in, common, start, pc, &state))
        return false;
    *rules = state.now;
    return true;
}

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
        stack[*depth - 1] += (uintptr_t)sleb(in);
        return true;
    }
    if (op >= 0x30 && op <= 0x4f) { /* lit */
        stack[(*depth)++] = op - 0x30U;
        return true;
    }
    if (op == 0x06 && *depth >= 1) /* deref */
        return read(memory, *top, top);
    if (op == 0x23 && *depth >= 1) { /* plus_uconst */
        *top += (uintptr_t)uleb(in);
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
        const uint8_t op = (uint8_t)bytes(&in, 1);
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
    if (!find_rules(header, cursor->pc - !cursor->exact, &rules, &common))
        return CFI_UNKNOWN;
    if (rules.ra.rule == UNDEFINED)
        return CFI_END;
    uintptr_t saved = 0;
    if (!find_cfa(&rules, cursor, read, memory, &next.sp) ||
        !find_saved(&rules.ra, cursor, next.sp, read, memory, &next.at))
        return CFI_UNKNOWN;
    if (rules.fp.rule != SAME && rules.fp.rule != UNDEFINED &&
        (!find_saved(&rules.fp, cursor, next.sp, read, memory, &saved) ||
         !read(memory, saved, &next.fp)))
        return CFI_END;
    /* A stack only grows towards its caller; a signal frame may change to another stack. */
    if (!read(memory, next.at, &next.pc) || next.pc == 0 ||
        (next.sp <= cursor->sp && !common.signal_frame))
        return CFI_END;
    next.pc = strip(next.pc);
    next.exact = common.signal_frame;
    *cursor = next;
    return CFI_STEPPED;
}
