#define _GNU_SOURCE
#include "outside.h"

#include <stdio.h>

#include "clock.h"

void outside_begin(struct outside *outside, pid_t pid, const char *program, const char *reason,
                   const struct rules *rules)
{
    char why[512] = "it has ended";
    outside->on = pid > 0 && watched_begin(&outside->watched, pid, rules, why, sizeof(why));
    fprintf(stderr, "closewait run: the shim does not serve %s: %s; it is %s%s\n", program, reason,
            outside->on ? "watched from outside" : "not watched: ", outside->on ? "" : why);
}

void outside_look(struct outside *outside, const char *shim, const struct rules *rules)
{
    if (!outside->on || clock_ms() < outside->due_ms)
        return;
    watched_look(&outside->watched, rules);
    kin_look(&outside->kin, outside->watched.target.pid, shim, rules);
    outside->leaked |= outside->watched.leaked > 0 || outside->kin.leaked;
    outside->due_ms = clock_ms() + watched_pace_ms(&rules->options);
}

void outside_end(struct outside *outside, const struct rules *rules)
{
    if (outside->on) {
        watched_end(&outside->watched, rules);
        kin_end(&outside->kin, rules);
    }
    outside->on = false;
}

void outside_drop(struct outside *outside)
{
    if (outside->on) {
        watched_free(&outside->watched);
        kin_free(&outside->kin);
    }
    outside->on = false;
}
