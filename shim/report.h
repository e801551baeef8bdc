/*
 * Where records go: counted, put into words or JSON, and written to where the options say. The
 * watcher's, except where noted.
 */
#ifndef CLOSEWAIT_REPORT_H
#define CLOSEWAIT_REPORT_H

#include "options.h"
#include "record.h"
#include "retirement.h"
#include "told.h"

/*
 * Remembers who this process is and which file standard error is, so that a file of the program's
 * that gets the number 2 later is never written to. Called by the constructor.
 */
void report_init(void);

/*
 * Where records go from now on; the options stay valid. False, and said, when the file of patterns
 * is none. Called by the constructor.
 */
bool report_start(const struct options *options);

/* One line on standard error, before there are options: "closewait: NAME[PID]: what". */
void report_complain(const char *what);

/*
 * Counts a record, which stays valid, for its site and the summary, and begins to fill in told.
 * False when it gets no line: it is not news, or there were too many in this second.
 */
bool report_count(struct record *record, struct told *told);

/* The latest leak of a site that got no line when it was counted; false when there is none. */
bool report_pending(struct record *record, struct told *told);

/* Whether a pattern of the option suppress matches a leak; counts it for that pattern. */
bool report_suppresses(const struct leak *leak);

/* Whether a pattern could, were functions and files known: it is told, and not closed. */
bool report_spares(const struct leak *leak);

/* A leak to be told because it was asked what is held; false when its site was told already since
 * sites_ask. */
bool report_held(const struct record *record, struct told *told);

/* Writes one record, in one write(2). */
void report_tell(struct told *told);

/* Writes the summary; report_summary_if_any does nothing when there is nothing to sum up. */
void report_summary(void);
void report_summary_if_any(void);

/* For the summary: how often the watcher looks around, where that is slower than it would; or 0. */
void report_pace(uint32_t sweep_ms);

/*
 * A number that differs when there is more to sum up than before. 0 where lines are objects: there
 * each count is exact, and a summary ends the process for who reads them (cli/tally.h).
 */
uint32_t report_changes(void);

/* Says that the program is no longer watched, and why. */
void report_retirement(enum retirement why);

/* For a forked child that adopts: another pid, and nothing told yet. */
void report_adopt(void);

#endif
