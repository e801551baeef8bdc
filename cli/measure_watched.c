#include "clock.h"
#include "measure.h"
#include "watched.h"

static struct kind kind_of(const struct watched *watched, const struct memory *memory)
{
    return (struct kind){
        .process = watched->target.comm,
        .container = watched->target.container,
        .over = memory->over,
        .eof_read = memory->eof_read,
        .unread_bytes = memory->unread_bytes,
        .accepted = memory->accepted,
        .port = memory->accepted ? memory->local.port : memory->peer.port,
    };
}

void measure_watched(struct metrics *metrics, const struct watched *watched)
{
    const struct target *target = &watched->target;
    const uint64_t now = clock_ms();
    for (size_t i = 0; i < watched->count; i++) {
        const struct kind kind = kind_of(watched, &watched->sockets[i]);
        measure_kind(metrics, METRIC_SOCKETS, &kind, 1);
        measure_kind(metrics, METRIC_SOCKETS_AGE, &kind,
                     (double)(now - watched->sockets[i].gone_ms) / 1000);
        measure_kind(metrics, METRIC_LEAKED, &kind, watched->sockets[i].told);
    }
    measure_presence(metrics, target->pid, target->comm, target->container);
}

void measure_leak(struct metrics *metrics, const struct watched *watched,
                  const struct memory *memory)
{
    const struct kind kind = kind_of(watched, memory);
    if (metrics)
        measure_kind(metrics, METRIC_LEAKS, &kind, 1);
}

void measure_reap(struct metrics *metrics, const struct watched *watched, int error)
{
    const struct label labels[] = {{"process", watched->target.comm},
                                   {"container", watched->target.container},
                                   {"result", error ? "failed" : "closed"},
                                   {NULL, NULL}};
    if (metrics)
        metrics_add(metrics, METRIC_REAPS, labels, 1);
}

void measure_late_close(struct metrics *metrics, const struct watched *watched)
{
    if (metrics)
        measure_process(metrics, METRIC_LATE_CLOSES, watched->target.comm,
                        watched->target.container, 1);
}
