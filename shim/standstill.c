#include "standstill.h"

#include <stdint.h>

#include "clock.h"
#include "freeze.h"
#include "scan.h"
#include "telling.h"

enum { STOP_MS = 5, TIDINGS_MAX = 64 };

static struct tidings waiting[TIDINGS_MAX];
static int waiting_count;
static uint64_t since_ms;
static bool still;
static int refused; /* the errno, since the last end: not tried for each socket */

int standstill_begin(void)
{
    if (still || !scan_is_on())
        return 0;
    if (refused == 0) {
        refused = freeze_begin();
        still = refused == 0;
        since_ms = clock_ms();
    }
    return refused;
}

static void tell(struct tidings *tidings)
{
    if (tidings->leak)
        telling_leak(&tidings->look.leak, tidings->copied);
    if (tidings->reap)
        telling_reap(&tidings->look, tidings->error, tidings->held);
}

void standstill_tell(const struct tidings *tidings)
{
    struct tidings now = *tidings;
    if (still)
        waiting[waiting_count++] = now;
    else
        tell(&now);
}

bool standstill_is_over(void)
{
    return still && (waiting_count == TIDINGS_MAX || clock_ms() - since_ms >= STOP_MS);
}

void standstill_end(void)
{
    refused = 0;
    if (!still)
        return;
    freeze_end();
    still = false;
    for (int i = 0; i < waiting_count; i++)
        tell(&waiting[i]);
    waiting_count = 0;
}
