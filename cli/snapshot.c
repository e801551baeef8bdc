#include "snapshot.h"

#include <netinet/tcp.h>
#include <stdlib.h>

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
    return sockets_add(reading->sockets, netns, reading->why, reading->why_size);
}

/* A machine has more listeners than that somebody waits for: not all of them are looked up. */
static struct inodes inodes_of(const struct sockets *sockets)
{
    struct inodes inodes = {0};
    for (size_t i = 0; i < sockets->count; i++) {
        const struct tcp_socket *socket = &sockets->at[i];
        if (socket->inode == 0 || (socket->state == TCP_LISTEN && socket->hung_up == 0))
            continue;
        inodes.at = array_grow(inodes.at, inodes.count, sizeof(*inodes.at));
        inodes.at[inodes.count++] = socket->inode;
    }
    return inodes;
}

bool snapshot_take(struct snapshot *snapshot, const struct pid_list *pids, char *why,
                   size_t why_size)
{
    struct reading reading = {&snapshot->sockets, why, why_size};
    *snapshot = (struct snapshot){0};
    if (!netns_visit(pids, read_netns, &reading, &snapshot->closed_namespaces))
        return false;
    sockets_find_listeners(&snapshot->sockets);
    struct inodes inodes = inodes_of(&snapshot->sockets);
    snapshot->holders = holders_find(&inodes, pids);
    free(inodes.at);
    return true;
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->sockets.at);
    free(snapshot->holders.at);
    *snapshot = (struct snapshot){0};
}
