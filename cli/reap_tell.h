/*
 * What closewait reap says of a socket: a text for people, in the words of the shim's reports, or a
 * JSON object on a line.
 */
#ifndef CLOSEWAIT_REAP_TELL_H
#define CLOSEWAIT_REAP_TELL_H

#include <stdbool.h>

#include "ending.h"
#include "found.h"
#include "options.h"
#include "target.h"

/* What was or would be done with a socket. */
enum act {
    ACT_CLOSED,
    ACT_FAILED,  /* error says why */
    ACT_REFUSED, /* reason says why */
    ACT_WOULD_CLOSE,
    ACT_WOULD_LEAVE, /* the same */
};

struct deed {
    const struct target *target;
    const struct found *found;
    enum act act;
    bool forced;
    enum ending ending; /* ACT_CLOSED */
    int error;
    const char *reason;
};

/* Tells it on standard output. */
void reap_tell(const struct deed *deed, enum format format);

/*
 * Why the judge would not have it closed, and what would be right, as the end of a sentence. A
 * static buffer.
 */
const char *reap_reason(const struct found *found, const struct options *options);

#endif
