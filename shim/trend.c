#include "trend.h"

/* Since what was noted last it has never held more. */
static void pass(struct trend_past *past, uint64_t age_ms)
{
    enum { EXPONENT_MAX = 40 };
    while (past->next_exponent < EXPONENT_MAX && age_ms >= 1000ULL << past->next_exponent) {
        past->most_before = past->next_exponent > 0 ? past->most_at_last : past->most;
        past->most_at_last = past->most;
        past->next_exponent++;
    }
}

void trend_note(struct trend_past *past, uint32_t held, uint64_t age_ms)
{
    pass(past, age_ms);
    if (held > past->most)
        past->most = held;
}

/*
 * The last of those ages may be long past the half of its life, the one before it never is: but for
 * the first second, which counts as one moment.
 */
enum trend trend_of(const struct trend_past *past, uint32_t held, uint64_t age_ms)
{
    struct trend_past by_now = *past;
    pass(&by_now, age_ms);
    if (held < 2 || by_now.next_exponent == 0)
        return TREND_UNKNOWN;
    return held > by_now.most_before ? TREND_GROWING : TREND_FLAT;
}
