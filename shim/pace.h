/*
 * How often the watcher looks: it takes no more than half a percent of a core for sockets that have
 * no news, whatever their number, and looks less often instead. The watcher's, but for
 * pace_pause_ms.
 */
#ifndef CLOSEWAIT_PACE_H
#define CLOSEWAIT_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of its time the watcher works one part and sleeps the rest. */
enum { PACE_PARTS = 200 };

/*
 * How long to sleep after a look around that took cost_us of the processor's time, when pause_ms
 * would do; 0, until somebody wakes it, stays 0. Pure.
 */
static inline uint32_t pace_pause_ms(uint64_t cost_us, uint32_t pause_ms)
{
    const uint64_t least_ms = cost_us * PACE_PARTS / 1000;
    if (pause_ms == 0 || pause_ms >= least_ms)
        return pause_ms;
    return least_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)least_ms;
}

/* Around a look around, and around what of it is news, which costs what it costs. */
void pace_begin(void);
void pace_news_begin(void);
void pace_news_end(void);

/* Returns pace_pause_ms of what was measured since pace_begin. */
uint32_t pace_end(uint32_t pause_ms);

/*
 * Sockets whose leak was told are looked at again for a change, so many at most in a look around,
 * and those first that did not come to it the last time. Asked of each that is due, in the order of
 * their numbers from pace_begin to pace_end.
 */
bool pace_allows_again(int fd);

#endif
