/*
 * Who has a socket open, by its inode, as /proc says (proc(5)). Nothing here is proof of the
 * contrary: a process that we may not look into, or one that /proc does not show, is passed over.
 */
#ifndef CLOSEWAIT_PROC_H
#define CLOSEWAIT_PROC_H

#include <stdint.h>

enum {
    PROC_NO_FD = -1,
    PROC_UNKNOWN = -2,
    PROC_COMM_SIZE = 16, /* TASK_COMM_LEN */
    PROC_PATH_SIZE = 64
};

/* The folder of the program's descriptors. For the watcher, which has them, and its errands. */
void proc_own_folder(char path[PROC_PATH_SIZE]);

/* The inode of the socket that this thread has as fd, 0 when it is none. Opens nothing; any thread,
 * any signal handler. */
uint32_t proc_inode(int fd);

/* The program's lowest descriptor for the socket, PROC_NO_FD, or PROC_UNKNOWN without /proc. For an
 * errand, as the next one: both open folders. */
int proc_own_fd(uint32_t inode);

/*
 * A process besides this one that has the socket open, with its name; 0 when none was found within
 * a third of a second.
 */
int proc_other(uint32_t inode, char comm[PROC_COMM_SIZE]);

/*
 * Whether that process has the socket open, as far as can be seen without a descriptor: as one of
 * its numbers below 1024, or as like. Any thread, any signal handler.
 */
enum proc_has { PROC_HAS_NOT, PROC_HAS, PROC_HAS_UNKNOWN /* we may not look, or no /proc */ };
enum proc_has proc_has(int pid, uint32_t inode, int like);

#endif
