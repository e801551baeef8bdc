/*
 * What closewait ps lists: the rows, and the columns that a row can have.
 */
#ifndef CLOSEWAIT_LISTING_H
#define CLOSEWAIT_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "snapshot.h"
#include "text.h"

/* A descriptor, or a socket that none of the processes looked at has a descriptor of. */
struct row {
    const struct snapshot *of;
    const struct tcp_socket *socket;
    const struct holder *holder; /* or NULL */
    uint32_t age_ms;
};

struct rows {
    struct row *at; /* oldest first; they point into the snapshot; free(3) */
    size_t count;
};

struct column {
    const char *name;
    const char *what;
    int flags;
    int json_type;
    void (*cell)(const struct row *row, struct text *text); /* adds nothing: not known, or none */
    void (*json_cell)(const struct row *row, struct text *text); /* where it differs */
    const char *(*color)(const struct row *row);                 /* NULL: never coloured */
};

struct listing {
    const char *name; /* of the array in JSON */
    const struct column *columns;
    size_t count;
    const char *usual; /* the columns, when none are asked for */
    bool (*lists)(const struct tcp_socket *socket);
    uint32_t (*age_ms)(const struct tcp_socket *socket);
};

/* CLOSE_WAIT sockets. */
extern const struct listing listing_sockets;

/* Listening sockets in whose accept queue connections wait that have already hung up. */
extern const struct listing listing_queues;

enum { CHOICE_MAX = 32 };

struct choice {
    const struct column *at[CHOICE_MAX];
    size_t count;
};

/*
 * The columns that list names: "PID,AGE", or "+UID,INODE" for those beside the usual ones. A name
 * in any case; one that is given twice counts once. False, with a line in why, for an unknown one.
 */
bool listing_choose(const struct listing *listing, const char *list, struct choice *choice,
                    char *why, size_t why_size);

/* Rows of everything in the snapshot. */
struct rows listing_all(const struct listing *listing, const struct snapshot *snapshot);

/* Rows of what the processes that the snapshot looked at hold or have in their accept queues. */
struct rows listing_held(const struct listing *listing, const struct snapshot *snapshot);

/* The columns with what they mean, one a line. */
void listing_explain(const struct listing *listing, FILE *to);

#endif
