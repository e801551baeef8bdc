#include "tell.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

void tell_misuse(const char *verb, int found, const char *word)
{
    fprintf(stderr, "closewait %s: ", verb);
    if (found == ':')
        fprintf(stderr, "option '%s' needs a value", word);
    else if (optopt == 0)
        fprintf(stderr, "unknown option '%s'", word);
    else if (strncmp(word, "--", 2) == 0)
        fprintf(stderr, "option '%s' takes no value", word);
    else
        fprintf(stderr, "unknown option '-%c'", optopt);
    fprintf(stderr, ": closewait %s --help lists the options\n", verb);
}

bool tell_written(const char *verb)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "closewait %s: cannot write to standard output: %s\n", verb, strerror(errno));
    return false;
}
