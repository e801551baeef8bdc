/*
 * Stores each distinct stack once. A stack is a short list of places in files, so it keeps its
 * meaning when a library goes; its number, a site, is what slots and reports hold.
 */
#ifndef CLOSEWAIT_DEPOT_H
#define CLOSEWAIT_DEPOT_H

#include <stdint.h>

#include "modules.h"

enum { DEPOT_FRAMES = 64, DEPOT_SITES = 4096 };

/* A number of a stack; 0 for none. */
typedef uint16_t site_t;

/* A place in a file; module 0 when it is in none: address is the address itself then. */
struct place {
    unsigned module;
    uint64_t address;
};

/* What depot_put works in: hooks are called on small stacks. */
struct depot_room {
    uint64_t stack[DEPOT_FRAMES];
    struct module module;
};

/*
 * The site of the stack of these addresses, innermost first, at most DEPOT_FRAMES. They are those
 * of instructions: of a call, not of what is after it. 0 when there is no room for one more. Any
 * thread, any signal handler: no lock, no system call but for a module that is new.
 */
site_t depot_put(const uintptr_t *pcs, int count, struct depot_room *room);

/* The places of a site; returns how many, 0 for site 0. Any thread. */
int depot_get(site_t site, struct place places[DEPOT_FRAMES]);

/*
 * A hash of the places that is the same in every run of the same files: what reports call the
 * site. 0 for site 0. Any thread.
 */
uint64_t depot_hash(site_t site);

/* How many stacks found no room. Any thread. */
uint32_t depot_refused(void);

#endif
