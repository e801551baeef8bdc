/*
 * What is known of each call site, and which records are worth a line: in words the 1st, 2nd, 4th,
 * 8th, ... of its site, in JSON each, and less than 100 in any second. What gets no line is
 * counted all the same, and its site's next line says so. The watcher's, except where noted.
 */
#ifndef CLOSEWAIT_SITES_H
#define CLOSEWAIT_SITES_H

#include "told.h"

/* Called by the constructor: what grace is, so that no shorter one is said to be right. */
void sites_init(uint32_t grace_ms);

/*
 * Counts a leak, a reap or a late close for its site and fills in told what is known of that: site,
 * count, since, site_age_ms; trend of a leak, leaks and grace_ms of a late close. Returns whether
 * it gets a line. Other records are not of a site and only ask for the line.
 */
bool sites_count(struct told *told, enum format format);

/* The latest leak of a site that got no line yet. False when there is none, or no line for it. */
bool sites_pending(struct record *record, struct told *told);

/* Whether sites_pending will have one; at the exit it then has, whatever the number of lines. */
bool sites_owe(void);
void sites_finish(void);

/*
 * The program has closed a leak of the site that was told, or the tombstone of one, so long after
 * the FIN. Any thread, any signal handler.
 */
void sites_late(site_t site, bool reaped, uint32_t gone_ms);

/* The same within grace: it was told since its port was wanted, and held by then. */
void sites_closed(site_t site);

/* A leak of the site is none any more: its number means something else. */
void sites_released(site_t site);

/*
 * Fills in told for a leak that was asked for, with held, trend and grace_ms. False when its site
 * was told since sites_ask.
 */
void sites_ask(void);
bool sites_asked(struct told *told);

/* Fills in sites, growing, flat, held, late and grace_ms, and adds to lost. */
void sites_sum(struct totals *totals);

/* For a forked child that adopts. */
void sites_adopt(void);

#endif
