#define _GNU_SOURCE
#include "kept_stack.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

/* A frame that has a file was symbolized where it happened. */
static bool is_symbolized(const json_t *stack)
{
    size_t at;
    const json_t *frame;
    json_array_foreach((json_t *)stack, at, frame) if (json_object_get(frame, "file")) return true;
    return false;
}

static bool may_be_symbolized(const struct member *stack)
{
    static const char name[] = "\"file\"";
    return memmem(stack->at, stack->len, name, sizeof(name) - 1) != NULL;
}

static bool is_kept(const struct kept_stack *kept, const struct member *stack)
{
    return kept->len == stack->len && memcmp(kept->text, stack->at, stack->len) == 0;
}

static void keep(struct kept_stack *kept, struct quota *quota, const struct member *stack,
                 bool symbolized)
{
    kept->is_refused = !quota_ask(quota, QUOTA_STACKS, stack->len + 1 + QUOTA_OF_BLOCK);
    if (kept->is_refused)
        return;
    if (kept->text)
        quota_give(quota, QUOTA_STACKS, kept->len + 1 + QUOTA_OF_BLOCK);
    free(kept->text);
    kept->text = must(strndup(stack->at, stack->len));
    kept->len = stack->len;
    kept->is_symbolized = symbolized;
}

void kept_stack_offer(struct kept_stack *kept, struct quota *quota, const struct member *stack)
{
    if (!stack->at || kept->is_refused)
        return;
    if (kept->text && (kept->is_symbolized || is_kept(kept, stack) || !may_be_symbolized(stack)))
        return;
    json_t *const frames = json_loadb(stack->at, stack->len, JSON_REJECT_DUPLICATES, NULL);
    const bool better = is_symbolized(frames);
    if (json_array_size(frames) > 0 && (better || !kept->text))
        keep(kept, quota, stack, better);
    json_decref(frames);
}

json_t *kept_stack_json(const struct kept_stack *kept)
{
    return kept->text ? must(json_loadb(kept->text, kept->len, 0, NULL)) : NULL;
}

void kept_stack_free(struct kept_stack *kept)
{
    free(kept->text);
    *kept = (struct kept_stack){0};
}
