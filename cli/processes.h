/*
 * Processes as /proc shows them.
 */
#ifndef CLOSEWAIT_PROCESSES_H
#define CLOSEWAIT_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* TASK_COMM_LEN; the names of kernel threads, which can be longer, are not asked for. */
enum { COMM_SIZE = 16 };

struct pid_list {
    pid_t *at; /* free(3) */
    size_t count;
};

/* Appends a pid. */
void processes_add(struct pid_list *list, pid_t pid);

bool processes_have(const struct pid_list *list, pid_t pid);

/* Appends every process that /proc shows. False when it cannot be read; errno says why. */
bool processes_add_all(struct pid_list *list);

/* The short name of a process, as ps(1) shows it; empty when it has ended. */
void process_comm(pid_t pid, char comm[COMM_SIZE]);

/* As proc(5) has it: 'T' is stopped; 0 when it has ended. */
char process_state(pid_t pid);

/* Whether it is gone, or waits only for its parent to ask for its status. */
bool process_has_ended(pid_t pid);

/* The id of its parent; 0 when it has ended, or has none that we can see. */
pid_t process_parent(pid_t pid);

/*
 * How many descriptors it has open, and how many it may have (RLIMIT_NOFILE). False when it has
 * ended, or we may not know.
 */
bool process_descriptors(pid_t pid, unsigned long *open, unsigned long *limit);

/* Whether it has the file of that path in its memory. */
enum process_maps {
    MAPS_NOTHING, /* it has ended */
    MAPS_OTHERS,
    MAPS_IT,
    MAPS_HIDDEN, /* we may not know */
};
enum process_maps process_maps(pid_t pid, const char *path);

/*
 * The path of the program that it runs, as the kernel knows it; its short name where we may not
 * know. Empty when it has ended.
 */
void process_program(pid_t pid, char *path, size_t size);

/* Kernel threads have a pid and no descriptors of their own. False for one that has ended. */
bool process_is_kernel_thread(pid_t pid);

/*
 * A thread of a process in which the kernel works for it (io_uring, vhost). It runs none of the
 * process's own instructions, and cannot be traced.
 */
bool process_is_worker(pid_t tid);

/*
 * Whether a thread has begun to end, or is gone. It gives up its descriptors after that, and the
 * process is seen to have ended only later.
 */
bool process_is_ending(pid_t tid);

/*
 * How many processes, of those that we may look into, have text in their environment: what was
 * started with it, and what that has forked.
 */
int processes_with(const char *text);

#endif
