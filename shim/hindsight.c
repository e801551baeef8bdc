#include "hindsight.h"

#include <stddef.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

/* What people choose; the last is the longest grace that there is. */
static const uint32_t neat_ms[] = {
    10,          20,          30,          50,          100,         200,         300,
    500,         1 * SECOND,  2 * SECOND,  3 * SECOND,  4 * SECOND,  5 * SECOND,  6 * SECOND,
    8 * SECOND,  10 * SECOND, 12 * SECOND, 15 * SECOND, 20 * SECOND, 25 * SECOND, 30 * SECOND,
    40 * SECOND, 50 * SECOND, 1 * MINUTE,  90 * SECOND, 2 * MINUTE,  3 * MINUTE,  4 * MINUTE,
    5 * MINUTE,  6 * MINUTE,  8 * MINUTE,  10 * MINUTE, 12 * MINUTE, 15 * MINUTE, 20 * MINUTE,
    25 * MINUTE, 30 * MINUTE, 40 * MINUTE, 50 * MINUTE, 1 * HOUR,    90 * MINUTE, 2 * HOUR,
    3 * HOUR,    4 * HOUR,    5 * HOUR,    6 * HOUR,    8 * HOUR,    10 * HOUR,   12 * HOUR,
    16 * HOUR,   20 * HOUR,   24 * HOUR,
};

uint32_t hindsight_grace_ms(uint64_t leaks, uint64_t late, uint64_t slowest_ms)
{
    if (late * 2 <= leaks)
        return 0;
    for (size_t i = 0; i < sizeof(neat_ms) / sizeof(neat_ms[0]); i++)
        if (neat_ms[i] >= slowest_ms + slowest_ms / 4)
            return neat_ms[i];
    return 0;
}
