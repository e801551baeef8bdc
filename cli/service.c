#include "service.h"

#include <stdio.h>

#include "preload.h"
#include "processes.h"

/*
 * A program is there before the dynamic linker has loaded its libraries. And a static one may do
 * nothing but start another, as env(1) and busybox do.
 */
enum { LOADING_MS = 2000, STARTING_MS = 300 };

static bool is_heard_of(const struct service *service, pid_t pid)
{
    char key[16];
    snprintf(key, sizeof(key), "%d", (int)pid);
    return json_object_get(service->heard, key) != NULL;
}

static const char *program_of(pid_t pid)
{
    static char path[32];
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    return path;
}

enum standing { SERVED, BLIND, ABSENT, HIDDEN, ENDED };

static enum standing standing_of(const struct service *service, pid_t pid)
{
    switch (process_maps(pid, service->shim)) {
    case MAPS_IT:
        return !service->scans && preload_is_go(program_of(pid)) ? BLIND : SERVED;
    case MAPS_HIDDEN:
        return is_heard_of(service, pid) ? SERVED : HIDDEN;
    case MAPS_OTHERS:
        return ABSENT;
    case MAPS_NOTHING:
        break;
    }
    return ENDED;
}

bool service_serves(const struct service *service, pid_t pid)
{
    return standing_of(service, pid) == SERVED;
}

static struct gap gap_without_shim(pid_t pid)
{
    const char *why = preload_refusal(program_of(pid));
    return why ? (struct gap){why, STARTING_MS}
               : (struct gap){"the dynamic linker did not take it", LOADING_MS};
}

struct gap service_gap(const struct service *service, pid_t pid)
{
    switch (standing_of(service, pid)) {
    case BLIND:
        return (struct gap){
            "it is a Go program, which makes its system calls itself, and scan is off", 0};
    case HIDDEN:
        return (struct gap){"it may not be looked into", STARTING_MS};
    case ABSENT:
        return gap_without_shim(pid);
    case SERVED:
    case ENDED:
        break;
    }
    return (struct gap){0};
}
