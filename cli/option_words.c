#include "option_words.h"

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

bool option_words_add(char words[OPTION_WORDS_SIZE], const char *verb, const char *key,
                      const char *value)
{
    if (strchr(value, ',')) {
        fprintf(stderr,
                "closewait %s: --%s='%s' has a comma, which separates options: choose a value "
                "without one\n",
                verb, key, value);
        return false;
    }
    if (words[0])
        strlcat(words, ",", OPTION_WORDS_SIZE);
    strlcat(words, key, OPTION_WORDS_SIZE);
    strlcat(words, "=", OPTION_WORDS_SIZE);
    if (strlcat(words, value, OPTION_WORDS_SIZE) < OPTION_WORDS_SIZE)
        return true;
    fprintf(stderr, "closewait %s: the options are longer than %d bytes\n", verb,
            OPTION_WORDS_SIZE - 1);
    return false;
}
