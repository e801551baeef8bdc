#define _GNU_SOURCE
#include "probing.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "array.h"
#include "holders.h"
#include "kernel.h"

/* What is ours already was set by somebody else who probes. */
static void begin_on(int copy, struct probing *probing)
{
    if (!keepalive_get(copy, &probing->kept) || !keepalive_can_be_put_back(&probing->kept) ||
        keepalive_same(&probing->kept, &probing->ours))
        return;
    keepalive_set(copy, probing->ours);
    probing->on = true;
}

void probing_begin(struct probing *probing, const struct found *found, const struct target *target,
                   const struct options *options)
{
    if (probing->on)
        return;
    *probing = (struct probing){.fd = found->fds[0],
                                .inode = found->inode,
                                .cookie = found->cookie,
                                .ours = keepalive_of_probe(options->grace_ms)};
    const int copy = target_copy_of(target, probing->fd, probing->cookie);
    if (copy < 0)
        return;
    begin_on(copy, probing);
    close(copy);
}

static void end_on(int copy, struct probing *probing)
{
    struct keepalive now;
    if (keepalive_get(copy, &now) && keepalive_same(&now, &probing->ours))
        keepalive_set(copy, probing->kept);
    probing->on = false;
    close(copy);
}

static int copy_from(const struct holder *holder, uint64_t cookie)
{
    const int pidfd = (int)syscall(SYS_pidfd_open, holder->pid, 0);
    if (pidfd < 0)
        return -1;
    const struct target other = {.pid = holder->pid, .pidfd = pidfd, .thread = pidfd};
    const int copy = target_copy_of(&other, holder->fd, cookie);
    close(pidfd);
    return copy;
}

static void end_elsewhere(struct probing *probing, const struct holders *holders)
{
    size_t count = 0;
    const struct holder *holder = holders_of(holders, probing->inode, &count);
    for (size_t i = 0; i < count && probing->on; i++) {
        const int copy = copy_from(&holder[i], probing->cookie);
        if (copy >= 0)
            end_on(copy, probing);
    }
    probing->on = false;
}

static void end_all_elsewhere(struct probing *const *probings, size_t count, struct inodes *inodes)
{
    struct pid_list pids = {0};
    processes_add_all(&pids);
    struct holders holders = holders_find(inodes, &pids);
    for (size_t i = 0; i < count; i++)
        if (probings[i]->on)
            end_elsewhere(probings[i], &holders);
    free(holders.at);
    free(pids.at);
}

void probings_end(struct probing *const *probings, size_t count, const struct target *target)
{
    struct inodes inodes = {0};
    for (size_t i = 0; i < count; i++) {
        struct probing *probing = probings[i];
        const int copy = probing->on ? target_copy_of(target, probing->fd, probing->cookie) : -1;
        if (copy >= 0)
            end_on(copy, probing);
        if (!probing->on)
            continue;
        inodes.at = array_grow(inodes.at, inodes.count, sizeof(*inodes.at));
        inodes.at[inodes.count++] = probing->inode;
    }
    if (inodes.count > 0)
        end_all_elsewhere(probings, count, &inodes);
    free(inodes.at);
}
