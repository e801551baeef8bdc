/*
 * Why a program is watched no longer. Apart from report.h, whose <sys/socket.h> declares the very
 * functions that hooks.c defines.
 */
#ifndef CLOSEWAIT_RETIREMENT_H
#define CLOSEWAIT_RETIREMENT_H

enum retirement {
    RETIRED_FILTER = 1, /* it filters its system calls (seccomp(2)): one of ours could end it */
    RETIRED_TABLES,     /* not all of its threads have the same descriptors, or not it alone */
    RETIRED_ALONE,      /* no thread can be started: its children get another pid namespace */
};

#endif
