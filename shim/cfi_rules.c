#include "cfi_rules.h"

#include <string.h>

enum { WORD = sizeof(uintptr_t) };

uint64_t cfi_bytes(struct reader *in, size_t size)
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

uint64_t cfi_uleb(struct reader *in)
{
    uint64_t value = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; (byte & 0x80) && !in->bad; shift += 7) {
        byte = (uint8_t)cfi_bytes(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
    }
    return value;
}

int64_t cfi_sleb(struct reader *in)
{
    uint64_t value = 0;
    uint8_t byte = 0x80;
    unsigned shift = 0;
    for (; (byte & 0x80) && !in->bad; shift += 7) {
        byte = (uint8_t)cfi_bytes(in, 1);
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
        value = cfi_bytes(in, WORD);
        break;
    case 0x01:
        value = cfi_uleb(in);
        break;
    case 0x02:
        value = cfi_bytes(in, 2);
        break;
    case 0x03:
        value = cfi_bytes(in, 4);
        break;
    case 0x04:
    case 0x0c:
        value = cfi_bytes(in, 8);
        break;
    case 0x09:
        value = (uint64_t)cfi_sleb(in);
        break;
    case 0x0a:
        value = (uint64_t)(int64_t)(int16_t)cfi_bytes(in, 2);
        break;
    case 0x0b:
        value = (uint64_t)(int64_t)(int32_t)cfi_bytes(in, 4);
        break;
    default:
        in->bad = true;
    }
    return (encoding & 0x70) == 0x10 && value ? (uintptr_t)value + here : (uintptr_t)value;
}

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
    const uint64_t size = cfi_uleb(in);
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
    const uint64_t reg = op >= 0x05 && op <= 0x09 ? cfi_uleb(in) : 0;
    uint64_t other;
    switch (op) {
    case 0x00: /* nop */
        return;
    case 0x05: /* offset_extended */
        set_rule(state, reg,
                 (struct found){.rule = AT_OFFSET,
                                .offset = (int64_t)cfi_uleb(in) * common->data_align});
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
        cfi_uleb(in);
        set_rule(state, reg, (struct found){.rule = BEYOND_US});
        return;
    case 0x0a: /* remember_state */
        keep(state, in);
        return;
    case 0x0b: /* restore_state */
        take_back(state, in);
        return;
    case 0x0c: /* def_cfa */
        other = cfi_uleb(in);
        define_cfa(state, other, (int64_t)cfi_uleb(in));
        return;
    case 0x0d: /* def_cfa_register */
        define_cfa(state, cfi_uleb(in), state->now.cfa_offset);
        return;
    case 0x0e: /* def_cfa_offset */
        define_cfa(state, state->now.cfa_reg, (int64_t)cfi_uleb(in));
        return;
    case 0x0f: /* def_cfa_expression */
        state->now.cfa_expression = block(in);
        return;
    case 0x10: /* expression */
        other = cfi_uleb(in);
        set_rule(state, other, (struct found){.rule = AT_EXPRESSION, .expression = block(in)});
        return;
    case 0x11: /* offset_extended_sf */
        other = cfi_uleb(in);
        set_rule(state, other,
                 (struct found){.rule = AT_OFFSET, .offset = cfi_sleb(in) * common->data_align});
        return;
    case 0x12: /* def_cfa_sf */
        other = cfi_uleb(in);
        define_cfa(state, other, cfi_sleb(in) * common->data_align);
        return;
    case 0x13: /* def_cfa_offset_sf */
        define_cfa(state, state->now.cfa_reg, cfi_sleb(in) * common->data_align);
        return;
    case 0x14: /* val_offset */
        other = cfi_uleb(in);
        cfi_uleb(in);
        set_rule(state, other, (struct found){.rule = BEYOND_US});
        return;
    case 0x16: /* val_expression */
        other = cfi_uleb(in);
        block(in);
        set_rule(state, other, (struct found){.rule = BEYOND_US});
        return;
    case 0x2d: /* AARCH64_negate_ra_state: the return address is signed; see strip() */
        return;
    case 0x2e: /* GNU_args_size */
        cfi_uleb(in);
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
        const uint8_t op = (uint8_t)cfi_bytes(&in, 1);
        uint64_t advance = 0;
        if ((op & 0xc0) == 0x40)
            advance = op & 0x3f;
        else if (op >= 0x02 && op <= 0x04)
            advance = cfi_bytes(&in, (size_t)1 << (op - 2));
        else if (op == 0x01)
            pc = pointer(&in, common->encoding);
        else if ((op & 0xc0) == 0x80)
            set_rule(state, op & 0x3f,
                     (struct found){.rule = AT_OFFSET,
                                    .offset = (int64_t)cfi_uleb(&in) * common->data_align});
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
    const uint32_t length = (uint32_t)cfi_bytes(&in, 4);
    in.end = in.at + length;
    if (length == 0 || length == UINT32_MAX || cfi_bytes(&in, 4) != 0)
        return false;
    const uint8_t version = (uint8_t)cfi_bytes(&in, 1);
    const char *augmentation = (const char *)in.at;
    while (cfi_bytes(&in, 1) != 0 && !in.bad) {
    }
    *common = (struct common){.code_align = cfi_uleb(&in)};
    common->data_align = cfi_sleb(&in);
    common->ra_reg = version == 1 ? cfi_bytes(&in, 1) : cfi_uleb(&in);
    common->augmented = augmentation[0] == 'z';
    struct reader extra = {.at = in.at, .end = in.end};
    if (common->augmented)
        extra = block(&in);
    else if (augmentation[0])
        return false;
    for (const char *at = augmentation + common->augmented; *at; at++) {
        if (*at == 'R')
            common->encoding = (uint8_t)cfi_bytes(&extra, 1);
        else if (*at == 'P')
            pointer(&extra, (uint8_t)cfi_bytes(&extra, 1) & 0x7f);
        else if (*at == 'L')
            cfi_bytes(&extra, 1);
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

bool cfi_find_rules(const uint8_t *header, uintptr_t pc, struct rules *rules, struct common *common)
{
    const uint8_t *fde = find_fde(header, pc);
    if (!fde)
        return false;
    struct reader in = {.at = fde, .end = fde + 8};
    const uint32_t length = (uint32_t)cfi_bytes(&in, 4);
    const uint8_t *cie = in.at;
    cie -= (int32_t)cfi_bytes(&in, 4);
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
