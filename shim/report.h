/*
 * Records to text, and text to where the options say. The watcher's, except where noted.
 */
#ifndef CLOSEWAIT_REPORT_H
#define CLOSEWAIT_REPORT_H

#include "options.h"
#include "record.h"
#include "retirement.h"

/*
 * Remembers who this process is and which file standard error is, so that a file of the program's
 * that gets the number 2 later is never written to. Called by the constructor.
 */
void report_init(void);

/* Where records go from now on; the options stay valid. Called by the constructor. */
void report_start(const struct options *options);

/* One line on standard error, before there are options: "closewait: NAME[PID]: what". */
void report_complain(const char *what);

/*
 * Counts a record for the summary. False when it is not worth telling: a program that tries its
 * port again and again is answered at the 1st, 2nd, 4th, 8th, ... time.
 */
bool report_count(const struct record *record);

/* Writes one record, in one write(2). */
void report_tell(const struct record *record);

/* Writes the summary; nothing when nothing leaked. */
void report_summary(void);

/* Says that the program is no longer watched, and why. */
void report_retirement(enum retirement why);

/* For a forked child that adopts: another pid, and nothing told yet. */
void report_adopt(void);

#endif
