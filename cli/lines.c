#define _GNU_SOURCE
#include "lines.h"

#include <dwarf.h>
#include <gelf.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demangle.h"

/*
 * libdw could find the unit of an address by .debug_aranges, which clang and rustc do not write,
 * and the functions by dwarf_getscopes(), which walks the unit anew each time (1 ms in Rust's
 * library), and in elfutils 0.188 finds none at all in much of what rustc inlines. So the ranges
 * are collected here: of all units at once, of a unit's functions when the first address is in it.
 */
struct walked {
    const void *unit;
    struct ranges functions;
};

enum { NESTING = 256 }; /* of scopes in a unit: more is damage */

void lines_begin(struct lines *lines, const struct image *image, struct strings *strings)
{
    *lines = (struct lines){.module = image->module, .strings = strings};
    Dwarf *dwarf = dwfl_module_getdwarf(image->module, &lines->bias);
    Dwarf_CU *cu = NULL;
    Dwarf_Die unit;
    uint8_t type = 0;
    while (dwarf && dwarf_get_units(dwarf, cu, &cu, NULL, &type, &unit, NULL) == 0) {
        if ((type == DW_UT_compile || type == DW_UT_skeleton) && !ranges_add(&lines->units, &unit))
            break;
    }
    ranges_sort(&lines->units);
}

static void free_walked(void *node)
{
    struct walked *walked = node;
    ranges_free(&walked->functions);
    free(walked);
}

void lines_end(struct lines *lines)
{
    ranges_free(&lines->units);
    tdestroy(lines->walked, free_walked);
    *lines = (struct lines){0};
}

static bool may_have_functions(int tag)
{
    switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
        return true;
    default:
        return false;
    }
}

static void add_functions(struct ranges *functions, Dwarf_Die *parent, int depth)
{
    Dwarf_Die die;
    if (depth == NESTING || dwarf_child(parent, &die) != 0)
        return;
    do {
        const int tag = dwarf_tag(&die);
        if (tag == DW_TAG_subprogram && !ranges_add(functions, &die))
            return;
        if (may_have_functions(tag))
            add_functions(functions, &die, depth + 1);
    } while (dwarf_siblingof(&die, &die) == 0);
}

static int compare_walked(const void *a, const void *b)
{
    const struct walked *left = a;
    const struct walked *right = b;
    return ((uintptr_t)left->unit > (uintptr_t)right->unit) -
           ((uintptr_t)left->unit < (uintptr_t)right->unit);
}

static const struct walked *walk(struct lines *lines, Dwarf_Die *unit)
{
    const struct walked key = {.unit = unit->addr};
    const void *found = tfind(&key, &lines->walked, compare_walked);
    if (found)
        return *(const struct walked *const *)found;
    struct walked *walked = calloc(1, sizeof(*walked));
    if (!walked)
        return NULL;
    walked->unit = unit->addr;
    if (!tsearch(walked, &lines->walked, compare_walked)) {
        free(walked);
        return NULL;
    }
    Dwarf_Die split = {0}; /* in a .dwo file, what the unit here is the skeleton of */
    uint8_t type = 0;
    const bool apart = dwarf_cu_info(unit->cu, NULL, &type, NULL, &split, NULL, NULL, NULL) == 0 &&
                       type == DW_UT_skeleton && split.addr;
    add_functions(&walked->functions, apart ? &split : unit, 0);
    ranges_sort(&walked->functions);
    return walked;
}

/* What is outside of the code is no place that ever ran, though a symbol may be near. */
static bool in_code(const struct lines *lines, GElf_Addr address)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(lines->module, &bias);
    size_t count = 0;
    if (!elf || elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD &&
            (header.p_flags & PF_X) && address >= header.p_vaddr &&
            address - header.p_vaddr < header.p_memsz)
            return true;
    }
    return false;
}

static const char *symbol_at(const struct lines *lines, GElf_Addr address, GElf_Off *distance)
{
    GElf_Sym symbol;
    const char *name =
        dwfl_module_addrinfo(lines->module, address, distance, &symbol, NULL, NULL, NULL);
    return name && *name ? name : NULL;
}

static bool is_mangled(const char *name)
{
    return strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
}

static const char *linkage_name(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
    if (!name)
        name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
    return name && is_mangled(name) ? name : NULL;
}

/* A static function of C++ has no linkage name in gcc's DWARF; the symbol table has one. */
static const char *symbol_of(const struct lines *lines, Dwarf_Die *die)
{
    Dwarf_Addr entry;
    if (dwarf_entrypc(die, &entry) != 0)
        return NULL;
    GElf_Off distance = 0;
    const char *name = symbol_at(lines, entry + lines->bias, &distance);
    return name && distance == 0 && is_mangled(name) ? name : NULL;
}

