#include "accepted.h"

#include <netinet/tcp.h>
#include <stdlib.h>

#include "array.h"

struct port {
    uint64_t netns;
    uint16_t number;
    bool listens;
    size_t sockets; /* that have it and do not listen */
};

static int by_port(const void *a, const void *b)
{
    const struct port *left = a;
    const struct port *right = b;
    if (left->netns != right->netns)
        return left->netns < right->netns ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

static struct port port_of(const struct tcp_socket *socket)
{
    const bool listens = socket->state == TCP_LISTEN;
    return (struct port){
        .netns = socket->netns,
        .number = socket->local.port,
        .listens = listens,
        .sockets = !listens && socket->state != TCP_TIME_WAIT,
    };
}

/* Each once, in order; how many there are. */
static size_t join(struct port *ports, size_t count)
{
    size_t joined = 0;
    for (size_t i = 0; i < count; i++) {
        if (joined == 0 || by_port(&ports[joined - 1], &ports[i]) != 0) {
            ports[joined++] = ports[i];
            continue;
        }
        ports[joined - 1].listens |= ports[i].listens;
        ports[joined - 1].sockets += ports[i].sockets;
    }
    return joined;
}

static bool is_accepted(const struct tcp_socket *socket, const struct port *own)
{
    const int signs = !socket->local_picked + socket->peer_picked + (own->sockets > 1);
    return own->listens || signs >= 2;
}

void accepted_find(struct sockets *sockets)
{
    struct port *ports = NULL;
    for (size_t i = 0; i < sockets->count; i++) {
        ports = array_grow(ports, i, sizeof(*ports));
        ports[i] = port_of(&sockets->at[i]);
    }
    if (!ports)
        return;
    qsort(ports, sockets->count, sizeof(*ports), by_port);
    const size_t count = join(ports, sockets->count);
    for (size_t i = 0; i < sockets->count; i++) {
        struct tcp_socket *socket = &sockets->at[i];
        const struct port key = port_of(socket);
        const struct port *own = bsearch(&key, ports, count, sizeof(*ports), by_port);
        socket->accepted = is_accepted(socket, own);
    }
    free(ports);
}
