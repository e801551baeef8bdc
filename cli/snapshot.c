#define _GNU_SOURCE
#include "snapshot.h"

#include <netinet/tcp.h>
#include <stdlib.h>

#include "accepted.h"
#include "array.h"
#include "netns.h"

struct reading {
    struct sockets *sockets;
    char *why;
    size_t why_size;
};

static bool read_netns(uint64_t netns, void *argument)
{
    const struct reading *reading = argument;
    return sockets_add(reading->sockets, netns, sockets_half_closed, reading->why,
                       reading->why_size);
}

/* A machine has more listeners than that somebody waits for: not all of them are looked up. */
static struct inodes inodes_of(const struct sockets *sockets)
{
    struct inodes inodes = {0};
    for (size_t i = 0; i < sockets->count; i++) {
        const struct tcp_socket *socket = &sockets->at[i];
        if (socket->inode == 0 ||
            (socket->state == TCP_LISTEN && socket->waiting == 0 && socket->hung_up == 0))
            continue;
        inodes.at = array_grow(inodes.at, inodes.count, sizeof(*inodes.at));
        inodes.at[inodes.count++] = socket->inode;
    }
    return inodes;
}

static int by_identity(const void *a, const void *b)
{
    const struct tcp_socket *left = a;
    const struct tcp_socket *right = b;
    if (left->netns != right->netns)
        return left->netns < right->netns ? -1 : 1;
    return (left->cookie > right->cookie) - (left->cookie < right->cookie);
}

/* Has a descriptor, and it was not found. */
static bool is_unexplained(const struct snapshot *snapshot, const struct tcp_socket *socket)
{
    size_t count = 0;
    if (socket->state != TCP_CLOSE_WAIT || socket->inode == 0)
        return false;
    return !holders_of(&snapshot->holders, socket->inode, &count);
}

/*
 * A busy server closes sockets between our two looks, at the sockets and at the descriptors. They
 * would stand there as nobody's; a third look tells them from those whose holder we may not see.
 */
static bool forget_closed(struct snapshot *snapshot, const struct pid_list *pids, char *why,
                          size_t why_size)
{
    size_t unexplained = 0;
    for (size_t i = 0; i < snapshot->sockets.count; i++)
        unexplained += is_unexplained(snapshot, &snapshot->sockets.at[i]);
    if (unexplained == 0)
        return true;
    struct sockets later = {0};
    size_t told = 0; /* the first look counted them */
    struct reading reading = {&later, why, why_size};
    const bool read = netns_visit(pids, read_netns, &reading, &told);
    if (later.count > 0)
        qsort(later.at, later.count, sizeof(*later.at), by_identity);
    for (size_t i = 0; read && i < snapshot->sockets.count; i++) {
        struct tcp_socket *socket = &snapshot->sockets.at[i];
        if (is_unexplained(snapshot, socket) &&
            (later.count == 0 ||
             !bsearch(socket, later.at, later.count, sizeof(*later.at), by_identity)))
            socket->state = TCP_CLOSE;
    }
    free(later.at);
    return read;
}

bool snapshot_take(struct snapshot *snapshot, const struct pid_list *pids, char *why,
                   size_t why_size)
{
    struct reading reading = {&snapshot->sockets, why, why_size};
    *snapshot = (struct snapshot){0};
    if (!netns_visit(pids, read_netns, &reading, &snapshot->closed_namespaces))
        return false;
    accepted_find(&snapshot->sockets);
    sockets_find_listeners(&snapshot->sockets);
    struct inodes inodes = inodes_of(&snapshot->sockets);
    snapshot->holders = holders_find(&inodes, pids);
    free(inodes.at);
    return forget_closed(snapshot, pids, why, why_size);
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->sockets.at);
    free(snapshot->holders.at);
    *snapshot = (struct snapshot){0};
}
