/*
 * From a place in a module's file to function, source file and line, by its symbols and its DWARF,
 * through elfutils. Debug files apart are found as elfutils finds them: by build id, by
 * .gnu_debuglink, and from debuginfod, for which only a user who sets DEBUGINFOD_URLS has asked.
 */
#ifndef CLOSEWAIT_SYMBOL_H
#define CLOSEWAIT_SYMBOL_H

#include <stdbool.h>
#include <stdint.h>

struct symbols;

struct symbol_frame {
    const char *function; /* demangled; NULL when unknown */
    const char *file;     /* as in the line table, full path when known; NULL when unknown */
    int line;             /* 0 when unknown */
    bool inlined;         /* inlined into the next frame */
};

/* How many frames of one place are kept. The outer ones of a deeper nest are left out. */
enum { SYMBOL_FRAMES = 16 };

/* An empty cache. NULL when there is no memory. */
struct symbols *symbols_begin(void);

/* Gives back the cache and every string of its frames. */
void symbols_end(struct symbols *symbols);

/*
 * Where debug files are searched from now on, as in elfutils' --debuginfo-path: folders with ':'
 * between them. Without this call: the module's own folder, .debug in it, and /usr/lib/debug.
 * False, and nothing is changed, when there is no memory.
 */
bool symbols_search(struct symbols *symbols, const char *path);

/*
 * The frames of one place, innermost first. module is the path that the process had it from,
 * build_id its build id in hex, offset an address less the load bias (link_map's l_addr); for a
 * return address, less one more.
 *
 * With a build id, only a file that has it is asked: the module's own, or one of that id elsewhere.
 * With an empty one, the file is taken as it is.
 *
 * Returns how many frames it filled, at most size (which is at least 1) and SYMBOL_FRAMES. There
 * is always one; when nothing is known, for whatever reason, it is empty. The strings stay until
 * symbols_end().
 */
int symbol_find(struct symbols *symbols, const char *module, const char *build_id, uint64_t offset,
                struct symbol_frame *frames, int size);

#endif
