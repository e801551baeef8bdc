/*
 * A record with all that is told of it, whoever tells: the shim, which knows places in files, or
 * the command, which has found their functions and lines.
 */
#ifndef CLOSEWAIT_TOLD_H
#define CLOSEWAIT_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "record.h"
#include "trend.h"

struct suppression; /* suppress.h */

/* What is not known is NULL, or 0. */
struct frame {
    const char *module;   /* the path of its file */
    const char *build_id; /* in hexadecimal */
    uint64_t offset;      /* in the file's address space; the address itself without a module */
    const char *function;
    const char *file;
    int line;
    bool inlined; /* into the next frame */
};

struct trace {
    const struct frame *frames;
    int count;
};

/* Of one process, at the time of the telling. */
struct totals {
    uint32_t leaked;
    uint32_t sites;
    uint32_t growing;
    uint32_t flat;
    uint32_t held;
    uint32_t reaped;
    uint32_t suppressed;
    uint32_t late;      /* closed by the program after they were reported */
    uint32_t grace_ms;  /* that would have been right for sites that are mostly closed late; or 0 */
    uint32_t lost;      /* records that could not be written, or did not fit */
    uint32_t stackless; /* stacks that found no room */
    uint32_t sweep_ms;  /* there are so many sockets that they are looked at only so often; or 0 */
};

struct told {
    const struct record *record;
    uint64_t time_ms; /* since 1970 */
    int pid;
    int opener; /* of an inherited socket: the pid of who had it before; 0: not known */
    const char *comm;
    const char *container; /* that it is in, for who looks from outside */
    bool outside;          /* it is the command that looks, and could close */
    enum action action;
    bool reuseaddr;       /* the option is on */
    uint64_t site;        /* depot_hash of the leak's opened_at */
    uint32_t count;       /* records of this type and site so far, with this one */
    uint32_t since;       /* as many of them as had been when one was told last */
    uint32_t site_age_ms; /* since its first */
    struct trace opened;
    struct trace eof;
    struct trace last;
    struct trace asked; /* who called bind */
    uint32_t held;      /* by the site, when that was asked for; else 0 */
    enum trend trend;   /* of the site, of a leak that is told */
    uint32_t leaks;     /* of the site so far, of a late close */
    uint32_t grace_ms;  /* that would have been right for the site (hindsight.h); 0: none */
    struct totals totals;
    bool symbolized; /* functions and lines were looked for */
    const struct suppression *suppressions;
    int suppression_count;
};

/*
 * Whether it is worth a line to people: the 1st of its site, and each time that the number has
 * doubled. Pure.
 */
static inline bool told_is_news(const struct told *told)
{
    uint32_t next = 1;
    while (next <= told->since && next)
        next *= 2;
    return next && told->count >= next;
}

#endif
