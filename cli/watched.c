#define _GNU_SOURCE
#include "watched.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "burials.h"
#include "clock.h"
#include "found.h"
#include "found_record.h"
#include "measure.h"
#include "threads.h"
#include "watched_tell.h"

bool watched_begin(struct watched *watched, pid_t pid, char *why, size_t why_size)
{
    *watched = (struct watched){0};
    if (target_open(&watched->target, pid, why, why_size))
        return true;
    target_close(&watched->target);
    return false;
}

bool watched_has(struct watched *const *at, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (at[i]->target.pid == pid)
            return true;
    return false;
}

static struct memory *memory_of(struct watched *watched, uint64_t cookie)
{
    for (size_t i = 0; i < watched->count; i++)
        if (watched->sockets[i].cookie == cookie)
            return &watched->sockets[i];
    return NULL;
}

static bool has_lost_its_peer(const struct found *found)
{
    return found->facts.state == TCP_CLOSE_WAIT ||
           (found->facts.state == TCP_CLOSE && found->facts.handshake);
}

static struct memory *remember(struct watched *watched, const struct found *found, uint64_t now)
{
    struct memory *memory = memory_of(watched, found->cookie);
    if (memory)
        return memory;
    watched->sockets = array_grow(watched->sockets, watched->count, sizeof(*watched->sockets));
    memory = &watched->sockets[watched->count++];
    *memory = (struct memory){
        .cookie = found->cookie,
        .seen_ms = now,
        .gone_ms = found->facts.state == TCP_CLOSE_WAIT ? now - found->facts.heard_ms : now,
        .unread_bytes = found->facts.unread_bytes,
        .eof_read = found->history.eof_read,
        .accepted = found->accepted,
        .local = found->local,
        .peer = found->peer,
    };
    return memory;
}

static uint32_t age_of(uint64_t then_ms, uint64_t now)
{
    return now - then_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - then_ms);
}

/* What a look adds to the memory, and the memory to the look. */
static void recall(struct memory *memory, struct found *found, uint64_t now)
{
    const bool over = found->facts.state == TCP_CLOSE;
    if (memory->unread_bytes != found->facts.unread_bytes ||
        (found->history.eof_read && !memory->eof_read))
        memory->touched_ms = now;
    if (over && !memory->over && !memory->told)
        memory->gone_ms = now;
    memory->unread_bytes = found->facts.unread_bytes;
    memory->eof_read |= found->history.eof_read;
    memory->fin_seen |= found->facts.state == TCP_CLOSE_WAIT;
    memory->over = over;
    memory->there = true;
    memory->fd = found->fds[0];
    found->history = (struct history){
        .eof_read = memory->eof_read,
        .fin_seen = memory->fin_seen,
        .gone_ms = age_of(memory->gone_ms, now),
        .touched_ms = memory->touched_ms ? age_of(memory->touched_ms, now) : UINT32_MAX,
    };
    if (over && found->peer.family == 0)
        found->peer = memory->peer;
}

/* Once for a process, as its leaks are all of one site. */
static json_t *threads_of(const struct watched *watched, const struct rules *rules)
{
    char why[512];
    json_t *threads = threads_take(&watched->target, rules->debuginfo_path, why, sizeof(why));
    if (!threads)
        fprintf(stderr, "closewait: no stacks of the threads: %s\n", why);
    return threads;
}

static void tell_leak(struct watched *watched, const struct found *found, struct memory *memory,
                      const struct rules *rules, uint64_t now)
{
    if (memory->told || memory->quiet || found->ruling.class == CLASS_NONE)
        return;
    const struct leak leak = found_leak(found);
    memory->quiet = rules_suppress(rules, &leak);
    watched->suppressed += memory->quiet;
    if (memory->quiet)
        return;
    memory->told = true;
    if (watched->leaked == 0)
        watched->first_ms = now;
    watched->leaked++;
    measure_leak(watched->metrics, watched, memory);
    json_t *threads = rules->stacks && watched->leaked == 1 ? threads_of(watched, rules) : NULL;
    watched_tell_leak(watched, found, memory, threads, rules);
    json_decref(threads);
}

/* What keeps us from a process is said when it begins to, and not with every look. */
static void complain(struct watched *watched, const char *why, const struct rules *rules)
{
    if (!watched->troubled)
        fprintf(stderr, "closewait %s: %s\n", rules->verb, why);
    watched->troubled = true;
}

/* The record has the number alone, as the shim's. */
static void explain_failure(struct watched *watched, int error, const struct rules *rules)
{
    if (watched->failure == error)
        return;
    watched->failure = error;
    fprintf(stderr, "closewait %s: process %d: what has leaked cannot be closed: %s%s\n",
            rules->verb, (int)watched->target.pid, strerror(error),
            error == EMFILE ? ": it has no descriptor left: run closewait with CAP_SYS_RESOURCE, "
                              "or raise the limit of the process (prlimit --nofile)"
                            : "");
}

/* Each try stops the process. */
static void put_off(struct memory *memory)
{
    enum { FIRST_MS = 1000, LONGEST_MS = 300000 };
    memory->pause_ms = memory->pause_ms ? 2 * memory->pause_ms : FIRST_MS;
    if (memory->pause_ms > LONGEST_MS)
        memory->pause_ms = LONGEST_MS;
    memory->retry_ms = clock_ms() + memory->pause_ms;
}

