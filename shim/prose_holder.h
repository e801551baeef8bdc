/*
 * Who is in the way of a bind or a connect, in words. Pure.
 */
#ifndef CLOSEWAIT_PROSE_HOLDER_H
#define CLOSEWAIT_PROSE_HOLDER_H

#include "text.h"
#include "told.h"

/* "bind to 0.0.0.0:10001", "connect from 0.0.0.0:10001 to 127.0.0.1:7070". */
void prose_wish(struct text *text, const struct record *record);

/* Why that failed, when no leak is to blame, in one or two lines. */
void prose_holder(struct text *text, const struct told *told);

/* Who is in the way besides the leak, in a line of its own; nothing when nobody is known to be. */
void prose_sharer(struct text *text, const struct told *told);

#endif
