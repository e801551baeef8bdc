/*
 * Whether the shim serves a process of closewait run. It comes with LD_PRELOAD, and a process may
 * become another program at any time: one that cannot take it, or one in whose environment it is
 * no more.
 */
#ifndef CLOSEWAIT_SERVICE_H
#define CLOSEWAIT_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct service {
    const char *shim;    /* its path */
    const json_t *heard; /* an object whose keys are the ids of those whose shim we have heard of */
    bool scans;          /* the shim looks for the sockets of a program in Go */
};

/* Whether it does at this moment. */
bool service_serves(const struct service *service, pid_t pid);

struct gap {
    const char *why; /* as the end of the sentence "the shim does not serve it: "; NULL: none */
    uint32_t patience_ms; /* for how long that must be so: it may only be on its way */
};

/* What keeps the shim from serving it. One that has ended has no gap. */
struct gap service_gap(const struct service *service, pid_t pid);

#endif
