#define _GNU_SOURCE
#include "target.h"

#include <bsd/stdlib.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "kernel.h"

/* A pidfd of a thread that is not the first (pidfd_open(2)); since Linux 6.9. */
enum { THREAD_TOO = O_EXCL };

static bool read_line(const char *path, const char *name, char *value, size_t size)
{
    char line[512];
    bool found = false;
    const size_t len = strlen(name);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof(line), file)) {
        found = strncmp(line, name, len) == 0 && line[len] == ':';
        if (found)
            snprintf(value, size, "%s", line + len + 1);
    }
    if (file)
        fclose(file);
    return found;
}

long target_status(pid_t pid, pid_t tid, const char *name)
{
    char path[64];
    char value[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    return read_line(path, name, value, sizeof(value)) ? strtol(value, NULL, 10) : -1;
}

char target_state(pid_t pid, pid_t tid)
{
    char path[64];
    char value[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    if (!read_line(path, "State", value, sizeof(value)))
        return 0;
    return value[strspn(value, " \t")];
}

bool target_lives(const struct target *target)
{
    struct pollfd ended = {.fd = target->pidfd, .events = POLLIN};
    return poll(&ended, 1, 0) == 0;
}

int target_copy(const struct target *target, int fd)
{
    return (int)syscall(SYS_pidfd_getfd, target->thread, fd, 0);
}

int target_copy_of(const struct target *target, int fd, uint64_t cookie)
{
    const int copy = target_copy(target, fd);
    if (copy < 0 || kernel_cookie(copy) == cookie)
        return copy;
    close(copy);
    return -1;
}

void target_explain_tracer(const struct target *target, pid_t tracer, char *why, size_t why_size)
{
    char comm[COMM_SIZE];
    process_comm(tracer, comm);
    snprintf(
        why, why_size,
        "process %d is traced by process %d%s%s%s, and can be by one at a time: end that first",
        (int)target->pid, (int)tracer, comm[0] ? " (" : "", comm, comm[0] ? ")" : "");
}

/* 0 where there is no such file. */
static long yama_scope(void)
{
    char text[16] = "";
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (!file)
        return 0;
    const bool read = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    return read ? strtol(text, NULL, 10) : 0;
}

/* Of ours, by its number in capability.h. */
static bool have_capability(int number)
{
    char value[64];
    return read_line("/proc/self/status", "CapEff", value, sizeof(value)) &&
           (strtoull(value, NULL, 16) >> number & 1);
}

void target_explain_refusal(const struct target *target, char *why, size_t why_size)
{
    const long scope = yama_scope();
    if (scope >= 3)
        snprintf(why, why_size,
                 "may not enter process %d: kernel.yama.ptrace_scope is %ld, which forbids it to "
                 "everybody until the next boot",
                 (int)target->pid, scope);
    else if (have_capability(CAP_SYS_PTRACE))
        snprintf(why, why_size,
                 "may not enter process %d although CAP_SYS_PTRACE is there: a filter of system "
                 "calls (seccomp) or a security module forbids it, or the process is in another "
                 "user namespace: run outside of the container",
                 (int)target->pid);
    else if (scope > 0 && geteuid() != 0)
        snprintf(why, why_size,
                 "may not enter process %d: it takes CAP_SYS_PTRACE, since "
                 "kernel.yama.ptrace_scope is %ld: run as root",
                 (int)target->pid, scope);
    else
        snprintf(why, why_size, "may not enter process %d: it takes CAP_SYS_PTRACE%s",
                 (int)target->pid,
                 geteuid() == 0
                     ? ": in a container, give it that capability, or run outside as root"
                     : " for a process of another user, or one that changed its user: run as root");
}

static bool may_copy(const struct target *target)
{
    const int copy = target_copy(target, INT_MAX);
    if (copy >= 0)
        close(copy);
    return copy >= 0 || errno != EPERM;
}

/* Its folder of descriptors is a folder, with an owner and a mode. */
void target_explain_hidden(const struct target *target, char *why, size_t why_size)
{
    if (!may_copy(target))
        target_explain_refusal(target, why, why_size);
    else
        snprintf(why, why_size,
                 "may not list the descriptors of process %d: it takes CAP_DAC_READ_SEARCH: in a "
                 "container, give it that capability, or run outside as root",
                 (int)target->pid);
}

/* A thread that has not ended; 0: there is none. */
static pid_t any_thread(pid_t pid)
{
    char path[32];
    pid_t found = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    for (const struct dirent *entry; !found && (entry = readdir(folder));) {
        const pid_t tid = (pid_t)strtonum(entry->d_name, 1, INT_MAX, NULL);
        if (tid > 0 && !process_is_ending(tid))
            found = tid;
    }
    closedir(folder);
    return found;
}

/*
 * The first thread, or another where that one has ended and the others go on. For a moment it also
 * seems to have ended when another thread executes a program, and takes its place.
 */
static pid_t living_thread(pid_t pid)
{
    enum { LOOKS = 50, LOOK_MS = 2 };
    pid_t found = pid;
    for (int i = 0; i < LOOKS; i++) {
        if (!process_is_ending(pid))
            return pid;
        found = any_thread(pid);
        if (!found)
            return pid;
        clock_sleep_ms(LOOK_MS);
    }
    return found;
}

/* Kernel threads and zombies have no descriptors: so has a process that just ends. */
static bool has_descriptors(pid_t pid)
{
    return target_state(pid, pid) != 'Z' && !process_is_kernel_thread(pid);
}

/* A process of its own that has the same table, not a copy of it (CLONE_FILES): 0, or its id. */
static pid_t sharer(const struct target *target)
{
    struct pid_list pids = {0};
    pid_t found = 0;
    processes_add_all(&pids);
    for (size_t i = 0; i < pids.count && !found; i++)
        if (pids.at[i] != target->pid &&
            syscall(SYS_kcmp, target->tid, pids.at[i], KCMP_FILES, 0, 0) == 0 &&
            has_descriptors(pids.at[i]))
            found = pids.at[i];
    free(pids.at);
    return found;
}

static bool is_enterable(struct target *target, char *why, size_t why_size)
{
    if (target->pid == getpid()) {
        snprintf(why, why_size, "process %d is closewait itself", (int)target->pid);
        return false;
    }
    if (process_is_kernel_thread(target->pid)) {
        snprintf(why, why_size, "process %d is a thread of the kernel's", (int)target->pid);
        return false;
    }
    if (target_state(target->pid, target->tid) == 'Z') {
        snprintf(why, why_size, "process %d has ended, and its parent has not asked for it yet",
                 (int)target->pid);
        return false;
    }
    const long tracer = target_status(target->pid, target->tid, "TracerPid");
    if (tracer > 0) {
        target_explain_tracer(target, (pid_t)tracer, why, why_size);
        return false;
    }
    if (!may_copy(target)) {
        target_explain_refusal(target, why, why_size);
        return false;
    }
    const pid_t other = sharer(target);
    if (other)
        snprintf(why, why_size,
                 "process %d shares its descriptors with process %d (CLONE_FILES), which would not "
                 "stop with it",
                 (int)target->pid, (int)other);
    return !other;
}

/* False: errno says something else. */
static bool explain_shortage(pid_t pid, char *why, size_t why_size)
{
    if (errno != EMFILE && errno != ENFILE)
        return false;
    snprintf(why, why_size, "no descriptor is left to hold process %d by: %s: %s", (int)pid,
             strerror(errno),
             errno == EMFILE ? "raise the limit (ulimit -n)" : "raise fs.file-max");
    return true;
}

static bool enter_by(struct target *target, pid_t tid, char *why, size_t why_size)
{
    target->tid = tid;
    target->thread = tid == target->pid ? fcntl(target->pidfd, F_DUPFD_CLOEXEC, 0)
                                        : (int)syscall(SYS_pidfd_open, tid, THREAD_TOO);
    if (target->thread < 0 && !explain_shortage(target->pid, why, why_size))
        snprintf(why, why_size,
                 "the first thread of process %d has ended: its others can be entered from Linux "
                 "6.9 on",
                 (int)target->pid);
    return target->thread >= 0;
}

bool target_open(struct target *target, pid_t pid, char *why, size_t why_size)
{
    *target = (struct target){.pid = pid, .thread = -1};
    target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (target->pidfd < 0) {
        if (explain_shortage(pid, why, why_size))
            return false;
        if (errno == ENOSYS)
            snprintf(why, why_size, "this takes pidfd_open, of Linux 5.3");
        else if (errno == EINVAL && target_state(pid, pid))
            snprintf(why, why_size, "%d is a thread: give the id of its process", (int)pid);
        else
            snprintf(why, why_size, "no process has the id %d: ps -e lists those that run",
                     (int)pid);
        return false;
    }
    process_comm(pid, target->comm);
    container_of(pid, target->container);
    return enter_by(target, living_thread(pid), why, why_size) &&
           is_enterable(target, why, why_size);
}

bool target_follow(struct target *target, char *why, size_t why_size)
{
    why[0] = '\0';
    if (!process_is_ending(target->tid))
        return true;
    const pid_t other = any_thread(target->pid);
    if (other == 0)
        return false;
    close(target->thread);
    return enter_by(target, other, why, why_size);
}

void target_close(struct target *target)
{
    if (target->pidfd >= 0)
        close(target->pidfd);
    if (target->thread >= 0)
        close(target->thread);
    target->pidfd = target->thread = -1;
}
