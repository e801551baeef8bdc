/*
 * A stack as the text that it had in its record: far less than its values, of which a log may have
 * many thousands.
 */
#ifndef CLOSEWAIT_KEPT_STACK_H
#define CLOSEWAIT_KEPT_STACK_H

#include <jansson.h>
#include <stdbool.h>

#include "members.h"
#include "quota.h"

/* None when zeroed. */
struct kept_stack {
    char *text; /* NULL: none is kept */
    size_t len;
    bool is_symbolized; /* where it happened, and more was known than here */
    bool is_refused;    /* there was no room: it is not tried again */
};

/*
 * Keeps a record's stack, an array, unless it has no frames, or the one that is kept is as good:
 * as a line comes that knows more, it takes the place.
 */
void kept_stack_offer(struct kept_stack *kept, struct quota *quota, const struct member *stack);

/* For json_decref; NULL when none is kept. */
json_t *kept_stack_json(const struct kept_stack *kept);

void kept_stack_free(struct kept_stack *kept);

#endif
