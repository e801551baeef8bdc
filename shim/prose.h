/*
 * Records in words, for people. Pure: the shim and the command write the same. The caller frames
 * them with "closewait: NAME[PID]: ".
 */
#ifndef CLOSEWAIT_PROSE_H
#define CLOSEWAIT_PROSE_H

#include "text.h"
#include "told.h"

/* One record, in lines that each end with "\n". Any thread. */
void prose_add(struct text *text, const struct told *told);

/*
 * "closewait: NAME[PID]: ", or "closewait: NAME[PID] in CONTAINER: ", which begins every line that
 * is not a continuation. container may be NULL, or empty: none that is known.
 */
void prose_begin(struct text *text, const char *comm, int pid, const char *container);

#endif