static void count_burial(struct watched *watched, const struct grave *grave, enum ending ending,
                         const struct rules *rules)
{
    struct memory *memory = memory_of(watched, grave->found->cookie);
    if (grave->burial == BURIAL_OTHER || grave->burial == BURIAL_SPARED || !memory)
        return;
    memory->closed = grave->burial == BURIAL_DONE;
    if (!memory->closed)
        put_off(memory);
    if (grave->burial == BURIAL_NOT_YET || (!memory->closed && memory->error == grave->error))
        return;
    memory->error = grave->error;
    watched->reaped += memory->closed;
    measure_reap(watched->metrics, watched, grave->error);
    watched_tell_reap(watched, grave->found, grave->error, ending, rules);
    if (grave->error)
        explain_failure(watched, grave->error, rules);
}

static void close_all(struct watched *watched, struct burials *burials, const struct rules *rules)
{
    char why[512];
    const bool stopped = burials_make(burials, &watched->target, &rules->options, why, sizeof(why));
    if (!stopped)
        complain(watched, why, rules);
    for (size_t i = 0; i < burials->count; i++)
        count_burial(watched, &burials->at[i], burials->endings[i], rules);
}

/* Of the sockets that are there no more. */
static void end_probes(struct watched *watched)
{
    struct probing **on = NULL;
    size_t count = 0;
    for (size_t i = 0; i < watched->count; i++) {
        struct memory *memory = &watched->sockets[i];
        if (!memory->probing.on || memory->there)
            continue;
        on = array_grow(on, count, sizeof(struct probing *));
        on[count++] = &memory->probing;
    }
    probings_end(on, count, &watched->target);
    free(on);
}

/* Those that are there no more were closed: by us, by the program, or never told. */
static void forget(struct watched *watched, const struct rules *rules)
{
    size_t kept = 0;
    end_probes(watched);
    for (size_t i = 0; i < watched->count; i++) {
        struct memory *memory = &watched->sockets[i];
        if (!memory->there && memory->told && !memory->closed) {
            watched->late++;
            measure_late_close(watched->metrics, watched);
            watched_tell_late_close(watched, memory, rules);
        }
        if (memory->there && !memory->closed)
            watched->sockets[kept++] = *memory;
    }
    watched->count = kept;
}

static bool is_spared(const struct found *found, const struct rules *rules)
{
    const struct leak leak = found_leak(found);
    return rules_spare(rules, &leak);
}

static void probe(const struct watched *watched, struct memory *memory, const struct found *found,
                  const struct rules *rules)
{
    struct probing *probing = &memory->probing;
    if (found->ruling.probe && !is_spared(found, rules))
        probing_begin(probing, found, &watched->target, &rules->options);
    else if (!found->ruling.probe && probing->on)
        probings_end(&probing, 1, &watched->target);
}

static void judge_all(struct watched *watched, struct findings *findings, const struct rules *rules)
{
    struct burials burials = {0};
    const uint64_t now = clock_ms();
    for (size_t i = 0; i < watched->count; i++)
        watched->sockets[i].there = false;
    for (size_t i = 0; i < findings->count; i++) {
        struct found *found = &findings->at[i];
        if (!has_lost_its_peer(found))
            continue;
        struct memory *memory = remember(watched, found, now);
        recall(memory, found, now);
        found->ruling = judge(&found->facts, &found->history, &rules->options);
        tell_leak(watched, found, memory, rules, now);
        probe(watched, memory, found, rules);
        if (found->ruling.reap != REAP_NOT && !found->shared && now >= memory->retry_ms &&
            !is_spared(found, rules))
            burials_add(&burials, found, false);
    }
    if (burials.count > 0)
        close_all(watched, &burials, rules);
    burials_free(&burials);
    forget(watched, rules);
}

/* It may have become another program. One that ends has none any more. */
static void learn_name(struct target *target)
{
    char comm[COMM_SIZE];
    process_comm(target->pid, comm);
    if (comm[0])
        memcpy(target->comm, comm, sizeof(comm));
}

/*
 * What keeps us from a process that ends is its end: the next look knows of it. Its thread's id can
 * be another's by now.
 */
static void look(struct watched *watched, const struct rules *rules)
{
    char why[512];
    struct findings findings = {0};
    if (target_follow(&watched->target, why, sizeof(why)) &&
        findings_take(&findings, &watched->target, &rules->options, why, sizeof(why)))
        judge_all(watched, &findings, rules);
    else if (why[0] && target_lives(&watched->target) && !process_is_ending(watched->target.tid))
        complain(watched, why, rules);
    findings_free(&findings);
}

bool watched_look(struct watched *watched, const struct rules *rules)
{
    learn_name(&watched->target);
    if (!target_lives(&watched->target))
        return false;
    look(watched, rules);
    return true;
}

void watched_end(struct watched *watched, const struct rules *rules)
{
    uint32_t held = 0;
    for (size_t i = 0; i < watched->count; i++)
        held += watched->sockets[i].told && !watched->sockets[i].closed;
    watched_tell_summary(watched, held, rules);
    watched_free(watched);
}

uint32_t watched_pace_ms(const struct options *options)
{
    enum { LOOKS_IN_GRACE = 8, LEAST_MS = 50, MOST_MS = 1000 };
    const uint32_t ms = options->grace_ms / LOOKS_IN_GRACE;
    return ms < LEAST_MS ? LEAST_MS : ms > MOST_MS ? MOST_MS : ms;
}

void watched_free(struct watched *watched)
{
    for (size_t i = 0; i < watched->count; i++)
        watched->sockets[i].there = false;
    end_probes(watched);
    free(watched->sockets);
    target_close(&watched->target);
}
