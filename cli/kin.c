#define _GNU_SOURCE
#include "kin.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "must.h"

/* While all are served, their memory is looked into no more often than needs be. */
enum { KIN_MAX = 256, CALM_MS = 250, SOON_MS = 100 };

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

static bool is_watched(const struct kin *kin, pid_t pid)
{
    return watched_has(kin->at, kin->count, pid);
}

static struct newcomer *newcomer_of(const struct kin *kin, pid_t pid)
{
    for (size_t i = 0; i < kin->newcomer_count; i++)
        if (kin->newcomers[i].pid == pid)
            return &kin->newcomers[i];
    return NULL;
}

static struct process *find(const struct census *census, pid_t pid)
{
    for (size_t i = 0; i < census->count; i++)
        if (census->at[i].pid == pid)
            return &census->at[i];
    return NULL;
}

/* From the program and from those whose parent has ended down to the last grandchild. */
static void mark(const struct census *census, const struct kin *kin)
{
    bool more = true;
    for (size_t i = 0; i < census->count; i++)
        census->at[i].is_kin =
            census->at[i].pid == kin->program || is_watched(kin, census->at[i].pid);
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

static struct census take_census(const struct kin *kin)
{
    struct pid_list pids = {0};
    struct census census = {0};
    processes_add_all(&pids);
    census.at = must(calloc(pids.count + 1, sizeof(*census.at)));
    for (size_t i = 0; i < pids.count; i++)
        census.at[census.count++] =
            (struct process){.pid = pids.at[i], .parent = process_parent(pids.at[i])};
    free(pids.at);
    mark(&census, kin);
    return census;
}

/* The first process of a program speaks for those to come. */
static bool is_news(struct kin *kin, const char *program)
{
    for (size_t i = 0; i < kin->told_count; i++)
        if (strcmp(kin->told[i], program) == 0)
            return false;
    kin->told = array_grow(kin->told, kin->told_count, sizeof(*kin->told));
    kin->told[kin->told_count++] = must(strdup(program));
    return true;
}

static void tell_watched(struct kin *kin, pid_t pid, const char *why)
{
    char program[PATH_MAX];
    process_program(pid, program, sizeof(program));
    if (is_news(kin, program))
        fprintf(stderr,
                "closewait run: the shim does not serve %s (process %d): %s; it is watched from "
                "outside\n",
                program, (int)pid, why);
}

static void refuse(struct kin *kin, pid_t pid, const char *why, const char *why_not)
{
    char program[PATH_MAX];
    processes_add(&kin->refused, pid);
    kin->met |= pid == kin->program;
    process_program(pid, program, sizeof(program));
    fprintf(stderr,
            "closewait run: the shim does not serve %s (process %d): %s; it is not watched: %s\n",
            program, (int)pid, why, why_not);
}

/*
 * An id can have become another's since the census; one that has the same parent still is the
 * same, now that a pidfd holds it. One that ends meanwhile is no news.
 */
static void begin(struct kin *kin, const struct process *process, const char *why)
{
    char why_not[512];
    struct watched *watched = must(malloc(sizeof(*watched)));
    if (!watched_begin(watched, process->pid, why_not, sizeof(why_not))) {
        free(watched);
        if (!process_has_ended(process->pid))
            refuse(kin, process->pid, why, why_not);
        return;
    }
    if (process_parent(process->pid) != process->parent) {
        watched_free(watched);
        free(watched);
        return;
    }
    tell_watched(kin, process->pid, why);
    kin->met |= process->pid == kin->program;
    kin->at = array_grow(kin->at, kin->count, sizeof(struct watched *));
    kin->at[kin->count++] = watched;
}

static void begin_if_room(struct kin *kin, const struct process *process, const char *why)
{
    if (kin->count < KIN_MAX) {
        begin(kin, process, why);
        return;
    }
    if (!kin->full)
        fprintf(stderr,
                "closewait run: more than %d processes at a time without the shim: the others are "
                "not watched\n",
                KIN_MAX);
    kin->full = true;
}

/* For how long the shim does not serve it, as far as we have seen. */
static uint64_t waited_ms(struct kin *kin, pid_t pid, uint64_t now)
{
    const struct newcomer *newcomer = newcomer_of(kin, pid);
    if (newcomer)
        return now - newcomer->since_ms;
    kin->newcomers = array_grow(kin->newcomers, kin->newcomer_count, sizeof(*kin->newcomers));
    kin->newcomers[kin->newcomer_count++] = (struct newcomer){pid, now};
    return 0;
}

static void forget_newcomer(struct kin *kin, pid_t pid)
{
    struct newcomer *newcomer = newcomer_of(kin, pid);
    if (newcomer)
        *newcomer = kin->newcomers[--kin->newcomer_count];
}

static void begin_all(struct kin *kin, const struct census *census, const struct service *service)
{
    const uint64_t now = clock_ms();
    for (size_t i = 0; i < census->count; i++) {
        const struct process *process = &census->at[i];
        if (!process->is_kin || is_watched(kin, process->pid) ||
            processes_have(&kin->refused, process->pid))
            continue;
        const struct gap gap = service_gap(service, process->pid);
        if (gap.why && waited_ms(kin, process->pid, now) < gap.patience_ms)
            continue;
        forget_newcomer(kin, process->pid);
        if (gap.why)
            begin_if_room(kin, process, gap.why);
    }
}

static bool is_still_kin(const struct census *census, pid_t pid)
{
    const struct process *process = find(census, pid);
    return process && process->is_kin;
}

/* Ids of processes that are no more will be others'. */
static void forget_gone(struct kin *kin, const struct census *census)
{
    size_t kept = 0;
    for (size_t i = 0; i < kin->refused.count; i++)
        if (is_still_kin(census, kin->refused.at[i]))
            kin->refused.at[kept++] = kin->refused.at[i];
    kin->refused.count = kept;
    kept = 0;
    for (size_t i = 0; i < kin->newcomer_count; i++)
        if (is_still_kin(census, kin->newcomers[i].pid))
            kin->newcomers[kept++] = kin->newcomers[i];
    kin->newcomer_count = kept;
}

/* A summary of nothing is none. */
static void end(struct watched *watched, const struct rules *rules)
{
    if (watched->leaked + watched->reaped + watched->suppressed + watched->late + watched->lost > 0)
        watched_end(watched, rules);
    else
        watched_free(watched);
    free(watched);
}

static void look_at_all(struct kin *kin, const struct service *service, const struct rules *rules)
{
    size_t kept = 0;
    for (size_t i = 0; i < kin->count; i++) {
        struct watched *watched = kin->at[i];
        const pid_t pid = watched->target.pid;
        if (!service_serves(service, pid) &&
            (watched_look(watched, rules) || pid == kin->program)) {
            kin->leaked |= watched->leaked > 0;
            kin->at[kept++] = watched;
            continue;
        }
        end(watched, rules);
    }
    kin->count = kept;
}

void kin_begin(struct kin *kin, pid_t program)
{
    enum { FIRST_MS = 50 };
    *kin = (struct kin){.program = program, .due_ms = clock_ms() + FIRST_MS};
}

int kin_due_ms(const struct kin *kin)
{
    const uint64_t now = clock_ms();
    return kin->due_ms > now ? (int)(kin->due_ms - now) : 0;
}

static uint32_t pace_ms(const struct kin *kin, const struct rules *rules)
{
    const uint32_t ms = watched_pace_ms(&rules->options);
    if (kin->newcomer_count > 0)
        return ms < SOON_MS ? ms : SOON_MS;
    return kin->count == 0 && ms < CALM_MS ? CALM_MS : ms;
}

void kin_look(struct kin *kin, const struct service *service, const struct rules *rules)
{
    if (clock_ms() < kin->due_ms)
        return;
    struct census census = take_census(kin);
    forget_gone(kin, &census);
    begin_all(kin, &census, service);
    free(census.at);
    look_at_all(kin, service, rules);
    kin->due_ms = clock_ms() + pace_ms(kin, rules);
}

static void kin_free(struct kin *kin)
{
    for (size_t i = 0; i < kin->told_count; i++)
        free(kin->told[i]);
    free(kin->told);
    free(kin->newcomers);
    free(kin->at);
    free(kin->refused.at);
    *kin = (struct kin){.leaked = kin->leaked, .met = kin->met};
}

void kin_end(struct kin *kin, const struct rules *rules)
{
    for (size_t i = 0; i < kin->count; i++) {
        if (kin->at[i]->target.pid == kin->program) {
            watched_end(kin->at[i], rules);
            free(kin->at[i]);
        } else {
            end(kin->at[i], rules);
        }
    }
    kin_free(kin);
}
