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
enum { PACE_PARTS = 225 };

/* How long to rest after a look around that took cost_us of the processor's time. Pure. */
static inline uint32_t pace_rest_ms(uint64_t cost_us)
{
    const uint64_t rest_ms =
        cost_us > UINT64_MAX / PACE_PARTS ? UINT64_MAX : cost_us * PACE_PARTS / 1000;
    return rest_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)rest_ms;
}

/* Around a look around, and around what of it is news, which costs what it costs. */
void pace_begin(void);
void pace_news_begin(void);
void pace_news_end(void);

/* Returns for how long there is to be no other: pace_rest_ms of what was measured since pace_begin.
 */
uint32_t pace_end(void);

/* What is left of that; 0 when it is over. */
uint32_t pace_left_ms(void);

/*
 * Sockets whose leak was told are looked at again for a change, so many at most in a look around,
 * and those first that did not come to it the last time. Asked of each that is due, in the order of
 * their numbers from pace_begin to pace_end.
 */
bool pace_allows_again(int fd);

#endif
