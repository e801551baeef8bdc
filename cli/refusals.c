#include "refusals.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "must.h"

enum { FIRST_PAUSE_MS = 1000, LONGEST_PAUSE_MS = 60000 };

static struct refusal *refusal_of(const struct refusals *refusals, pid_t pid)
{
    for (size_t i = 0; i < refusals->count; i++)
        if (refusals->at[i].pid == pid)
            return &refusals->at[i];
    return NULL;
}

bool refusals_have(const struct refusals *refusals, pid_t pid)
{
    return refusal_of(refusals, pid) != NULL;
}

bool refusals_allow(const struct refusals *refusals, pid_t pid)
{
    const struct refusal *refusal = refusal_of(refusals, pid);
    return !refusal || clock_ms() >= refusal->due_ms;
}

static struct refusal *begin(struct refusals *refusals, pid_t pid)
{
    refusals->at = array_grow(refusals->at, refusals->count, sizeof(*refusals->at));
    struct refusal *refusal = &refusals->at[refusals->count++];
    *refusal = (struct refusal){.pid = pid, .pause_ms = FIRST_PAUSE_MS};
    return refusal;
}

static void lengthen(struct refusal *refusal)
{
    refusal->pause_ms *= 2;
    if (refusal->pause_ms > LONGEST_PAUSE_MS)
        refusal->pause_ms = LONGEST_PAUSE_MS;
}

bool refusals_add(struct refusals *refusals, pid_t pid, const char *why)
{
    struct refusal *refusal = refusal_of(refusals, pid);
    if (refusal)
        lengthen(refusal);
    else
        refusal = begin(refusals, pid);
    refusal->due_ms = clock_ms() + refusal->pause_ms;
    if (refusal->why && strcmp(refusal->why, why) == 0)
        return false;
    free(refusal->why);
    refusal->why = must(strdup(why));
    return true;
}

void refusals_drop(struct refusals *refusals, pid_t pid)
{
    struct refusal *refusal = refusal_of(refusals, pid);
    if (!refusal)
        return;
    free(refusal->why);
    *refusal = refusals->at[--refusals->count];
}

size_t refusals_keep(struct refusals *refusals, const struct pid_list *pids)
{
    size_t kept = 0;
    const size_t before = refusals->count;
    for (size_t i = 0; i < before; i++) {
        if (processes_have(pids, refusals->at[i].pid))
            refusals->at[kept++] = refusals->at[i];
        else
            free(refusals->at[i].why);
    }
    refusals->count = kept;
    return before - kept;
}

void refusals_free(struct refusals *refusals)
{
    for (size_t i = 0; i < refusals->count; i++)
        free(refusals->at[i].why);
    free(refusals->at);
    *refusals = (struct refusals){0};
}
