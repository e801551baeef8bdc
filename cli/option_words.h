/*
 * Options of a command line, as the words that the shim reads in CLOSEWAIT_OPTIONS.
 */
#ifndef CLOSEWAIT_OPTION_WORDS_H
#define CLOSEWAIT_OPTION_WORDS_H

#include <stdbool.h>

enum { OPTION_WORDS_SIZE = 8192 };

/*
 * Appends key=value to words. Later ones win. False, after one line on standard error that begins
 * with the verb, when the value cannot be written so or there is no room.
 */
bool option_words_add(char words[OPTION_WORDS_SIZE], const char *verb, const char *key,
                      const char *value);

#endif
