/*
 * Which piece of DWARF has an address: the address ranges of units, or of functions, in order.
 */
#ifndef CLOSEWAIT_RANGES_H
#define CLOSEWAIT_RANGES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>

struct range;

/* Empty when zeroed. */
struct ranges {
    struct range *all;
    size_t count;
};

/* Adds every range of the code that die describes. False when there was no memory for all. */
bool ranges_add(struct ranges *ranges, Dwarf_Die *die);

/* To be called once, after the last ranges_add and before the first ranges_find. */
void ranges_sort(struct ranges *ranges);

/* What has the address: of several, the one that begins last. NULL when nothing has it. */
Dwarf_Die *ranges_find(const struct ranges *ranges, Dwarf_Addr address);

void ranges_free(struct ranges *ranges);

#endif
