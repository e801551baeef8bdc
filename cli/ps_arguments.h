/*
 * The arguments of closewait ps.
 */
#ifndef CLOSEWAIT_PS_ARGUMENTS_H
#define CLOSEWAIT_PS_ARGUMENTS_H

#include <stdbool.h>

#include "listing.h"
#include "processes.h"

struct ps_arguments {
    const struct listing *listing;
    struct choice columns;
    struct pid_list pids; /* empty: all of them; free(3), also after a mistake */
    double watch_s;       /* 0: once */
    bool json;
    bool openmetrics;
    bool headings;
};

enum { PS_GO_ON = -1 };

/* PS_GO_ON, or the exit status after a mistake that was told, or after --help. */
int ps_arguments_read(struct ps_arguments *arguments, int argc, char **argv);

#endif
