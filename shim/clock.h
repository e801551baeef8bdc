/*
 * One clock: CLOCK_MONOTONIC, in milliseconds, and in the centiseconds that a slot keeps. 32 bits
 * of them come round after 497 days; ages are differences and survive one turn.
 */
#ifndef CLOSEWAIT_CLOCK_H
#define CLOSEWAIT_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "raw.h"
#include "vdso.h"

/*
 * Any thread, any signal handler. Not libc's clock_gettime: a sanitizer's or libfaketime's would
 * be called in its place, and uses thread-local storage, which the watcher has none of.
 */
static inline uint64_t clock_ms(void)
{
    struct timespec now = {0};
    vdso_clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Microseconds of the processor's time that the calling thread has had. */
static inline uint64_t clock_cpu_us(void)
{
    struct timespec used = {0};
    raw2(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static inline uint32_t clock_cs(uint64_t ms)
{
    return (uint32_t)(ms / 10);
}

/* Milliseconds from then to now, 0 when then is (by a rounding) ahead. */
static inline uint32_t clock_age_ms(uint32_t then_cs, uint64_t now)
{
    const uint32_t age_cs = clock_cs(now) - then_cs;
    if (age_cs > UINT32_MAX / 2)
        return 0;
    return age_cs > UINT32_MAX / 10 ? UINT32_MAX : age_cs * 10;
}

static inline void clock_sleep_us(uint64_t us)
{
    const struct timespec wait = {.tv_sec = (time_t)(us / 1000000),
                                  .tv_nsec = (long)(us % 1000000) * 1000};
    raw2(SYS_nanosleep, (long)&wait, 0);
}

static inline void clock_sleep_ms(uint32_t ms)
{
    clock_sleep_us((uint64_t)ms * 1000);
}

#endif
