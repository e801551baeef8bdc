/*
 * What closewait run is asked for.
 */
#ifndef CLOSEWAIT_RUN_ARGUMENTS_H
#define CLOSEWAIT_RUN_ARGUMENTS_H

#include <stdbool.h>

#include "option_words.h"
#include "options.h"

struct run_arguments {
    char words[OPTION_WORDS_SIZE]; /* what the program finds in CLOSEWAIT_OPTIONS */
    struct options options;        /* what they say */
    int leak_status;               /* when anything leaked; 0: the program's own */
    bool stacks;
    const char *debuginfo_path; /* or NULL */
};

/*
 * The environment's own options come first, so that those of the command line win. Returns the
 * index of PROGRAM, 0 after --help, -1 after a mistake that was told.
 */
int run_arguments_read(struct run_arguments *asked, int argc, char **argv);

#endif
