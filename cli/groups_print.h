/*
 * Groups on standard output, for people and for machines.
 */
#ifndef CLOSEWAIT_GROUPS_PRINT_H
#define CLOSEWAIT_GROUPS_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "groups.h"
#include "symbol.h"

struct groups_style {
    struct symbols *symbols; /* to find functions and lines */
    size_t limit;            /* so many groups at most */
    bool colors;
};

/* Finished groups in words, and their total in the last line. */
void groups_print_text(const struct groups *groups, const struct groups_style *style);

/* One array, each of its objects on a line of its own; see groups_json.c for the members. */
void groups_print_json(const struct groups *groups, const struct groups_style *style);

/*
 * For flame graphs, in the order of strcmp(3): a line for each stack, its frames with ';' between
 * them, the outermost first, a space and how many sockets leaked there. Inside of a name ';'
 * becomes ':'. Call sites of the same functions are one line.
 */
void groups_print_folded(const struct groups *groups, const struct groups_style *style);

/*
 * A page of HTML that needs nothing but itself: cli/page.html. The groups must have been made for a
 * page.
 */
void groups_print_html(const struct groups *groups, const struct groups_style *style);

/* The stacks of a group, symbolized, as members of an object; for json_decref. */
json_t *group_stacks(const struct group *group, struct symbols *symbols);

/* The same of an accept queue. */
json_t *queue_stacks(const struct stuck_queue *queue, struct symbols *symbols);

/* How many of the groups the style lets through. */
size_t groups_shown(const struct groups *groups, const struct groups_style *style);

#endif
