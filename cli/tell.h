/*
 * What every verb says in the same words.
 */
#ifndef CLOSEWAIT_TELL_H
#define CLOSEWAIT_TELL_H

#include <stdbool.h>

/*
 * After getopt_long(3) with opterr 0 and ':' in front has found '?' or ':' : one line of what was
 * wrong with the word, its argv[optind - 1], and what to do. It itself tells less.
 */
void tell_misuse(const char *verb, int found, const char *word);

/* Whether all that was printed has arrived at standard output; tells why not. */
bool tell_written(const char *verb);

#endif
