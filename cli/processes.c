#define _GNU_SOURCE
#include "processes.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"

void processes_add(struct pid_list *list, pid_t pid)
{
    list->at = array_grow(list->at, list->count, sizeof(*list->at));
    list->at[list->count++] = pid;
}

bool processes_have(const struct pid_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] == pid)
            return true;
    return false;
}

bool processes_add_all(struct pid_list *list)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return false;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        const pid_t pid = (pid_t)strtonum(entry->d_name, 1, INT_MAX, NULL);
        if (pid > 0)
            processes_add(list, pid);
    }
    closedir(proc);
    return true;
}

/* As much of the file as has room, terminated; false when the process has ended. */
static bool read_file(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    const size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return len > 0;
}

void process_comm(pid_t pid, char comm[COMM_SIZE])
{
    char text[COMM_SIZE + 1];
    comm[0] = '\0';
    if (!read_file(pid, "comm", text, sizeof(text)))
        return;
    /* One newline is /proc's; others can be the name's own. */
    text[strlen(text) - 1] = '\0';
    strlcpy(comm, text, COMM_SIZE);
}

/* The name is in parentheses, and can have some of its own. */
static const char *after_name(const char *stat)
{
    return strrchr(stat, ')');
}

char process_state(pid_t pid)
{
    char stat[512];
    const char *at = read_file(pid, "stat", stat, sizeof(stat)) ? after_name(stat) : NULL;
    return (char)(at && at[1] == ' ' ? at[2] : '\0');
}

pid_t process_parent(pid_t pid)
{
    enum { STATE = 4 }; /* ") S " */
    char stat[512];
    const char *at = read_file(pid, "stat", stat, sizeof(stat)) ? after_name(stat) : NULL;
    return at && strlen(at) > STATE ? (pid_t)strtol(at + STATE, NULL, 10) : 0;
}

static bool count_descriptors(pid_t pid, unsigned long *count)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        *count += entry->d_name[0] != '.';
    closedir(folder);
    return true;
}

bool process_descriptors(pid_t pid, unsigned long *open, unsigned long *limit)
{
    static const char line[] = "\nMax open files";
    char limits[4096];
    const char *at = read_file(pid, "limits", limits, sizeof(limits)) ? strstr(limits, line) : NULL;
    if (!at)
        return false;
    *limit = strtoul(at + strlen(line), NULL, 10);
    return *limit > 0 && count_descriptors(pid, open);
}

enum process_maps process_maps(pid_t pid, const char *path)
{
    char name[64];
    char *line = NULL;
    size_t size = 0;
    enum process_maps found = MAPS_NOTHING;
    snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
    FILE *file = fopen(name, "re");
    if (!file)
        return errno == EACCES || errno == EPERM ? MAPS_HIDDEN : MAPS_NOTHING;
    while (found != MAPS_IT && getline(&line, &size, file) > 0)
        found = strstr(line, path) ? MAPS_IT : MAPS_OTHERS;
    free(line);
    fclose(file);
    return found;
}

void process_program(pid_t pid, char *path, size_t size)
{
    char comm[COMM_SIZE];
    char link[64];
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    const ssize_t len = readlink(link, path, size - 1);
    path[len > 0 ? len : 0] = '\0';
    if (len > 0)
        return;
    process_comm(pid, comm);
    strlcpy(path, comm, size);
}

/* Fields of /proc/PID/stat, as proc(5) counts them. */
enum { NAME_FIELD = 2, FLAGS_FIELD = 9, THREADS_FIELD = 20 };

static unsigned long field_or(pid_t pid, int field, unsigned long gone)
{
    char stat[512];
    if (!read_file(pid, "stat", stat, sizeof(stat)))
        return gone;
    const char *at = after_name(stat);
    for (int i = NAME_FIELD; at && i < field; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoul(at, NULL, 10) : gone;
}

/* Where its first thread alone has ended the others are counted still. */
bool process_has_ended(pid_t pid)
{
    const char state = process_state(pid);
    if (state == 'Z' || state == 'X')
        return field_or(pid, THREADS_FIELD, 0) <= 1;
    return state == '\0';
}

static unsigned long flags_or(pid_t pid, unsigned long gone)
{
    return field_or(pid, FLAGS_FIELD, gone);
}

static unsigned long flags_of(pid_t pid)
{
    return flags_or(pid, 0);
}

bool process_is_ending(pid_t tid)
{
    enum { EXITING = 0x4 }; /* PF_EXITING: exit_signals() comes before exit_files() in do_exit() */
    return flags_or(tid, EXITING) & EXITING;
}

bool process_is_kernel_thread(pid_t pid)
{
    enum { KTHREAD = 0x00200000 }; /* PF_KTHREAD */
    return flags_of(pid) & KTHREAD;
}

bool process_is_worker(pid_t tid)
{
    enum { IO_WORKER = 0x10, USER_WORKER = 0x4000 }; /* PF_IO_WORKER, PF_USER_WORKER */
    return flags_of(tid) & (IO_WORKER | USER_WORKER);
}

static bool has_in_environment(pid_t pid, const char *text)
{
    char path[64];
    char *variable = NULL;
    size_t size = 0;
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && !found && getdelim(&variable, &size, '\0', file) > 0)
        found = strstr(variable, text) != NULL;
    free(variable);
    if (file)
        fclose(file);
    return found;
}

int processes_with(const char *text)
{
    struct pid_list list = {0};
    int found = 0;
    processes_add_all(&list);
    for (size_t i = 0; i < list.count; i++)
        found += has_in_environment(list.at[i], text);
    free(list.at);
    return found;
}
