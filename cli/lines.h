/*
 * The functions and lines of one image, by address.
 */
#ifndef CLOSEWAIT_LINES_H
#define CLOSEWAIT_LINES_H

#include "image.h"
#include "ranges.h"
#include "strings.h"
#include "symbol.h"

struct lines {
    Dwfl_Module *module;
    Dwarf_Addr bias; /* from the addresses of the DWARF to those of the module */
    struct ranges units;
    void *walked; /* the units whose functions are known: a tree, as tsearch(3) makes it */
    struct strings *strings;
};

/*
 * Looks where the image's compilation units are. An image without DWARF has none. The strings of
 * its frames will be kept in strings.
 */
void lines_begin(struct lines *lines, const struct image *image, struct strings *strings);

void lines_end(struct lines *lines);

/* As symbol_find, for the one image. */
int lines_find(struct lines *lines, uint64_t offset, struct symbol_frame *frames, int size);

#endif
