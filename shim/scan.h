/*
 * Looks for sockets that no hook saw, by going through the numbers: a program in Go makes its
 * system calls itself, and calls none of libc's functions.
 */
#ifndef CLOSEWAIT_SCAN_H
#define CLOSEWAIT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

/* Whether to scan: what the option says, or whether this is a program in Go. The constructor's. */
bool scan_init(enum scan scan);
bool scan_is_on(void);

/*
 * Puts every connection whose peer has closed, and that has no slot, into one, as HOW_FOUND. Does
 * nothing when the last time is not long ago. Returns in how many ms it is time again; 0 when
 * nothing is scanned. The watcher's.
 */
uint32_t scan_if_due(void);

#endif
