#define _GNU_SOURCE
#include "netns.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"

struct trip {
    int fd; /* of the namespace */
    uint64_t netns;
    netns_visitor *visit;
    void *argument;
    bool entered;
    bool going_on;
};

static int open_netns(const char *pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void *travel(void *argument)
{
    struct trip *trip = argument;
    trip->entered = setns(trip->fd, CLONE_NEWNET) == 0;
    if (trip->entered)
        trip->going_on = trip->visit(trip->netns, trip->argument);
    return NULL;
}

/* On a thread that ends there: who may enter a namespace may not always come back. */
static void visit_abroad(struct trip *trip)
{
    pthread_t traveller;
    const int why = pthread_create(&traveller, NULL, travel, trip);
    if (why)
        errx(EXIT_FAILURE, "cannot start a thread: %s", strerror(why));
    pthread_join(traveller, NULL);
}

static bool contains(const uint64_t *seen, size_t count, uint64_t netns)
{
    for (size_t i = 0; i < count; i++)
        if (seen[i] == netns)
            return true;
    return false;
}

static uint64_t own_netns(void)
{
    const int fd = open_netns("self");
    if (fd < 0)
        return 0;
    const uint64_t netns = inode_of(fd);
    close(fd);
    return netns;
}

bool netns_visit(const struct pid_list *pids, netns_visitor *visit, void *argument, size_t *closed)
{
    const uint64_t own = own_netns();
    uint64_t *seen = NULL;
    size_t count = 0;
    bool going_on = true;
    /* A kernel without network namespaces (CONFIG_NET_NS) has no such file, and no other one. */
    if (own == 0)
        return visit(0, argument);
    for (size_t i = 0; i < pids->count && going_on; i++) {
        char pid[16];
        snprintf(pid, sizeof(pid), "%d", (int)pids->at[i]);
        struct trip trip = {
            .fd = open_netns(pid), .visit = visit, .argument = argument, .going_on = true};
        if (trip.fd < 0)
            continue;
        trip.netns = inode_of(trip.fd);
        if (!contains(seen, count, trip.netns)) {
            seen = array_grow(seen, count, sizeof(*seen));
            seen[count++] = trip.netns;
            if (trip.netns == own)
                trip.going_on = visit(own, argument);
            else
                visit_abroad(&trip);
            *closed += trip.netns != own && !trip.entered;
        }
        going_on = trip.going_on;
        close(trip.fd);
    }
    free(seen);
    return going_on;
}
