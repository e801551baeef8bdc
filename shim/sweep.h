/*
 * The watcher looks: at every tracked socket in turn, and acts on the verdict. The watcher's.
 */
#ifndef CLOSEWAIT_SWEEP_H
#define CLOSEWAIT_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

#ifndef SWEEP_MS /* the stress test makes it 1 */
#define SWEEP_MS 200
#endif

/*
 * Looks at every tracked socket once. Returns how long to sleep, 0 when there is none: those
 * whose peer is there are polled each SWEEP_MS, those whose peer is gone, and listeners, are looked
 * at when due. There is to be no other before pace_left_ms() is 0. Stops when leaving says so.
 */
uint32_t sweep(const struct options *options, bool (*leaving)(void));

#endif
