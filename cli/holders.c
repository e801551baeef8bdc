#define _GNU_SOURCE
#include "holders.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_number(const void *a, const void *b)
{
    return compare(*(const uint32_t *)a, *(const uint32_t *)b);
}

static int by_inode(const void *a, const void *b)
{
    return compare(((const struct holder *)a)->inode, ((const struct holder *)b)->inode);
}

static int by_inode_pid_fd(const void *a, const void *b)
{
    const struct holder *left = a;
    const struct holder *right = b;
    if (left->inode != right->inode)
        return compare(left->inode, right->inode);
    if (left->pid != right->pid)
        return compare(left->pid, right->pid);
    return compare(left->fd, right->fd);
}

uint32_t holders_socket(int folder, const char *link)
{
    static const char prefix[] = "socket:[";
    char target[64];
    const ssize_t len = readlinkat(folder, link, target, sizeof(target) - 1);
    if (len <= 0)
        return 0;
    target[len] = '\0';
    if (strncmp(target, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    return (uint32_t)strtoul(target + sizeof(prefix) - 1, NULL, 10);
}

static void add(struct holders *holders, const struct holder *holder)
{
    holders->at = array_grow(holders->at, holders->count, sizeof(*holders->at));
    holders->at[holders->count++] = *holder;
}

static void look_into(pid_t pid, const struct inodes *inodes, struct holders *holders)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (!folder) {
        holders->unreadable += errno == EACCES && !process_is_kernel_thread(pid);
        return;
    }
    struct holder holder = {.pid = pid};
    for (const struct dirent *entry; (entry = readdir(folder));) {
        holder.inode = holders_socket(dirfd(folder), entry->d_name);
        if (holder.inode == 0 ||
            !bsearch(&holder.inode, inodes->at, inodes->count, sizeof(*inodes->at), by_number))
            continue;
        holder.fd = (int)strtol(entry->d_name, NULL, 10);
        if (!holder.comm[0]) {
            process_comm(pid, holder.comm);
            container_of(pid, holder.container);
        }
        add(holders, &holder);
    }
    closedir(folder);
}

struct holders holders_find(struct inodes *inodes, const struct pid_list *pids)
{
    struct holders holders = {0};
    if (inodes->count == 0)
        return holders;
    qsort(inodes->at, inodes->count, sizeof(*inodes->at), by_number);
    for (size_t i = 0; i < pids->count; i++)
        look_into(pids->at[i], inodes, &holders);
    if (holders.count > 0)
        qsort(holders.at, holders.count, sizeof(*holders.at), by_inode_pid_fd);
    return holders;
}

const struct holder *holders_of(const struct holders *holders, uint32_t inode, size_t *count)
{
    const struct holder key = {.inode = inode};
    const struct holder *end = holders->at + holders->count;
    const struct holder *found =
        holders->count == 0 ? NULL
                            : bsearch(&key, holders->at, holders->count, sizeof(key), by_inode);
    *count = 0;
    if (!found)
        return NULL;
    while (found > holders->at && found[-1].inode == inode)
        found--;
    while (found + *count < end && found[*count].inode == inode)
        (*count)++;
    return found;
}
