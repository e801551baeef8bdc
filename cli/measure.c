#define _GNU_SOURCE
#include "measure.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "array.h"
#include "judge.h"
#include "names.h"
#include "snapshot.h"

enum { PORT_SIZE = 8 };

static enum leak_class class_of(const struct kind *kind)
{
    return kind->over               ? CLASS_RESET_IGNORED
           : kind->unread_bytes > 0 ? CLASS_DATA_UNREAD
           : kind->eof_read         ? CLASS_EOF_IGNORED
                                    : CLASS_EOF_UNREAD;
}

void measure_kind(struct metrics *metrics, enum metric metric, const struct kind *kind,
                  double value)
{
    char port[PORT_SIZE];
    const bool known = kind->port != 0; /* not of a connection that was over when first seen */
    snprintf(port, sizeof(port), "%u", (unsigned)kind->port);
    const struct label labels[] = {{"process", kind->process},
                                   {"container", kind->container},
                                   {"class", names_class[class_of(kind)]},
                                   {"direction", !known           ? NULL
                                                 : kind->accepted ? "accepted"
                                                                  : "connected"},
                                   {"port", known ? port : NULL},
                                   {NULL, NULL}};
    metrics_add(metrics, metric, labels, value);
}

void measure_process(struct metrics *metrics, enum metric metric, const char *process,
                     const char *container, double value)
{
    const struct label labels[] = {{"process", process}, {"container", container}, {NULL, NULL}};
    metrics_add(metrics, metric, labels, value);
}

void measure_presence(struct metrics *metrics, pid_t pid, const char *process,
                      const char *container)
{
    unsigned long open = 0;
    unsigned long limit = 0;
    measure_process(metrics, METRIC_PROCESSES, process, container, 1);
    if (!process_descriptors(pid, &open, &limit))
        return;
    const double left = open < limit ? (double)(limit - open) : 0;
    measure_process(metrics, METRIC_DESCRIPTORS_LEFT, process, container, left);
    measure_process(metrics, METRIC_DESCRIPTORS_SHARE, process, container, left / (double)limit);
}

static void add_socket(struct metrics *metrics, const struct kind *kind, uint32_t age_ms)
{
    measure_kind(metrics, METRIC_SOCKETS, kind, 1);
    measure_kind(metrics, METRIC_SOCKETS_AGE, kind, age_ms / 1000.0);
}

/* nobody: whose one is that no process looked at holds; NULL: it is passed over. */
static void add_held(struct metrics *metrics, const struct snapshot *snapshot,
                     const struct tcp_socket *socket, const char *nobody)
{
    size_t count = 0;
    const struct holder *holders = holders_of(&snapshot->holders, socket->inode, &count);
    struct kind kind = {
        .process = nobody,
        .eof_read = socket->eof_read,
        .unread_bytes = socket->unread_bytes,
        .accepted = socket->accepted,
        .port = socket->accepted ? socket->local.port : socket->peer.port,
    };
    if (count == 0 && nobody)
        add_socket(metrics, &kind, socket->age_ms);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && holders[i].pid == holders[i - 1].pid)
            continue;
        kind.process = holders[i].comm;
        kind.container = holders[i].container;
        add_socket(metrics, &kind, socket->age_ms);
    }
}

static void add_queue(struct metrics *metrics, const struct snapshot *snapshot,
                      const struct tcp_socket *listener, const char *nobody)
{
    char port[PORT_SIZE];
    size_t count = 0;
    const struct holder *holder = holders_of(&snapshot->holders, listener->inode, &count);
    if (!holder && !nobody)
        return;
    snprintf(port, sizeof(port), "%u", (unsigned)listener->local.port);
    const struct label labels[] = {{"process", holder ? holder->comm : nobody},
                                   {"container", holder ? holder->container : NULL},
                                   {"port", port},
                                   {NULL, NULL}};
    metrics_add(metrics, METRIC_QUEUED, labels, listener->waiting);
    metrics_add(metrics, METRIC_QUEUED_HUNG_UP, labels, listener->hung_up);
    metrics_add(metrics, METRIC_QUEUED_AGE, labels, listener->oldest_ms / 1000.0);
    metrics_add(metrics, METRIC_QUEUE_LIMIT, labels, listener->backlog);
}

static bool is_queue(const struct tcp_socket *socket)
{
    return socket->state == TCP_LISTEN && (socket->waiting > 0 || socket->hung_up > 0);
}

static void add_queues(struct metrics *metrics, const struct snapshot *snapshot, const char *nobody)
{
    for (size_t i = 0; i < snapshot->sockets.count; i++)
        if (is_queue(&snapshot->sockets.at[i]))
            add_queue(metrics, snapshot, &snapshot->sockets.at[i], nobody);
}

void measure_queues(struct metrics *metrics, const struct pid_list *pids)
{
    char why[512]; /* which the look at the process has said already */
    struct snapshot snapshot;
    if (snapshot_take(&snapshot, pids, why, sizeof(why)))
        add_queues(metrics, &snapshot, NULL);
    snapshot_free(&snapshot);
}

static int by_pid(const void *a, const void *b)
{
    const struct holder *left = *(const struct holder *const *)a;
    const struct holder *right = *(const struct holder *const *)b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* Each process once, however many sockets it holds. */
static void add_processes(struct metrics *metrics, const struct holders *holders)
{
    const struct holder **each = NULL;
    for (size_t i = 0; i < holders->count; i++) {
        each = array_grow(each, i, sizeof(struct holder *));
        each[i] = &holders->at[i];
    }
    if (holders->count > 0)
        qsort(each, holders->count, sizeof(struct holder *), by_pid);
    for (size_t i = 0; i < holders->count; i++) {
        if (i > 0 && each[i]->pid == each[i - 1]->pid)
            continue;
        measure_presence(metrics, each[i]->pid, each[i]->comm, each[i]->container);
    }
    free(each);
}

static void add_all(struct metrics *metrics, const struct snapshot *snapshot, const char *nobody)
{
    for (size_t i = 0; i < snapshot->sockets.count; i++) {
        const struct tcp_socket *socket = &snapshot->sockets.at[i];
        if (socket->state == TCP_CLOSE_WAIT && socket->inode != 0)
            add_held(metrics, snapshot, socket, nobody);
    }
    add_queues(metrics, snapshot, nobody);
    add_processes(metrics, &snapshot->holders);
    measure_unseen(metrics, snapshot->holders.unreadable);
}

void measure_machine(struct metrics *metrics, const struct snapshot *snapshot)
{
    add_all(metrics, snapshot, "unknown");
}

void measure_chosen(struct metrics *metrics, const struct snapshot *snapshot)
{
    add_all(metrics, snapshot, NULL);
}

void measure_unseen(struct metrics *metrics, size_t processes)
{
    metrics_add(metrics, METRIC_UNSEEN, &(struct label){NULL, NULL}, (double)processes);
}
