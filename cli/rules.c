#include "rules.h"

#include <stdlib.h>

#include "must.h"

static bool asks_for_stack(const struct suppress_word *word)
{
    return word->key == KEY_MODULE || word->key == KEY_FUNCTION || word->key == KEY_FILE;
}

static void forget_stack(struct suppression *pattern)
{
    int kept = 0;
    for (int i = 0; i < pattern->count; i++)
        if (!asks_for_stack(&pattern->words[i]))
            pattern->words[kept++] = pattern->words[i];
    pattern->count = kept;
}

bool rules_begin(struct rules *rules, const char *verb, const struct options *options, char *why,
                 size_t why_size)
{
    *rules = (struct rules){.verb = verb, .options = *options};
    if (!options->suppress[0])
        return true;
    rules->patterns = must(calloc(1, sizeof(*rules->patterns)));
    rules->spared = must(calloc(1, sizeof(*rules->spared)));
    if (!suppress_read(rules->patterns, options->suppress, why, why_size) ||
        !suppress_read(rules->spared, options->suppress, why, why_size))
        return false;
    for (int i = 0; i < rules->spared->count; i++)
        forget_stack(&rules->spared->at[i]);
    return true;
}

void rules_end(struct rules *rules)
{
    free(rules->patterns);
    free(rules->spared);
    rules->patterns = rules->spared = NULL;
}

bool rules_suppress(const struct rules *rules, const struct leak *leak)
{
    const struct trace unknown = {0};
    struct suppression *pattern =
        rules->patterns ? suppress_find(rules->patterns, leak, &unknown) : NULL;
    if (pattern)
        pattern->matched++;
    return pattern != NULL;
}

bool rules_spare(const struct rules *rules, const struct leak *leak)
{
    const struct trace unknown = {0};
    return rules->spared && suppress_find(rules->spared, leak, &unknown);
}
