/*
 * Which descriptors of which processes are a socket: /proc/PID/fd.
 */
#ifndef CLOSEWAIT_HOLDERS_H
#define CLOSEWAIT_HOLDERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container.h"
#include "processes.h"

/* One descriptor. A socket that several processes share has one of these for each. */
struct holder {
    uint32_t inode;
    pid_t pid;
    int fd;
    char comm[COMM_SIZE];
    char container[CONTAINER_SIZE];
};

struct holders {
    struct holder *at; /* by inode, pid and fd; free(3) */
    size_t count;
    size_t unreadable; /* processes whose descriptors we may not see */
};

struct inodes {
    uint32_t *at; /* free(3) */
    size_t count;
};

/*
 * The descriptors of the processes that are one of the sockets; sorts the inodes. A process that
 * ends in the meantime has none.
 */
struct holders holders_find(struct inodes *inodes, const struct pid_list *pids);

/* The inode number of the socket that a link in such a folder, an open one, names; 0: of none. */
uint32_t holders_socket(int folder, const char *link);

/* The first of the count holders of a socket; NULL, and a count of 0, when it has none. */
const struct holder *holders_of(const struct holders *holders, uint32_t inode, size_t *count);

#endif
