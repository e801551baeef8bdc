/*
 * One JSON line of the shim's, checked: nothing in it is of another type or size than the shim
 * writes (docs/schema.json).
 */
#ifndef CLOSEWAIT_ENTRY_H
#define CLOSEWAIT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "members.h"
#include "record.h"

enum { ENTRY_SITE_SIZE = 17, ENTRY_TEXTS_SIZE = 1024 };

/* A string that is not told is "". Strings are the entry's own, stacks are parts of the line. */
struct log_entry {
    enum record_type type;
    int64_t time_ms; /* since 1970 */
    int pid;
    const char *comm;
    const char *site;    /* in hexadecimal; "" in a summary; of an accept queue the listener's */
    const char *class;   /* of a leak, a rescue or a conflict */
    const char *how;     /* of the same */
    const char *peer;    /* of the same: "ip:port" */
    const char *local;   /* and of an accept queue: where the program listens */
    const char *why;     /* of a reap */
    const char *outcome; /* of a reap or a rescue */
    uint32_t fd;
    uint32_t count;     /* 0: not told */
    int64_t since;      /* -1: not told */
    int64_t fin_age_ms; /* 0: not told; so is site_age_ms */
    int64_t site_age_ms;
    uint32_t reaped;  /* sockets that a rescue reaped */
    bool failed;      /* the reap */
    bool of_reaped;   /* the late close: of a tombstone */
    int64_t grace_ms; /* that would have been right for the site; 0: not told */
    uint32_t leaked;  /* in a summary */
    uint32_t waiting; /* these three of an accept queue */
    uint32_t hung_up;
    int64_t age_ms;
    struct member open_stack; /* arrays */
    struct member eof_stack;
    char texts[ENTRY_TEXTS_SIZE];
    size_t texts_len;
};

enum entry_found {
    ENTRY_READ,
    ENTRY_NO_LEAK, /* of no leak: to be ignored */
    ENTRY_UNKNOWN, /* an object of a type that is not known, perhaps of a later version's */
    ENTRY_WRONG,   /* not what the shim writes */
};

/*
 * Fills in *entry when it returns ENTRY_READ; its stacks are valid as long as the line is. The line
 * is one as members_read takes it.
 */
enum entry_found entry_read(const char *line, size_t len, struct log_entry *entry);

/* "2026-01-31T08:00:00.125Z", in milliseconds since 1970. False when it is no such time. */
bool entry_read_time(const char *text, int64_t *time_ms);

#endif
