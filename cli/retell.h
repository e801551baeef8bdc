/*
 * Records on their way from the shims of a run to its reader: symbolized, freed of what a pattern
 * suppresses by function or source file, and written as text or JSON.
 */
#ifndef CLOSEWAIT_RETELL_H
#define CLOSEWAIT_RETELL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "options.h"
#include "quiet.h"
#include "symbol.h"

struct retell {
    struct options options; /* what was asked for: action, format, output, suppress */
    struct symbols *symbols;
    struct quiet quiet;
    json_t *pids; /* of who has written, or said hello */
    int lost;     /* records that could not be written, and that no summary has told */
    bool leaked;  /* something that no pattern suppresses */
};

/*
 * options has been checked. False, and said on standard error, when the file of patterns or the
 * memory is none.
 */
bool retell_begin(struct retell *retell, const struct options *options);

/* Where else debug files are searched; see symbols_search. */
bool retell_search(struct retell *retell, const char *path);

/* Tells one line of the inbox, with the struct retell; what is no record is left out. For
 * inbox_read. */
void retell_line(void *with, const char *line, size_t len);

/* A process that may still have something to tell. */
void retell_note_pid(struct retell *retell, int pid);

void retell_end(struct retell *retell);

#endif
