#define _GNU_SOURCE
#include "kin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "must.h"

enum { KIN_MAX = 256 };

/* A process of the machine. */
struct process {
    pid_t pid;
    pid_t parent;
    bool is_kin;
};

struct census {
    struct process *at;
    size_t count;
};

static bool is_in(const struct pid_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] == pid)
            return true;
    return false;
}

static bool is_watched(const struct kin *kin, pid_t pid)
{
    for (size_t i = 0; i < kin->count; i++)
        if (kin->at[i]->target.pid == pid)
            return true;
    return false;
}

static struct process *find(const struct census *census, pid_t pid)
{
    for (size_t i = 0; i < census->count; i++)
        if (census->at[i].pid == pid)
            return &census->at[i];
    return NULL;
}

/* From the program and from those whose parent has ended down to the last grandchild. */
static void mark(const struct census *census, const struct kin *kin, pid_t program)
{
    bool more = true;
    for (size_t i = 0; i < census->count; i++)
        census->at[i].is_kin = census->at[i].pid == program || is_watched(kin, census->at[i].pid);
    while (more) {
        more = false;
        for (size_t i = 0; i < census->count; i++) {
            struct process *process = &census->at[i];
            const struct process *parent = process->is_kin ? NULL : find(census, process->parent);
            if (parent && parent->is_kin)
                more = process->is_kin = true;
        }
    }
}

static struct census take_census(const struct kin *kin, pid_t program)
{
    struct pid_list pids = {0};
    struct census census = {0};
    processes_add_all(&pids);
    census.at = must(calloc(pids.count + 1, sizeof(*census.at)));
    for (size_t i = 0; i < pids.count; i++)
        census.at[census.count++] =
            (struct process){.pid = pids.at[i], .parent = process_parent(pids.at[i])};
    free(pids.at);
    mark(&census, kin, program);
    return census;
}

static void refuse(struct kin *kin, pid_t pid, const char *why)
{
    processes_add(&kin->refused, pid);
    fprintf(stderr, "closewait run: child process %d is not watched: %s\n", (int)pid, why);
}

/*
 * An id can have become another's since the census; one that has the same parent still is the
 * same, now that a pidfd holds it. One that ends meanwhile is no news.
 */
static void begin(struct kin *kin, const struct process *process, const struct rules *rules)
{
    char why[512];
    struct watched *watched = must(malloc(sizeof(*watched)));
    if (!watched_begin(watched, process->pid, rules, why, sizeof(why))) {
        const char state = process_state(process->pid);
        free(watched);
        if (state && state != 'Z' && state != 'X')
            refuse(kin, process->pid, why);
        return;
    }
    if (process_parent(process->pid) != process->parent) {
        watched_free(watched);
        free(watched);
        return;
    }
    kin->at = array_grow(kin->at, kin->count, sizeof(struct watched *));
    kin->at[kin->count++] = watched;
}

static void begin_all(struct kin *kin, const struct census *census, pid_t program, const char *shim,
                      const struct rules *rules)
{
    for (size_t i = 0; i < census->count; i++) {
        const struct process *process = &census->at[i];
        if (!process->is_kin || process->pid == program || is_watched(kin, process->pid) ||
            is_in(&kin->refused, process->pid) || process_maps(process->pid, shim))
            continue;
        if (kin->count < KIN_MAX) {
            begin(kin, process, rules);
            continue;
        }
        if (!kin->full)
            fprintf(stderr,
                    "closewait run: more than %d child processes at a time: the others are not "
                    "watched\n",
                    KIN_MAX);
        kin->full = true;
        return;
    }
}

/* Ids of processes that are no more will be others'. */
static void forget_refused(struct kin *kin, const struct census *census)
{
    size_t kept = 0;
    for (size_t i = 0; i < kin->refused.count; i++) {
        const struct process *process = find(census, kin->refused.at[i]);
        if (process && process->is_kin)
            kin->refused.at[kept++] = process->pid;
    }
    kin->refused.count = kept;
}

/* A summary of nothing is none. */
static void end(struct watched *watched, const struct rules *rules)
{
    if (watched->leaked + watched->reaped + watched->suppressed + watched->late > 0)
        watched_end(watched, rules);
    else
        watched_free(watched);
    free(watched);
}

static void look_at_all(struct kin *kin, const char *shim, const struct rules *rules)
{
    size_t kept = 0;
    for (size_t i = 0; i < kin->count; i++) {
        struct watched *watched = kin->at[i];
        const bool is_served = process_maps(watched->target.pid, shim);
        if (!is_served && watched_look(watched, rules)) {
            kin->leaked |= watched->leaked > 0;
            kin->at[kept++] = watched;
            continue;
        }
        end(watched, rules);
    }
    kin->count = kept;
}

void kin_look(struct kin *kin, pid_t program, const char *shim, const struct rules *rules)
{
    struct census census = take_census(kin, program);
    forget_refused(kin, &census);
    begin_all(kin, &census, program, shim, rules);
    free(census.at);
    look_at_all(kin, shim, rules);
}

void kin_end(struct kin *kin, const struct rules *rules)
{
    for (size_t i = 0; i < kin->count; i++)
        end(kin->at[i], rules);
    kin->count = 0;
    kin_free(kin);
}

void kin_free(struct kin *kin)
{
    for (size_t i = 0; i < kin->count; i++) {
        watched_free(kin->at[i]);
        free(kin->at[i]);
    }
    free(kin->at);
    free(kin->refused.at);
    *kin = (struct kin){.leaked = kin->leaked};
}
