/*
 * Memory without which there is nothing that the command could do.
 */
#ifndef CLOSEWAIT_MUST_H
#define CLOSEWAIT_MUST_H

/* What was made. If it is NULL, the command ends, with a line and status 1. */
void *must(void *made);

#endif
