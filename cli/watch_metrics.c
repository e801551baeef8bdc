#define _GNU_SOURCE
#include "watch_metrics.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "measure.h"

/* Scrapes are 15 s apart, or more. */
enum { WRITE_MS = 5000 };

static void name_source(struct watch_metrics *own)
{
    const char *slash = strrchr(own->path, '/');
    strlcpy(own->source, slash ? slash + 1 : own->path, sizeof(own->source));
    char *dot = strrchr(own->source, '.');
    if (dot && dot > own->source)
        *dot = '\0';
    own->metrics.source = own->source;
}

bool watch_metrics_begin(struct watch_metrics *own, const char *path, char *why, size_t why_size)
{
    *own = (struct watch_metrics){.path = path};
    name_source(own);
    if (metrics_write(&own->metrics, path, why, why_size))
        return true;
    own->path = NULL;
    return false;
}

static void measure_all(struct metrics *metrics, struct watched *const *watched, size_t count)
{
    struct pid_list pids = {0};
    for (size_t i = 0; i < count; i++) {
        measure_watched(metrics, watched[i]);
        processes_add(&pids, watched[i]->target.pid);
    }
    measure_queues(metrics, &pids);
    free(pids.at);
}

void watch_metrics_look(struct watch_metrics *own, struct watched *const *watched, size_t count,
                        size_t unseen)
{
    char why[PATH_MAX + 256];
    const uint64_t now = clock_ms();
    if (own->metrics.counted == own->written && now < own->due_ms)
        return;
    own->due_ms = now + WRITE_MS;
    own->written = own->metrics.counted;
    metrics_renew(&own->metrics, now);
    measure_all(&own->metrics, watched, count);
    measure_unseen(&own->metrics, unseen);
    const bool good = metrics_write(&own->metrics, own->path, why, sizeof(why));
    if (!good && !own->lost)
        fprintf(stderr, "closewait watch: %s\n", why);
    own->lost = !good;
}

void watch_metrics_end(struct watch_metrics *own)
{
    if (own->path)
        unlink(own->path);
    metrics_free(&own->metrics);
}
