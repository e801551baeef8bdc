#include "pace.h"

#include "clock.h"

/* 200 looks are half a millisecond (design, fact 18). */
enum { AGAIN_AT_ONCE = 200 };

static uint64_t begun_us;
static uint64_t news_begun_us;
static uint64_t news_us;
static uint64_t rests_until_ms;

static int again_from; /* the first number that did not come to it */
static int again_count;
static int again_next;

void pace_begin(void)
{
    begun_us = clock_cpu_us();
    news_us = 0;
    again_from = again_next;
    again_next = 0;
    again_count = 0;
}

void pace_news_begin(void)
{
    news_begun_us = clock_cpu_us();
}

void pace_news_end(void)
{
    news_us += clock_cpu_us() - news_begun_us;
}

uint32_t pace_end(void)
{
    const uint64_t whole_us = clock_cpu_us() - begun_us;
    const uint32_t rest_ms = pace_rest_ms(whole_us > news_us ? whole_us - news_us : 0);
    rests_until_ms = clock_ms() + rest_ms;
    return rest_ms;
}

uint32_t pace_left_ms(void)
{
    const uint64_t now_ms = clock_ms();
    return rests_until_ms > now_ms ? (uint32_t)(rests_until_ms - now_ms) : 0;
}

bool pace_allows_again(int fd)
{
    if (fd < again_from)
        return false;
    if (again_count == AGAIN_AT_ONCE) {
        if (again_next == 0)
            again_next = fd;
        return false;
    }
    again_count++;
    return true;
}
