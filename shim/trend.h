/*
 * Whether a call site leaks more and more or is a pool, by the number of leaked sockets that it
 * holds over time. It grows when it holds more now than it ever did in the first half of its life.
 * What was filled at once, or holds what it held long ago, is flat. Of that past a few words are
 * kept, however long it is: the most that was held at ages that double.
 *
 * Pure; any thread. The shim judges by it, and closewait report.
 */
#ifndef CLOSEWAIT_TREND_H
#define CLOSEWAIT_TREND_H

#include <stdint.h>

/* In the order in which they matter. */
enum trend { TREND_UNKNOWN, TREND_FLAT, TREND_GROWING };

/* Of one call site of one process; empty when zeroed. */
struct trend_past {
    uint32_t most;          /* that it ever held */
    uint32_t most_at_last;  /* the same at the last of the ages of 1 s, 2 s, 4 s, ... */
    uint32_t most_before;   /* and at the one before that */
    uint32_t next_exponent; /* the next of those ages is 2 to its power, in seconds */
};

/* It holds so many at this age, in milliseconds since its first leak. Ages come in their order. */
void trend_note(struct trend_past *past, uint32_t held, uint64_t age_ms);

/*
 * What that makes of a site that holds so many now. Unknown in its first second, and while it holds
 * fewer than two: one leak alone has no trend, and what is closed in time piles nothing up.
 */
enum trend trend_of(const struct trend_past *past, uint32_t held, uint64_t age_ms);

#endif
