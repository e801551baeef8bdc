/*
 * How far a long reading has come, on standard error, where that is a terminal.
 */
#ifndef CLOSEWAIT_PROGRESS_H
#define CLOSEWAIT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool wanted;
    bool shown;
    uint64_t total;  /* in bytes; 0: not known */
    int64_t next_ms; /* when it may be drawn again, by clock_ms (clock.h) */
};

/* Shows nothing yet: what takes no second needs no bar. */
struct progress progress_begin(uint64_t total);

/* So many bytes are read. Cheap: draws a few times a second at most. */
void progress_note(struct progress *progress, uint64_t done);

/* Erases it. */
void progress_end(struct progress *progress);

#endif