static const char *readable(const struct lines *lines, const char *name)
{
    char *text = name ? demangle(name) : NULL;
    const char *kept = strings_keep(lines->strings, text);
    free(text);
    return kept;
}

static const char *function_name(const struct lines *lines, Dwarf_Die *die)
{
    const char *name = linkage_name(die);
    if (!name && dwarf_tag(die) != DW_TAG_inlined_subroutine)
        name = symbol_of(lines, die);
    return readable(lines, name ? name : dwarf_diename(die));
}

/* The line table has what the compiler was told: often a path from where it ran. */
static const char *full_path(const struct lines *lines, Dwarf_Die *unit, const char *file)
{
    Dwarf_Attribute attribute;
    const char *folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
    char *path = NULL;
    if (!file || file[0] == '/' || !folder || folder[0] != '/' ||
        asprintf(&path, "%s/%s", folder, file) < 0)
        return strings_keep(lines->strings, file);
    const char *kept = strings_keep(lines->strings, path);
    free(path);
    return kept;
}

static const char *place_of_code(Dwarf_Die *unit, Dwarf_Addr pc, int *number)
{
    Dwarf_Line *line = dwarf_getsrc_die(unit, pc);
    if (!line)
        return NULL;
    dwarf_lineno(line, number);
    return dwarf_linesrc(line, NULL, NULL);
}

static const char *place_of_call(Dwarf_Die *inlined, int *number)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    Dwarf_Die unit;
    Dwarf_Files *files = NULL;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &value) == 0)
        *number = (int)value;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) != 0 ||
        !dwarf_diecu(inlined, &unit, NULL, NULL) || dwarf_getsrcfiles(&unit, &files, NULL) != 0)
        return NULL;
    return dwarf_filesrc(files, value, NULL, NULL);
}

/* The scope in scope that has pc. */
static bool step_into(Dwarf_Die *scope, Dwarf_Addr pc)
{
    Dwarf_Die die;
    if (dwarf_child(scope, &die) != 0)
        return false;
    do {
        const int tag = dwarf_tag(&die);
        if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
             tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
            dwarf_haspc(&die, pc) > 0) {
            *scope = die;
            return true;
        }
    } while (dwarf_siblingof(&die, &die) == 0);
    return false;
}

/*
 * The functions that pc is in, innermost first: those inlined, and the one that they are inlined
 * into. Of too many, the innermost.
 */
static int functions_at(struct lines *lines, Dwarf_Die *unit, Dwarf_Addr pc, Dwarf_Die *functions,
                        int size)
{
    const struct walked *walked = walk(lines, unit);
    const Dwarf_Die *function = walked ? ranges_find(&walked->functions, pc) : NULL;
    if (!function)
        return 0;
    functions[0] = *function;
    int count = 1;
    Dwarf_Die scope = *function;
    for (int depth = 0; depth < NESTING && step_into(&scope, pc); depth++) {
        if (dwarf_tag(&scope) != DW_TAG_inlined_subroutine)
            continue;
        count += count < size;
        memmove(functions + 1, functions, (size_t)(count - 1) * sizeof(*functions));
        functions[0] = scope;
    }
    return count;
}

static int find_by_dwarf(struct lines *lines, Dwarf_Die *unit, Dwarf_Addr pc,
                         struct symbol_frame *frames, int size)
{
    Dwarf_Die functions[SYMBOL_FRAMES];
    const int count =
        functions_at(lines, unit, pc, functions, size < SYMBOL_FRAMES ? size : SYMBOL_FRAMES);
    frames[0].file = full_path(lines, unit, place_of_code(unit, pc, &frames[0].line));
    for (int i = 0; i < count; i++) {
        frames[i].function = function_name(lines, &functions[i]);
        frames[i].inlined = dwarf_tag(&functions[i]) == DW_TAG_inlined_subroutine;
        if (i + 1 < count)
            frames[i + 1].file =
                full_path(lines, unit, place_of_call(&functions[i], &frames[i + 1].line));
    }
    return count;
}

int lines_find(struct lines *lines, uint64_t offset, struct symbol_frame *frames, int size)
{
    memset(frames, 0, (size_t)size * sizeof(*frames));
    if (!in_code(lines, offset))
        return 1;
    const Dwarf_Addr pc = offset - lines->bias;
    Dwarf_Die *unit = ranges_find(&lines->units, pc);
    const int count = unit ? find_by_dwarf(lines, unit, pc, frames, size) : 0;
    GElf_Off distance = 0;
    if (!frames[0].function)
        frames[0].function = readable(lines, symbol_at(lines, offset, &distance));
    return count ? count : 1;
}
