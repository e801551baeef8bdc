#define _GNU_SOURCE
#include "ending.h"

#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "array.h"
#include "clock.h"
#include "holders.h"
#include "netns.h"
#include "sockets.h"

enum { PATIENCE_MS = 300, LOOK_MS = 20 };

struct reading {
    struct sockets sockets;
    char why[512];
};

static bool read_netns(uint64_t netns, void *argument)
{
    struct reading *reading = argument;
    return sockets_add(&reading->sockets, netns, sockets_all, reading->why, sizeof(reading->why));
}

static bool read_sockets(struct reading *reading, const struct target *target)
{
    struct pid_list pids = {0};
    size_t closed = 0;
    processes_add(&pids, target->pid);
    const bool read = netns_visit(&pids, read_netns, reading, &closed) && closed == 0;
    free(pids.at);
    return read;
}

/* A TIME_WAIT is a small socket of its own, with the cookie of the one that it stands for. */
static enum ending ending_in(const struct sockets *sockets, const struct found *found)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->at[i].cookie != found->cookie)
            continue;
        return sockets->at[i].state == TCP_CLOSE_WAIT ? ENDING_HELD : ENDING_CLOSING;
    }
    return ENDING_GONE;
}

/* Whether any is closing still. */
static bool look_up(enum ending *endings, const struct found *const *founds, size_t count,
                    const struct target *target)
{
    struct reading reading = {0};
    bool closing = false;
    const bool read = read_sockets(&reading, target);
    for (size_t i = 0; i < count; i++) {
        endings[i] = read ? ending_in(&reading.sockets, founds[i]) : ENDING_UNKNOWN;
        closing |= endings[i] == ENDING_CLOSING;
    }
    free(reading.sockets.at);
    return closing;
}

/* A dead socket is in no table of the kernel's: whoever has a descriptor of it holds it. */
static void look_for_holders(enum ending *endings, const struct found *const *founds, size_t count)
{
    struct inodes inodes = {0};
    struct pid_list pids = {0};
    for (size_t i = 0; i < count; i++) {
        if (founds[i]->facts.state != TCP_CLOSE)
            continue;
        inodes.at = array_grow(inodes.at, inodes.count, sizeof(*inodes.at));
        inodes.at[inodes.count++] = founds[i]->inode;
    }
    if (inodes.count > 0)
        processes_add_all(&pids);
    struct holders holders = holders_find(&inodes, &pids);
    for (size_t i = 0; i < count; i++) {
        size_t held = 0;
        holders_of(&holders, founds[i]->inode, &held);
        if (held > 0)
            endings[i] = ENDING_HELD;
    }
    free(holders.at);
    free(inodes.at);
    free(pids.at);
}

void endings_find(enum ending *endings, const struct found *const *founds, size_t count,
                  const struct target *target)
{
    const uint64_t begin = clock_ms();
    if (count == 0)
        return;
    while (look_up(endings, founds, count, target) && clock_ms() - begin < PATIENCE_MS)
        clock_sleep_ms(LOOK_MS);
    look_for_holders(endings, founds, count);
}
