#define _GNU_SOURCE
#include "burials.h"

#include <stdlib.h>

#include "array.h"
#include "must.h"

/* So long the process stands still at the most, and then goes on before the next. */
enum { STOP_US = 5000 };

struct work {
    struct burials *burials;
    const struct target *target;
    const struct options *options;
    size_t next;
};

void burials_add(struct burials *burials, struct found *found, bool forced)
{
    burials->at = array_grow(burials->at, burials->count, sizeof(*burials->at));
    burials->at[burials->count++] =
        (struct grave){.found = found, .forced = forced, .burial = BURIAL_NOT_YET};
}

static void dig_some(struct world *world, void *argument)
{
    struct work *work = argument;
    struct burials *burials = work->burials;
    const uint64_t begin_us = world_stopped_us(world);
    do {
        grave_dig(&burials->at[work->next++], world, work->target, work->options);
    } while (work->next < burials->count && world_stopped_us(world) - begin_us < STOP_US);
    burials->stops++;
}

static void find_endings(struct burials *burials, const struct target *target)
{
    const struct found **founds = must(calloc(burials->count + 1, sizeof(const struct found *)));
    enum ending *endings = must(calloc(burials->count + 1, sizeof(*endings)));
    size_t done = 0;
    for (size_t i = 0; i < burials->count; i++)
        if (burials->at[i].burial == BURIAL_DONE)
            founds[done++] = burials->at[i].found;
    endings_find(endings, founds, done, target);
    burials->endings = must(calloc(burials->count + 1, sizeof(*burials->endings)));
    done = 0;
    for (size_t i = 0; i < burials->count; i++)
        if (burials->at[i].burial == BURIAL_DONE)
            burials->endings[i] = endings[done++];
    free(founds);
    free(endings);
}

bool burials_make(struct burials *burials, const struct target *target,
                  const struct options *options, char *why, size_t why_size)
{
    struct work work = {burials, target, options, 0};
    bool stopped = true;
    while (stopped && work.next < burials->count) {
        uint64_t stood_us = 0;
        stopped = world_visit(target, dig_some, &work, &stood_us, why, why_size);
        if (stopped && stood_us > burials->stopped_us)
            burials->stopped_us = stood_us;
    }
    find_endings(burials, target);
    return stopped;
}

void burials_free(struct burials *burials)
{
    free(burials->at);
    free(burials->endings);
    *burials = (struct burials){0};
}
